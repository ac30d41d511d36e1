package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"

	"rollcall/internal/docker"
	"rollcall/internal/docker/dockertest"
)

var (
	faultSequences = flag.Int("fault-sequences", 200, "sequences of faults and changes that TestFaults plays")
	faultSeed      = flag.Uint64("fault-seed", 0, "play only the sequence of this seed")
)

// TestFaults plays random sequences of container changes and engine faults: lists
// that fail, hang or are cut off, events that are lost, doubled or reordered, an
// engine that goes down. While they last, no backend that lives on is lost; one
// poll after the last fault the registry equals the truth.
func TestFaults(t *testing.T) {
	first, n := uint64(1), uint64(*faultSequences)
	if *faultSeed != 0 {
		first, n = *faultSeed, 1
	}
	for seed := first; seed < first+n; seed++ {
		synctest.Test(t, func(t *testing.T) { playFaults(t, seed) })
		if t.Failed() {
			t.Fatalf("play it again with: go test -run TestFaults -fault-seed=%d .", seed)
		}
	}
}

const faultInterval = 3 * time.Second

// faultPlay is one sequence: the fake engine, which is the truth, and a
// rollcall without its listeners.
type faultPlay struct {
	t        *testing.T
	random   *rand.Rand
	engine   *dockertest.Engine
	registry *Registry
	story    []string // what happened, for the report

	stopUntil map[string]time.Time // containers that were sent a stop signal and may be drained until then
	calm      map[string]bool      // running and left alone: true once it was seen healthy
}

func playFaults(t *testing.T, seed uint64) {
	p := &faultPlay{
		t: t, random: rand.New(rand.NewPCG(seed, 0)), engine: dockertest.New(t, dockertest.InMemory()),
		stopUntil: map[string]time.Time{}, calm: map[string]bool{},
	}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	p.registry = NewRegistry(log, 30*time.Second)
	var registrar *Registrar
	client, err := docker.New(docker.Options{Host: p.engine.Host(), Dial: p.engine.Dial, Opened: func() { registrar.Wake() }})
	if err != nil {
		t.Fatal(err)
	}
	registrar = NewRegistrar(client, p.registry, Rules{Images: []string{"hello"}, Domain: "localhost", Address: AddressAuto}, faultInterval, log)
	registrar.window = dockerBridge
	health := NewHealth(p.registry)
	health.dial = p.dial

	ctx, cancel := context.WithCancel(t.Context())
	var group errgroup.Group
	for range 1 + p.random.IntN(5) {
		p.add()
	}
	registrar.poll(ctx)
	group.Go(func() error { return registrar.Run(ctx) })
	group.Go(func() error { return health.Run(ctx) })
	p.pass(faultInterval)

	for range 5 + p.random.IntN(20) {
		p.step()
		p.pass(time.Duration(p.random.IntN(4000)) * time.Millisecond)
		p.checkCalm()
	}
	p.engine.Heal()
	// A list that hung may have up to its deadline to go, then comes one poll.
	p.pass(faultInterval + time.Second)
	p.checkTruth()
	cancel()
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
	client.Close()
	if t.Failed() {
		t.Logf("the story:\n%s", strings.Join(p.story, "\n"))
	}
}

