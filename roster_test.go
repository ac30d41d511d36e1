package main

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// tablesDiffer tells in what a route table is not what it should be; "" if in
// nothing.
func tablesDiffer(is, want *routeTable) string {
	same := func(a, b *Route) bool {
		for a != nil && b != nil && a.Host == b.Host && a.Path == b.Path && a.Priority == b.Priority && a.Service == b.Service && a.prefix == b.prefix {
			a, b = a.outranked, b.outranked
		}
		return a == nil && b == nil
	}
	sameHost := func(a, b hostRoutes) bool {
		return a.longest == b.longest && a.highest == b.highest && same(a.root, b.root) && maps.EqualFunc(a.deeper, b.deeper, same)
	}
	switch {
	case !slices.EqualFunc(is.all, want.all, same):
		return fmt.Sprintf("routes %v, not %v", is.all, want.all)
	case !same(is.catchAll, want.catchAll):
		return fmt.Sprintf("%v catches all, not %v", is.catchAll, want.catchAll)
	case is.highest != want.highest:
		return fmt.Sprintf("highest priority %d, not %d", is.highest, want.highest)
	case !sameHost(is.any, want.any):
		return "routes of any host differ"
	case !maps.EqualFunc(is.hosts, want.hosts, sameHost):
		return fmt.Sprintf("routes of hosts %v, not %v", is.hosts, want.hosts)
	}
	return ""
}

// A table in which services were replaced is the one that is built from them, and
// the one before stays what it was.
func TestRoutesOfReplacedServices(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		claim := func(s *Service) {
			s.Lead.Hosts = rapid.SampledFrom([]string{"a", "b", "*", "a,*.a", "a,b", ""}).Draw(t, "hosts")
			s.Lead.Paths = rapid.SampledFrom([]string{"/", "/x", "/,/x", "/,/"}).Draw(t, "paths")
			s.Lead.Priority = rapid.IntRange(0, 1).Draw(t, "priority")
			s.Lead.CatchAll = rapid.Bool().Draw(t, "catch-all")
			s.Oldest = rapid.Int64Range(0, 2).Draw(t, "oldest")
		}
		var services []*Service
		for i := range rapid.IntRange(1, 5).Draw(t, "services") {
			s := &Service{Name: fmt.Sprint("s", i), Lead: Member{Backend: &Backend{}}}
			claim(s)
			services = append(services, s)
		}
		table, conflicts := newRouteTable(services)
		asIs, _ := newRouteTable(services)
		after, sameClaims := slices.Clone(services), true
		var renewed []*Service
		for i, s := range services {
			if rapid.Bool().Draw(t, "renewed") {
				next := &Service{Name: s.Name, Lead: Member{Backend: &Backend{Spec: s.Lead.Spec}}, Oldest: s.Oldest}
				switch rapid.IntRange(0, 9).Draw(t, "change") {
				case 0:
					claim(next)
				case 1:
					next.Oldest = rapid.Int64Range(0, 2).Draw(t, "oldest now")
				}
				after[i], renewed = next, append(renewed, next)
				sameClaims = sameClaims && s.claimsAs(next)
			}
		}
		if !sameClaims {
			t.Skip("other claims")
		}
		want, wantConflicts := newRouteTable(after)
		if is := table.with(renewed); is != nil {
			if fault := tablesDiffer(is, want); fault != "" {
				t.Fatal(fault)
			}
		}
		if !slices.Equal(conflicts, wantConflicts) {
			t.Fatalf("conflicts %v, not %v", conflicts, wantConflicts)
		}
		if fault := tablesDiffer(table, asIs); fault != "" {
			t.Fatalf("the table before: %s", fault)
		}
	})
}
