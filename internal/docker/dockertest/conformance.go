package dockertest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/internal/docker"
)

// A Driver does to an engine what a person does with the docker command.
// *Engine is one, for the fake, and *Real is one, for a real engine. Each call
// returns when the engine has done it, or, for what takes its time afterwards
// (a process that ends), a little before.
type Driver interface {
	Host() string
	Add(opts ...ContainerOption) (id string)
	Start(id string)
	Stop(id string)
	Restart(id string)
	Kill(id, signal string)
	Pause(id string)
	Unpause(id string)
	Remove(id string, force bool)
	Rename(id, name string)
	Connect(id, network, ip string)
	Disconnect(id, network string)
	SetHealth(id, health string)
	Rebuild(image string)
}

var (
	_ Driver = (*Engine)(nil)
	_ Driver = (*Real)(nil)
)

// Conformance runs containers through all of their life on an engine and checks
// what the engine's list, inspect and events say at each step, as subtests. It
// is to pass on the fake and on real engines alike, which is what makes the fake
// worth testing with:
//
//	dockertest.Conformance(t, dockertest.New(t))
//	dockertest.Conformance(t, dockertest.NewReal(t, "unix:///var/run/docker.sock"))
//
// It looks at its own containers only, so the engine may have others, and takes
// about 20 seconds on a real one. The last subtest compares the JSON itself: each
// field that the fake serves, the engine under test must have too, of the same
// type.
func Conformance(t *testing.T, d Driver) {
	for _, step := range []struct {
		name string
		run  func(*conformance)
	}{
		{"a container is created, started, stopped and removed", plainLife},
		{"restart", restart},
		{"kill and remove by force", violence},
		{"signals that don't stop", reload},
		{"pause", pause},
		{"rename", rename},
		{"a second network", secondNetwork},
		{"stop signal and timeout", stopSignal},
		{"health check", healthCheck},
		{"published ports", publishedPorts},
		{"several exposed ports", exposedPorts},
		{"network modes", networkModes},
		{"the image's tag moves", rebuiltImage},
		{"version", engineVersion},
	} {
		t.Run(step.name, func(t *testing.T) { step.run(newConformance(t, d)) })
	}
	t.Run("the same fields", func(t *testing.T) { sameFields(t, forTest(t, d)) })
}

// forTest is the driver with its failures reported to a subtest.
func forTest(t testing.TB, d Driver) Driver {
	if r, ok := d.(*Real); ok {
		return r.For(t)
	}
	return d
}

// A conformance is one step under way, with a watcher on the events.
type conformance struct {
	*testing.T
	Driver
	client *docker.Client
	suffix string // makes names unique on the engine

	mu     sync.Mutex // guards the following fields
	more   *sync.Cond
	events []docker.Event
	late   bool
}

func newConformance(t *testing.T, d Driver) *conformance {
	c := &conformance{T: t, Driver: forTest(t, d), suffix: strings.ToLower(rand.Text()[:8])}
	c.more = sync.NewCond(&c.mu)
	opened := make(chan struct{}, 1)
	o := docker.Options{Host: d.Host(), Timeout: patience, Opened: func() { opened <- struct{}{} }}
	if e, ok := d.(*Engine); ok {
		o.Dial = e.Dial
	}
	var err error
	if c.client, err = docker.New(o); err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.client.Watch(ctx, c.record) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Watch: %v", err)
		}
		c.client.Close()
	})
	select {
	case <-opened:
	case err := <-ended:
		ended <- err
		t.Fatalf("Watch: %v", err)
	}
	return c
}

func (c *conformance) record(e docker.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.events = append(c.events, e)
	c.more.Broadcast()
}

// name makes a name that is unique on the engine.
func (c *conformance) name(s string) string { return s + "-" + c.suffix }

// add adds a container that goes with the test.
func (c *conformance) add(opts ...ContainerOption) string {
	c.Helper()
	id := c.Add(opts...)
	c.Cleanup(func() {
		if _, ok := c.find(id); ok {
			c.Remove(id, true)
		}
	})
	return id
}

func (c *conformance) find(id string) (docker.Container, bool) {
	c.Helper()
	list, err := c.client.List(context.Background())
	if err != nil {
		c.Fatalf("List: %v", err)
	}
	for _, listed := range list {
		if listed.ID == id {
			return listed, true
		}
	}
	return docker.Container{}, false
}

func (c *conformance) listed(id string) docker.Container {
	c.Helper()
	listed, ok := c.find(id)
	if !ok {
		c.Fatalf("container %.12s is not in the list", id)
	}
	return listed
}

