package main

import (
	"cmp"
	"slices"
	"strings"
)

// explainContainer says what a container does here.
func (e *Explainer) explainContainer(x *Explanation, v *Verdict) {
	if !v.Used {
		x.say(v.Advice, "%s is %s", v.Name, v.Reason)
		if v.ContainerID == e.Roll.Self && len(v.Warnings) > 0 {
			x.say(v.Warnings[0].Advice, "%s is rollcall itself: %s", v.Name, v.Warnings[0])
		}
		e.detailWarnings(x, v)
		return
	}
	members := e.membersOf(v.ContainerID)
	if len(members) == 0 {
		x.say("ask again in a moment", "%s is %s, and not in the registry yet", v.Name, v.Reason)
		return
	}
	worst := slices.MinFunc(members, func(a, b Member) int { return cmp.Compare(a.State, b.State) })
	x.Service = worst.Service
	e.judgeMember(x, v, &worst)
	x.detail("%s", v.Reason)
	for i := range v.Entries {
		e.detailEntry(x, v, i)
	}
	e.detailWarnings(x, v)
}

// judgeMember gives the verdict on a container from its backend that is worst
// off.
func (e *Explainer) judgeMember(x *Explanation, v *Verdict, m *Member) {
	lost := e.lostRoutes(m.Service)
	switch reached := e.reached(m); {
	case len(lost) > 0 && len(e.routesOf(m.Service)) == 0:
		x.say(lost[0].Advice(), "%s gets no requests: %s", v.Name, lost[0])
	case !reached:
		reason, advice := e.trouble(m)
		x.say(advice, "%s gets no requests, it is %s: %s", v.Name, m.State, reason)
	case m.State != Healthy:
		reason, advice := e.trouble(m)
		x.Good, x.Backend = true, v.Name
		x.say(advice, "%s is %s (%s), and gets requests for service %s all the same: all of its backends are unhealthy", v.Name, m.State, reason, m.Service)
	case e.differs(v, m) != nil:
		d := e.differs(v, m)
		x.Good, x.Backend = true, v.Name
		x.say(d.Advice(), "%s gets requests for service %s, at %s, but %s", v.Name, m.Service, m.Address(), d)
	case len(v.Warnings) > 0:
		x.Good, x.Backend = true, v.Name
		x.say(v.Warnings[0].Advice, "%s gets requests for service %s, at %s, but %s", v.Name, m.Service, m.Address(), v.Warnings[0])
	default:
		x.Good, x.Backend = true, v.Name
		x.say("", "%s gets requests for service %s, at %s", v.Name, m.Service, m.Address())
	}
}

// differs returns how a member differs from the one that leads its service, nil
// if it doesn't.
func (e *Explainer) differs(v *Verdict, m *Member) *Difference {
	for _, d := range e.Snapshot.Differences {
		if d.Service == m.Service && d.Container == v.Name {
			return &d
		}
	}
	return nil
}

// reached tells whether requests go to a member.
func (e *Explainer) reached(m *Member) bool {
	s := e.Snapshot.Service(m.Service)
	return s != nil && slices.Contains(s.backends, m.Backend)
}

// detailEntry tells how the port and the address for a service were chosen, and
// what the service answers to.
func (e *Explainer) detailEntry(x *Explanation, v *Verdict, i int) {
	entry, choice := v.Entries[i], v.Choices[i]
	x.detail("service %s, port %d: %s", entry.Service, choice.Port, choice.PortWhy)
	address := ""
	for _, m := range e.membersOf(v.ContainerID) {
		if m.Service == entry.Service {
			if !m.probed {
				address = m.Address()
			}
			x.detail("it is %s: %s", m.State, m.Reason)
		}
	}
	for _, c := range choice.Candidates {
		use := "tried"
		if c.Addr.String() == address {
			use = "in use"
		}
		x.detail("address %s (%s): %s", c.Addr, c.Why, use)
	}
	for _, skipped := range choice.Skipped {
		x.detail("address left out: %s", skipped)
	}
	for _, route := range e.routesOf(entry.Service) {
		x.detail("service %s answers to %s", entry.Service, route)
	}
	for _, c := range e.lostRoutes(entry.Service) {
		x.detail("%s", c)
	}
	for _, d := range e.Snapshot.Differences {
		if d.Service == entry.Service && (d.Container == v.Name || d.Leader == v.Name) {
			x.detail("%s", d)
		}
	}
}

// detailWarnings adds the warnings that the verdict does not name, each with what
// to change.
func (e *Explainer) detailWarnings(x *Explanation, v *Verdict) {
	for _, w := range v.Warnings {
		if !strings.Contains(x.Verdict, w.Text) {
			x.detail("warning: %s", w.sentence())
		}
	}
}

func (e *Explainer) membersOf(containerID string) []Member {
	var members []Member
	for _, m := range e.Snapshot.Members() {
		if m.ContainerID == containerID {
			members = append(members, m)
		}
	}
	return members
}
