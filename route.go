package main

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"net/url"
	"slices"
	"strings"
)

// Route sends the requests for one host pattern and path prefix to a service.
type Route struct {
	Host     string // "shop.example.com", "*.example.com", "*", or "" for hosts that nobody claims
	Path     string // prefix by whole segments, "/" or without a slash at its end
	Priority int    // beats specificity
	Service  *Service

	prefix    string // Path as X-Forwarded-Prefix tells it
	outranked *Route // the next of those that claim the same with a lower priority; mostly nil
}

// String returns the route as its labels would say it: host, then path.
func (r *Route) String() string {
	if r.Host == "" {
		return "any other host" + r.Path
	}
	return r.Host + r.Path
}

// Conflict is a route that two services claim. The one whose oldest container is
// older keeps it.
type Conflict struct {
	Host, Path    string // as in Route
	Winner, Loser string // services
}

func (c Conflict) String() string {
	return fmt.Sprintf("services %s and %s both claim %s; %s keeps it, its oldest container is older",
		c.Winner, c.Loser, (&Route{Host: c.Host, Path: c.Path}).String(), c.Winner)
}

// Strip tells whether the route's path prefix is to be removed.
func (r *Route) Strip() bool { return r.Service.Lead.Strip && r.Path != "/" }

// Route returns the route for a request: of the highest priority, the exact
// host, then the longest wildcard, then any host; then the longest path prefix.
// host may carry a port and be in any case; path is the path as the client sent
// it. It returns nil if there is none, or if the path is Ambiguous.
func (s *Snapshot) Route(host, path string) *Route {
	route, _ := s.match(host, path)
	return route
}

// Ambiguous tells whether a path climbs in such a way that backends may read it
// as paths of different services.
func (s *Snapshot) Ambiguous(host, path string) bool {
	_, ambiguous := s.match(host, path)
	return ambiguous
}

func (s *Snapshot) match(host, path string) (route *Route, ambiguous bool) {
	if s.routes == nil {
		return nil, false
	}
	host = normalHost(host)
	if isPlain(path) {
		return s.routes.find(host, path), false
	}
	return s.routes.findAnyReading(host, path)
}

// findAnyReading returns the route for a path that may be read in several ways.
func (t *routeTable) findAnyReading(host, path string) (route *Route, ambiguous bool) {
	route = t.find(host, eager.path(path))
	differ, ends := oddities(path)
	if !climbs(path) && differ&readParamsFirst == 0 {
		return route, false
	}
	all := readings(path, differ, ends)
	if all == nil {
		return nil, true
	}
	for path := range all {
		if t.find(host, path).service() != route.service() {
			return nil, true
		}
	}
	return route, false
}

// service is nil for no route.
func (r *Route) service() *Service {
	if r == nil {
		return nil
	}
	return r.Service
}

// Routes returns all routes that are in force, most specific last within a
// service, sorted by service, host and path.
func (s *Snapshot) Routes() []*Route {
	if s.routes == nil {
		return nil
	}
	return s.routes.all
}

// routeTable is the index over all routes of a snapshot. It is immutable. A lookup costs a map access for each label of the
// host and each segment of the longest claimed path, however many routes and
// priorities there are.
type routeTable struct {
	hosts    map[string]hostRoutes // "shop.example.com", ".example.com" for the wildcard
	any      hostRoutes            // of the host "*"
	highest  int                   // priority
	catchAll *Route
	all      []*Route
}

// hostRoutes are the routes of one host pattern. Of several that claim a path, the
// one of the highest priority is there.
type hostRoutes struct {
	root    *Route            // of the path "/"; nil if there is none
	deeper  map[string]*Route // by path prefix; nil if there are none
	longest int               // length of the longest path, in bytes
	highest int               // priority
}

// newRouteTable indexes what the services claim. Of two that claim the same
// host and path, the one whose oldest container is older keeps it; the others
// are told of in conflicts.
func newRouteTable(services []*Service) (table *routeTable, conflicts []Conflict) {
	table = &routeTable{hosts: make(map[string]hostRoutes, len(services)), highest: math.MinInt}
	bySeniority := slices.Clone(services)
	slices.SortStableFunc(bySeniority, func(a, b *Service) int {
		return cmp.Or(cmp.Compare(a.Oldest, b.Oldest), cmp.Compare(a.Name, b.Name))
	})
	for _, s := range bySeniority {
		for _, host := range splitList(s.Lead.Hosts) {
			for _, path := range splitList(s.Lead.Paths) {
				route := &Route{Host: host, Path: path, Priority: s.Lead.Priority, Service: s, prefix: (&url.URL{Path: path}).EscapedPath()}
				if holder := table.add(route); holder != nil {
					conflicts = append(conflicts, Conflict{Host: host, Path: path, Winner: holder.Service.Name, Loser: s.Name})
				}
			}
		}
		if !s.Lead.CatchAll {
			continue
		}
		if table.catchAll == nil {
			table.catchAll = &Route{Path: "/", Service: s}
			table.all = append(table.all, table.catchAll)
		} else {
			conflicts = append(conflicts, Conflict{Path: "/", Winner: table.catchAll.Service.Name, Loser: s.Name})
		}
	}
	slices.SortFunc(table.all, func(a, b *Route) int {
		return cmp.Or(cmp.Compare(a.Service.Name, b.Service.Name), cmp.Compare(a.Host, b.Host), cmp.Compare(a.Path, b.Path))
	})
	return table, conflicts
}