func (c *conformance) inspected(id string) docker.Config {
	c.Helper()
	config, err := c.client.Inspect(context.Background(), id)
	if err != nil {
		c.Fatalf("Inspect: %v", err)
	}
	return config
}

// expect runs an action and checks that these events of the container, and no
// others, come of it, in this order. The comment of eventText has their form.
func (c *conformance) expect(id *string, action func(), want ...string) {
	c.Helper()
	c.settle()
	c.mu.Lock()
	c.events = nil
	c.mu.Unlock()
	action()
	c.await(func() bool { return len(c.of(*id)) >= len(want) })
	c.settle()
	c.mu.Lock()
	got := c.of(*id)
	c.mu.Unlock()
	if !slices.Equal(got, want) {
		c.Errorf("events:\n got %q\nwant %q", got, want)
	}
}

// settle waits until all events that are under way have arrived: when those of
// something later have.
func (c *conformance) settle() {
	c.Helper()
	later := c.Add(Created())
	c.Remove(later, false)
	c.await(func() bool { return slices.Contains(c.of(later), "destroy") })
}

// await waits for a condition of the guarded fields, for as long as patience.
func (c *conformance) await(ok func() bool) {
	timer := time.AfterFunc(patience, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.late = true
		c.more.Broadcast()
	})
	defer timer.Stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	for !ok() && !c.late {
		c.more.Wait()
	}
	c.late = false
}

// of returns the recorded events of a container. Docker 20.10 says twice that a
// running container was disconnected; once counts. c.mu is held.
func (c *conformance) of(id string) []string {
	var texts []string
	for _, e := range c.events {
		if e.ID != id {
			continue
		}
		text := eventText(e)
		if n := len(texts); n > 0 && texts[n-1] == text && e.Action == "disconnect" {
			continue
		}
		texts = append(texts, text)
	}
	return texts
}

// eventText is the event's action with what else it tells: "kill SIGTERM",
// "die 0", "health_status healthy", "connect bridge", "rename NAME".
func eventText(e docker.Event) string {
	detail := e.Signal + e.ExitCode + e.Health
	if e.Type == "network" || e.Action == "rename" {
		detail = e.Name
	}
	return strings.TrimSpace(e.Action + " " + detail)
}

// check reports what differs from what the docker documentation promises.
func (c *conformance) check(what string, got, want any) {
	c.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		c.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func (c *conformance) checkState(id, state string) docker.Container {
	c.Helper()
	listed := c.listed(id)
	c.check("state", listed.State, state)
	return listed
}

var (
	started = []string{"connect bridge", "start"}
	stopped = []string{"kill SIGTERM", "die 0", "disconnect bridge", "stop"}
	killed  = []string{"kill SIGKILL", "die 137", "disconnect bridge"}
)

func plainLife(c *conformance) {
	var id string
	name := c.name("plain")
	c.expect(&id, func() {
		id = c.add(Name(name), Created(), Label("conformance", "a b"), Exposed("8080"), Hostname("web"))
	}, "create")
	got := c.checkState(id, "created")
	c.check("name", got.Name, name)
	c.check("label", got.Labels["conformance"], "a b")
	c.check("network mode", got.NetworkMode, "bridge")
	c.check("status", got.Status, "Created")
	c.check("ports", got.Ports, []docker.Port(nil))
	c.check("networks", len(got.Networks), 1)
	c.check("address", got.Networks[0].IP, netip.Addr{})
	if age := time.Since(got.Created); age < -time.Minute || age > time.Minute {
		c.Errorf("created %v", got.Created)
	}

	c.expect(&id, func() { c.Start(id) }, started...)
	got = c.checkState(id, "running")
	c.check("ports", got.Ports, []docker.Port{{Private: 8080, Proto: "tcp"}})
	c.checkAddress(got, "bridge")
	c.check("health", got.Health, "")
	if !strings.HasPrefix(got.Status, "Up ") {
		c.Errorf("status %q", got.Status)
	}
	c.expect(&id, func() { c.Start(id) })

	c.expect(&id, func() { c.Stop(id) }, stopped...)
	got = c.checkState(id, "exited")
	c.check("ports", got.Ports, []docker.Port(nil))
	c.check("address", got.Networks[0].IP, netip.Addr{})
	c.check("network", got.Networks[0].Name, "bridge")
	c.expect(&id, func() { c.Stop(id) })

	config := c.inspected(id)
	c.check("host name", config.Hostname, "web")
	c.check("exposed", config.Exposed, []docker.Port{{Private: 8080, Proto: "tcp"}})
	c.check("stop signal", config.StopSignal, "")
	c.check("stop timeout", config.StopTimeout, time.Duration(0))
	c.check("health check", config.HasHealthcheck, false)

	c.expect(&id, func() { c.Remove(id, false) }, "destroy")
	if _, ok := c.find(id); ok {
		c.Error("a removed container is in the list")
	}
	c.client.Forget(func(string) bool { return false })
	if _, err := c.client.Inspect(context.Background(), id); !errors.Is(err, docker.ErrNotFound) {
		c.Errorf("Inspect of a removed container: %v", err)
	}
}

func (c *conformance) checkAddress(got docker.Container, network string) {
	c.Helper()
	for _, n := range got.Networks {
		if n.Name == network {
			if !n.IP.Is4() || !n.Gateway.Is4() || n.MAC == "" || len(n.ID) != 64 {
				c.Errorf("network %+v", n)
			}
			return
		}
	}
	c.Errorf("not on network %s: %+v", network, got.Networks)
}

func restart(c *conformance) {
	id := c.add(Created())
	if at := c.startedAt(id); !at.IsZero() {
		c.Errorf("started %v, though it never was", at)
	}
	c.Start(id)
	before := c.startedAt(id)
	c.expect(&id, func() { c.Restart(id) }, slices.Concat(stopped, started, []string{"restart"})...)
	c.checkAddress(c.checkState(id, "running"), "bridge")
	// The new life has begun after the kill and before its start is told.
	after := c.startedAt(id)
	kill, start := c.timeOf(id, "kill"), c.timeOf(id, "start")
	if !kill.After(before) || !after.After(kill) || start.Before(after) {
		c.Errorf("started %v, killed %v, started %v, told %v", before, kill, after, start)
	}
	c.expect(&id, func() { c.Stop(id) }, stopped...)
	c.expect(&id, func() { c.Restart(id) }, slices.Concat(started, []string{"restart"})...)
}

func (c *conformance) startedAt(id string) time.Time {
	c.Helper()
	at, err := c.client.StartedAt(context.Background(), id)
	if err != nil {
		c.Fatalf("StartedAt: %v", err)
	}
	return at
}

// timeOf is the time of the event that expect has seen.
func (c *conformance) timeOf(id, action string) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.events {
		if e.ID == id && e.Action == action {
			return e.Time
		}
	}
	return time.Time{}
}

