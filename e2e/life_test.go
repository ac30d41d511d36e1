package e2e

import (
	"net/http"
	"testing"

	"rollcall/e2e/lab"
)

func TestStartedContainerServes(t *testing.T) {
	engine := begin(t)
	image := engine.Image(t, "start", lab.App)
	rollcall := ground.Serve(t, engine, "--image", image)
	if answer := rollcall.Get(t, "/"); answer.Header.Get("Rollcall-Error") == "" {
		t.Errorf("before any container runs: %s", answer)
	}
	created := engine.Create(t, image)
	rollcall.AwaitState(t, created, "stopped")
	first := engine.Run(t, image)
	rollcall.AwaitServedBy(t, "", "/", first)
	created.Start(t)
	rollcall.AwaitServedBy(t, "", "/", first, created)
}

func TestRequestsGoToContainersInTurn(t *testing.T) {
	engine := begin(t)
	image := engine.Image(t, "turn", lab.App)
	containers := []*lab.Container{engine.Run(t, image), engine.Run(t, image), engine.Run(t, image)}
	rollcall := ground.Serve(t, engine, "--image", image)
	rollcall.AwaitServedBy(t, "", "/", containers...)
	count := map[string]int{}
	for range 12 {
		count[rollcall.Get(t, "/").From]++
	}
	for _, c := range containers {
		if n := count[c.Hostname()]; n != 4 {
			t.Errorf("%d of 12 requests went to %s, want 4: %v", n, c.Hostname(), count)
		}
	}
}

func TestSlowStarterGetsNoRequestsBeforeItListens(t *testing.T) {
	engine := begin(t)
	image := engine.Image(t, "slow", lab.App)
	rollcall := ground.Serve(t, engine, "--image", image)
	ready := engine.Run(t, image)
	rollcall.AwaitServedBy(t, "", "/", ready)
	slow := engine.Run(t, image, "--env", "HELLO_START_DELAY=2s")
	rollcall.AwaitState(t, slow, "starting")
	for rollcall.State(slow) == "starting" {
		if answer := rollcall.Get(t, "/"); answer.Status != http.StatusOK {
			t.Fatalf("while a container starts: %s", answer)
		}
	}
	rollcall.AwaitServedBy(t, "", "/", ready, slow)
}

func TestStoppedContainerLeavesAndComesBack(t *testing.T) {
	engine := begin(t)
	image := engine.Image(t, "stop", lab.App)
	a, b := engine.Run(t, image), engine.Run(t, image)
	rollcall := ground.Serve(t, engine, "--image", image)
	rollcall.AwaitServedBy(t, "", "/", a, b)
	a.Stop(t)
	rollcall.AwaitState(t, a, "stopped")
	rollcall.AwaitServedBy(t, "", "/", b)
	a.Start(t)
	rollcall.AwaitServedBy(t, "", "/", a, b)
}

func TestServiceWhoseContainersAllStoppedStaysKnown(t *testing.T) {
	engine := begin(t)
	image := engine.Image(t, "only", lab.App)
	only := engine.Run(t, image)
	rollcall := ground.Serve(t, engine, "--image", image, "--hold", "200ms")
	rollcall.AwaitServedBy(t, "", "/", only)
	only.Stop(t)
	rollcall.AwaitState(t, only, "stopped")
	answer := rollcall.Get(t, "/")
	if answer.Status != http.StatusServiceUnavailable || answer.Header.Get("Rollcall-Error") != "no-backend" || answer.Header.Get("Retry-After") == "" {
		t.Errorf("with its only container stopped: %s, Retry-After %q", answer, answer.Header.Get("Retry-After"))
	}
	only.Remove(t)
	rollcall.AwaitState(t, only, "gone")
}

