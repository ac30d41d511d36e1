package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"rollcall/e2e/chaos/load"
	"rollcall/e2e/lab"
)

// Ground is a rollcall in front of an engine, with a load of its own.
type Ground struct {
	chaos      *Chaos
	engine     *lab.Engine
	own        *lab.OwnEngine   // engine, if it is the program's own
	containers []*lab.Container // on own
	project    *lab.Project     // nil if there is none
	rollcall   *lab.Rollcall
	load       *load.Generator
}

// newGround starts rollcall for an engine, and a load that has no aim yet.
func (c *Chaos) newGround(t lab.T, engine *lab.Engine, flags ...string) *Ground {
	t.Helper()
	program := c.options.Rollcall
	if program == "" {
		program = c.lab.Rollcall(t, false)
	}
	flags = append([]string{"--image", c.app.ref, "--hold", "25s", "--log-level", "debug"}, flags...)
	g := &Ground{chaos: c, engine: engine}
	g.rollcall = c.lab.ServeProgram(t, c.lab.Command(t, program, engine, flags...))
	t.Cleanup(func() { g.checkAlive() })
	g.load = load.New(g.addr(), fmt.Sprintf("ground-%d", len(c.report.logs)), c.options.Rate)
	c.report.logs = append(c.report.logs, g.rollcall.Log)
	t.Cleanup(func() { c.report.outcomes = append(c.report.outcomes, g.load.Outcomes()...) }) // after the load's end
	g.beside(t, g.load.Run)
	return g
}

// checkAlive notes if rollcall has ended before its time.
func (g *Ground) checkAlive() {
	select {
	case <-g.rollcall.Ended():
	default:
		return
	}
	text := g.rollcall.Log.String()
	if at := strings.Index(text, "panic: "); at >= 0 {
		text = text[at:]
	} else {
		text = text[max(0, len(text)-1000):]
	}
	g.chaos.report.problems = append(g.chaos.report.problems, "rollcall has ended: "+firstLines(text))
}

// beside runs f beside everything else until the end of t.
func (g *Ground) beside(t lab.T, f func(context.Context)) {
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { f(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
}

// addr is where rollcall's proxy listens.
func (g *Ground) addr() string { return strings.TrimPrefix(g.rollcall.URL, "http://") }

// host is the name that a service answers to.
func host(service string) string { return service + ".localhost" }

// play runs one step under load: until what happens in it is over, all replicas
// are in rotation again, and all its requests have ended. All of that is bounded.
func (g *Ground) play(t lab.T, step *Step) {
	g.chaos.report.begin(step)
	fmt.Fprintf(g.chaos.progress, "%s\n", step.Name)
	var said bytes.Buffer
	streams := load.NewStreams(g.addr(), host(step.Service))
	passed := lab.Program(t.Context(), step.Name, &said, func(t lab.T) {
		g.awaitReplicas(t, step)
		t.Cleanup(func() { g.rest(t) })
		g.beside(t, func(ctx context.Context) { streams.Run(ctx, 2) })
		g.load.Aim(host(step.Service), step.Number)
		pause(t, g.chaos.options.Margin)
		step.Do(g, t, step)
		g.awaitReplicas(t, step)
		pause(t, g.chaos.options.Margin)
	})
	step.Ended = time.Now()
	if !passed {
		step.Problems = append(step.Problems, firstLines(said.String()))
	}
	for _, end := range streams.Ends() {
		if end.Reason == load.Goodbye {
			step.Byes++
		} else {
			step.Torn = append(step.Torn, end.Kind+": "+end.Reason)
		}
	}
}

// rest ends a step's requests; t may be at its cleanups.
func (g *Ground) rest(t lab.T) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), load.Timeout+time.Second)
	defer cancel()
	g.load.Rest(ctx)
}

// recovery is how long replicas may take to be in rotation, from when the last
// command has ended.
const recovery = 40 * time.Second

// awaitReplicas waits until a step's service has as many backends in rotation as
// it should.
func (g *Ground) awaitReplicas(t lab.T, step *Step) {
	t.Helper()
	lab.AwaitWithin(t, recovery, fmt.Sprintf("%d replicas of %s are in rotation", step.Replicas, step.Service), func() error {
		healthy, all, err := g.count(t, step.Service)
		if err == nil && healthy != step.Replicas {
			err = fmt.Errorf("%d of %d are", healthy, all)
		}
		return err
	})
}

// count asks rollcall for a service's backends.
func (g *Ground) count(t lab.T, service string) (healthy, all int, err error) {
	var backends []lab.Backend
	if err := json.Unmarshal([]byte(g.rollcall.GetAdmin(t, "/v1/backends").Body), &backends); err != nil {
		return 0, 0, err
	}
	for _, b := range backends {
		if b.Service == service {
			all++
			if b.State == "healthy" {
				healthy++
			}
		}
	}
	return healthy, all, nil
}

// pause waits, or until t is done.
func pause(t lab.T, d time.Duration) {
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}

// steadily keeps streams to a service open, none of which may end before t.
func (g *Ground) steadily(t lab.T, service string) {
	t.Helper()
	const each = 3
	streams := load.NewStreams(g.addr(), host(service))
	g.beside(t, func(ctx context.Context) { streams.Run(ctx, each) })
	lab.Await(t, "streams are open", func() error {
		if n := streams.Open(); n != 2*each {
			return fmt.Errorf("%d of %d are", n, 2*each)
		}
		return nil
	})
	g.chaos.report.steady = append(g.chaos.report.steady, streams)
}

// act runs a part of the program, and removes at its end what it has made. What
// goes wrong there leaves the other parts alone.
func (c *Chaos) act(t lab.T, name string, f func(lab.T)) {
	if t.Context().Err() != nil {
		return
	}
	var said bytes.Buffer
	if !lab.Program(t.Context(), name, io.MultiWriter(&said, c.progress), f) {
		c.report.problems = append(c.report.problems, name+": "+firstLines(said.String()))
	}
}

func firstLines(text string) string {
	const most = 1000
	return strings.TrimSpace(text[:min(len(text), most)])
}