func violence(c *conformance) {
	id := c.add()
	c.expect(&id, func() { c.Kill(id, "") }, killed...)
	got := c.checkState(id, "exited")
	if !strings.HasPrefix(got.Status, "Exited (137)") {
		c.Errorf("status %q", got.Status)
	}
	c.expect(&id, func() { c.Start(id) }, started...)
	c.expect(&id, func() { c.Remove(id, true) }, slices.Concat(killed, []string{"destroy"})...)
}

func reload(c *conformance) {
	id := c.add()
	c.expect(&id, func() { c.Kill(id, "SIGHUP") }, "kill SIGHUP")
	c.checkState(id, "running")
	c.expect(&id, func() { c.Kill(id, "TERM") }, "kill SIGTERM", "die 0", "disconnect bridge")
	c.checkState(id, "exited")
}

func pause(c *conformance) {
	id := c.add()
	c.expect(&id, func() { c.Pause(id) }, "pause")
	got := c.checkState(id, "paused")
	if !strings.HasSuffix(got.Status, "(Paused)") {
		c.Errorf("status %q", got.Status)
	}
	c.checkAddress(got, "bridge")
	c.expect(&id, func() { c.Unpause(id) }, "unpause")
	c.checkState(id, "running")
	c.expect(&id, func() { c.Pause(id); c.Stop(id) },
		"pause", "kill SIGTERM", "unpause", "die 0", "disconnect bridge", "stop")
}

func rename(c *conformance) {
	id := c.add(Name(c.name("before")))
	c.expect(&id, func() { c.Rename(id, c.name("after")) }, "rename "+c.name("after"))
	c.check("name", c.listed(id).Name, c.name("after"))
}

func secondNetwork(c *conformance) {
	id := c.add()
	net := c.name("anet")
	c.expect(&id, func() { c.Connect(id, net, "") }, "connect "+net)
	got := c.listed(id)
	c.check("networks", []string{got.Networks[0].Name, got.Networks[1].Name}, []string{net, "bridge"})
	c.checkAddress(got, net)
	c.check("network mode", got.NetworkMode, "bridge")
	c.expect(&id, func() { c.Disconnect(id, "bridge") }, "disconnect bridge")
	c.check("networks", len(c.listed(id).Networks), 1)
	c.expect(&id, func() { c.Stop(id) }, "kill SIGTERM", "die 0", "disconnect "+net, "stop")

	// One that doesn't run comes silently and leaves with an event.
	c.expect(&id, func() { c.Connect(id, "bridge", "") })
	c.expect(&id, func() { c.Disconnect(id, net) }, "disconnect "+net)

	own := c.add(OnNetwork(net, ""))
	got = c.listed(own)
	c.check("network mode", got.NetworkMode, net)
	c.checkAddress(got, net)
	c.check("network mode", c.inspected(own).NetworkMode, net)
}

