package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"path"
	"strings"
	"sync"
	"testing"

	"rollcall/e2e/lab"
)

// setup is one way in which a container can be on a network. It has no label: its
// service is named after its image.
type setup struct {
	name      string
	container *lab.Container
	image     string
	port      string // that answers
	hostname  string // in its answers, "" if that names no container

	// How rollcall reaches it, by where rollcall is: a phrase of the address, or
	// after "not: " one of the reason why it does not.
	host, onNetwork, hostNetwork string
}

func (s *setup) service() string { return path.Base(s.image) }

// addressPlan makes the containers of the matrix.
func addressPlan(t *testing.T, engine *lab.Engine) (network string, setups []*setup) {
	network = engine.Network(t, "matrix-a")
	second := engine.Network(t, "matrix-b")
	internal := engine.Network(t, "matrix-int", "--internal")
	add := func(s *setup, changes []string, flags ...string) *setup {
		s.port = "8080"
		s.image = engine.Image(t, "matrix-"+s.name, lab.App, changes...)
		s.container = engine.Run(t, s.image, flags...)
		s.hostname = s.container.Hostname()
		setups = append(setups, s)
		return s
	}
	const notShared = "not: which rollcall is not on"
	bridge := func(c *lab.Container) string { return c.Inspect(t, "{{.NetworkSettings.IPAddress}}") + ":8080" }

	s := add(&setup{name: "bridge", onNetwork: notShared}, nil)
	s.host, s.hostNetwork = bridge(s.container), bridge(s.container)

	s = add(&setup{name: "user-network"}, nil, "--network", network)
	s.host = s.container.IP(t, network) + ":8080"
	s.onNetwork, s.hostNetwork = s.host, s.host

	// Two networks: by name, the first is taken.
	s = &setup{name: "two-networks", port: "8080", image: engine.Image(t, "matrix-two-networks", lab.App)}
	s.container = engine.Create(t, s.image, "--network", second)
	engine.Docker(t, "network", "connect", network, s.container.ID)
	s.container.Start(t)
	s.hostname = s.container.Hostname()
	setups = append(setups, s)
	s.host = s.container.IP(t, network) + ":8080"
	s.onNetwork, s.hostNetwork = s.host, s.host

	s = add(&setup{name: "internal", onNetwork: notShared}, nil, "--network", internal)
	s.host = s.container.IP(t, internal) + ":8080"
	s.hostNetwork = s.host

	s = add(&setup{name: "unpublished", onNetwork: notShared}, nil, "--network", second)
	s.host = s.container.IP(t, second) + ":8080"
	s.hostNetwork = s.host

	free := portOf(t, freeAddress(t))
	s = add(&setup{name: "host-network", host: "127.0.0.1:" + free, hostNetwork: "127.0.0.1:" + free},
		[]string{"EXPOSE " + free, "ENV HELLO_PORT=" + free}, "--network", "host")
	s.port, s.hostname = free, ""
	s.onNetwork = engine.Docker(t, "network", "inspect", "--format", "{{(index .IPAM.Config 0).Gateway}}", network) + ":" + free

	home := engine.Run(t, engine.Image(t, "home", lab.App), "--network", network, "--env", "HELLO_PORT=9000")
	s = add(&setup{name: "of-container"}, nil, "--network", "container:"+home.ID)
	s.hostname = home.Hostname()
	s.host = home.IP(t, network) + ":8080"
	s.onNetwork, s.hostNetwork = s.host, s.host

	s = add(&setup{name: "published-loopback", onNetwork: "not: published only on that address"}, nil, "--publish", "127.0.0.1::8080")
	s.host, s.hostNetwork = bridge(s.container), bridge(s.container)

	s = add(&setup{name: "published-any"}, nil, "--publish", "0.0.0.0::8080")
	s.host, s.hostNetwork = bridge(s.container), bridge(s.container)
	_, published, _ := net.SplitHostPort(s.container.Published(t, "8080"))
	s.onNetwork = ":" + published

	s = add(&setup{name: "published-v6", onNetwork: "not: published only on that address"}, nil, "--publish", "[::1]::8080")
	s.host, s.hostNetwork = bridge(s.container), bridge(s.container)

	s = add(&setup{name: "several-ports"}, []string{"EXPOSE 9000 8080 9100", "ENV HELLO_PORT=9000,8080,9100"}, "--network", network)
	s.host = s.container.IP(t, network) + ":8080"
	s.onNetwork, s.hostNetwork = s.host, s.host
	return network, setups
}

