package main

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"rollcall/internal/docker"
)

// Vantage is where rollcall stands, seen from one engine: it decides at which
// of its addresses a container can be reached. It is made once a poll and then
// only read.
type Vantage struct {
	Subnets    []netip.Prefix // of rollcall's own interfaces
	Local      bool           // rollcall runs on the engine's host, or in one of its containers
	Self       string         // ID of rollcall's own container; "" on a host, or in the host's network
	InNetworks []string       // names of the networks that rollcall's own container is on; nil on a host
	Gateways   []netip.Addr   // of those networks: the way from a container to its host
	EngineIP   netip.Addr     // where a remote engine publishes ports
	containers map[string]docker.Container
	owners     map[string]string // see owners
}

// InContainer tells whether rollcall itself runs in a container of this engine,
// with a network of its own.
func (v *Vantage) InContainer() bool { return v.InNetworks != nil }

// newVantage finds rollcall's own place among the containers of an engine.
// interfaces are rollcall's own addresses by MAC; local says that the endpoint
// itself (a socket, loopback) shows that the engine is on this host.
func newVantage(containers []docker.Container, interfaces []hostInterface, local bool, engineIP netip.Addr) *Vantage {
	v := &Vantage{Local: local, EngineIP: engineIP, containers: make(map[string]docker.Container, len(containers)), owners: owners(containers)}
	own := map[netip.Addr]string{}
	for _, i := range interfaces {
		v.Subnets = append(v.Subnets, i.subnet)
		own[i.subnet.Addr()] = i.mac
	}
	for _, c := range containers {
		v.containers[c.ID] = c
		for _, n := range c.Networks {
			// The address alone could be another host's container's.
			if mac, mine := own[n.IP]; mine && (n.MAC == "" || mac == n.MAC) && n.IP.IsValid() {
				v.Local, v.Self = true, c.ID
				v.InNetworks = append(v.InNetworks, n.Name)
				if n.Gateway.IsValid() {
					v.Gateways = append(v.Gateways, n.Gateway)
				}
			}
		}
	}
	return v
}

type hostInterface struct {
	subnet netip.Prefix // address and length
	mac    string
}

// hostInterfaces lists rollcall's own addresses, loopback left out.
func hostInterfaces() ([]hostInterface, error) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("cannot list this host's network interfaces: %w", err)
	}
	var list []hostInterface
	for _, i := range interfaces {
		// A host has one veth per container; they carry no address of use, and
		// each would cost a call.
		if i.Flags&net.FlagUp == 0 || i.Flags&net.FlagLoopback != 0 || strings.HasPrefix(i.Name, "veth") {
			continue
		}
		addrs, err := i.Addrs()
		if err != nil {
			continue // gone since it was listed, as bridges do
		}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				list = append(list, hostInterface{p, i.HardwareAddr.String()})
			}
		}
	}
	return list, nil
}

// Candidate is an address at which a container may be reached, with the reason
// why.
type Candidate struct {
	Addr netip.AddrPort
	Why  string // a phrase: "on network web"
}

// AddressMode is which kind of address is used, see the flag --address.
type AddressMode string

const (
	AddressAuto      AddressMode = "auto"
	AddressContainer AddressMode = "container"
	AddressPublished AddressMode = "published"
)

// locate lists where a port of a running container may be reached, best first:
// its own address on a network that rollcall shares with it, the preferred
// network before the others and those by name, then where the engine publishes
// the port. skipped names the addresses it left out, and why.
func (v *Vantage) locate(c docker.Container, port uint16, mode AddressMode, network string) (found []Candidate, skipped []string) {
	add := func(ip netip.Addr, port uint16, why string) {
		if addr := netip.AddrPortFrom(ip, port); !slices.ContainsFunc(found, func(c Candidate) bool { return c.Addr == addr }) {
			found = append(found, Candidate{addr, why})
		}
	}
	skip := func(format string, args ...any) { skipped = append(skipped, fmt.Sprintf(format, args...)) }

	home, err := v.home(c)
	if err != nil {
		skip("%v", err)
		return found, skipped
	}
	if home.NetworkMode == "host" {
		for _, ip := range v.hostAddresses() {
			add(ip, port, "on the host's own network")
		}
		return found, skipped
	}
	if mode != AddressPublished {
		for _, n := range byPreference(home.Networks, network) {
			for _, ip := range []netip.Addr{n.IP, n.IP6} {
				switch {
				case !ip.IsValid():
				case mode == AddressContainer || v.shares(ip):
					add(ip, port, "on network "+n.Name)
				default:
					skip("%s on network %s, which rollcall is not on", ip, n.Name)
				}
			}
		}
	}
	if mode != AddressContainer {
		for _, p := range home.Ports {
			if p.Private != port || p.Proto != "tcp" || p.Public == 0 {
				continue
			}
			reachable := v.published(p.IP)
			for _, ip := range reachable {
				add(ip, p.Public, "published by the engine")
			}
			if len(reachable) == 0 {
				skip("%s, published only on that address of the engine's host", netip.AddrPortFrom(p.IP, p.Public))
			}
		}
	}
	return found, skipped
}

// home follows network_mode container:ID to the container whose network it is.
// With an error it returns the container that is in the way, if there is one.
func (v *Vantage) home(c docker.Container) (docker.Container, error) {
	for range 8 {
		id, joined := strings.CutPrefix(c.NetworkMode, "container:")
		if !joined {
			return c, nil
		}
		next, known := v.containers[id]
		if !known {
			return docker.Container{}, fmt.Errorf("it shares the network of container %s, which does not exist", short(id))
		}
		if next.State != "running" {
			return next, fmt.Errorf("it shares the network of container %s, which is %s", next.Name, next.State)
		}
		c = next
	}
	return docker.Container{}, fmt.Errorf("it shares a network through more than 8 containers")
}

// shares tells whether an address lies in a network of rollcall's own. That the
// two can talk is still to be shown by a connection: macvlan and firewalls lie.
func (v *Vantage) shares(ip netip.Addr) bool {
	if !v.Local {
		return false // the same private range on another host is another network
	}
	return slices.ContainsFunc(v.Subnets, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// hostAddresses are the addresses of the engine's host, seen from here.
func (v *Vantage) hostAddresses() []netip.Addr {
	switch {
	case v.InContainer():
		return v.Gateways
	case v.Local:
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}
	case v.EngineIP.IsValid():
		return []netip.Addr{v.EngineIP}
	}
	return nil
}

// published returns where a port that the engine binds to ip is reached.
func (v *Vantage) published(ip netip.Addr) []netip.Addr {
	switch {
	case ip.IsUnspecified() && ip.Is6() && v.Local && !v.InContainer():
		return []netip.Addr{netip.IPv6Loopback()}
	case ip.IsUnspecified():
		return v.hostAddresses()
	case ip.IsLoopback() && (v.InContainer() || !v.Local):
		return nil
	}
	return []netip.Addr{ip}
}

// byPreference returns the networks, the preferred one first, the others by
// name: never in the order of a map.
func byPreference(networks []docker.Network, preferred string) []docker.Network {
	networks = slices.Clone(networks)
	slices.SortStableFunc(networks, func(a, b docker.Network) int {
		return cmp.Or(-compareBool(a.Name == preferred, b.Name == preferred), cmp.Compare(a.Name, b.Name))
	})
	return networks
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}