func stopSignal(c *conformance) {
	id := c.add(StopSignal("QUIT"), StopTimeout(7*time.Second))
	config := c.inspected(id)
	c.check("stop signal", config.StopSignal, "SIGQUIT")
	c.check("stop timeout", config.StopTimeout, 7*time.Second)
	c.expect(&id, func() { c.Stop(id) }, "kill SIGQUIT", "die 0", "disconnect bridge", "stop")
}

func healthCheck(c *conformance) {
	id := c.add(Health("starting"))
	c.check("health", c.listed(id).Health, "starting")
	c.check("health check", c.inspected(id).HasHealthcheck, true)
	for _, health := range []string{"healthy", "unhealthy", "healthy"} {
		c.expect(&id, func() { c.SetHealth(id, health) }, "health_status "+health)
		c.check("health", c.listed(id).Health, health)
	}
	c.Pause(id)
	c.check("health of a paused container", c.listed(id).Health, "")
}

func publishedPorts(c *conformance) {
	id := c.add(Published("127.0.0.1", 0, 8080), Published("", 0, 9090))
	check := func(want ...string) {
		c.Helper()
		var got []string
		for _, p := range c.listed(id).Ports {
			if p.Public == 0 {
				c.Errorf("port %+v has no public port", p)
			}
			got = append(got, fmt.Sprintf("%s→%d/%s", p.IP, p.Private, p.Proto))
		}
		if len(got) == len(want)-1 {
			want = want[:len(got)] // the engine publishes on IPv6 only where the host has it
		}
		c.check("ports", got, want)
	}
	check("127.0.0.1→8080/tcp", "0.0.0.0→9090/tcp", "::→9090/tcp")
	c.Stop(id)
	c.check("ports", c.listed(id).Ports, []docker.Port(nil))
	c.check("exposed", c.inspected(id).Exposed, []docker.Port{{Private: 8080, Proto: "tcp"}, {Private: 9090, Proto: "tcp"}})
}

func exposedPorts(c *conformance) {
	id := c.add(Exposed("9000", "53/udp", "443/tcp", "53/tcp", "5000/sctp"))
	want := []docker.Port{
		{Private: 53, Proto: "tcp"}, {Private: 53, Proto: "udp"}, {Private: 443, Proto: "tcp"},
		{Private: 5000, Proto: "sctp"}, {Private: 9000, Proto: "tcp"},
	}
	c.check("ports", c.listed(id).Ports, want)
	c.check("exposed", c.inspected(id).Exposed, want)
}

func networkModes(c *conformance) {
	main := c.add()
	for _, mode := range []string{"host", "none", "container:" + main} {
		opts := []ContainerOption{NetworkMode(mode)}
		var exposed []docker.Port
		if mode == "host" || mode == "none" { // else only an image may expose ports
			opts = append(opts, Exposed("8080"))
			exposed = []docker.Port{{Private: 8080, Proto: "tcp"}}
		}
		id := c.add(opts...)
		got := c.checkState(id, "running")
		c.check("network mode", got.NetworkMode, mode)
		c.check("ports in mode "+mode, got.Ports, []docker.Port(nil))
		config := c.inspected(id)
		c.check("network mode", config.NetworkMode, mode)
		c.check("exposed", config.Exposed, exposed)
		for _, n := range got.Networks {
			c.check("network", n.Name, mode)
			c.check("address in mode "+mode, n.IP, netip.Addr{})
		}
	}
}

func rebuiltImage(c *conformance) {
	image := c.name("image") + ":v2"
	id := c.add(Image(image))
	got := c.listed(id)
	c.check("image", got.Image, image)
	c.Rebuild(image)
	moved := c.listed(id)
	c.check("image", moved.Image, got.ImageID)
	c.check("image ID", moved.ImageID, got.ImageID)
	c.check("image", c.inspected(id).Image, image)

	other := c.add(Image(c.name("other")+":v2"), ImageRebuilt())
	c.check("image", c.listed(other).Image, c.listed(other).ImageID)
}

func engineVersion(c *conformance) {
	v, err := c.client.Version(context.Background())
	if err != nil {
		c.Fatal(err)
	}
	if v.Engine == "" || v.API == "" || v.MaxAPI == "" || v.MinAPI == "" || v.OS != "linux" || v.Arch == "" {
		c.Errorf("version %+v", v)
	}
}
