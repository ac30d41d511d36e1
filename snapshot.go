package main

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Snapshot is one consistent, immutable state of the registry. A request loads
// it once and decides everything on it.
type Snapshot struct {
	Version     uint64 // only grows
	Time        time.Time
	Conflicts   []Conflict
	Differences []Difference // sorted as the members are

	services   []*Service // sorted by name
	routes     *routeTable
	superseded chan struct{} // closed when a newer snapshot is stored

	listing sync.Once // of members, for who asks: requests don't
	members []Member
}

// Superseded is closed when a newer snapshot is there.
func (s *Snapshot) Superseded() <-chan struct{} { return s.superseded }

// Members returns the backends, sorted by service, age and container ID. The
// slice is the snapshot's.
func (s *Snapshot) Members() []Member {
	s.listing.Do(func() {
		s.members = make([]Member, 0, s.Len())
		for _, service := range s.services {
			s.members = append(s.members, service.Members...)
		}
	})
	return s.members
}

// Len returns the number of backends.
func (s *Snapshot) Len() (n int) {
	for _, service := range s.services {
		n += len(service.Members)
	}
	return n
}

// Services returns the services, sorted by name. The slice is the snapshot's.
func (s *Snapshot) Services() []*Service { return s.services }

// Service returns the service of that name, or nil.
func (s *Snapshot) Service(name string) *Service {
	i, found := slices.BinarySearchFunc(s.services, name, func(s *Service, name string) int { return cmp.Compare(s.Name, name) })
	if !found {
		return nil
	}
	return s.services[i]
}

// Service is the pool of backends that serve one name, as one snapshot sees it.
type Service struct {
	Name    string
	Members []Member // by age
	Lead    Member   // its spec's routes and settings count: the newest healthy member, or else the newest; a doubtful one only among its like
	Oldest  int64    // Unix seconds of the oldest container, as Lead's; decides contested routes

	backends []*Backend   // where requests go: the healthy ones, or if there are none, the unhealthy ones
	usable   []*Backend   // the same, each as often as its weight says
	trials   []*Backend   // ejected ones that may get one trial request
	lastHope []*Backend   // stopping, but perhaps still answering: better than a certain 503
	unlike   []Difference // among its members
	balancer Balancer
	*standing
}

// claimsAs tells whether two services of one name have the same routes, and the
// same rank among others who claim them.
func (s *Service) claimsAs(other *Service) bool {
	a, b := &s.Lead.Spec, &other.Lead.Spec
	return a.Hosts == b.Hosts && a.Paths == b.Paths && a.Priority == b.Priority && a.CatchAll == b.CatchAll && s.Oldest == other.Oldest
}

// standing is what a service keeps from one snapshot to the next.
type standing struct {
	balance  string // the balancer's name; like the balancer guarded by Registry.mu
	balancer Balancer
	budget   budget
	traffic  Traffic
}

// byService is the order of a snapshot's members: by service, age, container ID.
func byService(a, b Member) int {
	return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Created, b.Created), cmp.Compare(a.ContainerID, b.ContainerID))
}

// groupServices makes services of members that are sorted byService.
func groupServices(members []Member) []*Service {
	var services []*Service
	for start := 0; start < len(members); {
		end := start
		for end < len(members) && members[end].Service == members[start].Service {
			end++
		}
		services = append(services, newService(members[start:end:end]))
		start = end
	}
	return services
}

// newService must be given at least one member.
func newService(members []Member) *Service {
	s := &Service{Name: members[0].Service, Members: members, Oldest: members[0].Created}
	s.backends = choose(members, func(m *Member) bool { return m.State == Healthy })
	if len(s.backends) == 0 {
		// A check can be wrong; a 503 is certain. Only a refused connection is
		// as certain.
		s.backends = choose(members, func(m *Member) bool { return m.State == Unhealthy && !m.probed })
	} else {
		s.trials = choose(members, func(m *Member) bool { return m.State == Unhealthy && m.trial && !m.probed })
	}
	s.lastHope = choose(members, func(m *Member) bool { return m.State == Draining && m.stopping && !m.probed && !m.gone })
	s.usable = schedule(s.backends)
	s.Lead = slices.MaxFunc(members, func(a, b Member) int {
		return cmp.Or(compareBool(!a.Doubtful, !b.Doubtful), cmp.Compare(lead(a.State), lead(b.State)),
			cmp.Compare(a.Created, b.Created), cmp.Compare(a.ContainerID, b.ContainerID))
	})
	if i := slices.IndexFunc(members, func(m Member) bool { return m.Doubtful == s.Lead.Doubtful }); i > 0 {
		s.Oldest = members[i].Created
	}
	return s
}

// stand gives s what it keeps from snapshot to snapshot. The balancer is made
// anew when the labels name another one.
func (s *Service) stand(standing *standing) {
	if standing.balancer == nil || standing.balance != s.Lead.Balance {
		balancer, err := newBalancer(s.Lead.Balance)
		if err != nil {
			balancer = newRoundRobin() // labels are checked where they are read
		}
		standing.balance, standing.balancer = s.Lead.Balance, balancer
	}
	s.standing, s.balancer = standing, standing.balancer
}

func choose(members []Member, fits func(*Member) bool) []*Backend {
	var backends []*Backend
	for i := range members {
		if fits(&members[i]) {
			backends = append(backends, members[i].Backend)
		}
	}
	return backends
}

// Pick returns a backend for a request, one that the exchange has not tried, or
// nil if there is none. It neither locks nor allocates.
func (s *Service) Pick(x *Exchange) *Backend {
	if b := s.stuck(x.token); b != nil && !x.Tried(b) {
		return b
	}
	for _, b := range s.trials {
		if x.Replayable() && !x.Tried(b) && b.trying.CompareAndSwap(false, true) {
			return b // if it fails, the request goes on to another one
		}
	}
	return s.balancer.Pick(s, x)
}

// lead ranks how well a state entitles a member to speak for its service: the
// newest that works, so that a broken new version does not move the routes.
func lead(s State) int {
	switch s {
	case Healthy:
		return 2
	case Unhealthy, Draining:
		return 1
	default:
		return 0
	}
}

// Peek returns the member that the next request would reach, without counting it
// as picked; nil if none is usable. certain tells that neither chance nor the
// request itself decides.
func (s *Service) Peek() (next *Member, certain bool) {
	if len(s.backends) == 0 {
		return nil, true
	}
	b := s.backends[0]
	certain = len(s.backends) == 1
	if turns, ok := s.balancer.(*roundRobin); ok && s.Lead.Sticky == "" {
		b, certain = s.usable[turns.count.Load()%uint64(len(s.usable))], true
	}
	return s.member(b), certain
}

// member returns the member of a backend of s.
func (s *Service) member(b *Backend) *Member {
	i := slices.IndexFunc(s.Members, func(m Member) bool { return m.Backend == b })
	return &s.Members[i]
}

// String says how many of its backends are in which state, for logs and
// answers: "3 backends: 2 healthy, 1 starting".
func (s *Service) String() string {
	counts := map[State]int{}
	for _, m := range s.Members {
		counts[m.State]++
	}
	text := fmt.Sprintf("%d backends:", len(s.Members))
	if len(s.Members) == 1 {
		text = "1 backend:"
	}
	separator := " "
	for state := Healthy; ; state-- {
		if n := counts[state]; n > 0 {
			text += fmt.Sprintf("%s%d %s", separator, n, state)
			separator = ", "
		}
		if state == Stopped {
			return text
		}
	}
}
