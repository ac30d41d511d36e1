package main

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"rollcall/e2e/lab"
)

// changesStep changes the registry many times.
func (c *Chaos) changesStep() *Step {
	changes := 500
	if c.options.Short {
		changes = 50
	}
	return &Step{
		Name: fmt.Sprintf("%d registry changes", changes),
		Do: func(g *Ground, t lab.T, _ *Step) {
			before := g.version(t)
			g.change(t, changes)
			g.chaos.report.notes = append(g.chaos.report.notes,
				fmt.Sprintf("%d registry changes made %d new snapshots", changes, g.version(t)-before))
		},
	}
}

// changers is how many commands run at one time.
const changers = 2

// change makes containers of a service of their own come and go, most without
// ever running, until the registry has changed so many times. A created container
// is a change, its end another one, its start and its stop as well.
func (g *Ground) change(t lab.T, changes int) {
	t.Helper()
	var work sync.WaitGroup
	deadline := time.Now().Add(4 * time.Minute)
	before := g.version(t)
	for n := range changers {
		work.Go(func() {
			for round := 0; time.Now().Before(deadline) && t.Context().Err() == nil && !t.Failed(); round++ {
				if now, err := g.tryVersion(t.Context()); err != nil || now >= before+changes {
					return
				}
				if err := g.comeAndGo(t, round%5 == n); err != nil {
					t.Errorf("%v", err)
					return
				}
			}
		})
	}
	work.Wait()
	if made := g.version(t) - before; made < changes {
		t.Errorf("only %d changes were made", made)
	}
}

// comeAndGo makes a container, lets it run if it is told to, and removes it. It
// works beside t's goroutine, so it does not fail t.
func (g *Ground) comeAndGo(t lab.T, run bool) error {
	name := g.chaos.lab.Name("change")
	verb := "create"
	if run {
		verb = "run"
	}
	args := []string{verb, "--pull", "never", "--name", name, "--label", lab.Label + "=" + g.chaos.lab.Run}
	if run {
		args = append(args, "--detach")
	}
	if _, err := g.engine.Try(t.Context(), append(args, g.chaos.app.ref)...); err != nil {
		return err
	}
	_, err := g.engine.Try(t.Context(), "rm", "--force", name)
	return err
}

// version asks rollcall for the number of its present snapshot.
func (g *Ground) version(t lab.T) int {
	t.Helper()
	version, err := g.tryVersion(t.Context())
	if err != nil {
		t.Fatalf("%v", err)
	}
	return version
}

func (g *Ground) tryVersion(ctx context.Context) (int, error) {
	answer, err := g.rollcall.TryGetAdmin(ctx, "/v1/backends")
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(answer.Header.Get("Rollcall-Version"))
}