// pass lets time go by, in the bubble's clock.
func (p *faultPlay) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (p *faultPlay) note(format string, args ...any) {
	p.story = append(p.story, time.Now().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
}

// step makes one change or one fault.
func (p *faultPlay) step() {
	faults := []struct {
		name string
		make func()
	}{
		{"lists fail", func() { p.engine.FailLists(1+p.random.IntN(3), 500) }},
		{"lists are cut off", func() { p.engine.TruncateLists(1 + p.random.IntN(3)) }},
		{"a list is null", func() { p.engine.GarbleLists(1, "null") }},
		{"a list hangs", func() { p.engine.HangLists(1) }},
		{"inspects fail", func() { p.engine.FailInspects(1, 500) }},
		{"events are lost", func() { p.engine.DropEvents(true) }},
		{"events are doubled", func() { p.engine.DoubleEvents(true) }},
		{"events are reordered", func() { p.engine.ReorderEvents(true) }},
		{"the event stream breaks", p.engine.CutEvents},
		{"the engine goes down", p.engine.Down},
		{"all is well again", p.engine.Heal},
	}
	if p.random.IntN(3) == 0 {
		f := faults[p.random.IntN(len(faults))]
		p.note("%s", f.name)
		f.make()
		return
	}
	p.change()
}

// change changes one container.
func (p *faultPlay) change() {
	containers := p.engine.Containers()
	if len(containers) == 0 || p.random.IntN(6) == 0 {
		p.add()
		return
	}
	c := containers[p.random.IntN(len(containers))]
	changes := []struct {
		name string
		make func(id string)
	}{
		{"start", p.engine.Start},
		{"stop", p.engine.Stop},
		{"begin to stop, never end", func(id string) { p.engine.BeginStop(id) }},
		{"restart", p.engine.Restart},
		{"kill", func(id string) { p.engine.Kill(id, "SIGKILL") }},
		{"reload", func(id string) { p.engine.Kill(id, "SIGHUP") }},
		{"crash", func(id string) { p.engine.Die(id, 1) }},
		{"pause", p.engine.Pause},
		{"unpause", p.engine.Unpause},
		{"remove", func(id string) { p.engine.Remove(id, true) }},
		{"rename", func(id string) { p.engine.Rename(id, fmt.Sprintf("name-%d", p.random.IntN(1e9))) }},
	}
	change := changes[p.random.IntN(len(changes))]
	p.note("%s %s (%s)", change.name, c.Name, c.State)
	change.make(c.ID)
	after, _ := p.engine.Container(c.ID)
	switch {
	case change.name == "reload" || change.name == "rename":
	case after.State != c.State, change.name == "restart":
		delete(p.calm, c.ID)
		delete(p.stopUntil, c.ID)
	}
	if change.name == "begin to stop, never end" && after.State == "running" {
		delete(p.calm, c.ID)
		p.stopUntil[c.ID] = time.Now().Add(engineStopTimeout + stopSlack)
	}
	if _, is := p.calm[c.ID]; !is && after.State == "running" && p.stopUntil[c.ID].IsZero() {
		p.calm[c.ID] = false
	}
}

func (p *faultPlay) add() {
	name := fmt.Sprintf("hello-%d", p.random.IntN(1e9))
	p.note("run %s", name)
	id := p.engine.Add(dockertest.Name(name), dockertest.Image("hello"), dockertest.Exposed("8080/tcp"))
	p.calm[id] = false
}

// checkCalm tells whether a backend was lost that was healthy once, and whose
// container has been left alone since.
func (p *faultPlay) checkCalm() {
	for id, seen := range p.calm {
		members := p.registry.Lookup(id)
		healthy := len(members) == 1 && members[0].State == Healthy
		if seen && !healthy {
			p.t.Errorf("live backend %s was lost: %+v", short(id), members)
			p.note("%s was lost", short(id))
		}
		p.calm[id] = healthy
	}
}

// checkTruth compares the registry with the engine.
func (p *faultPlay) checkTruth() {
	truth := p.engine.Containers()
	for _, c := range truth {
		members := p.registry.Lookup(c.ID)
		if len(members) != 1 {
			p.t.Errorf("%s is %s, and the registry has %d backends of it", c.Name, c.State, len(members))
			continue
		}
		m := members[0]
		want := map[string]State{"running": Healthy, "paused": Paused}[c.State] // else Stopped
		mayDrain := time.Now().Before(p.stopUntil[c.ID]) && m.State == Draining
		if m.State != want && !mayDrain {
			p.t.Errorf("%s is %s, the registry says %s: %s", c.Name, c.State, m.State, m.Reason)
		}
		if m.Name != c.Name {
			p.t.Errorf("%s is called %s in the registry", c.Name, m.Name)
		}
		if addr := c.Networks; c.State == "running" && m.Address() != net.JoinHostPort(addr[0].IP.String(), "8080") {
			p.t.Errorf("%s has the address %s, the registry says %s", c.Name, addr[0].IP, m.Address())
		}
	}
	if n := p.registry.Len(); n != len(truth) {
		p.t.Errorf("the registry has %d backends, the engine %d containers", n, len(truth))
	}
}

// dial connects to the containers that run, as the network would.
func (p *faultPlay) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	for _, c := range p.engine.Containers() {
		if c.State == "running" && slices.ContainsFunc(c.Networks, func(n docker.Network) bool { return addr == n.IP.String()+":8080" }) {
			conn, other := net.Pipe()
			context.AfterFunc(p.t.Context(), func() { other.Close() })
			return conn, nil
		}
	}
	return nil, &net.OpError{Op: "dial", Net: network, Err: errors.Join(syscall.ECONNREFUSED)}
}

// dockerBridge is a host's end of Docker's default network.
func dockerBridge() []hostInterface {
	return []hostInterface{{netip.MustParsePrefix("172.17.0.1/16"), "02:42:00:00:00:01"}}
}
