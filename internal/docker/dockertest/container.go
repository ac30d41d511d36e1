package dockertest

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"rollcall/internal/docker"
)

// A spec is what a container is created from.
type spec struct {
	name        string
	image       string
	rebuilt     bool
	command     string
	labels      map[string]string
	exposed     []docker.Port
	published   []binding
	networks    []attachment
	mode        string // "" = the first of networks, or the default
	health      string // "" = no health check
	stopSignal  string
	stopTimeout *int // seconds
	hostname    string
	created     time.Time
	notStarted  bool
}

// A binding publishes a port.
type binding struct {
	ip     string // "" = all addresses, IPv4 and IPv6
	public uint16 // 0 = the engine chooses, at each start anew
	port   docker.Port
}

// An attachment is a place in a network.
type attachment struct {
	network string
	ip      string // "" = the engine chooses, at each start anew
	ip6     string
}

// A ContainerOption says how a container is created. The same options make the
// same container on Engine and Real.
type ContainerOption func(*spec)

// Name names the container. Without it the engine does.
func Name(name string) ContainerOption { return func(s *spec) { s.name = name } }

// Image sets the image; "hello" if not given.
func Image(ref string) ContainerOption { return func(s *spec) { s.image = ref } }

// ImageRebuilt lets the image's tag move to another image right after the
// container is created: from then on the list shows an ID instead of the tag.
func ImageRebuilt() ContainerOption { return func(s *spec) { s.rebuilt = true } }

// Label sets a label.
func Label(key, value string) ContainerOption {
	return func(s *spec) { s.labels[key] = value }
}

// Exposed exposes ports: "8080/tcp", "53/udp", "8080".
func Exposed(ports ...string) ContainerOption {
	return func(s *spec) {
		for _, p := range ports {
			s.exposed = append(s.exposed, mustPort(p))
		}
	}
}

// Published exposes a TCP port and publishes it: ip "" means all addresses of
// the host, public 0 lets the engine choose, at each start anew.
func Published(ip string, public, private uint16) ContainerOption {
	return func(s *spec) {
		port := docker.Port{Private: private, Proto: "tcp"}
		s.exposed = append(s.exposed, port)
		s.published = append(s.published, binding{ip, public, port})
	}
}

// OnNetwork attaches the container to a network, made if there is none, in
// addition to others that are given; with none given it is on "bridge". ip ""
// lets the engine choose, at each start anew.
func OnNetwork(network, ip string) ContainerOption {
	return func(s *spec) { s.networks = append(s.networks, attachment{network: network, ip: ip}) }
}

// OnNetwork6 is OnNetwork with an IPv6 address.
func OnNetwork6(network, ip, ip6 string) ContainerOption {
	return func(s *spec) { s.networks = append(s.networks, attachment{network, ip, ip6}) }
}

// NetworkMode sets the mode: "host", "none", "container:ID". For networks with
// a name there is OnNetwork.
func NetworkMode(mode string) ContainerOption { return func(s *spec) { s.mode = mode } }

// Health gives the container a health check, and its first state: "starting",
// "healthy" or "unhealthy".
func Health(state string) ContainerOption { return func(s *spec) { s.health = state } }

// StopSignal sets the signal that stops the container, in any form.
func StopSignal(signal string) ContainerOption { return func(s *spec) { s.stopSignal = signal } }

// StopTimeout sets, in whole seconds, how long the engine waits before it kills.
func StopTimeout(d time.Duration) ContainerOption {
	seconds := int(d / time.Second)
	return func(s *spec) { s.stopTimeout = &seconds }
}

// Hostname sets the host name; the short ID if not given.
func Hostname(name string) ContainerOption { return func(s *spec) { s.hostname = name } }

// Command sets the command that the list shows. Real ignores it.
func Command(command string) ContainerOption { return func(s *spec) { s.command = command } }

// CreatedAt sets the time of creation. Real ignores it.
func CreatedAt(t time.Time) ContainerOption { return func(s *spec) { s.created = t } }

// Created creates the container without starting it.
func Created() ContainerOption { return func(s *spec) { s.notStarted = true } }

func newSpec(opts []ContainerOption) *spec {
	s := &spec{image: "hello", command: "/idle", labels: make(map[string]string), created: time.Now()}
	for _, opt := range opts {
		opt(s)
	}
	return s
}

