// Package dockertest is a fake Docker Engine for tests. It speaks the real HTTP
// API over a unix socket, with the answers of Docker 20.10 field for field, and
// knows what containers go through: a test adds containers, starts, stops,
// kills, pauses and removes them, and the engine's list and events follow in the
// order of the real one. It can fail, hang, cut answers, slow down, lose, double
// and reorder events, and go away and come back with another API version.
//
// That it behaves like the real one is not a claim but a test: Conformance runs
// the same steps against both; see Driver, Engine and Real.
package dockertest

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"rollcall/internal/docker"
)

// patience bounds each wait for something that a test expects to happen.
const patience = 30 * time.Second

// An Engine is a fake Docker Engine. All methods may be called at any time from
// any goroutine. An action that the real engine would refuse in the container's
// state (pausing a stopped one, removing a running one without force) changes
// nothing and makes no event; an ID that was never given out fails the test.
type Engine struct {
	t    testing.TB
	path string // of the socket; "" in memory

	mu         sync.Mutex // guards the following fields
	changed    *sync.Cond // of active, streams or calls
	active     int        // requests and accept loops under way
	server     *http.Server
	listener   net.Listener
	api        string
	minAPI     string
	containers []*ctr // newest first, as the list is
	known      map[string]bool
	networks   map[string]*bridge
	serial     int       // of IDs
	last       time.Time // of the last tick
	generation map[string]int
	ephemeral  uint16

	history []message
	streams map[*stream]bool
	held    *message // the one that ReorderEvents keeps for later
	faults  faults

	calls   map[string]int
	refused []string
	asked   bool // Refused was called
}

// An Option changes the Engine that New makes.
type Option func(*Engine)

// InMemory makes an engine without a socket, reached by Dial only. It can run in
// a testing/synctest bubble.
func InMemory() Option { return func(e *Engine) { e.path = "" } }

// APIVersion sets the newest API version that the engine speaks; 1.41 if not
// given.
func APIVersion(v string) Option { return func(e *Engine) { e.api = v } }

// New starts an engine without containers. It ends with the test, which then
// fails if something was asked of the engine that only reading does not need,
// unless the test has asked for it with Refused.
func New(t testing.TB, opts ...Option) *Engine {
	t.Helper()
	e := &Engine{
		t:          t,
		path:       socketPath(t),
		api:        "1.41",
		minAPI:     "1.12",
		known:      make(map[string]bool),
		networks:   make(map[string]*bridge),
		generation: make(map[string]int),
		ephemeral:  32768,
		streams:    make(map[*stream]bool),
		calls:      make(map[string]int),
	}
	e.changed = sync.NewCond(&e.mu)
	e.faults.healed = make(chan struct{})
	for _, opt := range opts {
		opt(e)
	}
	e.Up()
	t.Cleanup(e.finish)
	return e
}

func (e *Engine) finish() {
	e.Down()
	e.await(func() bool { return e.active == 0 }, "the end of all requests")
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.refused) > 0 && !e.asked {
		e.t.Errorf("dockertest: more than reading was asked of the engine: %q", e.refused)
	}
}

// socketPath is not in t.TempDir, whose name grows with that of the test: a
// socket's path may have about a hundred bytes.
func socketPath(t testing.TB) string {
	dir, err := os.MkdirTemp("", "engine")
	if err == nil && len(dir) > 80 {
		os.Remove(dir)
		dir, err = os.MkdirTemp("/tmp", "engine")
	}
	if err != nil {
		t.Fatalf("dockertest: %v", err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "docker.sock")
}

// Host returns the endpoint, "unix:///…".
func (e *Engine) Host() string {
	if e.path == "" {
		return "unix:///in/memory"
	}
	return "unix://" + e.path
}

// Dial connects to the engine, whatever network and addr say; it fits
// docker.Options.
func (e *Engine) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if e.path != "" {
		return new(net.Dialer).DialContext(ctx, "unix", e.path)
	}
	e.mu.Lock()
	l, _ := e.listener.(*pipeListener)
	e.mu.Unlock()
	if l == nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: os.NewSyscallError("connect", os.ErrNotExist)}
	}
	return l.dial(ctx)
}

