package main

import (
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"
)

// Spec says which container serves which service, where, and under which
// routes. It is immutable and comparable: a poll that yields an equal Spec found
// the same backend again, one that yields a different Spec found another one.
// What an engine may change while the backend stays the same (name, state,
// health) is in Entry instead.
type Spec struct {
	ContainerID string
	Image       string // the reference the container was created from
	Service     string
	Port        uint16        // container port
	Candidates  Candidates    // where it may be reached, best first; empty while it is not running
	Hosts       string        // comma list of host patterns; "" when only CatchAll claims
	Paths       string        // comma list of path prefixes
	CatchAll    bool          // answers to hosts that nobody else claims (chosen by image, no host or path label)
	Priority    int           // beats specificity
	Strip       bool          // the matched path prefix is removed and sent as X-Forwarded-Prefix
	Scheme      string        // to the backend: "http", "https" or "h2c"
	Insecure    bool          // https without verification
	Weight      int           // share of the requests, 1 to 1000
	Balance     string        // the balancer's name, see balancers
	Sticky      string        // name of the cookie that keeps a client on its backend, "" for none
	Timeout     time.Duration // to wait for a response head
	Check       HealthCheck   // active check; zero: none
	Created     int64         // Unix seconds; the older service wins a contested route
	Doubtful    bool          // a label that may have been about its routes could not be read: others speak for its service
}

// HealthCheck is an active HTTP check of a backend. Its zero value is none.
type HealthCheck struct {
	Path      string // with query, begins with a slash
	Interval  time.Duration
	Timeout   time.Duration
	StatusMin int // the range of status codes that pass
	StatusMax int
}

// Candidates lists addresses, best first, as "IP:port IP:port". It is a string
// so that Spec stays comparable.
type Candidates string

// All returns the addresses, best first.
func (c Candidates) All() []netip.AddrPort {
	var addrs []netip.AddrPort
	for field := range strings.FieldsSeq(string(c)) {
		addrs = append(addrs, netip.MustParseAddrPort(field)) // made by Rules.entry
	}
	return addrs
}

// Entry is one line of a roll: a spec, and what the engine says of its
// container at this poll.
type Entry struct {
	Spec
	Name   string // the container's name; a rename does not make another backend
	Engine EngineState
}

// EngineState is an engine's own word on a container, as far as it decides
// whether requests may go there.
type EngineState uint8

const (
	EngineStopped   EngineState = iota // created, restarting, removing, exited, dead
	EnginePaused                       //
	EngineRunning                      // without a HEALTHCHECK, or with one that passes
	EngineStarting                     // running, HEALTHCHECK undecided
	EngineUnhealthy                    // running, HEALTHCHECK fails
)

// State is what rollcall makes of all it knows about a backend.
// Requests go to Healthy ones.
type State uint8

const (
	Stopped State = iota
	Paused
	Draining
	Starting
	Unhealthy
	Healthy
)

var stateNames = [...]string{"stopped", "paused", "draining", "starting", "unhealthy", "healthy"}

func (s State) String() string { return stateNames[s] }

// MarshalText gives the state's word, for JSON.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText takes one of the state words.
func (s *State) UnmarshalText(text []byte) error {
	for i, name := range stateNames {
		if name == string(text) {
			*s = State(i)
			return nil
		}
	}
	return fmt.Errorf("state %q is none of %s", text, strings.Join(stateNames[:], ", "))
}

// Backend is one address of one container that serves a service: its Spec, and
// what changes with each request. Snapshots share it; it lives as long as
// polls yield an equal Spec, so counters and connections survive them.
type Backend struct {
	Spec
	upstream atomic.Pointer[upstream] // to the candidate that answered; set by Registry.Connected before the state turns Healthy
	inFlight atomic.Int64
	requests atomic.Uint64
	failures atomic.Uint64 // attempts that ended without a response head
	errors   atomic.Uint64 // answers with a status of 500 or above
	latency  latencies     // from sending a request to its response head
	streak   atomic.Int32  // failures since the last response head
	identity uint64        // hash of container and service, for balancers; immutable
	token    string        // for the sticky cookie; immutable
	answered atomic.Bool   // a response head came since it (re)started
	trying   atomic.Bool   // a trial request is under way, see Service.Pick
	conns    connSet       // open connections to it, idle and busy
	life     atomic.Uint32 // grows each time it becomes reachable again: another try is worth it
}

// NewBackend returns a backend without connections and counts.
func NewBackend(spec Spec) *Backend {
	return &Backend{Spec: spec, identity: hashOf(spec.Service + "\x00" + spec.ContainerID), token: stickyToken(&spec)}
}

// Begin counts a request that is sent to b. End must follow.
func (b *Backend) Begin() {
	b.inFlight.Add(1)
	b.requests.Add(1)
}

// End counts the end of a request that Begin counted.
func (b *Backend) End() { b.inFlight.Add(-1) }

// InFlight returns the number of requests that b works on now, those of
// rollcall only.
func (b *Backend) InFlight() int64 { return b.inFlight.Load() }

// Requests returns the number of requests sent to b, retries included.
func (b *Backend) Requests() uint64 { return b.requests.Load() }

// Failures returns the number of attempts on b that ended without a response
// head.
func (b *Backend) Failures() uint64 { return b.failures.Load() }

// Errors returns the number of b's answers with a status of 500 or above.
func (b *Backend) Errors() uint64 { return b.errors.Load() }

// answer counts a response head, which came so long after the request was sent.
func (b *Backend) answer(status int, took time.Duration) {
	if status >= 500 {
		b.errors.Add(1)
	}
	b.latency.count(took)
}

// inherit takes over the counters of b's former self.
func (b *Backend) inherit(from *Backend) {
	b.requests.Store(from.requests.Load())
	b.failures.Store(from.failures.Load())
	b.errors.Store(from.errors.Load())
	for i := range b.latency {
		b.latency[i].Store(from.latency[i].Load())
	}
}

// Member is a backend as one snapshot sees it.
type Member struct {
	*Backend
	Name   string // the container's name
	State  State
	Cause  Cause  // what keeps requests from it
	Reason string // why it is in this state, a phrase
	Since  time.Time

	stopping bool // draining because its engine announced its end
	probed   bool // a connection is still to succeed, see Health
	gone     bool // its process has ended or begun anew, and no poll has confirmed its address
	trial    bool // ejected, and may get one trial request
}

// short is the form of a container ID that the docker CLI shows.
func short(containerID string) string {
	if len(containerID) > 12 {
		return containerID[:12]
	}
	return containerID
}
