package e2e

import (
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"rollcall/e2e/lab"
)

// What rollcall knew counts until the engine says otherwise; and it says so at
// once when it is back.
func TestEngineComesAndGoes(t *testing.T) {
	begin(t)
	engine := ground.OwnEngine(t, true)
	rollcall := ground.Serve(t, engine.Engine, "--interval", "500ms", "--hold", "1s")

	// Not yet there.
	if answer := rollcall.Get(t, "/"); answer.Status != http.StatusServiceUnavailable || !strings.HasPrefix(answer.Body, "No backend entry in the service registry") {
		t.Errorf("without an engine: %s", answer)
	}
	if answer := rollcall.GetAdmin(t, "/readyz"); answer.Status != http.StatusServiceUnavailable || !strings.Contains(answer.Body, "no Docker engine at "+engine.Host) {
		t.Errorf("without an engine, /readyz says %s", answer)
	}
	if answer := rollcall.GetAdmin(t, "/livez"); answer.Status != http.StatusOK {
		t.Errorf("without an engine, /livez says %s", answer)
	}
	engine.Start(t)
	lab.Await(t, "rollcall is ready", func() error { return want(rollcall.GetAdmin(t, "/readyz").Body, "ok\n") })
	if answer := rollcall.Get(t, "/"); answer.Header.Get("Rollcall-Error") != "no-backend" {
		t.Errorf("with an engine without containers: %s", answer)
	}
	if said := rollcall.Log.Lines("engine does not answer"); len(said) != 1 {
		t.Errorf("that there was no engine was said %d times:\n%s", len(said), rollcall.Log)
	}

	image := engine.Image(t, "hello", lab.App)
	label := []string{"--label", "rollcall.host=*"}
	a, b, c := engine.Run(t, image, label...), engine.Run(t, image, label...), engine.Run(t, image, label...)
	rollcall.AwaitServedBy(t, "", "/", a, b, c)
	serves := func(when string, containers ...*lab.Container) {
		t.Helper()
		for range 20 {
			if answer := rollcall.Get(t, "/"); answer.Status != http.StatusOK {
				t.Errorf("%s: %s", when, answer)
			}
		}
		rollcall.AwaitServedBy(t, "", "/", containers...)
	}

	// Stopped; a container dies meanwhile.
	process, err := strconv.Atoi(a.Inspect(t, "{{.State.Pid}}"))
	if err != nil {
		t.Fatal(err)
	}
	engine.Stop(t)
	serves("with the engine stopped", a, b, c)
	if err := syscall.Kill(process, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	serves("with the engine stopped and a container dead", b, c)
	if answer := rollcall.GetAdmin(t, "/readyz"); answer.Status != http.StatusOK {
		t.Errorf("with the engine stopped, /readyz says %s", answer)
	}
	engine.Start(t)
	rollcall.AwaitState(t, a, "stopped")
	serves("with the engine back", b, c)
	a.Start(t)
	rollcall.AwaitServedBy(t, "", "/", a, b, c)

	// Crashed.
	engine.Kill(t)
	serves("with the engine killed", a, b, c)
	engine.Start(t)
	serves("with the engine back from a crash", a, b, c)
	b.Remove(t)
	rollcall.AwaitState(t, b, "gone")

	// Hanging: it accepts connections and answers nothing.
	engine.Freeze(t)
	serves("with the engine hanging", a, c)
	engine.Thaw(t)
	d := engine.Run(t, image, label...)
	rollcall.AwaitServedBy(t, "", "/", a, c, d)
}

// Without live-restore the engine's end is that of its containers.
func TestEngineEndsWithItsContainers(t *testing.T) {
	begin(t)
	engine := ground.OwnEngine(t, false)
	engine.Start(t)
	image := engine.Image(t, "hello", lab.App)
	c := engine.Run(t, image)
	rollcall := ground.Serve(t, engine.Engine, "--image", image, "--interval", "500ms", "--hold", "200ms")
	rollcall.AwaitServedBy(t, "", "/", c)
	engine.Stop(t)
	lab.Await(t, "rollcall's own answer", func() error {
		return want(strconv.FormatBool(rollcall.Get(t, "/").Header.Get("Rollcall-Error") != ""), "true")
	})
	engine.Start(t)
	rollcall.AwaitState(t, c, "stopped")
	c.Start(t)
	rollcall.AwaitServedBy(t, "", "/", c)
}