func portOf(t *testing.T, address string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// Each way to be on a network, from each place where rollcall can be. Each several
// times: what depends on the order of a map shows only now and then.
func TestAddressMatrix(t *testing.T) {
	engine := begin(t)
	network, setups := addressPlan(t, engine)
	var images []string
	for _, s := range setups {
		images = append(images, s.image)
	}
	list := strings.Join(images, ",")
	const times = 3
	onNetwork := func() *lab.Rollcall {
		return ground.ServeContained(t, engine, []string{"--network", network},
			[]string{"ROLLCALL_IMAGE=" + list, "ROLLCALL_LISTEN=:3000", "ROLLCALL_ADMIN=:3001"},
			func(c *lab.Container, listener string) string {
				return net.JoinHostPort(c.IP(t, network), portOf(t, listener))
			})
	}
	hostNetwork := func() *lab.Rollcall {
		return ground.ServeContained(t, engine, []string{"--network", "host"},
			[]string{"ROLLCALL_IMAGE=" + list, "ROLLCALL_LISTEN=127.0.0.1:0", "ROLLCALL_ADMIN=127.0.0.1:0"},
			func(_ *lab.Container, listener string) string { return listener })
	}
	for range times {
		expectAddresses(t, "on the host", setups, ground.Serve(t, engine, "--image", list), func(s *setup) string { return s.host })
		expectAddresses(t, "in a container on a network", setups, onNetwork(), func(s *setup) string { return s.onNetwork })
		expectAddresses(t, "in a container on the host's network", setups, hostNetwork(), func(s *setup) string { return s.hostNetwork })
	}
	published := ground.Serve(t, engine, "--image", list, "--address", "published")
	expectAddresses(t, "on the host with --address published", setups, published, func(s *setup) string {
		switch s.name {
		case "published-loopback", "published-any", "published-v6":
			return s.container.Published(t, "8080")
		case "host-network":
			return s.host
		}
		return "not: no address for port 8080"
	})
}

// expectAddresses asks each service once, as soon as rollcall is ready, and then
// for what it has decided.
func expectAddresses(t *testing.T, where string, setups []*setup, rollcall *lab.Rollcall, expected func(*setup) string) {
	t.Helper()
	lab.Await(t, "rollcall "+where+" is ready", func() error {
		if answer := rollcall.GetAdmin(t, "/readyz"); answer.Status != 200 {
			return fmt.Errorf("%s", answer)
		}
		return nil
	})
	var asking sync.WaitGroup
	for _, s := range setups {
		want := expected(s)
		if strings.HasPrefix(want, "not: ") {
			continue
		}
		asking.Go(func() {
			answer, err := rollcall.TryGet(t.Context(), s.service()+".localhost", "/")
			if err != nil {
				t.Errorf("rollcall %s, %s: %v", where, s.name, err)
				return
			}
			if answer.Status != 200 || answer.Header.Get("X-Port") != s.port {
				t.Errorf("rollcall %s, %s: the first request is answered %s from port %s, want port %s", where, s.name, answer, answer.Header.Get("X-Port"), s.port)
			}
			if s.hostname != "" && answer.From != s.hostname {
				t.Errorf("rollcall %s, %s: answered by %s, want %s", where, s.name, answer.From, s.hostname)
			}
		})
	}
	asking.Wait()
	reasons := reasonsOf(t, rollcall)
	for _, s := range setups {
		want := expected(s)
		if phrase, not := strings.CutPrefix(want, "not: "); not {
			if reason := reasons[s.container.ID]; !strings.Contains(reason, phrase) {
				t.Errorf("rollcall %s, %s: the verdict is %q, want %q in it", where, s.name, reason, phrase)
			}
			continue
		}
		backends := rollcall.Backends(t, s.container)
		if len(backends) != 1 {
			t.Errorf("rollcall %s, %s: it is no backend: %s", where, s.name, reasons[s.container.ID])
			continue
		}
		if got := backends[0].Address; got != want && !(strings.HasPrefix(want, ":") && strings.HasSuffix(got, want)) {
			t.Errorf("rollcall %s, %s: its address is %s, want %s", where, s.name, got, want)
		}
		if _, err := netip.ParseAddrPort(backends[0].Address); err != nil {
			t.Errorf("rollcall %s, %s: %v", where, s.name, err)
		}
	}
}

// reasonsOf returns what rollcall says of all containers, by ID.
func reasonsOf(t *testing.T, rollcall *lab.Rollcall) map[string]string {
	t.Helper()
	var containers []struct{ ID, Reason string }
	answer := rollcall.GetAdmin(t, "/v1/containers")
	if err := json.Unmarshal([]byte(answer.Body), &containers); err != nil {
		t.Fatalf("%s: %v", answer, err)
	}
	reasons := map[string]string{}
	for _, c := range containers {
		reasons[c.ID] = c.Reason
	}
	return reasons
}
