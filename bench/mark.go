package main

import "fmt"

// Mark is what rollcall has to reach: a ratio to another contestant, the median of
// the rounds.
type Mark struct {
	Workload string
	Value    func(*Cell) float64
	Of       string // what Value is
	To       string // the other contestant
	Limit    float64
}

var marks = []Mark{
	{"small-64", perRequest, "CPU per request", naive, 0.35},
	{"small-64", perRequest, "CPU per request", caddy, 0.5},
	{"small-64", perRequest, "CPU per request", nginx, 2.5},
	{"small-512", perRequest, "CPU per request", naive, 0.35},
	{"small-512", perRequest, "CPU per request", caddy, 0.5},
	{"small-512", perRequest, "CPU per request", nginx, 2.5},
	{"post-64k", perRequest, "CPU per request", nginx, 0.7},
	{"get-10m", perRequest, "CPU per request", nginx, 0.6},
	{"rate", p99, "p99", nginx, 1.5},
}

// Ratio is what was measured, 0 if it was not.
func (m *Mark) Ratio(c *Contest) float64 { return c.Ratio(m.Workload, rollcall, m.To, m.Value) }

// verdict says in a word or two whether a ratio is within the mark.
func (m *Mark) verdict(ratio float64) string {
	switch {
	case ratio == 0:
		return "not measured"
	case ratio <= m.Limit:
		return "met"
	}
	return fmt.Sprintf("missed by %.0f %%", 100*(ratio/m.Limit-1))
}
