package main

import (
	"fmt"
	"strings"
	"time"

	"rollcall/e2e/lab"
)

// The services of the compose project. Steady's containers are never touched:
// the streams to them show what the fate of others does to them.
const (
	three   = "chaos-three"
	slow    = "chaos-slow"
	one     = "chaos-one"
	slowOne = "chaos-slow-one"
	hasty   = "chaos-hasty"
	steady  = "chaos-steady"
)

// projectFile is the project's compose file.
func (o *Options) projectFile() string {
	var b strings.Builder
	b.WriteString("networks:\n  default:\n    labels:\n      e2e.rollcall: \"${E2E_RUN}\"\nservices:\n")
	for _, s := range []struct {
		name  string
		scale int
		times
	}{
		{three, 3, o.quick()},
		{slow, 3, o.slow()},
		{one, 1, o.quick()},
		{slowOne, 1, o.slow()},
		{hasty, 3, o.hasty()},
		{steady, 2, times{}},
	} {
		fmt.Fprintf(&b, "  %s:\n    image: \"${IMAGE}\"\n    scale: %d\n", s.name, s.scale)
		fmt.Fprintf(&b, "    labels:\n      e2e.rollcall: \"${E2E_RUN}\"\n    volumes:\n      - \"${WITNESS}:/witness\"\n    environment:\n")
		for _, variable := range s.environment() {
			fmt.Fprintf(&b, "      - %s\n", variable)
		}
	}
	return b.String()
}

// playProject runs steps on a compose project on the machine's engine.
func (c *Chaos) playProject(t lab.T, steps []*Step) {
	t.Helper()
	engine := c.lab.Machine()
	c.app.Image(t, engine, "1")
	project := engine.Project(t, "chaos", []string{"IMAGE=" + c.app.ref, "WITNESS=" + c.witness.Dir}, c.options.projectFile())
	project.Compose(t, "up", "--detach")
	g := c.newGround(t, engine)
	g.project = project
	g.awaitReplicas(t, &Step{Service: steady, Replicas: 2})
	g.steadily(t, steady)
	for _, step := range steps {
		g.play(t, step)
	}
}

// projectSteps is the life of a compose project.
func (c *Chaos) projectSteps() []*Step {
	steps := []*Step{
		{Name: "stop and start", Do: (*Ground).stopAndStart},
		{Name: "restart", Long: true, Do: (*Ground).restart},
		{Name: "kill -9", Abrupt: true, Do: (*Ground).kill},
		{Name: "rm -f, and a new one", Abrupt: true, Do: (*Ground).remove},
		{Name: "pause and unpause", Do: (*Ground).pauseAndUnpause},
		{Name: "up --force-recreate", Do: (*Ground).recreate},
		{Name: "scale 3, 1, 3", Do: (*Ground).scale},
		{Name: "new image, one by one", Do: (*Ground).roll},
		{Name: "slow: stop and start", Service: slow, Long: true, Do: (*Ground).stopAndStart},
		{Name: "slow: up --force-recreate", Service: slow, Long: true, Do: (*Ground).recreate},
		{Name: "one: stop and start", Service: one, Replicas: 1, Do: (*Ground).stopAndStart},
		{Name: "one: up --force-recreate", Service: one, Replicas: 1, Do: (*Ground).recreate},
		{Name: "slow one: stop and start", Service: slowOne, Long: true, Replicas: 1, Do: (*Ground).stopAndStart},
		{Name: "slow one: up --force-recreate", Service: slowOne, Long: true, Replicas: 1, Do: (*Ground).recreate},
		{Name: "hasty: stop and start", Service: hasty, Hasty: true, Do: (*Ground).stopAndStart},
		{Name: "hasty: up --force-recreate", Service: hasty, Hasty: true, Long: true, Do: (*Ground).recreate},
		c.changesStep(),
	}
	for _, s := range steps {
		if s.Service == "" {
			s.Service = three
		}
		if s.Replicas == 0 {
			s.Replicas = 3
		}
	}
	return steps
}

// first returns the oldest name of the step's running containers.
func (g *Ground) first(t lab.T, step *Step) *lab.Container {
	t.Helper()
	list := g.project.Containers(t, step.Service)
	if len(list) == 0 {
		t.Fatalf("%s has no running container", step.Service)
	}
	return list[0]
}

// gap is how long a container stays away.
const gap = time.Second

func (g *Ground) stopAndStart(t lab.T, step *Step) {
	c := g.first(t, step)
	c.Stop(t)
	pause(t, gap)
	c.Start(t)
}

func (g *Ground) restart(t lab.T, step *Step) { g.first(t, step).Restart(t) }

func (g *Ground) kill(t lab.T, step *Step) {
	c := g.first(t, step)
	c.Kill(t, "KILL")
	pause(t, gap)
	c.Start(t)
}

func (g *Ground) remove(t lab.T, step *Step) {
	g.first(t, step).Remove(t)
	pause(t, gap)
	g.up(t, step, step.Replicas)
}

func (g *Ground) pauseAndUnpause(t lab.T, step *Step) {
	c := g.first(t, step)
	c.Pause(t)
	pause(t, 3*gap)
	c.Unpause(t)
}

func (g *Ground) recreate(t lab.T, step *Step) {
	g.project.Compose(t, "up", "--detach", "--no-deps", "--force-recreate", step.Service)
}

func (g *Ground) scale(t lab.T, step *Step) {
	g.up(t, step, 1)
	pause(t, gap)
	g.up(t, step, 3)
}

// up brings a service to so many containers, and leaves alone those that are
// there.
func (g *Ground) up(t lab.T, step *Step, replicas int) {
	t.Helper()
	g.project.Compose(t, "up", "--detach", "--no-deps", "--no-recreate", "--scale", fmt.Sprintf("%s=%d", step.Service, replicas), step.Service)
}

// roll builds the image anew and replaces one container after the other.
func (g *Ground) roll(t lab.T, step *Step) {
	g.chaos.app.Image(t, g.engine, "2")
	for _, old := range g.project.Containers(t, step.Service) {
		old.Stop(t)
		old.Remove(t)
		g.up(t, step, step.Replicas)
		g.awaitReplicas(t, step)
	}
	for _, c := range g.project.Containers(t, step.Service) {
		if now, want := c.Inspect(t, "{{.Image}}"), g.engine.Docker(t, "image", "inspect", "--format", "{{.Id}}", g.chaos.app.ref); now != want {
			t.Errorf("container %s is still of the old image", c.Hostname())
		}
	}
}
