package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Watch serves /v1/watch: server-sent events, one for each new version of the
// registry.
//
// Of the registry's side there is one goroutine, Run, however many watchers there
// are; it wakes them. A version is encoded once, by the first watcher who needs
// it, and shared. Each watcher gets what is newest when it can take it: versions
// that come faster are skipped, so that nothing is kept for the slow. Who takes
// longer than patience over one event is cut off.
type Watch struct {
	registry  *Registry
	registrar *Registrar
	instance  string // tells this process's versions from another's

	patience  time.Duration
	heartbeat time.Duration

	turned chan struct{}         // holds one word that the engine is lost or back
	latest atomic.Pointer[frame] // never nil; stored by Run
	ended  chan struct{}         // closed at the end of Run
}

// frame is what all watchers should have seen.
type frame struct {
	snapshot   *Snapshot
	turns      int           // how often the engine was lost or came back
	superseded chan struct{} // closed when the next frame is there

	once  sync.Once
	event []byte // of the snapshot, once it was asked for
}

const (
	watchPatience  = 10 * time.Second
	watchHeartbeat = 15 * time.Second

	// framePause bounds how often watchers are woken: a burst of changes
	// (compose up) comes in a few events.
	framePause = 20 * time.Millisecond
)

// NewWatch returns a Watch of a registry. Changes are told of while Run runs.
func NewWatch(registry *Registry, registrar *Registrar) *Watch {
	w := &Watch{
		registry: registry, registrar: registrar,
		instance: strconv.FormatInt(time.Now().UnixMilli(), 36),
		patience: watchPatience, heartbeat: watchHeartbeat,
		turned: make(chan struct{}, 1), ended: make(chan struct{}),
	}
	w.latest.Store(&frame{snapshot: registry.Snapshot(), superseded: make(chan struct{})})
	return w
}

// EngineTurned is to be called when the engine was lost or is back. It never
// waits.
func (w *Watch) EngineTurned() {
	select {
	case w.turned <- struct{}{}:
	default:
	}
}

// Run tells the watchers of changes until ctx is done; then it sends them away.
func (w *Watch) Run(ctx context.Context) error {
	defer close(w.ended)
	for {
		last := w.latest.Load()
		turns := last.turns
		select {
		case <-ctx.Done():
			return nil
		case <-last.snapshot.Superseded():
		case <-w.turned:
			turns++
		}
		w.latest.Store(&frame{snapshot: w.registry.Snapshot(), turns: turns, superseded: make(chan struct{})})
		close(last.superseded)
		sleep(ctx, framePause)
	}
}

// ServeHTTP sends one watcher what it has not seen, until it leaves.
func (w *Watch) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	now := w.latest.Load()
	header := rw.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no") // a proxy in front must not wait for more
	header.Set("Rollcall-Version", strconv.FormatUint(now.snapshot.Version, 10))
	if r.Method == http.MethodHead {
		return
	}
	heartbeat := time.NewTicker(w.heartbeat)
	defer heartbeat.Stop()
	stream := &eventStream{rw, http.NewResponseController(rw), w.patience}
	seen, turns := r.Header.Get("Last-Event-ID"), -1
	err := stream.send([]byte("retry: 1000\n\n"))
	for err == nil {
		if id := w.id(now.snapshot); id != seen {
			seen = id
			err = stream.send(w.event(now))
		}
		if err == nil && turns != now.turns {
			turns = now.turns
			err = stream.send(w.engineEvent())
		}
		if err != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-w.ended:
			return
		case <-heartbeat.C:
			err = stream.send([]byte(": still here\n\n"))
		case <-now.superseded:
			now = w.latest.Load()
		}
	}
}

// id names a snapshot among those of all processes: the client may have been
// connected to another rollcall before, which counted its versions too.
func (w *Watch) id(s *Snapshot) string { return fmt.Sprintf("%d-%s", s.Version, w.instance) }

// watchView is the data of a snapshot event.
type watchView struct {
	Version  uint64        `json:"version"`
	Time     time.Time     `json:"time"`
	Services []serviceView `json:"services"`
}

// event returns the event that shows a frame's snapshot.
func (w *Watch) event(f *frame) []byte {
	f.once.Do(func() {
		view := watchView{f.snapshot.Version, f.snapshot.Time.UTC(), newServiceViews(f.snapshot, w.registrar.Roll().Engine)}
		f.event = encodeEvent("snapshot", w.id(f.snapshot), view)
	})
	return f.event
}

func (w *Watch) engineEvent() []byte {
	return encodeEvent("engine", "", newEngineView(w.registrar, time.Now()))
}

// encodeEvent makes an event whose data is a view; with the ID "" it has none.
func encodeEvent(name, id string, view any) []byte {
	data, err := json.Marshal(view) // without a line break
	if err != nil {
		panic(err)
	}
	event := make([]byte, 0, len(data)+64)
	if id != "" {
		event = fmt.Appendf(event, "id: %s\n", id)
	}
	event = fmt.Appendf(event, "event: %s\ndata: ", name)
	return append(append(event, data...), "\n\n"...)
}

// eventStream is the way to one watcher.
type eventStream struct {
	http.ResponseWriter
	controller *http.ResponseController
	patience   time.Duration
}

// send returns an error if the watcher did not take the event in time. Nothing
// more can be sent then.
func (s *eventStream) send(event []byte) error {
	if err := s.controller.SetWriteDeadline(time.Now().Add(s.patience)); err != nil {
		return err
	}
	if _, err := s.Write(event); err != nil {
		return err
	}
	return s.controller.Flush()
}
