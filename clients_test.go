package main

import (
	"net"
	"net/netip"
	"strings"
	"testing"
)

var (
	edgeGateway = netip.MustParseAddr("172.20.0.1")
	someone     = netip.MustParseAddr("192.0.2.7")
)

// inEdge is where a rollcall stands that is in a container of the network edge.
func inEdge(containers ...listed) *Vantage {
	return from([]hostInterface{{subnet: netip.MustParsePrefix("172.20.0.2/16")}}, containers...)
}

func rollcallInEdge() listed {
	c := container("rollcall", image("rollcall"), onNetwork("edge", "172.20.0.2"))
	c.Networks[0].Gateway = edgeGateway
	return c
}

func TestClientsThatLookAlike(t *testing.T) {
	self, other := rollcallInEdge(), hello("web", "172.20.0.3")
	v := inEdge(self, other)
	see := func(c *Clients, times int, client netip.Addr) {
		for range times {
			c.saw(client)
		}
	}
	cases := []struct {
		name string
		saw  func(c *Clients)
		warn bool
	}{
		{"no one", func(c *Clients) {}, false},
		{"few", func(c *Clients) { see(c, alikeLimit-1, edgeGateway) }, false},
		{"all alike", func(c *Clients) { see(c, alikeLimit, edgeGateway) }, true},
		{"all alike, and many", func(c *Clients) { see(c, 1000*alikeLimit, edgeGateway) }, true},
		{"one among them with an address of its own", func(c *Clients) {
			see(c, alikeLimit, edgeGateway)
			see(c, 1, someone)
			see(c, alikeLimit-1, edgeGateway)
		}, false},
		{"a check inside the container", func(c *Clients) {
			see(c, alikeLimit, edgeGateway)
			see(c, alikeLimit, netip.MustParseAddr("127.0.0.1"))
		}, true},
		{"all with addresses of their own", func(c *Clients) { see(c, alikeLimit, someone) }, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			clients := &Clients{}
			roll := func() []Verdict {
				return []Verdict{helloRules.judge(other.Container, other.config, v), helloRules.judge(self.Container, self.config, v)}
			}
			clients.remark(v, roll()) // the first poll tells where the gateway is
			c.saw(clients)
			verdicts := roll()
			clients.remark(v, verdicts)
			if len(verdicts[0].Warnings) > 0 {
				t.Errorf("another container is warned of: %v", verdicts[0].Warnings)
			}
			if warned := len(verdicts[1].Warnings) > 0; warned != c.warn {
				t.Errorf("the warnings are %v", verdicts[1].Warnings)
			} else if warned && !strings.Contains(verdicts[1].Warnings[0].Text, edgeGateway.String()) {
				t.Errorf("the warning names no address: %v", verdicts[1].Warnings)
			}
		})
	}
}

// On a host, there is no gateway between rollcall and its clients.
func TestClientsOfAHost(t *testing.T) {
	clients := &Clients{}
	clients.remark(inEdge(rollcallInEdge()), nil)
	clients.remark(fromHost(), nil) // it is another rollcall now
	for range alikeLimit {
		clients.saw(edgeGateway)
	}
	if n := clients.inARow.Load(); n != 0 {
		t.Errorf("%d connections are counted", n)
	}
}

func TestClientsCostNothing(t *testing.T) {
	clients := &Clients{}
	clients.remark(inEdge(rollcallInEdge()), nil)
	if n := testing.AllocsPerRun(100, func() { clients.saw(edgeGateway); clients.saw(someone) }); n > 0 {
		t.Errorf("looking at a connection allocates %v times", n)
	}
}

// A connection must stay what it is: net/http and the kernel splice a TCP
// connection, and nothing else.
func TestWatchedListener(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	clients := &Clients{}
	listener := clients.watch(inner)
	defer listener.Close()
	gateways := []netip.Addr{someone}
	clients.gateways.Store(&gateways)
	clients.inARow.Store(3)
	near, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	far, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	if _, tcp := far.(*net.TCPConn); !tcp {
		t.Errorf("the connection is a %T", far)
	}
	if n := clients.inARow.Load(); n != 3 {
		t.Errorf("a connection from loopback counts: %d", n)
	}
	listener.Close()
	if _, err := listener.Accept(); err == nil {
		t.Error("a closed listener accepts")
	}
}
