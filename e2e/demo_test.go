package e2e

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"rollcall/e2e/lab"
)

// What the repository's docker-compose.yml is given on top, so that it meets
// nobody else's containers, images and ports.
const demoOverride = `
services:
  rollcall:
    image: ${E2E_ROLLCALL}
    environment:
      ROLLCALL_IMAGE: ${E2E_HELLO}
    labels:
      e2e.rollcall: ${E2E_RUN}
  hello:
    image: ${E2E_HELLO}
    labels:
      e2e.rollcall: ${E2E_RUN}
networks:
  default:
    labels:
      e2e.rollcall: ${E2E_RUN}
`

func TestDemo(t *testing.T) {
	engine := begin(t)
	rollcallImage, hello := ground.Dockerfiles(t)
	project := engine.Project(t, "demo", []string{
		"E2E_ROLLCALL=" + rollcallImage, "E2E_HELLO=" + hello,
		"ROLLCALL_PORT=0", "ROLLCALL_ADMIN_PORT=0", // the engine chooses
	}, "docker-compose.yml", demoOverride)
	project.Compose(t, "up", "--detach", "--no-build")
	hellos := project.Containers(t, "hello")
	if len(hellos) != 3 {
		t.Fatalf("%d containers of hello run, want 3", len(hellos))
	}
	daemon := project.Containers(t, "rollcall")[0]
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("rollcall's log:\n%s", daemon.Logs(t))
		}
	})
	rollcall := lab.RollcallAt("http://"+daemon.Published(t, "3000"), "http://"+daemon.Published(t, "3001"))
	awaitServedInTurn(t, rollcall, hellos)
	awaitHealthy(t, daemon)
	for _, c := range hellos {
		// In a container, localhost would be rollcall itself.
		backends := rollcall.Backends(t, c)
		if len(backends) != 1 || backends[0].Address != c.IP(t, project.Name+"_default")+":8080" {
			t.Errorf("container %s is known as %+v", c.Hostname(), backends)
		}
	}
	if out := engine.Docker(t, "exec", daemon.ID, "/rollcall", "check"); !strings.Contains(out, hellos[0].Hostname()+"): used: ") {
		t.Errorf("check in the container says:\n%s", out)
	}
	// Other containers ask the admin listener by the service's name.
	if out := engine.Docker(t, "run", "--rm", "--label", lab.Label+"="+ground.Run, "--network", project.Name+"_default", rollcallImage,
		"ps", "--admin", "rollcall:3001"); !strings.Contains(out, hellos[0].Hostname()) {
		t.Errorf("ps in another container says:\n%s", out)
	}

	hellos[0].Stop(t)
	rollcall.AwaitServedBy(t, "", "/", hellos[1:]...)
	newcomer := engine.Run(t, hello, "--network", project.Name+"_default")
	rollcall.AwaitServedBy(t, "", "/", append(hellos[1:], newcomer)...)
	hellos[1].Remove(t)
	rollcall.AwaitServedBy(t, "", "/", hellos[2], newcomer)

	daemon.Stop(t)
	if code := daemon.Inspect(t, "{{.State.ExitCode}}"); code != "0" {
		t.Errorf("rollcall ended with exit code %s", code)
	}
}

// The image as it is runs without root, given the socket's group.
func TestImageRunsWithoutRoot(t *testing.T) {
	engine := begin(t)
	socket, local := strings.CutPrefix(engine.Host, "unix://")
	info, err := os.Stat(socket)
	if !local || err != nil {
		t.Fatalf("the engine has no socket on this machine: %s, %v", engine.Host, err)
	}
	rollcallImage, hello := ground.Dockerfiles(t)
	if user := engine.Docker(t, "image", "inspect", "--format", "{{.Config.User}}", rollcallImage); user == "" || strings.HasPrefix(user, "0") || user == "root" {
		t.Errorf("the image's user is %q", user)
	}
	network := engine.Network(t, "no-root")
	daemon := engine.Run(t, rollcallImage, "--network", network, "--publish", "127.0.0.1::3000", "--publish", "127.0.0.1::3001",
		"--env", "ROLLCALL_ADMIN=:3001", "--env", "ROLLCALL_IMAGE="+hello, "--read-only", "--cap-drop", "ALL",
		"--volume", socket+":/var/run/docker.sock:ro", "--group-add", fmt.Sprint(info.Sys().(*syscall.Stat_t).Gid))
	c := engine.Run(t, hello, "--network", network)
	rollcall := lab.RollcallAt("http://"+daemon.Published(t, "3000"), "http://"+daemon.Published(t, "3001"))
	awaitServedInTurn(t, rollcall, []*lab.Container{c})
	awaitHealthy(t, daemon)

	// Without that group it is not healthy, and says why.
	outsider := engine.Run(t, rollcallImage, "--env", "ROLLCALL_IMAGE="+hello, "--volume", socket+":/var/run/docker.sock:ro",
		"--health-interval", "200ms", "--health-start-period", "1ms", "--health-retries", "1")
	lab.Await(t, "a rollcall that may not open the socket is unhealthy", func() error {
		return want(outsider.Inspect(t, "{{.State.Health.Status}}"), "unhealthy")
	})
	if log := outsider.Logs(t); !strings.Contains(log, "permission denied") {
		t.Errorf("its log does not say why:\n%s", log)
	}
}

// The program beside the engine does the same job as the compose demo.
func TestBesideTheEngine(t *testing.T) {
	engine := begin(t)
	_, hello := ground.Dockerfiles(t)
	var hellos []*lab.Container
	for range 3 {
		hellos = append(hellos, engine.Run(t, hello, "--publish-all", "--network", "bridge"))
	}
	rollcall := ground.Serve(t, engine, "--image", hello)
	awaitServedInTurn(t, rollcall, hellos)
	hellos[0].Stop(t)
	rollcall.AwaitState(t, hellos[0], "stopped")
	for range 12 {
		if answer := rollcall.Get(t, "/"); answer.Status != 200 || answer.From == hellos[0].Hostname() {
			t.Errorf("with one of them stopped: %s", answer)
		}
	}
}

// awaitServedInTurn waits for all containers to serve, and checks that each gets
// its turn.
func awaitServedInTurn(t *testing.T, rollcall *lab.Rollcall, containers []*lab.Container) {
	t.Helper()
	rollcall.AwaitServedBy(t, "", "/", containers...)
	count := map[string]int{}
	for range 2 * len(containers) {
		answer := rollcall.Get(t, "/")
		if want := "Hello from " + answer.From + "\n"; answer.Body != want {
			t.Errorf("%s, want %q", answer, want)
		}
		count[answer.From]++
	}
	for _, c := range containers {
		if count[c.Hostname()] != 2 {
			t.Errorf("container %s answered %d times, want 2: %v", c.Hostname(), count[c.Hostname()], count)
		}
	}
}

// awaitHealthy waits until the HEALTHCHECK of rollcall's own image passes.
func awaitHealthy(t *testing.T, daemon *lab.Container) {
	t.Helper()
	lab.Await(t, "rollcall's container is healthy", func() error {
		return want(daemon.Inspect(t, "{{.State.Health.Status}}"), "healthy")
	})
}
