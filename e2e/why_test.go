package e2e

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"rollcall/e2e/lab"
)

// What costs people most time, on a real engine: the first line tells the cause,
// the second what to change.
func TestWhyTellsTheCause(t *testing.T) {
	engine := begin(t)
	image, other := engine.Image(t, "why", lab.App), engine.Image(t, "why-other", lab.App)
	service := image[strings.LastIndexByte(image, '/')+1:]
	host := func(word string) string { return word + "." + service + ".example.com" }
	run := func(word string, flags ...string) *lab.Container {
		return engine.Run(t, image, append(flags, "--label", "rollcall.service="+service+"-"+word, "--label", "rollcall.host="+host(word))...)
	}
	works := run("works")
	loopback := run("loopback", "--env", "APP_IP=127.0.0.1")
	port := run("port", "--label", "rollcall.port=9000")
	paused := run("paused")
	stopped := run("stopped")
	mistyped := engine.Run(t, other, "--label", "rolcall.host="+host("mistyped"))
	unused := engine.Run(t, other)
	far := run("far", "--network", "none")

	rollcall := ground.Serve(t, engine, "--image", image, "--hold", "0s", "--log-level", "debug")
	rollcall.AwaitServedBy(t, host("works"), "/", works)
	for _, c := range []*lab.Container{paused, stopped} {
		rollcall.AwaitState(t, c, "healthy")
	}
	paused.Pause(t)
	rollcall.AwaitState(t, paused, "paused")
	stopped.Kill(t, "KILL")
	rollcall.AwaitState(t, stopped, "stopped")

	name := func(c *lab.Container) string { return c.Name(t) }
	for _, test := range []struct {
		target        string
		code          int
		first, second string
	}{
		{"http://" + host("works") + ":3000/cart?x=1", 0, host("works") + "/cart goes to service " + service + "-works; the next request would reach " + name(works), ""},
		{name(works), 0, name(works) + " gets requests for service " + service + "-works, at " + works.IP(t, "bridge") + ":8080", ""},
		{host("loopback"), 1, name(loopback) + " is starting: no connection to it has succeeded yet: connection refused", "let its application listen on 0.0.0.0"},
		{loopback.Hostname(), 1, "gets no requests, it is starting: no connection to it has succeeded yet: connection refused", "at port 8080"},
		{host("port"), 1, "connection refused; label rollcall.port=9000 names a port that the container does not expose (it exposes 8080)", "rollcall.port=8080"},
		{port.ID, 1, "connection refused; label rollcall.port=9000", "rollcall.port=8080"},
		{host("paused"), 1, name(paused) + " is paused: the container is paused", "docker unpause " + name(paused)},
		{host("stopped"), 1, name(stopped) + " is stopped: the container does not run", "docker start " + name(stopped)},
		{host("mistyped"), 1, "container " + name(mistyped) + " means to, but is not used: label rolcall.host is not rollcall's; did you mean rollcall.host?", "write rollcall.host=" + host("mistyped")},
		{name(unused), 1, name(unused) + " is not used: it has no label that begins with rollcall., and its image " + other + " matches no --image", "name its image with --image"},
		{name(far), 1, name(far) + " is not used: it has no network (network_mode none)", "put it on a network"},
		{"wroks." + service + ".example.com", 1, "no service answers to wroks." + service + ".example.com; one does to " + host("works"), "typing error"},
	} {
		t.Run(test.target, func(t *testing.T) {
			got := ground.Outcome(t, "why", "--admin", strings.TrimPrefix(rollcall.Admin, "http://"), test.target)
			lines := strings.SplitN(got.Out, "\n", 3)
			if got.Code != test.code || got.Err != "" || len(lines) < 3 || !strings.Contains(lines[0], test.first) || !strings.Contains(lines[1], test.second) {
				t.Errorf("code %d %s\n%swant code %d and lines with\n%s\n%s", got.Code, got.Err, got.Out, test.code, test.first, test.second)
			}
		})
	}

	// The log says it of each request that was refused.
	if answer := rollcall.GetHost(t, host("loopback"), "/cart"); answer.Status != 503 {
		t.Errorf("%s", answer)
	}
	lab.Await(t, "the log tells why", func() error {
		for _, line := range rollcall.Log.Lines("request refused") {
			if line.Fields["path"] == "/cart" && line.Fields["service"] == service+"-loopback" && strings.Contains(line.Fields["why"], "connection refused") {
				return nil
			}
		}
		return fmt.Errorf("it does not")
	})
}

// Through a port that is published on this host's loopback, the engine's proxy
// makes connections of its own: rollcall in its container sees one client.
func TestClientsBehindAPublishedPort(t *testing.T) {
	engine := begin(t)
	network := engine.Network(t, "alike")
	var self *lab.Container
	rollcall := ground.ServeContained(t, engine, []string{"--network", network, "--publish", "127.0.0.1::3000"},
		[]string{"ROLLCALL_IMAGE=none", "ROLLCALL_LISTEN=:3000", "ROLLCALL_ADMIN=:3001", "ROLLCALL_INTERVAL=100ms"},
		func(c *lab.Container, listener string) string {
			self = c
			return net.JoinHostPort(c.IP(t, network), portOf(t, listener))
		})
	gateway := engine.Docker(t, "network", "inspect", "--format", "{{(index .IPAM.Config 0).Gateway}}", network)
	lab.Await(t, "rollcall knows where it is", func() error {
		if reason := reasonsOf(t, rollcall)[self.ID]; reason != "not used: it is rollcall itself" {
			return fmt.Errorf("%q", reason)
		}
		return nil
	})
	connect := func(address string) {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
	published := self.Published(t, "3000")
	for range 120 {
		connect(published)
	}
	says := "the last 100 connections all came from the address of its network's gateway (" + gateway + ")"
	lab.Await(t, "why tells of the clients", func() error {
		got := ground.Outcome(t, "why", "--admin", strings.TrimPrefix(rollcall.Admin, "http://"), self.Name(t))
		if got.Code != 1 || !strings.HasPrefix(got.Out, self.Name(t)+" is rollcall itself: "+says) {
			return fmt.Errorf("%+v", got)
		}
		return nil
	})
	if answer := rollcall.GetAdmin(t, "/v1/containers"); !strings.Contains(answer.Body, says) {
		t.Errorf("/v1/containers says nothing: %s", answer)
	}
	if n := strings.Count(self.Logs(t), says); n != 1 {
		t.Errorf("the log says it %d times", n)
	}
}