// add indexes a route, unless another service holds its place with the same
// priority: that route is returned.
func (t *routeTable) add(route *Route) (holder *Route) {
	routes := t.of(route.Host)
	first := routes.at(route.Path)
	for place := first; place != nil; place = place.outranked {
		if place.Priority == route.Priority {
			if place.Service == route.Service {
				return nil // a label names it twice
			}
			return place
		}
	}
	switch {
	case first != nil && first.Priority > route.Priority:
		first.outranked, route.outranked = route, first.outranked
	case route.Path == "/":
		routes.root, route.outranked = route, first
	default:
		if routes.deeper == nil {
			routes.deeper = map[string]*Route{}
		}
		routes.deeper[route.Path], route.outranked = route, first
	}
	routes.longest, routes.highest = max(routes.longest, len(route.Path)), max(routes.highest, route.Priority)
	t.put(route.Host, routes)
	t.highest = max(t.highest, route.Priority)
	t.all = append(t.all, route)
	return nil
}

// at returns the route of a path itself, nil if there is none.
func (h *hostRoutes) at(path string) *Route {
	if path == "/" {
		return h.root
	}
	return h.deeper[path]
}

// with returns the table with services in the places of those of the same names,
// which claim the same routes. It copies what it changes, and returns nil where
// that is not enough, because of priorities: then the table is to be built anew.
func (t *routeTable) with(services []*Service) *routeTable {
	if t == nil {
		return nil
	}
	next := *t
	next.hosts, next.all = maps.Clone(t.hosts), slices.Clone(t.all)
	copied := map[string]bool{} // hosts whose deeper routes are next's own
	for _, s := range services {
		first, _ := slices.BinarySearchFunc(next.all, s.Name, func(r *Route, name string) int { return cmp.Compare(r.Service.Name, name) })
		for i := first; i < len(next.all) && next.all[i].Service.Name == s.Name; i++ {
			old, route := next.all[i], *next.all[i]
			route.Service, next.all[i] = s, &route
			if old == t.catchAll {
				next.catchAll = &route
				continue
			}
			routes := next.of(old.Host)
			switch {
			case routes.at(old.Path) != old || old.outranked != nil:
				return nil
			case old.Path == "/":
				routes.root = &route
			default:
				if !copied[old.Host] {
					routes.deeper, copied[old.Host] = maps.Clone(routes.deeper), true
				}
				routes.deeper[old.Path] = &route
			}
			next.put(old.Host, routes)
		}
	}
	return &next
}

// of returns the routes of a host pattern.
func (t *routeTable) of(host string) hostRoutes {
	routes, known := t.hosts[hostKey(host)]
	if host == "*" {
		routes, known = t.any, t.any.longest > 0
	}
	if !known {
		routes.highest = math.MinInt
	}
	return routes
}

// put makes routes those of a host pattern.
func (t *routeTable) put(host string, routes hostRoutes) {
	if host == "*" {
		t.any = routes
		return
	}
	t.hosts[hostKey(host)] = routes
}

// hostKey is what a host pattern's routes are kept under: "*.example.com" under
// ".example.com", which a lookup cuts out of the host without making a string.
func hostKey(host string) string { return strings.TrimPrefix(host, "*") }

// find returns the best route for a host and a path in their normal forms, nil if
// there is none.
func (t *routeTable) find(host, path string) *Route {
	var best *Route
	claimed := false
	if len(host) <= maxHostLength && !strings.HasPrefix(host, ".") {
		if exact, known := t.hosts[host]; known {
			best, claimed = exact.better(path, nil), true
		}
		for i := 1; i < len(host) && !t.decides(best); i++ {
			if host[i] != '.' {
				continue
			}
			if wildcard, known := t.hosts[host[i:]]; known {
				best, claimed = wildcard.better(path, best), true
			}
		}
	}
	if !t.decides(best) {
		best = t.any.better(path, best)
	}
	if best == nil && !claimed {
		return t.catchAll
	}
	return best
}

// decides tells whether no other route can outrank this one.
func (t *routeTable) decides(best *Route) bool { return best != nil && best.Priority == t.highest }

// better returns the route of the longest prefix of path, by whole segments, if
// its priority is higher than that of best, the best so far.
func (h *hostRoutes) better(path string, best *Route) *Route {
	if best != nil && best.Priority >= h.highest {
		return best
	}
	if h.deeper != nil {
		end := len(path)
		if end > h.longest {
			end = strings.LastIndexByte(path[:h.longest+1], '/')
		}
		for ; end > 0; end = strings.LastIndexByte(path[:end], '/') {
			if route := h.deeper[path[:end]]; route != nil && (best == nil || route.Priority > best.Priority) {
				if best = route; best.Priority == h.highest {
					return best
				}
			}
		}
	}
	if h.root != nil && (best == nil || h.root.Priority > best.Priority) {
		return h.root
	}
	return best
}

// splitList returns the items of a comma list, without blanks and empty ones.
func splitList(list string) []string {
	var items []string
	for item := range strings.SplitSeq(list, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}
