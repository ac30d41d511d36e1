package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"time"

	"rollcall/internal/docker"
)

// idOf is the ID of the container of that name in all tests.
func idOf(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:])
}

// listed is a container as an engine lists it, and what an inspect adds.
type listed struct {
	docker.Container
	config docker.Config
}

type containerOption func(*listed)

// container builds a running container of the image hello without ports,
// networks and labels.
func container(name string, options ...containerOption) listed {
	c := listed{Container: docker.Container{
		ID: idOf(name), Name: name, Image: "hello", ImageID: "sha256:" + idOf("image hello"),
		State: "running", Status: "Up 2 seconds", NetworkMode: "bridge", Created: time.Unix(1000, 0).UTC(),
	}}
	for _, option := range options {
		option(&c)
	}
	if c.config.Image == "" {
		c.config.Image = c.Image
	}
	return c
}

// hello is a container of the kind that the basic design serves: one exposed
// port, on Docker's default network.
func hello(name, ip string, options ...containerOption) listed {
	return container(name, append([]containerOption{exposes(8080), onNetwork("bridge", ip)}, options...)...)
}

func image(reference string) containerOption { return func(c *listed) { c.Image = reference } }

// rebuilt is a container whose image's tag names another image by now: the list
// shows an ID.
func rebuilt(reference string) containerOption {
	return func(c *listed) { c.Image, c.config.Image = "sha256:"+idOf(reference), reference }
}

func label(key, value string) containerOption {
	return func(c *listed) {
		if c.Labels == nil {
			c.Labels = map[string]string{}
		}
		c.Labels[key] = value
	}
}

// labelled sets labels given as "key=value".
func labelled(pairs ...string) containerOption {
	return func(c *listed) {
		for _, pair := range pairs {
			for i := range pair {
				if pair[i] == '=' {
					label(pair[:i], pair[i+1:])(c)
					break
				}
			}
		}
	}
}

func exposes(ports ...uint16) containerOption {
	return func(c *listed) {
		for _, port := range ports {
			c.Ports = append(c.Ports, docker.Port{Private: port, Proto: "tcp"})
		}
	}
}

// exposesUDP is a port that no HTTP comes out of.
func exposesUDP(port uint16) containerOption {
	return func(c *listed) { c.Ports = append(c.Ports, docker.Port{Private: port, Proto: "udp"}) }
}

// configured is a port that only an inspect shows, as in network_mode host.
func configured(port uint16) containerOption {
	return func(c *listed) { c.config.Exposed = append(c.config.Exposed, docker.Port{Private: port, Proto: "tcp"}) }
}

// published is a port published at "IP:port" of the engine's host.
func published(at string, private uint16) containerOption {
	addr := netip.MustParseAddrPort(at)
	return func(c *listed) {
		c.Ports = append(c.Ports, docker.Port{Private: private, Proto: "tcp", IP: addr.Addr(), Public: addr.Port()})
	}
}

func onNetwork(name, ip string) containerOption {
	return func(c *listed) {
		c.Networks = append(c.Networks, docker.Network{Name: name, ID: idOf(name), IP: netip.MustParseAddr(ip)})
	}
}

// inState is a container in another state than running.
func inState(state string) containerOption {
	return func(c *listed) {
		c.State = state
		if state != "running" && state != "paused" {
			c.Networks, c.Ports = nil, nil
		}
	}
}

func health(word string) containerOption { return func(c *listed) { c.Health = word } }

func networkMode(mode string) containerOption { return func(c *listed) { c.NetworkMode = mode } }

func bornAt(unix int64) containerOption {
	return func(c *listed) { c.Created = time.Unix(unix, 0).UTC() }
}

type entryOption func(*Entry)

// backendOf is the entry for a running container that serves a service at an
// address of its own.
func backendOf(service, containerName string, options ...entryOption) Entry {
	sum := sha256.Sum256([]byte(containerName))
	e := Entry{
		Spec: Spec{
			ContainerID: idOf(containerName), Image: "hello", Service: service, Port: 8080,
			Candidates: Candidates(fmt.Sprintf("10.%d.%d.%d:8080", sum[0], sum[1], sum[2])),
			Hosts:      service + ".localhost", Paths: "/", Scheme: "http", Weight: 1, Balance: "round-robin",
			Timeout: time.Minute, Created: 1000,
		},
		Name: containerName, Engine: EngineRunning,
	}
	for _, option := range options {
		option(&e)
	}
	return e
}

func at(addresses string) entryOption { return func(e *Entry) { e.Candidates = Candidates(addresses) } }

func engineSays(state EngineState) entryOption {
	return func(e *Entry) {
		if e.Engine = state; state == EngineStopped {
			e.Candidates = ""
		}
	}
}

func hosts(list string) entryOption { return func(e *Entry) { e.Hosts = list } }

func paths(list string) entryOption { return func(e *Entry) { e.Paths = list } }

func created(unix int64) entryOption { return func(e *Entry) { e.Created = unix } }

func catchAll() entryOption { return func(e *Entry) { e.CatchAll = true } }

func answersWithin(d time.Duration) entryOption { return func(e *Entry) { e.Timeout = d } }

func checkedAt(path string) entryOption {
	return func(e *Entry) { e.Check = HealthCheck{Path: path}.withDefaults() }
}

// manyBackends are the entries of so many services with so many backends each.
func manyBackends(services, backends int) (roll []Entry) {
	for s := range services {
		for n := range backends {
			roll = append(roll, backendOf(fmt.Sprintf("service-%d", s), fmt.Sprintf("c-%d-%d", s, n)))
		}
	}
	return roll
}
