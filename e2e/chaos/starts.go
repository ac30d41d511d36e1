package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"rollcall/e2e/lab"
)

// Measurement is how long containers that listen wait for their first request.
type Measurement struct {
	step    *Step
	blocked bool // rollcall gets no events
	median  time.Duration
	p99     time.Duration // limits
	samples []time.Duration
}

// blockedInterval is the time between two polls where there are no events.
const blockedInterval = time.Second

func (c *Chaos) measurements() []*Measurement {
	list := []*Measurement{
		{step: &Step{Name: "first request with events"}, median: 30 * time.Millisecond, p99: 100 * time.Millisecond},
		{step: &Step{Name: "first request without events"}, blocked: true,
			median: blockedInterval + 100*time.Millisecond, p99: blockedInterval + 100*time.Millisecond},
	}
	for _, m := range list {
		m.step.Service, m.step.Replicas = c.app.Service(), 1
	}
	return list
}

// measureStarts starts containers beside one that is always there, one after the
// other, until each has had its first request.
func (c *Chaos) measureStarts(t lab.T, m *Measurement) {
	t.Helper()
	engine := c.lab.Machine()
	c.app.Image(t, engine, "1")
	seen, flags := engine, []string{}
	if m.blocked {
		seen, flags = newGate(t, c.lab, engine), []string{"--interval", blockedInterval.String()}
	}
	// Of their own, so that no one else gets an address that one of them had.
	network := engine.Network(t, "starts")
	c.app.Run(t, engine, c.witness, times{}, "--network", network)
	g := c.newGround(t, seen, flags...)
	starts := 35
	if c.options.Short {
		starts = 6
	}
	m.step.Do = func(g *Ground, t lab.T, step *Step) {
		g.load.AimGet(host(step.Service), step.Number)
		for range starts {
			// At no fixed distance from anything else.
			delay := time.Duration(rand.Int64N(int64(300 * time.Millisecond)))
			started := c.app.Run(t, engine, c.witness, times{start: delay}, "--network", network)
			m.samples = append(m.samples, g.awaitFirstRequest(t, started))
			started.Remove(t)
			// The next one may get its address, and is not to be found by that.
			g.awaitGone(t, started)
		}
	}
	c.report.measurements = append(c.report.measurements, m)
	g.play(t, m.step)
	slices.Sort(m.samples)
}

// awaitFirstRequest waits for an answer from a container, which tells.
func (g *Ground) awaitFirstRequest(t lab.T, c *lab.Container) (after time.Duration) {
	t.Helper()
	looked := 0
	lab.AwaitWithin(t, 20*time.Second, "the new container answers", func() error {
		outcomes := g.load.Outcomes()
		for _, o := range outcomes[looked:] {
			if o.From == c.Hostname() {
				after = o.FirstRequest
				return nil
			}
		}
		looked = len(outcomes)
		return errors.New("it has not")
	})
	return after
}

// awaitGone waits until a container is not in the registry.
func (g *Ground) awaitGone(t lab.T, c *lab.Container) {
	t.Helper()
	lab.AwaitWithin(t, recovery, "a removed container is gone", func() error {
		if left := g.rollcall.Backends(t, c); len(left) > 0 {
			return fmt.Errorf("it is %s", left[0].State)
		}
		return nil
	})
}

// Broken says which limits do not hold, "" if all do.
func (m *Measurement) Broken() string {
	if len(m.samples) == 0 {
		return m.step.Name + ": nothing was measured"
	}
	if p50, p99 := quantile(m.samples, 0.5), quantile(m.samples, 0.99); p50 > m.median || p99 > m.p99 {
		return fmt.Sprintf("%s: median %s, p99 %s; at most %s and %s are promised", m.step.Name, short(p50), short(p99), short(m.median), short(m.p99))
	}
	return ""
}

// quantile returns the smallest of the sorted values that is not below the share
// q of them.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	n := int(float64(len(sorted))*q + 0.999999)
	return sorted[min(max(n, 1), len(sorted))-1]
}

// short is a duration as tables show it.
func short(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d >= time.Second:
		return fmt.Sprintf("%.2f s", d.Seconds())
	case d >= 10*time.Millisecond:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}
