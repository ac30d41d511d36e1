package dockertest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/internal/docker"
	"rollcall/internal/docker/dockertest"
)

// ask does one request of whatever kind.
func ask(t *testing.T, e *dockertest.Engine, method, path string) *http.Response {
	t.Helper()
	transport := &http.Transport{DialContext: e.Dial, DisableKeepAlives: true}
	r, err := http.NewRequestWithContext(t.Context(), method, "http://engine"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { answer.Body.Close() })
	return answer
}

func TestOnlyReadingIsServed(t *testing.T) {
	e := dockertest.New(t)
	id := e.Add()
	var want []string
	for _, r := range [][2]string{
		{"POST", "/v1.41/containers/" + id + "/stop"}, {"DELETE", "/containers/" + id}, {"GET", "/images/json"},
		{"POST", "/containers/json"}, {"GET", "/containers/" + id + "/logs"}, {"HEAD", "/version"},
	} {
		if answer := ask(t, e, r[0], r[1]); answer.StatusCode != http.StatusForbidden {
			t.Errorf("%s: %s", r, answer.Status)
		}
		want = append(want, r[0]+" "+r[1])
	}
	for _, path := range []string{"/_ping", "/v1.41/_ping", "/version", "/v1.30/version", "/containers/json", "/containers/" + id[:12] + "/json"} {
		if answer := ask(t, e, "GET", path); answer.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", path, answer.Status)
		}
	}
	if got := e.Refused(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A failing test of its own, that New and Cleanup are run with.
type failing struct {
	testing.TB
	errors   []string
	cleanups []func()
}

func (f *failing) Helper()                   {}
func (f *failing) Cleanup(do func())         { f.cleanups = append(f.cleanups, do) }
func (f *failing) Errorf(s string, a ...any) { f.errors = append(f.errors, fmt.Sprintf(s, a...)) }
func (f *failing) finish() {
	for _, do := range slices.Backward(f.cleanups) {
		do()
	}
}

func TestMisuseFailsTheTest(t *testing.T) {
	f := &failing{TB: t}
	e := dockertest.New(f)
	ask(t, e, "POST", "/containers/prune")
	e.Stop("nobody")
	f.finish()
	if got := strings.Join(f.errors, "\n"); !strings.Contains(got, `never was a container "nobody"`) || !strings.Contains(got, "POST /containers/prune") {
		t.Errorf("%q", got)
	}
}

func TestOnlyTheRunningOnes(t *testing.T) {
	e := dockertest.New(t)
	want := []string{e.Add(), e.Add()}
	e.Add(dockertest.Created())
	e.Stop(e.Add())
	e.Pause(want[0])
	var list []struct{ ID string }
	if err := json.NewDecoder(ask(t, e, "GET", "/containers/json").Body).Decode(&list); err != nil {
		t.Fatal(err)
	}
	if len(list) != 2 || list[0].ID != want[1] || list[1].ID != want[0] {
		t.Errorf("got %v, want %v, newest first", list, want)
	}
}

func TestEventsSince(t *testing.T) {
	e := dockertest.New(t)
	e.Add()
	now := time.Now()
	id := e.Add(dockertest.Name("web"))
	for _, c := range []struct {
		filters string
		want    []string
	}{
		{"", []string{"create", "connect", "start"}},
		{`{"type":{"container":true}}`, []string{"create", "start"}},
		{`{"event":{"create":true}}`, []string{"create"}},
		{`{"container":{"web":true},"event":{"st":true,"health_status":true}}`, []string{"start"}}, // a prefix, then
		{`{"container":{"` + id + `":true},"type":{"network":true,"container":true}}`, []string{"create", "start"}},
	} {
		answer := ask(t, e, "GET", fmt.Sprintf("/events?since=%d.%09d&filters=%s", now.Unix(), now.Nanosecond(), c.filters))
		decoder := json.NewDecoder(answer.Body)
		for _, want := range c.want {
			var event struct{ Action string }
			if err := decoder.Decode(&event); err != nil || event.Action != want {
				t.Errorf("%s: got %v (%v), want %s", c.filters, event, err, want)
				break
			}
		}
		answer.Body.Close()
	}
	for _, bad := range []string{"x", `{"colour":{"red":true}}`} {
		if answer := ask(t, e, "GET", "/events?filters="+bad); answer.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %s", bad, answer.Status)
		}
	}
}

func TestWhatDownLeaves(t *testing.T) {
	e := dockertest.New(t)
	path := strings.TrimPrefix(e.Host(), "unix://")
	dial := func() error {
		conn, err := net.Dial("unix", path)
		if err == nil {
			conn.Close()
		}
		return err
	}
	for range 3 {
		if err := dial(); err != nil {
			t.Error(err)
		}
		e.Down()
		e.Down()
		if err := dial(); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("down: %v", err)
		}
		e.Up()
		e.Up()
		e.DownHard()
		if _, err := os.Stat(path); err != nil || dial() == nil {
			t.Errorf("down hard: %v", err)
		}
		e.Heal()
	}
}

