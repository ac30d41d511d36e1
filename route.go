package main

import (
	"cmp"
	"fmt"
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

// stripPrefix removes a route's path prefix from a raw path that it matched. The
// rest stays as the client wrote it; where the client wrote the prefix itself
// in another way (escaped, with dot segments), segments are dropped as often as
// the prefix has them, after resolving what the route was matched on.
func stripPrefix(raw, prefix string) string {
	if rest, plain := strings.CutPrefix(raw, prefix); plain && (rest == "" || rest[0] == '/') && !strings.Contains(rest, "/.") {
		return cmp.Or(rest, "/")
	}
	decoded, err := url.PathUnescape(raw)
	if err != nil {
		return raw // net/http refuses such a path
	}
	rest := strings.TrimPrefix(normalPath(decoded), prefix)
	return cmp.Or((&url.URL{Path: rest}).EscapedPath(), "/")
}

// Route returns the route for a request: of the highest priority, the exact
// host, then the longest wildcard, then any host; then the longest path prefix.
// host may carry a port and be in any case; path is the decoded path. It
// returns nil if there is none.
func (s *Snapshot) Route(host, path string) *Route {
	if s.routes == nil {
		return nil
	}
	host, path = normalHost(host), normalPath(path)
	for i := range s.routes.tiers {
		if route := s.routes.tiers[i].find(host, path); route != nil {
			return route
		}
	}
	return s.routes.catchAll
}

// Routes returns all routes that are in force, most specific last within a
// service, sorted by service, host and path.
func (s *Snapshot) Routes() []*Route {
	if s.routes == nil {
		return nil
	}
	return s.routes.all
}

// routeTable is the index over all routes of a snapshot. It is built whole,
// never patched, and immutable.
type routeTable struct {
	tiers    []tier // by priority, highest first
	catchAll *Route
	all      []*Route
}

// tier indexes the routes of one priority. A lookup costs a map access for each
// label of the host and each segment of the path, however many routes there are.
type tier struct {
	priority int
	hosts    map[string]prefixes // "shop.example.com", ".example.com" for the wildcard, "*"
}

type prefixes map[string]*Route // by path prefix

// newRouteTable indexes what the services claim. Of two that claim the same
// host and path, the one whose oldest container is older keeps it; the others
// are told of in conflicts.
func newRouteTable(services []*Service) (table *routeTable, conflicts []Conflict) {
	table = &routeTable{}
	bySeniority := slices.Clone(services)
	slices.SortStableFunc(bySeniority, func(a, b *Service) int {
		return cmp.Or(cmp.Compare(a.Oldest, b.Oldest), cmp.Compare(a.Name, b.Name))
	})
	for _, s := range bySeniority {
		for _, host := range splitList(s.Lead.Hosts) {
			for _, path := range splitList(s.Lead.Paths) {
				route := &Route{Host: host, Path: path, Priority: s.Lead.Priority, Service: s}
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
	slices.SortFunc(table.tiers, func(a, b tier) int { return cmp.Compare(b.priority, a.priority) })
	slices.SortFunc(table.all, func(a, b *Route) int {
		return cmp.Or(cmp.Compare(a.Service.Name, b.Service.Name), cmp.Compare(a.Host, b.Host), cmp.Compare(a.Path, b.Path))
	})
	return table, conflicts
}

// add indexes a route, unless another service holds its place: that route is
// returned.
func (t *routeTable) add(route *Route) (holder *Route) {
	i := slices.IndexFunc(t.tiers, func(tier tier) bool { return tier.priority == route.Priority })
	if i < 0 {
		i = len(t.tiers)
		t.tiers = append(t.tiers, tier{priority: route.Priority, hosts: map[string]prefixes{}})
	}
	// "*.example.com" is kept under ".example.com": a lookup cuts that out of
	// the host without making a string.
	key := route.Host
	if key != "*" {
		key = strings.TrimPrefix(key, "*")
	}
	paths := t.tiers[i].hosts[key]
	if paths == nil {
		paths = prefixes{}
		t.tiers[i].hosts[key] = paths
	}
	if holder := paths[route.Path]; holder != nil {
		if holder.Service == route.Service {
			return nil
		}
		return holder
	}
	paths[route.Path] = route
	t.all = append(t.all, route)
	return nil
}

func (t *tier) find(host, path string) *Route {
	if route := t.hosts[host].longest(path); route != nil {
		return route
	}
	for i := 0; i < len(host); i++ {
		if host[i] != '.' || i == 0 {
			continue
		}
		if route := t.hosts[host[i:]].longest(path); route != nil {
			return route
		}
	}
	return t.hosts["*"].longest(path)
}

// longest returns the route of the longest prefix of path, by whole segments.
func (p prefixes) longest(path string) *Route {
	if p == nil {
		return nil
	}
	for end := len(path); end > 0; end = strings.LastIndexByte(path[:end], '/') {
		if route := p[path[:end]]; route != nil {
			return route
		}
	}
	return p["/"]
}

// normalHost returns the host of a Host field as routes are compared: without
// port and trailing dot, in lower case. It allocates only when there is
// something to lower.
func normalHost(host string) string {
	if strings.HasPrefix(host, "[") {
		if end := strings.IndexByte(host, ']'); end > 0 {
			host = host[1:end]
		}
	} else if colon := strings.LastIndexByte(host, ':'); colon >= 0 {
		host = host[:colon]
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// normalPath returns a decoded path as routes are compared: with its dot
// segments resolved and empty segments left out, so that no spelling of a path
// slips past the route that its target belongs to. It allocates only when there
// is something to resolve.
func normalPath(path string) string {
	if path == "" || path[0] != '/' {
		return "/"
	}
	if !strings.Contains(path, "//") && !strings.Contains(path, "/.") {
		return path
	}
	var kept []string
	for segment := range strings.SplitSeq(path, "/") {
		switch segment {
		case "", ".":
		case "..":
			kept = kept[:max(0, len(kept)-1)]
		default:
			kept = append(kept, segment)
		}
	}
	return "/" + strings.Join(kept, "/")
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
