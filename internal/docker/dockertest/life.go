package dockertest

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"rollcall/internal/docker"
)

// Add creates a container, starts it unless the option Created is given, and
// returns its ID.
func (e *Engine) Add(opts ...ContainerOption) string {
	s := newSpec(opts)
	e.mu.Lock()
	defer e.mu.Unlock()
	c := &ctr{
		spec:      s,
		id:        e.newID("container"),
		imageID:   e.imageID(s.image),
		state:     "created",
		endpoints: make(map[string]*endpoint),
	}
	e.known[c.id] = true
	if c.name == "" {
		c.name = "nameless_" + c.id[:6]
	}
	for _, a := range c.attachments() {
		c.endpoints[a.network] = &endpoint{bridge: e.network(a.network), want: a}
	}
	at := slices.IndexFunc(e.containers, func(o *ctr) bool { return !o.created.After(c.created) })
	if at < 0 {
		at = len(e.containers)
	}
	e.containers = slices.Insert(e.containers, at, c)

	e.emit(c, "create")
	if !c.notStarted {
		e.start(c)
		e.setHealth(c, s.health)
	}
	return c.id
}

// attachments are the places in networks that the options ask for.
func (s *spec) attachments() []attachment {
	switch {
	case s.mode == "host" || s.mode == "none":
		return []attachment{{network: s.mode}}
	case strings.HasPrefix(s.mode, "container:"):
		return nil
	case len(s.networks) == 0:
		return []attachment{{network: "bridge"}}
	}
	return s.networks
}

// Start starts a container that doesn't run.
func (e *Engine) Start(id string) {
	e.with(id, func(c *ctr) {
		if !c.running() {
			e.start(c)
		}
	})
}

// Stop stops a container with its stop signal, and it obeys at once.
func (e *Engine) Stop(id string) { e.BeginStop(id)() }

// BeginStop sends the stop signal. The container goes on running, as one does
// that finishes its requests, until the returned func is called; which may be
// never, or twice. If it died or was removed in between, the func does nothing.
func (e *Engine) BeginStop(id string) (finish func()) {
	e.with(id, func(c *ctr) {
		if c.running() {
			c.stopping = true
			e.signal(c, c.stopSignalName())
		}
	})
	return func() {
		e.with(id, func(c *ctr) {
			if c.running() && c.stopping {
				e.resume(c)
				e.die(c, 0)
				e.emit(c, "stop")
			}
		})
	}
}

// Restart stops and starts a container; it is started if it didn't run.
func (e *Engine) Restart(id string) {
	e.with(id, func(c *ctr) {
		if c.running() {
			e.signal(c, c.stopSignalName())
			e.resume(c)
			e.die(c, 0)
			e.emit(c, "stop")
		}
		e.start(c)
		e.emit(c, "restart")
	})
}

// Kill sends a signal, "" meaning SIGKILL. SIGKILL, SIGTERM and SIGQUIT end the
// container; it ignores all others.
func (e *Engine) Kill(id, signal string) {
	e.with(id, func(c *ctr) {
		if !c.running() {
			return
		}
		if signal == "" {
			signal = "SIGKILL"
		}
		e.signal(c, signal)
		switch signalNumber(signal) {
		case 9:
			e.die(c, 137)
		case 3, 15:
			if c.doomed = c.state == "paused"; !c.doomed {
				e.die(c, 0)
			}
		}
	})
}

// Die lets the container's process end by itself.
func (e *Engine) Die(id string, exitCode int) {
	e.with(id, func(c *ctr) {
		if c.running() {
			e.die(c, exitCode)
		}
	})
}

// Pause freezes a running container.
func (e *Engine) Pause(id string) {
	e.with(id, func(c *ctr) {
		if c.state == "running" {
			c.state = "paused"
			e.emit(c, "pause")
		}
	})
}

// Unpause lets a paused container go on; a signal that ends it, if it got one
// meanwhile, does so now.
func (e *Engine) Unpause(id string) {
	e.with(id, func(c *ctr) {
		e.resume(c)
		if c.doomed {
			e.die(c, 0)
		}
	})
}

// Remove removes a container; a running one only by force, with SIGKILL.
func (e *Engine) Remove(id string, force bool) {
	e.with(id, func(c *ctr) {
		if c.running() && !force {
			return
		}
		if c.running() {
			e.signal(c, "SIGKILL")
			e.die(c, 137)
		}
		e.containers = slices.DeleteFunc(e.containers, func(o *ctr) bool { return o == c })
		e.emit(c, "destroy")
	})
}

// Rename gives a container another name.
func (e *Engine) Rename(id, name string) {
	e.with(id, func(c *ctr) {
		old := c.name
		c.name = name
		e.emit(c, "rename", "oldName", "/"+old)
	})
}

// Connect attaches a container to a network, made if there is none. ip "" lets
// the engine choose.
func (e *Engine) Connect(id, network, ip string) {
	e.with(id, func(c *ctr) {
		if c.endpoints[network] != nil {
			return
		}
		ep := &endpoint{bridge: e.network(network), want: attachment{network: network, ip: ip}}
		c.endpoints[network] = ep
		if c.running() {
			e.attach(c, ep)
		}
	})
}

// Disconnect takes a container out of a network.
func (e *Engine) Disconnect(id, network string) {
	e.with(id, func(c *ctr) {
		if ep := c.endpoints[network]; ep != nil {
			delete(c.endpoints, network)
			e.emitNetwork(c, ep.bridge, "disconnect")
		}
	})
}

