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

// times are how long the containers of a part take to start and to stop.
type times struct{ start, stop time.Duration }

// quick and slow are those of all containers but the steady ones.
func (o *Options) quick() times {
	if o.Short {
		return times{300 * time.Millisecond, 500 * time.Millisecond}
	}
	return times{time.Second, 2 * time.Second}
}

func (o *Options) slow() times {
	if o.Short {
		return times{time.Second, time.Second}
	}
	return times{5 * time.Second, 5 * time.Second}
}
