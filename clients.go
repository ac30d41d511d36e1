package main

import (
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
)

// Clients watches whether rollcall, in a container, can tell its clients apart:
// behind a published port it may see only the address of its network's gateway
// (the engine's userland proxy, or masquerading). It looks at connections, not
// at requests; the zero value is ready.
type Clients struct {
	gateways atomic.Pointer[[]netip.Addr] // of rollcall's networks; nil on a host
	inARow   atomic.Uint32                // the last connections that came from one, up to alikeLimit
}

// alikeLimit is how many connections in a row must come from the gateway before
// that is said: a few may be someone's on the engine's host.
const alikeLimit = 100

// watch returns the listener with its connections looked at.
func (c *Clients) watch(listener net.Listener) net.Listener {
	return &watchedListener{listener, c}
}

type watchedListener struct {
	net.Listener
	clients *Clients
}

// Accept returns the connection as it is: a clientListener makes of it what
// net/http gets.
func (l *watchedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		if addr, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
			l.clients.saw(addr.AddrPort().Addr().Unmap())
		}
	}
	return conn, err
}

// saw notes a new connection. It neither locks nor allocates.
func (c *Clients) saw(client netip.Addr) {
	gateways := c.gateways.Load()
	if gateways == nil || client.IsLoopback() { // a check in the container itself
		return
	}
	for _, gateway := range *gateways {
		if client == gateway {
			if c.inARow.Load() < alikeLimit {
				c.inARow.Add(1)
			}
			return
		}
	}
	if c.inARow.Load() != 0 {
		c.inARow.Store(0)
	}
}

// remark learns from a poll where rollcall stands, and warns on its own container
// if all clients look alike.
func (c *Clients) remark(v *Vantage, roll []Verdict) {
	if !v.InContainer() || len(v.Gateways) == 0 {
		c.gateways.Store(nil)
		return
	}
	gateways := v.Gateways // not a pointer into v, which would live on with it
	c.gateways.Store(&gateways)
	if c.inARow.Load() < alikeLimit {
		return
	}
	for i := range roll {
		if roll[i].ContainerID == v.Self {
			roll[i].Warnings = append(roll[i].Warnings, Warning{
				Text: fmt.Sprintf("the last %d connections all came from the address of its network's gateway (%s): Docker hides the clients' own, so X-Forwarded-For and hash:ip can't tell them apart",
					alikeLimit, joinAddrs(v.Gateways)),
				Advice: "run rollcall with network_mode host; if all clients are programs on the engine's own host, nothing is wrong",
			})
		}
	}
}

func joinAddrs(addrs []netip.Addr) string {
	text := ""
	for i, addr := range addrs {
		if i > 0 {
			text += ", "
		}
		text += addr.String()
	}
	return text
}