// SetAddress gives a container another address in a network that it is on,
// without an event.
func (e *Engine) SetAddress(id, network, ip string) {
	e.with(id, func(c *ctr) {
		if ep := c.endpoints[network]; ep != nil {
			ep.want.ip = ip
			ep.ip = mustAddr(ip)
		}
	})
}

// SetHealth sets what the container's health check says: "healthy" or
// "unhealthy".
func (e *Engine) SetHealth(id, health string) {
	e.with(id, func(c *ctr) { e.setHealth(c, health) })
}

// SetState puts a container into a state, e.g. "restarting", "removing" or
// "dead", without an event.
func (e *Engine) SetState(id, state string) {
	e.with(id, func(c *ctr) {
		c.state = state
		if !c.running() {
			e.release(c)
		}
	})
}

// Exec makes the events of a command that runs in the container, as a health
// check does: noise for almost everybody.
func (e *Engine) Exec(id, command string) {
	e.with(id, func(c *ctr) {
		exec := e.newID("exec")
		e.emit(c, "exec_create: "+command, "execID", exec)
		e.emit(c, "exec_start: "+command, "execID", exec)
		e.emit(c, "exec_die", "execID", exec, "exitCode", "0")
	})
}

// Rebuild moves an image's tag to another image: the containers of the old one
// are listed with its ID from now on.
func (e *Engine) Rebuild(image string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.generation[image]++
	for _, c := range e.containers {
		if c.image == image {
			c.rebuilt = true
		}
	}
}

// with runs do on a container, under the lock. One that is removed is passed
// over, one that never was fails the test.
func (e *Engine) with(id string, do func(*ctr)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.known[id] {
		e.t.Errorf("dockertest: there never was a container %q", id)
		return
	}
	for _, c := range e.containers {
		if c.id == id {
			do(c)
			return
		}
	}
}

// The following are called with e.mu held and make the events of the real
// engine, in its order.

func (e *Engine) start(c *ctr) {
	for _, name := range slices.Sorted(maps.Keys(c.endpoints)) {
		e.attach(c, c.endpoints[name])
	}
	c.state = "running"
	c.startedAt = e.tick()
	c.stopping = false
	if c.spec.health != "" {
		c.health = "starting"
	}
	c.ports = e.listedPorts(c)
	e.emit(c, "start")
}

func (e *Engine) attach(c *ctr, ep *endpoint) {
	ep.id = e.newID("endpoint")
	if ep.bridge.gateway.IsValid() {
		if ep.want.ip != "" {
			ep.ip = mustAddr(ep.want.ip)
		} else {
			ep.ip = e.freeAddr(ep.bridge)
		}
		if ep.want.ip6 != "" {
			ep.ip6 = mustAddr(ep.want.ip6)
		}
	}
	e.emitNetwork(c, ep.bridge, "connect")
}

// listedPorts are the ports of a running container: none where it has no
// network of its own.
func (e *Engine) listedPorts(c *ctr) []docker.Port {
	if c.mode != "" {
		return nil
	}
	var ports []docker.Port
	for _, p := range c.exposed {
		if !slices.ContainsFunc(c.published, func(b binding) bool { return b.port == p }) {
			ports = append(ports, p)
		}
	}
	for _, b := range c.published {
		ips := []string{b.ip}
		if b.ip == "" {
			ips = []string{"0.0.0.0", "::"}
		}
		for _, ip := range ips {
			p := b.port
			p.IP, p.Public = mustAddr(ip), b.public
			if p.Public == 0 {
				p.Public = e.ephemeral
				e.ephemeral++
			}
			ports = append(ports, p)
		}
	}
	return ports
}

func (e *Engine) signal(c *ctr, signal string) {
	e.emit(c, "kill", "signal", strconv.Itoa(signalNumber(signal)))
}

func (e *Engine) resume(c *ctr) {
	if c.state == "paused" {
		c.state = "running"
		e.emit(c, "unpause")
	}
}

func (e *Engine) die(c *ctr, exitCode int) {
	c.state = "exited"
	c.exitCode = exitCode
	c.stopping, c.doomed = false, false
	e.emit(c, "die", "exitCode", strconv.Itoa(exitCode))
	e.release(c)
	for _, name := range slices.Sorted(maps.Keys(c.endpoints)) {
		e.emitNetwork(c, c.endpoints[name].bridge, "disconnect")
	}
}

// release takes back what a container has only while it runs.
func (e *Engine) release(c *ctr) {
	c.ports = nil
	for _, ep := range c.endpoints {
		ep.id, ep.ip, ep.ip6 = "", netip.Addr{}, netip.Addr{}
	}
}

func (e *Engine) setHealth(c *ctr, health string) {
	if c.spec.health == "" || !c.running() || c.health == health {
		return
	}
	c.health = health
	if health != "starting" {
		e.emit(c, "health_status: "+health)
	}
}

func (c *ctr) stopSignalName() string {
	if c.stopSignal == "" {
		return "SIGTERM"
	}
	return c.stopSignal
}

// signalNumber knows the signals that tests use.
func signalNumber(signal string) int {
	if n, err := strconv.Atoi(signal); err == nil {
		return n
	}
	numbers := map[string]int{
		"HUP": 1, "INT": 2, "QUIT": 3, "KILL": 9, "USR1": 10, "USR2": 12, "TERM": 15, "WINCH": 28, "RTMIN+3": 37,
	}
	n, ok := numbers[strings.TrimPrefix(strings.ToUpper(signal), "SIG")]
	if !ok {
		panic(fmt.Sprintf("dockertest: signal %q", signal))
	}
	return n
}

func mustAddr(s string) netip.Addr {
	ip, err := netip.ParseAddr(s)
	if err != nil {
		panic(fmt.Sprintf("dockertest: %v", err))
	}
	return ip
}
