package e2e

import (
	"errors"
	"net"
	"strings"
	"testing"

	"rollcall/e2e/lab"
)

func TestContainerIsFoundOnASecondNetwork(t *testing.T) {
	engine := begin(t)
	image := engine.Image(t, "second", lab.App)
	first, second := engine.Network(t, "first"), engine.Network(t, "second")
	c := engine.Run(t, image, "--network", first)
	rollcall := ground.Serve(t, engine, "--image", image)
	rollcall.AwaitServedBy(t, "", "/", c)
	address := func() string { return rollcall.Backends(t, c)[0].Address }
	if got, want := address(), c.IP(t, first)+":8080"; got != want {
		t.Errorf("its address is %s, want %s", got, want)
	}
	engine.Docker(t, "network", "connect", second, c.ID)
	engine.Docker(t, "network", "disconnect", first, c.ID)
	there := c.IP(t, second) + ":8080"
	lab.Await(t, "the address on the second network is known", func() error { return want(address(), there) })
	rollcall.AwaitServedBy(t, "", "/", c)
}

func TestPreferredNetwork(t *testing.T) {
	engine := begin(t)
	image := engine.Image(t, "preferred", lab.App)
	first, second := engine.Network(t, "net-a"), engine.Network(t, "net-b")
	c := engine.Create(t, image, "--network", first)
	engine.Docker(t, "network", "connect", second, c.ID)
	c.Start(t)
	for _, network := range []string{first, second} {
		rollcall := ground.Serve(t, engine, "--image", image, "--network", network)
		rollcall.AwaitServedBy(t, "", "/", c)
		if got, want := rollcall.Backends(t, c)[0].Address, c.IP(t, network)+":8080"; got != want {
			t.Errorf("with --network %s its address is %s, want %s", network, got, want)
		}
	}
}

// The basic design sent requests to a container's first port, whichever that was,
// and crashed if there was none.
func TestContainerWithoutPortsIsNotUsedAndSaysSo(t *testing.T) {
	engine := begin(t)
	image := engine.Image(t, "no-ports", lab.App, "ENV NO_PORTS=1")
	without := engine.Run(t, image)
	rollcall := ground.Serve(t, engine, "--image", image)
	with := engine.Run(t, image, "--expose", "8080")
	rollcall.AwaitServedBy(t, "", "/", with)
	if state := rollcall.State(without); state != "" {
		t.Errorf("a container without ports is a backend, %s", state)
	}
	verdict := verdictOf(t, engine, without, "--image", image)
	if verdict.Used || !strings.Contains(verdict.Reason, "exposes no TCP port") {
		t.Errorf("its verdict is %+v", verdict)
	}
}

func TestSeveralPorts(t *testing.T) {
	engine := begin(t)
	image := engine.Image(t, "ports", lab.App, "EXPOSE 3000 8080 9000", "ENV HELLO_PORT=3000,8080,9000")
	for _, test := range []struct {
		name  string
		flags []string
		port  string
	}{
		{"the first well-known one", nil, "8080"},
		{"the only published one", []string{"--publish", "127.0.0.1::9000"}, "9000"},
		{"the labelled one", []string{"--publish", "127.0.0.1::9000", "--label", "rollcall.port=3000"}, "3000"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := engine.Run(t, image, test.flags...)
			rollcall := ground.Serve(t, engine, "--image", image)
			rollcall.AwaitServedBy(t, "", "/", c)
			if port := rollcall.Get(t, "/").Header.Get("X-Port"); port != test.port {
				t.Errorf("the request came to port %s, want %s", port, test.port)
			}
		})
	}
}

func TestPublishedAddress(t *testing.T) {
	engine := begin(t)
	image := engine.Image(t, "published", lab.App)
	c := engine.Run(t, image, "--publish", "127.0.0.1::8080")
	rollcall := ground.Serve(t, engine, "--image", image, "--address", "published")
	rollcall.AwaitServedBy(t, "", "/", c)
	if got, want := rollcall.Backends(t, c)[0].Address, c.Published(t, "8080"); got != want {
		t.Errorf("its address is %s, want %s", got, want)
	}
}

// Docker's own proxy accepts connections to a published port from the
// container's start on, and closes them at once while nothing listens inside.
func TestPublishedPortIsNotReadyBeforeTheContainerListens(t *testing.T) {
	engine := begin(t)
	image := engine.Image(t, "published-slow", lab.App)
	rollcall := ground.Serve(t, engine, "--image", image, "--address", "published")
	c := engine.Run(t, image, "--publish", "127.0.0.1::8080", "--env", "HELLO_START_DELAY=1s")
	lab.Await(t, "the container is known", func() error {
		for _, line := range rollcall.Log.Lines("backend starting") {
			if line.Fields["id"] == c.Hostname() {
				return nil
			}
		}
		return errors.New("it has not been said to start")
	})
	// It is held until the container listens.
	if answer := rollcall.Get(t, "/"); answer.From != c.Hostname() {
		t.Errorf("%s", answer)
	}
}

func TestHostNetwork(t *testing.T) {
	engine := begin(t)
	_, port, err := net.SplitHostPort(freeAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	image := engine.Image(t, "host", lab.App)
	c := engine.Run(t, image, "--network", "host", "--env", "HELLO_PORT="+port, "--label", "rollcall.port="+port, "--label", "rollcall.service=host-"+ground.Run)
	rollcall := ground.Serve(t, engine, "--image", image)
	rollcall.AwaitState(t, c, "healthy")
	// Its hostname is the host's, so its answer names no container.
	if answer := rollcall.GetHost(t, "host-"+ground.Run+".localhost", "/"); answer.Header.Get("X-Port") != port {
		t.Errorf("%s", answer)
	}
}

func TestNetworkOfAnotherContainer(t *testing.T) {
	engine := begin(t)
	image, other := engine.Image(t, "joined", lab.App), engine.Image(t, "home", lab.App)
	home := engine.Run(t, other, "--env", "HELLO_PORT=9000")
	c := engine.Run(t, image, "--network", "container:"+home.ID)
	rollcall := ground.Serve(t, engine, "--image", image)
	rollcall.AwaitState(t, c, "healthy")
	if answer := rollcall.Get(t, "/"); answer.Header.Get("X-Port") != "8080" {
		t.Errorf("%s", answer)
	}
}
