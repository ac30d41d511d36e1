package docker

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
)

// A Container is one entry of the engine's list: what may change from one list
// to the next.
type Container struct {
	ID          string            // full
	Name        string            // without the slash; the short ID if the engine names none (while it removes the container)
	Image       string            // a reference, or an ID when the tag has moved to another image since
	ImageID     string            // with "sha256:"
	Command     string            // as the list shows it
	Labels      map[string]string // nil if there are none
	State       string            // created, running, paused, restarting, removing, exited, dead
	Status      string            // the engine's text, e.g. "Up 2 seconds (healthy)"
	Health      string            // "", "starting", "healthy", "unhealthy"; the engine tells only of running containers that have a check
	Created     time.Time         // UTC, whole seconds
	NetworkMode string            // "bridge", "host", "none", "container:ID", or the name of a network
	Networks    []Network         // sorted by name
	Ports       []Port            // sorted by private port, protocol, IP, public port
}

// A Network is a container's place in a network. The addresses are invalid
// (zero) while the container is not running, and in the networks "host" and
// "none".
type Network struct {
	Name    string
	ID      string
	IP      netip.Addr // IPv4
	IP6     netip.Addr
	Gateway netip.Addr
	MAC     string
}

// A Port is exposed, or published if Public is not 0.
type Port struct {
	Private uint16
	Public  uint16     // 0 = only exposed
	Proto   string     // "tcp", "udp", "sctp"
	IP      netip.Addr // the host's address of a published port; 0.0.0.0 and :: are all of them
}

func (p Port) compare(q Port) int {
	return cmp.Or(
		cmp.Compare(p.Private, q.Private),
		cmp.Compare(p.Proto, q.Proto),
		p.IP.Compare(q.IP),
		cmp.Compare(p.Public, q.Public),
	)
}

// newContainers turns the engine's list into ours, if it can be believed: a
// list that misses something would look like containers that are gone.
func newContainers(list []container.Summary) ([]Container, error) {
	if list == nil {
		return nil, malformed("null instead of a list")
	}
	seen := make(map[string]bool, len(list))
	containers := make([]Container, len(list))
	for i := range list {
		s := &list[i]
		switch {
		case s.ID == "":
			return nil, malformed(fmt.Sprintf("entry %d of %d has no ID", i+1, len(list)))
		case s.State == "":
			return nil, malformed(fmt.Sprintf("container %s has no state", short(s.ID)))
		case seen[s.ID]:
			return nil, malformed(fmt.Sprintf("container %s is listed twice", short(s.ID)))
		}
		seen[s.ID] = true
		containers[i] = newContainer(s)
	}
	return containers, nil
}

func newContainer(s *container.Summary) Container {
	c := Container{
		ID:          s.ID,
		Name:        nameOf(s.Names, s.ID),
		Image:       s.Image,
		ImageID:     s.ImageID,
		Command:     s.Command,
		Labels:      s.Labels,
		State:       s.State,
		Status:      s.Status,
		Health:      healthOf(s.Status),
		Created:     time.Unix(s.Created, 0).UTC(),
		NetworkMode: networkMode(s.HostConfig.NetworkMode),
	}
	if s.NetworkSettings != nil {
		c.Networks = newNetworks(s.NetworkSettings.Networks)
	}
	for _, p := range s.Ports {
		c.Ports = append(c.Ports, Port{
			Private: p.PrivatePort,
			Public:  p.PublicPort,
			Proto:   cmp.Or(strings.ToLower(p.Type), "tcp"),
			IP:      addrOf(p.IP),
		})
	}
	slices.SortFunc(c.Ports, Port.compare)
	return c
}

func newNetworks(endpoints map[string]*network.EndpointSettings) []Network {
	var networks []Network
	for name, e := range endpoints {
		if e == nil { // the engine's way of saying that nothing is known yet
			e = &network.EndpointSettings{}
		}
		networks = append(networks, Network{
			Name:    name,
			ID:      e.NetworkID,
			IP:      addrOf(e.IPAddress),
			IP6:     addrOf(e.GlobalIPv6Address),
			Gateway: addrOf(cmp.Or(e.Gateway, e.IPv6Gateway)),
			MAC:     e.MacAddress,
		})
	}
	slices.SortFunc(networks, func(a, b Network) int { return cmp.Compare(a.Name, b.Name) })
	return networks
}

// addrOf parses an address. The engine writes none as "", some releases as
// "invalid IP".
func addrOf(s string) netip.Addr {
	ip, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}
	}
	return ip.Unmap()
}

// nameOf picks the container's own name: links of other containers to it are
// listed among its names as "/other/alias".
func nameOf(names []string, id string) string {
	best := ""
	for _, name := range names {
		name = strings.TrimPrefix(name, "/")
		if best == "" || name != "" && compareNames(name, best) < 0 {
			best = name
		}
	}
	return cmp.Or(best, short(id))
}

func compareNames(a, b string) int {
	return cmp.Or(
		cmp.Compare(strings.Count(a, "/"), strings.Count(b, "/")),
		cmp.Compare(len(a), len(b)),
		cmp.Compare(a, b),
	)
}

// healthOf reads the health from the list's text, the only place where the list
// has it up to API 1.51: "Up 2 seconds (healthy)", "Up 1 second (health:
// starting)".
func healthOf(status string) string {
	if !strings.HasPrefix(status, "Up ") || !strings.HasSuffix(status, ")") {
		return ""
	}
	open := strings.LastIndexByte(status, '(')
	if open < 0 {
		return ""
	}
	switch health := strings.TrimPrefix(status[open+1:len(status)-1], "health: "); health {
	case container.Starting, container.Healthy, container.Unhealthy:
		return health
	}
	return "" // "Paused"
}

// networkMode gives the mode that was not chosen its name.
func networkMode(mode string) string {
	if mode == "default" {
		return "bridge"
	}
	return mode
}