// Client returns a client of this engine, closed at the end of the test.
func (e *Engine) Client(t testing.TB) *docker.Client {
	t.Helper()
	o := docker.Options{Host: e.Host()}
	if e.path == "" {
		o.Dial = e.Dial
	}
	c, err := docker.New(o)
	if err != nil {
		t.Fatalf("dockertest: %v", err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// Up lets a new engine process listen at the socket, if none does. Containers
// are as they were left.
func (e *Engine) Up() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.server != nil {
		return
	}
	if e.path == "" {
		e.listener = newPipeListener()
	} else {
		os.Remove(e.path) // as dockerd does with what a killed one has left
		l, err := net.Listen("unix", e.path)
		if err != nil {
			e.t.Errorf("dockertest: %v", err)
			return
		}
		e.listener = l
	}
	e.server = &http.Server{Handler: e, ErrorLog: log.New(io.Discard, "", 0)}
	e.active++
	go e.serve(e.server, e.listener)
}

func (e *Engine) serve(s *http.Server, l net.Listener) {
	defer e.count(-1)
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
		e.t.Errorf("dockertest: %v", err)
	}
}

// Down ends the engine's process in good order: all connections break, the
// socket's file goes, nobody answers. Containers live on.
func (e *Engine) Down() { e.down(true) }

// DownHard ends it like kill -9: the socket's file stays and refuses.
func (e *Engine) DownHard() { e.down(false) }

func (e *Engine) down(unlink bool) {
	e.mu.Lock()
	server, listener := e.server, e.listener
	if u, ok := e.listener.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(unlink)
	}
	e.server, e.listener = nil, nil
	e.mu.Unlock()
	if server != nil {
		// Not left to the server: one that has not begun to serve would remove
		// the socket's file later, when it is the next one's.
		listener.Close()
		server.Close()
	}
}

// SetAPIVersion sets the newest API version that the engine speaks from now on.
// Open connections stay; a real upgrade also goes Down and Up.
func (e *Engine) SetAPIVersion(v string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.api = v
}

// SetMinAPIVersion sets the oldest API version that the engine still speaks.
func (e *Engine) SetMinAPIVersion(v string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.minAPI = v
}

// Containers returns what a List of this moment has to return: the truth to
// compare with.
func (e *Engine) Containers() []docker.Container {
	e.mu.Lock()
	defer e.mu.Unlock()
	list := make([]docker.Container, 0, len(e.containers))
	for _, c := range e.containers {
		list = append(list, c.truth())
	}
	return list
}

// Container returns the truth about one of them; ok is false if it is not there
// any more.
func (e *Engine) Container(id string) (c docker.Container, ok bool) {
	all := e.Containers()
	i := slices.IndexFunc(all, func(c docker.Container) bool { return c.ID == id })
	if i < 0 {
		return docker.Container{}, false
	}
	return all[i], true
}

// The endpoints that Calls counts.
const (
	Ping    = "ping"
	Version = "version"
	List    = "list"
	Inspect = "inspect"
	Events  = "events"
)

// Calls returns how often an endpoint was asked, faults included.
func (e *Engine) Calls(endpoint string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.calls[endpoint]
}

// Refused returns the requests that were not for one of the endpoints, or not
// by GET or HEAD, as "METHOD /path". The engine has answered 403 to them.
func (e *Engine) Refused() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.asked = true
	return slices.Clone(e.refused)
}

// AwaitCalls waits until an endpoint was asked n times.
func (e *Engine) AwaitCalls(endpoint string, n int) {
	e.t.Helper()
	e.await(func() bool { return e.calls[endpoint] >= n }, "%d calls of %s", n, endpoint)
}

// AwaitStreams waits until n event streams are open.
func (e *Engine) AwaitStreams(n int) {
	e.t.Helper()
	e.await(func() bool { return len(e.streams) == n }, "%d open event streams", n)
}

// await waits for a condition of the guarded fields; whoever changes one of them
// broadcasts.
func (e *Engine) await(ok func() bool, what string, args ...any) {
	e.t.Helper()
	late := false
	timer := time.AfterFunc(patience, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		late = true
		e.changed.Broadcast()
	})
	defer timer.Stop()
	e.mu.Lock()
	defer e.mu.Unlock()
	for !ok() && !late {
		e.changed.Wait()
	}
	if !ok() {
		e.t.Errorf("dockertest: waited %s for "+what, append([]any{patience}, args...)...)
	}
}

// count counts what is under way.
func (e *Engine) count(delta int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.active += delta
	e.changed.Broadcast()
}

// A bridge is a network that gives out addresses.
type bridge struct {
	name    string
	id      string
	gateway netip.Addr // also where its subnet begins
}

// network returns the network of this name, made if there is none. e.mu is held.
func (e *Engine) network(name string) *bridge {
	if n, ok := e.networks[name]; ok {
		return n
	}
	n := &bridge{name: name, id: e.newID("network " + name)}
	switch name {
	case "host", "none":
	case "bridge":
		n.gateway = netip.AddrFrom4([4]byte{172, 17, 0, 1})
	default:
		n.gateway = netip.AddrFrom4([4]byte{10, 200, byte(len(e.networks)), 1})
	}
	e.networks[name] = n
	return n
}

// freeAddr returns the lowest address that no container has, as the real engine
// does: what a stopped container had, the next one that starts gets. e.mu is
// held.
func (e *Engine) freeAddr(n *bridge) netip.Addr {
	taken := make(map[netip.Addr]bool, len(e.containers))
	for _, c := range e.containers {
		if ep := c.endpoints[n.name]; ep != nil {
			taken[ep.ip] = true
		}
	}
	ip := n.gateway.Next()
	for taken[ip] {
		ip = ip.Next()
	}
	return ip
}
