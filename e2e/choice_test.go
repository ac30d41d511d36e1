package e2e

import (
	"strings"
	"testing"

	"rollcall/e2e/lab"
)

func TestEnableLabelDecides(t *testing.T) {
	engine := begin(t)
	image, other := engine.Image(t, "enable", lab.App), engine.Image(t, "enable-other", lab.App)
	service := "enabled-" + ground.Run
	plain := engine.Run(t, image)
	disabled := engine.Run(t, image, "--label", "rollcall.enable=false")
	enabled := engine.Run(t, other, "--label", "rollcall.enable=true", "--label", "rollcall.service="+service)
	unlabelled := engine.Run(t, other)
	rollcall := ground.Serve(t, engine, "--image", image)
	rollcall.AwaitServedBy(t, "", "/", plain)
	rollcall.AwaitServedBy(t, service+".localhost", "/", enabled)
	for c, why := range map[*lab.Container]string{disabled: "rollcall.enable=false", unlabelled: "matches no --image"} {
		if state := rollcall.State(c); state != "" {
			t.Errorf("container %s is %s, and is to be none (%s)", c.Hostname(), state, why)
		}
		if verdict := verdictOf(t, engine, c, "--image", image); verdict.Used || !strings.Contains(verdict.Reason, why) {
			t.Errorf("its verdict is %+v, want %q", verdict, why)
		}
	}
}

func TestLabelNonsenseIsAWarning(t *testing.T) {
	engine := begin(t)
	image := engine.Image(t, "nonsense", lab.App)
	c := engine.Run(t, image, "--label", "rollcall.prot=8080", "--label", "rollcall.port=http", "--label", "rollcall.enable=perhaps")
	rollcall := ground.Serve(t, engine, "--image", image)
	rollcall.AwaitServedBy(t, "", "/", c)
	verdict := verdictOf(t, engine, c, "--image", image)
	for _, word := range []string{"did you mean rollcall.port?", "rollcall.port=http", "rollcall.enable=perhaps"} {
		if !strings.Contains(strings.Join(verdict.Warnings, "\n"), word) {
			t.Errorf("no warning says %q: %q", word, verdict.Warnings)
		}
	}
}

// Once its tag has moved, the engine shows a running container's image as an ID.
func TestContainerStaysChosenWhenItsTagMoves(t *testing.T) {
	engine := begin(t)
	image := engine.Image(t, "rebuilt", lab.App, "EXPOSE 8080", "ENV APP_IMAGE=old")
	old := engine.Run(t, image)
	rollcall := ground.Serve(t, engine, "--image", image)
	rollcall.AwaitServedBy(t, "", "/", old)
	engine.Image(t, "rebuilt", lab.App, "EXPOSE 8080", "ENV APP_IMAGE=new")
	if shown := engine.Docker(t, "ps", "--no-trunc", "--filter", "id="+old.ID, "--format", "{{.Image}}"); strings.Contains(shown, "rebuilt") {
		t.Fatalf("the engine shows the image as %s: the test shows nothing", shown)
	}
	fresh := engine.Run(t, image)
	// Those who saw it before and who see it first now come to the same.
	for _, r := range []*lab.Rollcall{rollcall, ground.Serve(t, engine, "--image", image)} {
		r.AwaitServedBy(t, "", "/", old, fresh)
		images := map[string]bool{}
		for range 4 {
			images[r.Get(t, "/image").Body] = true
		}
		if !images["old"] || !images["new"] {
			t.Errorf("the images that answer are %v", images)
		}
	}
	for _, line := range rollcall.Log.Lines("backend gone") {
		if line.Fields["id"] == old.Hostname() {
			t.Errorf("a container whose tag moved was gone:\n%s", rollcall.Log)
		}
	}
}

// composeApp is a compose file; SERVICE is to be replaced, since services of the
// same name in two projects do not both keep it.
const composeApp = `
services:
  SERVICE:
    image: ${E2E_IMAGE}
    labels:
      e2e.rollcall: ${E2E_RUN}
networks:
  default:
    labels:
      e2e.rollcall: ${E2E_RUN}
`

func TestComposeScalesAndOneOffsAreIgnored(t *testing.T) {
	engine := begin(t)
	image := engine.Image(t, "compose", lab.App)
	service := "app-" + ground.Run
	project := engine.Project(t, "scale", []string{"E2E_IMAGE=" + image}, strings.ReplaceAll(composeApp, "SERVICE", service))
	rollcall := ground.Serve(t, engine, "--image", image)
	var all []*lab.Container
	for _, scale := range []string{"3", "1", "2"} {
		project.Compose(t, "up", "--detach", "--scale", service+"="+scale)
		all = project.Containers(t, service)
		rollcall.AwaitServedBy(t, "", "/", all...)
	}
	if name := rollcall.Backends(t, all[0])[0].Service; name != service {
		t.Errorf("the service is called %s, want %s as in the compose file", name, service)
	}

	id := project.Compose(t, "run", "--detach", service)
	name := id[strings.LastIndexByte(id, '\n')+1:]
	oneOff := engine.Container(engine.Docker(t, "inspect", "--format", "{{.Id}}", name))
	t.Cleanup(func() { oneOff.Remove(withoutContext{t}) })
	// What came after the one-off tells that a poll has seen it.
	later := engine.Run(t, image)
	rollcall.AwaitState(t, later, "healthy")
	if state := rollcall.State(oneOff); state != "" {
		t.Errorf("a one-off container is a backend, %s", state)
	}
	if verdict := verdictOf(t, engine, oneOff, "--image", image); verdict.Used || !strings.Contains(verdict.Reason, "one-off") {
		t.Errorf("its verdict is %+v", verdict)
	}
}
