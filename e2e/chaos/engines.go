package main

import (
	"strconv"
	"syscall"

	"rollcall/e2e/lab"
)

// engineSteps is the life of an engine. With live-restore its containers outlive
// it; without, they end and start with it.
func engineSteps(service string, live bool) []*Step {
	word := " without live-restore"
	if live {
		word = " with live-restore"
	}
	steps := []*Step{
		{Name: "engine stopped and started" + word, Long: live, Do: func(g *Ground, t lab.T, _ *Step) {
			g.own.Stop(t)
			if live {
				pause(t, 3*gap)
			}
			g.own.Start(t)
		}},
		// Without live-restore the next daemon kills what it finds running.
		{Name: "engine killed and started" + word, Long: !live, Abrupt: !live, Do: func(g *Ground, t lab.T, _ *Step) {
			g.own.Kill(t)
			pause(t, gap)
			g.own.Start(t)
		}},
	}
	if live {
		steps = append(steps,
			&Step{Name: "engine hanging" + word, Long: true, Do: (*Ground).freeze},
			&Step{Name: "container dead while the engine is down" + word, Long: true, Abrupt: true, Do: (*Ground).dieUnseen})
	}
	for _, s := range steps {
		s.Service, s.Replicas = service, 3
	}
	return steps
}

// playEngine runs steps on an engine of the program's own.
func (c *Chaos) playEngine(t lab.T, live bool, steps []*Step) {
	t.Helper()
	own := c.lab.OwnEngine(t, live)
	own.Start(t)
	c.app.Image(t, own.Engine, "1")
	quick := c.options.quick()
	var containers []*lab.Container
	for range 3 {
		containers = append(containers, c.app.Run(t, own.Engine, c.witness, quick, "--restart", "always"))
	}
	g := c.newGround(t, own.Engine)
	g.own, g.containers = own, containers
	if live { // without it all containers end
		for range 2 {
			c.app.Run(t, own.Engine, c.witness, times{}, "--label", "rollcall.service="+steady)
		}
		g.awaitReplicas(t, &Step{Service: steady, Replicas: 2})
		g.steadily(t, steady)
	}
	for _, step := range steps {
		g.play(t, step)
	}
}

func (g *Ground) freeze(t lab.T, _ *Step) {
	g.own.Freeze(t)
	pause(t, 5*gap)
	g.own.Thaw(t)
}

// dieUnseen kills a container's process while no engine is there to tell of it.
func (g *Ground) dieUnseen(t lab.T, _ *Step) {
	c := g.containers[0]
	process, err := strconv.Atoi(c.Inspect(t, "{{.State.Pid}}"))
	if err != nil {
		t.Fatalf("%v", err)
	}
	g.own.Stop(t)
	if err := syscall.Kill(process, syscall.SIGKILL); err != nil {
		t.Errorf("%v", err)
	}
	pause(t, 3*gap)
	g.own.Start(t)
}