// A container gets its address at each start anew: what rollcall knew of the same
// ID before is no longer true.
func TestRestartedContainerServesAtItsNewAddress(t *testing.T) {
	engine := begin(t)
	image, other := engine.Image(t, "restart", lab.App), engine.Image(t, "restart-other", lab.App)
	network := engine.Network(t, "restart", "--subnet", lab.FreeSubnet(t).String())
	moved := engine.Run(t, image, "--network", network)
	rollcall := ground.Serve(t, engine, "--image", image)
	rollcall.AwaitServedBy(t, "", "/", moved)
	before := moved.IP(t, network)
	moved.Stop(t)
	// Whoever has its address now is no backend.
	engine.Run(t, other, "--network", network, "--ip", before)
	moved.Start(t)
	if now := moved.IP(t, network); now == before {
		t.Fatalf("it has its address %s again: the test shows nothing", now)
	}
	rollcall.AwaitState(t, moved, "healthy")
	rollcall.AwaitServedBy(t, "", "/", moved)
	for range 20 {
		if answer := rollcall.Get(t, "/"); answer.From != moved.Hostname() {
			t.Fatalf("after the restart: %s", answer)
		}
	}
}

func TestRestart(t *testing.T) {
	engine := begin(t)
	image := engine.Image(t, "again", lab.App)
	a, b := engine.Run(t, image), engine.Run(t, image)
	rollcall := ground.Serve(t, engine, "--image", image)
	rollcall.AwaitServedBy(t, "", "/", a, b)
	a.Restart(t)
	rollcall.AwaitServedBy(t, "", "/", a, b)
}

func TestKilledContainerLeaves(t *testing.T) {
	engine := begin(t)
	image := engine.Image(t, "kill", lab.App)
	a, b := engine.Run(t, image), engine.Run(t, image)
	rollcall := ground.Serve(t, engine, "--image", image)
	rollcall.AwaitServedBy(t, "", "/", a, b)
	a.Kill(t, "KILL")
	rollcall.AwaitState(t, a, "stopped")
	rollcall.AwaitServedBy(t, "", "/", b)
}

// The basic design kept a removed container for as long as any other was there.
func TestRemovedContainerIsGoneWhileOthersStay(t *testing.T) {
	engine := begin(t)
	image := engine.Image(t, "remove", lab.App)
	a, b, c := engine.Run(t, image), engine.Run(t, image), engine.Run(t, image)
	rollcall := ground.Serve(t, engine, "--image", image)
	rollcall.AwaitServedBy(t, "", "/", a, b, c)
	b.Remove(t)
	rollcall.AwaitState(t, b, "gone")
	rollcall.AwaitServedBy(t, "", "/", a, c)
	if left := rollcall.Backends(t, b); len(left) > 0 {
		t.Errorf("a removed container is in the registry: %v", left)
	}
}

func TestPausedContainerGetsNoRequests(t *testing.T) {
	engine := begin(t)
	image := engine.Image(t, "pause", lab.App)
	a, b := engine.Run(t, image), engine.Run(t, image)
	rollcall := ground.Serve(t, engine, "--image", image)
	rollcall.AwaitServedBy(t, "", "/", a, b)
	a.Pause(t)
	rollcall.AwaitState(t, a, "paused")
	rollcall.AwaitServedBy(t, "", "/", b)
	a.Unpause(t)
	rollcall.AwaitServedBy(t, "", "/", a, b)
}

func TestRenamedContainerIsTheSameBackend(t *testing.T) {
	engine := begin(t)
	image := engine.Image(t, "rename", lab.App)
	c := engine.Run(t, image)
	rollcall := ground.Serve(t, engine, "--image", image)
	rollcall.AwaitServedBy(t, "", "/", c)
	before := rollcall.Backends(t, c)[0]
	name := c.Rename(t, "renamed")
	lab.Await(t, "the new name is known", func() error { return want(rollcall.Backends(t, c)[0].Container, name) })
	after := rollcall.Backends(t, c)[0]
	if after.State != "healthy" || after.Address != before.Address || after.Requests < before.Requests {
		t.Errorf("renaming made another backend of %+v: %+v", before, after)
	}
}
