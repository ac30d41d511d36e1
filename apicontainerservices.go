package main

import (
	"cmp"
	"slices"
)

// containerServiceView tells how a container serves one service: how its port
// and address were chosen, and what came of it.
type containerServiceView struct {
	Service string          `json:"service"`
	Port    uint16          `json:"port"`
	PortWhy string          `json:"port_why"`
	Tried   []candidateView `json:"tried"`   // best first; empty while it does not run
	Skipped []string        `json:"skipped"` // addresses that are not tried, with the reason
	Address string          `json:"address"` // in use; "" while there is none
	State   State           `json:"state"`
	Reason  string          `json:"reason"` // of the state
	Advice  string          `json:"advice"` // what would make it healthy; "" if it is
}

type candidateView struct {
	Address string `json:"address"`
	Why     string `json:"why"`
}

// newContainerServiceViews tells this of all services of a container, sorted by
// service.
func newContainerServiceViews(snapshot *Snapshot, v *Verdict) []containerServiceView {
	views := []containerServiceView{}
	for i, entry := range v.Entries {
		choice := v.Choices[i]
		view := containerServiceView{Service: entry.Service, Port: choice.Port, PortWhy: choice.PortWhy, Tried: []candidateView{}, Skipped: append([]string{}, choice.Skipped...)}
		for _, c := range choice.Candidates {
			view.Tried = append(view.Tried, candidateView{c.Addr.String(), c.Why})
		}
		if s := snapshot.Service(entry.Service); s != nil {
			for _, m := range s.Members {
				if m.ContainerID == v.ContainerID {
					view.State = m.State
					if !m.probed {
						view.Address = m.Address()
					}
					view.Reason, view.Advice = v.trouble(m.Cause, m.Reason, &m.Spec)
				}
			}
		}
		views = append(views, view)
	}
	slices.SortFunc(views, func(a, b containerServiceView) int { return cmp.Compare(a.Service, b.Service) })
	return views
}
