package main

import (
	"context"
	"io"
	"strings"
	"time"

	"rollcall/e2e/lab"
)

// Chaos is one run of the program.
type Chaos struct {
	lab      *lab.Lab
	options  Options
	app      *App
	witness  *Witness
	report   *Report
	progress io.Writer
}

// play runs all parts that are asked for and returns what they showed.
func play(t lab.T, l *lab.Lab, o Options, progress io.Writer) *Report {
	t.Helper()
	c := &Chaos{lab: l, options: o, report: newReport(o), progress: progress}
	c.witness = newWitness(t, l)
	c.report.witness = c.witness
	c.app = newApp(t, l)
	if steps := c.chosen(c.projectSteps()); len(steps) > 0 {
		c.act(t, "compose project", func(t lab.T) { c.playProject(t, steps) })
	}
	for _, live := range []bool{true, false} {
		if steps := c.chosen(engineSteps(c.app.Service(), live)); len(steps) > 0 {
			c.act(t, "engine", func(t lab.T) { c.playEngine(t, live, steps) })
		}
	}
	for _, m := range c.measurements() {
		if steps := c.chosen([]*Step{m.step}); len(steps) > 0 {
			c.act(t, m.step.Name, func(t lab.T) { c.measureStarts(t, m) })
		}
	}
	if err := context.Cause(t.Context()); err != nil {
		c.report.problems = append(c.report.problems, "not all was played: "+err.Error())
	}
	return c.report
}

// chosen returns the steps that -only names, without it all but those that are
// too long for the short form.
func (c *Chaos) chosen(steps []*Step) []*Step {
	var chosen []*Step
	for _, s := range steps {
		switch only := c.options.Only; {
		case only == "" && s.Long && c.options.Short:
		case strings.Contains(s.Name, only):
			chosen = append(chosen, s)
		}
	}
	return chosen
}

// quick and slow are the times of all containers but the steady ones.
func (o *Options) quick() times {
	if o.Short {
		return times{300 * time.Millisecond, 500 * time.Millisecond, grace}
	}
	return times{time.Second, 2 * time.Second, grace}
}

func (o *Options) slow() times {
	if o.Short {
		return times{time.Second, time.Second, grace}
	}
	return times{5 * time.Second, 5 * time.Second, grace}
}

// hasty are quick ones without grace.
func (o *Options) hasty() times {
	t := o.quick()
	t.grace = 0
	return t
}
