package main

import (
	"fmt"
	"slices"
	"strings"
)

// harmless tells of a route that nobody asked for: two services that only their
// image chose both take what is left over.
func (c Conflict) harmless() bool { return c.Host == "" }

// Advice says how to end a conflict.
func (c Conflict) Advice() string {
	return fmt.Sprintf("give %s another host or path, or both one name with the label rollcall.service", c.Loser)
}

// disputes are the conflicts that a service lost, and the differences of one of
// its containers from the one that leads it.
func (s *Snapshot) disputes(service, container string) []string {
	var list []string
	for _, c := range s.Conflicts {
		if c.Loser == service {
			list = append(list, c.String())
		}
	}
	for _, d := range s.Differences {
		if d.Service == service && d.Container == container {
			list = append(list, d.String())
		}
	}
	return list
}

// Difference is a container whose labels say of its service what those of the
// container that leads it don't, as in the middle of a rollout. The leader's
// count.
type Difference struct {
	Service   string
	Leader    string // names of containers
	Container string
	Labels    string // comma list of label keys, without rollcall.
}

func (d Difference) String() string {
	return fmt.Sprintf("containers %s and %s of service %s differ in %s; what %s says counts, the newest that works",
		d.Leader, d.Container, d.Service, strings.ReplaceAll(d.Labels, ",", " and "), d.Leader)
}

// Advice says how to end a difference.
func (d Difference) Advice() string {
	return fmt.Sprintf("nothing while %s is being replaced; else give it the same labels, or another name with the label rollcall.service", d.Container)
}

// differences compares the members that work with the one that leads. Others may
// be on their way in or out, and matter to nobody.
func (s *Service) differences() (found []Difference) {
	if s.Lead.State < Unhealthy {
		return nil
	}
	for _, m := range s.Members {
		if m.Backend == s.Lead.Backend || m.State < Unhealthy {
			continue
		}
		if labels := differ(&s.Lead.Spec, &m.Spec); labels != "" {
			found = append(found, Difference{Service: s.Name, Leader: s.Lead.Name, Container: m.Name, Labels: labels})
		}
	}
	return found
}

// differ lists the keys of the labels that a service has but one of, and in
// which two specs differ. What a backend has for itself, such as its weight, may
// differ.
func differ(a, b *Spec) string {
	if a.Hosts == b.Hosts && a.Paths == b.Paths && a.Priority == b.Priority && a.Strip == b.Strip && a.Balance == b.Balance && a.Sticky == b.Sticky {
		return ""
	}
	var keys []string
	for _, key := range []struct {
		name   string
		differ bool
	}{
		{"host", a.Hosts != b.Hosts}, {"path", a.Paths != b.Paths}, {"priority", a.Priority != b.Priority},
		{"strip", a.Strip != b.Strip}, {"balance", a.Balance != b.Balance}, {"sticky", a.Sticky != b.Sticky},
	} {
		if key.differ {
			keys = append(keys, key.name)
		}
	}
	return strings.Join(keys, ",")
}

// warn logs the conflicts and differences that a snapshot did not have.
func (r *Registry) warn(old, next *Snapshot) {
	if !slices.Equal(old.Conflicts, next.Conflicts) {
		known := make(map[Conflict]bool, len(old.Conflicts))
		for _, c := range old.Conflicts {
			known[c] = true
		}
		for _, c := range next.Conflicts {
			if !known[c] && !c.harmless() {
				r.log.Warn(c.String(), "service", c.Loser, "advice", c.Advice())
			}
		}
	}
	if !slices.Equal(old.Differences, next.Differences) {
		for _, d := range next.Differences {
			if !slices.Contains(old.Differences, d) {
				r.log.Warn(d.String(), "service", d.Service, "advice", d.Advice())
			}
		}
	}
}
