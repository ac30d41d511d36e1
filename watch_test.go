package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// watchStand is /v1/watch on connections in memory, so that it has the time of a
// synctest bubble.
type watchStand struct {
	*rollcallInMemory
	t     testing.TB
	watch *Watch
	dials chan net.Conn
	open  atomic.Int64 // connections that the server holds
}

// inWatchBubble runs a test with time of its own against a Watch that runs.
func inWatchBubble(t *testing.T, test func(t *testing.T, s *watchStand)) {
	synctest.Test(t, func(t *testing.T) {
		s := &watchStand{t: t, rollcallInMemory: newRollcallInMemory(t, quiet(), newEngineInMemory(hello("web-1", "172.17.0.2"))), dials: make(chan net.Conn)}
		s.watch = NewWatch(s.Registry, s.registrar)
		s.registrar.turned = s.watch.EngineTurned
		ctx, stop := context.WithCancel(t.Context())
		server := &http.Server{Handler: s.watch, ConnState: func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				s.open.Add(1)
			case http.StateClosed:
				s.open.Add(-1)
			}
		}}
		var running sync.WaitGroup
		running.Go(func() { s.watch.Run(ctx) })
		running.Go(func() { server.Serve(s) })
		s.registrar.poll(ctx)
		connectAll(s.Registry)
		pass(time.Second)
		test(t, s)
		stop()
		if err := server.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		running.Wait()
	})
}

// Accept, Close and Addr make s the server's net.Listener.
func (s *watchStand) Accept() (net.Conn, error) {
	conn, ok := <-s.dials
	if !ok {
		return nil, net.ErrClosed
	}
	return conn, nil
}
func (s *watchStand) Close() error   { close(s.dials); return nil }
func (s *watchStand) Addr() net.Addr { return &net.TCPAddr{} }

// watcher is a client of /v1/watch.
type watcher struct {
	conn   net.Conn
	mu     sync.Mutex // guards the following
	events []sentEvent
	broken bool // the server ended the stream
}

type sentEvent struct{ id, name, data string }

// connect makes a watcher that reads everything at once.
func (s *watchStand) connect(fields ...string) *watcher {
	w := s.connectSilently(fields...)
	go w.read()
	synctest.Wait()
	return w
}

// connectSilently makes a watcher that reads nothing.
func (s *watchStand) connectSilently(fields ...string) *watcher {
	near, far := net.Pipe()
	s.dials <- far
	s.t.Cleanup(func() { near.Close() })
	request := "GET /v1/watch HTTP/1.1\r\nHost: localhost\r\n"
	for i := 0; i < len(fields); i += 2 {
		request += fields[i] + ": " + fields[i+1] + "\r\n"
	}
	fmt.Fprint(near, request+"\r\n")
	return &watcher{conn: near}
}

func (w *watcher) read() {
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.broken = true
	}()
	answer, err := http.ReadResponse(bufio.NewReader(w.conn), nil)
	if err != nil {
		return
	}
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(nil, 1<<24)
	var event sentEvent
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ": ")
		switch field {
		case "id":
			event.id = value
		case "event":
			event.name = value
		case "data":
			event.data = value
		case "":
			if value != "" { // a comment
				event.name = ":"
			}
			if event.name == "" {
				continue
			}
			w.mu.Lock()
			w.events = append(w.events, event)
			w.mu.Unlock()
			event = sentEvent{}
		}
	}
}

// take returns what came since it was called last, as "snapshot 3, engine".
func (w *watcher) take() (names string, events []sentEvent) {
	w.mu.Lock()
	defer w.mu.Unlock()
	events, w.events = w.events, nil
	var list []string
	for _, e := range events {
		name := e.name
		if version, _, ok := strings.Cut(e.id, "-"); ok {
			name += " " + version
		}
		list = append(list, name)
	}
	return strings.Join(list, ", "), events
}

func (w *watcher) want(t testing.TB, when, want string) []sentEvent {
	t.Helper()
	names, events := w.take()
	if names != want {
		t.Errorf("%s: got %q, want %q", when, names, want)
	}
	return events
}

func (w *watcher) ended() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.broken
}

func TestWatchTellsEachVersion(t *testing.T) {
	inWatchBubble(t, func(t *testing.T, s *watchStand) {
		api := newAPIDescription(t)
		w := s.connect()
		version := s.Snapshot().Version
		events := w.want(t, "at once", fmt.Sprintf("snapshot %d, engine", version))
		api.valid(t, "Snapshot", []byte(events[0].data))
		api.valid(t, "Engine", []byte(events[1].data))
		if !strings.Contains(events[0].data, fmt.Sprintf(`"version":%d,`, version)) || !strings.Contains(events[0].data, `"web-1"`) {
			t.Errorf("the snapshot is %s", events[0].data)
		}
		for i := uint64(1); i < 4; i++ {
			if i%2 == 1 {
				s.Drain(idOf("web-1"), "by hand")
			} else {
				s.Undrain(idOf("web-1"))
			}
			pass(framePause)
			w.want(t, "after a change", fmt.Sprintf("snapshot %d", version+i))
		}
	})
}