func mustPort(s string) docker.Port {
	number, proto, _ := strings.Cut(s, "/")
	n, err := strconv.ParseUint(number, 10, 16)
	if err != nil {
		panic(fmt.Sprintf("dockertest: port %q", s))
	}
	return docker.Port{Private: uint16(n), Proto: cmp.Or(proto, "tcp")}
}

// A ctr is a container of the fake engine.
type ctr struct {
	*spec
	id        string
	imageID   string
	state     string
	health    string
	startedAt time.Time // of its present or last life
	exitCode  int
	endpoints map[string]*endpoint
	ports     []docker.Port // while it runs
	stopping  bool          // between BeginStop and its end
	doomed    bool          // paused, with a signal waiting that ends it
}

// An endpoint is a container's place in a network.
type endpoint struct {
	bridge *bridge
	want   attachment
	id     string // this and the following are zero while the container doesn't run
	ip     netip.Addr
	ip6    netip.Addr
}

// running says that the container's process exists.
func (c *ctr) running() bool { return c.state == "running" || c.state == "paused" }

// shownImage is what the list shows.
func (c *ctr) shownImage() string {
	if c.rebuilt {
		return c.imageID
	}
	return c.image
}

// status is the list's text. It doesn't depend on the time, so that lists can be
// compared.
func (c *ctr) status() string {
	switch {
	case c.state == "created":
		return "Created"
	case c.state == "paused":
		return "Up 5 seconds (Paused)"
	case c.state == "running" && c.health == "starting":
		return "Up 5 seconds (health: starting)"
	case c.state == "running" && c.health != "":
		return "Up 5 seconds (" + c.health + ")"
	case c.state == "running":
		return "Up 5 seconds"
	case c.state == "restarting":
		return fmt.Sprintf("Restarting (%d) 5 seconds ago", c.exitCode)
	case c.state == "removing":
		return "Removal In Progress"
	case c.state == "dead":
		return "Dead"
	}
	return fmt.Sprintf("Exited (%d) 5 seconds ago", c.exitCode)
}

// engineMode is the network mode as the engine writes it.
func (c *ctr) engineMode() string {
	switch {
	case c.mode != "":
		return c.mode
	case len(c.networks) == 0 || c.networks[0].network == "bridge":
		return "default"
	}
	return c.networks[0].network
}

// truth is the container in the words of the client under test.
func (c *ctr) truth() docker.Container {
	t := docker.Container{
		ID:          c.id,
		Name:        c.name,
		Image:       c.shownImage(),
		ImageID:     c.imageID,
		Command:     c.command,
		Labels:      maps.Clone(c.labels),
		State:       c.state,
		Status:      c.status(),
		Created:     c.created.Truncate(time.Second).UTC(),
		NetworkMode: c.engineMode(),
		Ports:       slices.Clone(c.ports),
	}
	if t.NetworkMode == "default" {
		t.NetworkMode = "bridge"
	}
	if c.state == "running" {
		t.Health = c.health
	}
	for _, name := range slices.Sorted(maps.Keys(c.endpoints)) {
		ep := c.endpoints[name]
		n := docker.Network{Name: name, IP: ep.ip, IP6: ep.ip6, MAC: ep.mac()}
		if c.state != "created" {
			n.ID = ep.bridge.id
		}
		if ep.ip.IsValid() {
			n.Gateway = ep.bridge.gateway
		}
		t.Networks = append(t.Networks, n)
	}
	slices.SortFunc(t.Ports, func(a, b docker.Port) int {
		return cmp.Or(cmp.Compare(a.Private, b.Private), cmp.Compare(a.Proto, b.Proto),
			a.IP.Compare(b.IP), cmp.Compare(a.Public, b.Public))
	})
	return t
}

// mac is made of the IPv4 address, as the real engine does.
func (ep *endpoint) mac() string {
	if !ep.ip.Is4() {
		return ""
	}
	b := ep.ip.As4()
	return fmt.Sprintf("02:42:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3])
}

// newID makes an ID of 64 hex digits, the same in each run. e.mu is held.
func (e *Engine) newID(what string) string {
	e.serial++
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", what, e.serial))
	return hex.EncodeToString(sum[:])
}

// imageID is the ID of what the tag means now. e.mu is held.
func (e *Engine) imageID(ref string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "image %s %d", ref, e.generation[ref]))
	return "sha256:" + hex.EncodeToString(sum[:])
}
