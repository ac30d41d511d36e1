package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"rollcall/internal/docker"
)

// engineInMemory is an Engine without a network: it can run in a synctest
// bubble. The fake that speaks HTTP is dockertest's.
type engineInMemory struct {
	remote bool

	mu         sync.Mutex // guards the following
	containers []listed
	started    map[string]time.Time
	failure    error         // of each List
	slow       time.Duration // each List takes this long
	lists      int           // calls of List so far
	listing    int           // under way
	most       int           // at one time
	watches    int           // calls of Watch so far
	opened     []time.Time   // when
	inspects   int
	kept       []string          // IDs that the last Forget kept
	stream     chan docker.Event // of the open Watch; nil: none
	broken     chan struct{}     // closed when the stream breaks
	deaf       error             // of each Watch, at once
}

func newEngineInMemory(containers ...listed) *engineInMemory {
	return &engineInMemory{containers: containers, started: map[string]time.Time{}}
}

func (e *engineInMemory) Host() string { return "unix:///in/memory" }
func (e *engineInMemory) Local() bool  { return !e.remote }
func (e *engineInMemory) HostIP(context.Context) (netip.Addr, error) {
	return netip.MustParseAddr("192.0.2.10"), nil
}

func (e *engineInMemory) List(ctx context.Context) ([]docker.Container, error) {
	e.mu.Lock()
	e.lists++
	e.listing++
	e.most = max(e.most, e.listing)
	slow := e.slow
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		e.listing--
		e.mu.Unlock()
	}()
	sleep(ctx, slow)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.failure != nil {
		return nil, e.failure
	}
	list := make([]docker.Container, len(e.containers))
	for i, c := range e.containers {
		list[i] = c.Container
	}
	return list, nil
}

func (e *engineInMemory) Inspect(_ context.Context, id string) (docker.Config, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.inspects++
	for _, c := range e.containers {
		if c.ID == id {
			return c.config, nil
		}
	}
	return docker.Config{}, docker.ErrNotFound
}

func (e *engineInMemory) StartedAt(_ context.Context, id string) (time.Time, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.started[id], nil
}

func (e *engineInMemory) Forget(keep func(id string) bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.kept = nil
	for _, c := range e.containers {
		if keep(c.ID) {
			e.kept = append(e.kept, c.ID)
		}
	}
}

func (e *engineInMemory) Watch(ctx context.Context, on func(docker.Event)) error {
	e.mu.Lock()
	e.watches++
	e.opened = append(e.opened, time.Now())
	if e.deaf != nil {
		defer e.mu.Unlock()
		return e.deaf
	}
	stream, broken := make(chan docker.Event, 1000), make(chan struct{})
	e.stream, e.broken = stream, broken
	e.mu.Unlock()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-broken:
			return errors.New("the engine ended the stream")
		case event := <-stream:
			on(event)
		}
	}
}

// tell sends an event on the open stream.
func (e *engineInMemory) tell(action, containerName string, attributes ...string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	event := docker.Event{Type: "container", Action: action, ID: idOf(containerName), Name: containerName, Time: time.Now()}
	if action == "kill" {
		event.Signal = attributes[0]
	}
	if e.stream != nil {
		e.stream <- event
	}
}

// cut breaks the open stream.
func (e *engineInMemory) cut() {
	e.mu.Lock()
	defer e.mu.Unlock()
	close(e.broken)
	e.stream = nil
}

// runs makes these the containers that there are.
func (e *engineInMemory) runs(containers ...listed) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.containers = containers
}

// fails makes each list fail; nil heals it.
func (e *engineInMemory) fails(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.failure = err
}

func (e *engineInMemory) isSlow(d time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.slow = d
}

func (e *engineInMemory) calls() (lists, most, watches int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.lists, e.most, e.watches
}

// dial connects to the containers that run, as the network would.
func (e *engineInMemory) dial(t testing.TB) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		e.mu.Lock()
		defer e.mu.Unlock()
		for _, c := range e.containers {
			answers := slices.ContainsFunc(c.Networks, func(n docker.Network) bool {
				return slices.ContainsFunc(c.Ports, func(p docker.Port) bool { return addr == fmt.Sprintf("%s:%d", n.IP, p.Private) })
			})
			if c.State == "running" && answers {
				near, far := net.Pipe()
				context.AfterFunc(t.Context(), func() { far.Close() })
				return near, nil
			}
		}
		return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
	}
}