func TestWatchTellsOfTheEngine(t *testing.T) {
	inWatchBubble(t, func(t *testing.T, s *watchStand) {
		w := s.connect()
		w.take()
		s.engine.fails(errors.New("no engine"))
		s.registrar.poll(t.Context())
		pass(framePause)
		if events := w.want(t, "lost", "engine"); !strings.Contains(events[0].data, `"good":false,"error":"no engine"`) {
			t.Errorf("%s", events[0].data)
		}
		s.registrar.poll(t.Context())
		pass(framePause)
		w.want(t, "still lost", "")
		s.engine.fails(nil)
		s.registrar.poll(t.Context())
		pass(framePause)
		if events := w.want(t, "back", "engine"); !strings.Contains(events[0].data, `"good":true,"error":""`) {
			t.Errorf("%s", events[0].data)
		}
	})
}

// Who has seen the present version waits for the next one; but not one that has
// seen a version of that number from another rollcall.
func TestWatchResumes(t *testing.T) {
	inWatchBubble(t, func(t *testing.T, s *watchStand) {
		version := s.Snapshot().Version
		id := s.connect().want(t, "at first", fmt.Sprintf("snapshot %d, engine", version))[0].id
		again := s.connect("Last-Event-ID", id)
		again.want(t, "with the present version", "engine")
		s.connect("Last-Event-ID", fmt.Sprint(version)+"-another").want(t, "with another's", fmt.Sprintf("snapshot %d, engine", version))
		s.Drain(idOf("web-1"), "by hand")
		pass(framePause)
		again.want(t, "after the next", fmt.Sprintf("snapshot %d", version+1))
		s.connect("Last-Event-ID", id).want(t, "with the one before", fmt.Sprintf("snapshot %d, engine", version+1))
	})
}

func TestWatchHeartbeat(t *testing.T) {
	inWatchBubble(t, func(t *testing.T, s *watchStand) {
		w := s.connect()
		w.take()
		pass(watchHeartbeat - time.Millisecond)
		w.want(t, "before the time", "")
		pass(2 * time.Millisecond)
		w.want(t, "after 15 s", ":")
		pass(10 * watchHeartbeat)
		if names, _ := w.take(); strings.Count(names, ":") != 10 {
			t.Errorf("after 10 more: %q", names)
		}
	})
}

// A burst of versions comes in a few events, of which the last is the newest.
func TestWatchSkipsVersionsInABurst(t *testing.T) {
	inWatchBubble(t, func(t *testing.T, s *watchStand) {
		w := s.connect()
		w.take()
		for range 500 {
			s.Drain(idOf("web-1"), "by hand")
			s.Undrain(idOf("web-1"))
		}
		pass(10 * framePause)
		names, events := w.take()
		if len(events) == 0 || len(events) > 3 || !strings.HasSuffix(names, fmt.Sprint("snapshot ", s.Snapshot().Version)) {
			t.Errorf("%d events: %s", len(events), names)
		}
	})
}

// A watcher that does not read costs what it was sent last and is cut off; the
// others and the registry notice nothing.
func TestWatchCutsOffWhoDoesNotRead(t *testing.T) {
	inWatchBubble(t, func(t *testing.T, s *watchStand) {
		slow := s.connectSilently()
		w := s.connect()
		w.take()
		for range 3 {
			s.Drain(idOf("web-1"), "by hand")
			s.Undrain(idOf("web-1"))
			pass(time.Second)
			if names, _ := w.take(); !strings.HasSuffix(names, fmt.Sprint("snapshot ", s.Snapshot().Version)) {
				t.Errorf("beside a slow one: got %q", names)
			}
		}
		pass(watchPatience)
		io.Copy(io.Discard, slow.conn) // ends, since the connection is closed
		w.conn.Close()
		synctest.Wait()
		if n := s.open.Load(); n != 0 {
			t.Errorf("the server holds %d connections", n)
		}
	})
}

func TestWatchersAreSentAwayAtTheEnd(t *testing.T) {
	var w *watcher
	inWatchBubble(t, func(t *testing.T, s *watchStand) {
		w = s.connect()
		if w.ended() {
			t.Error("it ended at once")
		}
	})
	if !w.ended() {
		t.Error("it goes on")
	}
}

func TestWatchEncodesAVersionOnce(t *testing.T) {
	inWatchBubble(t, func(t *testing.T, s *watchStand) {
		f := s.watch.latest.Load()
		first := &s.watch.event(f)[0]
		for range 100 {
			s.connect()
		}
		if now := s.watch.latest.Load(); now != f || &s.watch.event(now)[0] != first {
			t.Error("the same version is encoded again")
		}
	})
}