// Nothing that hangs keeps a test from ending: the engine's end releases it.
func TestNothingHangsForEver(t *testing.T) {
	f := &failing{TB: t}
	e := dockertest.New(f)
	c := e.Client(t)
	id := e.Add()
	ended := make(chan error)
	go func() { ended <- c.Watch(t.Context(), func(docker.Event) {}) }()
	e.AwaitStreams(1)
	e.HangLists(-1)
	e.HangInspects(1)
	go func() { _, err := c.List(t.Context()); ended <- err }()
	go func() { _, err := c.Inspect(t.Context(), id); ended <- err }()
	e.AwaitCalls(dockertest.List, 1)
	e.AwaitCalls(dockertest.Inspect, 1)
	f.finish()
	for range 3 {
		if err := <-ended; err == nil {
			t.Error("no error")
		}
	}
	if len(f.errors) > 0 {
		t.Errorf("%q", f.errors)
	}
}

func TestFaultsFollowEachOther(t *testing.T) {
	e := dockertest.New(t)
	c := e.Client(t)
	list := func() string {
		_, err := c.List(t.Context())
		return fmt.Sprint(err)
	}
	e.FailLists(2, 500)
	e.TruncateLists(1)
	e.GarbleLists(0, "never")
	e.FailLists(-1, 418)
	for i, want := range []string{"fault", "fault", "cut off", "fault", "fault", "fault"} {
		if got := list(); !strings.Contains(got, want) {
			t.Errorf("list %d: %s, want %s", i, got, want)
		}
	}
	e.Heal()
	if got := list(); got != "<nil>" {
		t.Error(got)
	}
	c = e.Client(t)
	e.FailPings(1, 500)
	e.FailPings(2, 403) // HEAD and GET
	for i, want := range []string{"list containers: ping: answered 500 Internal Server Error", "let it pass GET _ping", "<nil>"} {
		if got := list(); !strings.Contains(got, want) {
			t.Errorf("ping %d: %s, want %s", i, got, want)
		}
	}
}

func TestSlowLists(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := dockertest.New(t, dockertest.InMemory())
		c := e.Client(t)
		e.SlowLists(4 * time.Second)
		start := time.Now()
		if _, err := c.List(t.Context()); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took != 4*time.Second {
			t.Errorf("took %v", took)
		}
		c.Close()
	})
}

// A stop takes its time in a container that finishes its requests: the list says
// "running" until it is done, as the real one does.
func TestBeginStop(t *testing.T) {
	e := dockertest.New(t)
	id := e.Add()
	state := func() string {
		c, _ := e.Container(id)
		return c.State
	}
	finish := e.BeginStop(id)
	if state() != "running" {
		t.Error(state())
	}
	finish()
	finish()
	if state() != "exited" {
		t.Error(state())
	}
	late := e.BeginStop(id) // doesn't run
	e.Start(id)
	late()
	if state() != "running" {
		t.Error("stopped by what was refused")
	}
	finish = e.BeginStop(id)
	e.Remove(id, true)
	finish()
	if _, ok := e.Container(id); ok {
		t.Error("still there")
	}
}

func TestWhatTheEngineRefuses(t *testing.T) {
	e := dockertest.New(t)
	id := e.Add(dockertest.Created())
	e.Stop(id)
	e.Pause(id)
	e.Unpause(id)
	e.Kill(id, "")
	e.Die(id, 1)
	e.SetHealth(id, "healthy")
	e.Disconnect(id, "nowhere")
	if c, _ := e.Container(id); c.State != "created" {
		t.Error(c.State)
	}
	e.Start(id)
	e.Remove(id, false)
	e.SetHealth(id, "healthy") // has no check
	if c, _ := e.Container(id); c.State != "running" || c.Health != "" {
		t.Errorf("%+v", c)
	}
	// A signal to a paused container waits until it goes on.
	e.Pause(id)
	e.Kill(id, "TERM")
	if c, _ := e.Container(id); c.State != "paused" {
		t.Error(c.State)
	}
	e.Unpause(id)
	if c, _ := e.Container(id); c.State != "exited" {
		t.Error(c.State)
	}
	e.Restart(id)
	e.SetAddress(id, "bridge", "127.0.0.9")
	e.Die(id, 3)
	e.Start(id)
	if c, _ := e.Container(id); c.Networks[0].IP.String() != "127.0.0.9" {
		t.Errorf("%+v", c)
	}
}

func TestLongNamesOfTestsAreNoPathsOfSockets(t *testing.T) {
	t.Run(strings.Repeat("long", 50), func(t *testing.T) {
		if _, err := dockertest.New(t).Client(t).List(context.Background()); err != nil {
			t.Error(err)
		}
	})
}
