package docker_test

import (
	"context"
	"io"
	"log"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/internal/docker"
	"rollcall/internal/docker/dockertest"
)

var quiet = log.New(io.Discard, "", 0)

// A watcher collects what Watch tells.
type watcher struct {
	events chan docker.Event
	ended  chan error
	cancel context.CancelFunc
}

// watch starts a watcher whose stream is open.
func watch(t *testing.T, e *dockertest.Engine, c *docker.Client) *watcher {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w := &watcher{events: make(chan docker.Event, 100), ended: make(chan error, 1), cancel: cancel}
	go func() { w.ended <- c.Watch(ctx, func(e docker.Event) { w.events <- e }) }()
	t.Cleanup(cancel)
	e.AwaitStreams(1)
	return w
}

// actions returns the next n events as "action container's ID".
func (w *watcher) actions(t *testing.T, n int) []string {
	t.Helper()
	var got []string
	for len(got) < n {
		select {
		case e := <-w.events:
			got = append(got, e.Action)
		case err := <-w.ended:
			t.Fatalf("the stream ended after %q: %v", got, err)
		}
	}
	return got
}

func TestWatch(t *testing.T) {
	e := dockertest.New(t)
	w := watch(t, e, e.Client(t))
	before := time.Now()
	id := e.Add(dockertest.Name("web"), dockertest.StopSignal("QUIT"), dockertest.Label("a", "b"))
	e.Exec(id, "/bin/check") // dropped
	e.Stop(id)
	e.Remove(id, false)
	var kill docker.Event
	want := []string{"create", "connect", "start", "kill", "die", "disconnect", "stop", "destroy"}
	for _, action := range want {
		got := <-w.events
		if got.Action != action || got.ID != id {
			t.Fatalf("got %+v, want %s", got, action)
		}
		if got.Action == "kill" {
			kill = got
		}
	}
	if kill.Signal != "SIGQUIT" || kill.Name != "web" || kill.Attributes["a"] != "b" || kill.Time.Before(before) {
		t.Errorf("%+v", kill)
	}
	w.cancel()
	if err := <-w.ended; err != nil {
		t.Error(err)
	}
	e.AwaitStreams(0)
}

func TestWatchEnds(t *testing.T) {
	for name, end := range map[string]func(*dockertest.Engine){
		"cut":  (*dockertest.Engine).CutEvents,
		"down": (*dockertest.Engine).Down,
	} {
		t.Run(name, func(t *testing.T) {
			e := dockertest.New(t)
			c := e.Client(t)
			w := watch(t, e, c)
			end(e)
			checkError(t, <-w.ended, "follow the events", "the engine ended the stream")
			e.Up()
			checkTruth(t, c, e)
			e.AwaitStreams(0)
			w = watch(t, e, c)
			e.Add()
			w.actions(t, 3)
		})
	}
}

// A stream that lies is passed on as it is: it's only a reason to list.
func TestWatchPassesOnWhatItGets(t *testing.T) {
	e := dockertest.New(t)
	w := watch(t, e, e.Client(t))
	id := e.Add()
	w.actions(t, 3)

	e.DropEvents(true)
	e.Pause(id)
	e.DropEvents(false)
	e.DoubleEvents(true)
	e.Unpause(id)
	e.DoubleEvents(false)
	e.ReorderEvents(true)
	e.Kill(id, "HUP")
	e.Rename(id, "x")
	e.Pause(id)
	e.ReorderEvents(false)
	want := []string{"unpause", "unpause", "rename", "kill", "pause"}
	if got := w.actions(t, 5); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestOpenedComesBeforeTheEvents(t *testing.T) {
	e := dockertest.New(t)
	opened := make(chan bool, 10)
	c := newClient(t, docker.Options{Host: e.Host(), Opened: func() { opened <- true }})
	e.HangAll()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- c.Watch(ctx, func(docker.Event) { opened <- false }) }()
	e.AwaitCalls(dockertest.Ping, 1)
	select {
	case <-opened:
		t.Error("opened before the engine answered")
	default:
	}
	e.Heal()
	if first := <-opened; !first {
		t.Error("an event before")
	}
	e.Add()
	for range 3 {
		if <-opened {
			t.Error("opened twice")
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}

	// Where it cannot be opened, it isn't.
	e.Down()
	c.Watch(t.Context(), func(docker.Event) {})
	if len(opened) != 0 {
		t.Error("opened, with the engine down")
	}
}

// A silent stream is not late, however long the deadline of a call is past; and
// in the bubble nothing of it stays behind.
func TestASilentStreamLivesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := dockertest.New(t, dockertest.InMemory())
		c := e.Client(t)
		w := watch(t, e, c)
		time.Sleep(24 * time.Hour)
		id := e.Add()
		if got := w.actions(t, 3); !slices.Equal(got, []string{"create", "connect", "start"}) {
			t.Errorf("got %q", got)
		}
		if _, err := c.Inspect(t.Context(), id); err != nil {
			t.Error(err)
		}
		checkTruth(t, c, e)

		start := time.Now()
		e.HangLists(1)
		_, err := c.List(t.Context())
		checkError(t, err, "didn't answer within 10s")
		if late := time.Since(start); late != 10*time.Second {
			t.Errorf("after %v", late)
		}
		e.Add() // the stream has not ended with the list
		w.actions(t, 3)

		c.Close()
		checkError(t, <-w.ended, "the client is closed")
	})
}

// Polls that are further apart than idle connections live begin anew, and so see
// an upgrade in between.
func TestRarePolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := dockertest.New(t, dockertest.InMemory())
		c := e.Client(t)
		checkTruth(t, c, e)
		time.Sleep(time.Hour)
		e.SetAPIVersion("1.45")
		if got := version(t, c); got != "1.45" {
			t.Errorf("spoke %s", got)
		}
		c.Close()
	})
}
