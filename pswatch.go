package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// psWatch is ps --watch: the table, drawn anew with each version of the registry.
type psWatch struct {
	client adminClient
	screen *screen
	json   bool // a line for each version instead

	// What was heard last.
	snapshot *watchView
	data     []byte // that it was decoded from
	engine   *engineView
	lost     error // why nothing more is heard, nil while something is

	entered bool // the terminal shows a page of ours
}

const (
	psRefresh = 2 * time.Second // on a terminal: counters move without a new version
	psRetry   = time.Second     // between two tries to reach the daemon again
)

// run draws until ctx is done. Only a first connection that fails is an error:
// afterwards the daemon may come and go.
func (w *psWatch) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	events, ends := make(chan watchEvent), make(chan error)
	var listening sync.WaitGroup
	defer listening.Wait()
	defer cancel()
	listening.Go(func() { w.listen(ctx, events, ends) })

	defer w.leave()
	tick := time.NewTicker(psRefresh)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case event := <-events:
			if err := w.take(event); err != nil {
				return err
			}
			if event.name == "snapshot" || w.screen.terminal() {
				w.draw()
			}
		case err := <-ends:
			if ctx.Err() != nil {
				return nil
			}
			if w.snapshot == nil {
				return err
			}
			if w.lost = err; w.screen.terminal() {
				w.draw()
			}
		case <-tick.C:
			if w.screen.terminal() && w.lost == nil && w.snapshot != nil {
				w.refresh(ctx)
				w.draw()
			}
		}
	}
}

// leave gives the terminal back as it was.
func (w *psWatch) leave() {
	if w.entered {
		io.WriteString(w.screen, leavePage)
	}
}

// listen follows /v1/watch until ctx is done, again and again.
func (w *psWatch) listen(ctx context.Context, events chan<- watchEvent, ends chan<- error) {
	for ctx.Err() == nil {
		err := w.client.watch(ctx, func(event watchEvent) {
			select {
			case events <- event:
			case <-ctx.Done():
			}
		})
		select {
		case ends <- err:
		case <-ctx.Done():
		}
		sleep(ctx, psRetry)
	}
}

// take keeps what an event says. An error is an answer that is not rollcall's.
func (w *psWatch) take(event watchEvent) error {
	w.lost = nil
	switch event.name {
	case "snapshot":
		w.snapshot, w.data = &watchView{}, event.data
		return json.Unmarshal(event.data, w.snapshot)
	case "engine":
		w.engine = &engineView{}
		return json.Unmarshal(event.data, w.engine)
	}
	return nil
}

// refresh asks for the counters of today. If that fails, so will the stream.
func (w *psWatch) refresh(ctx context.Context) {
	var services []serviceView
	if w.client.do(ctx, http.MethodGet, "/v1/services", &services) == nil {
		w.snapshot.Services = services
	}
}

func (w *psWatch) draw() {
	if w.json {
		fmt.Fprintf(w.screen, "%s\n", w.data)
		return
	}
	var backends []backendView
	healthy := 0
	for _, service := range w.snapshot.Services {
		backends = append(backends, service.Backends...)
		healthy += service.Healthy
	}
	lines := backendTable(w.screen, backends, time.Now())
	if !w.screen.terminal() {
		fmt.Fprintf(w.screen, "%s\n\n", strings.Join(lines, "\n"))
		return
	}
	if !w.entered {
		w.entered = true
		io.WriteString(w.screen, enterPage)
	}
	head := fmt.Sprintf("rollcall  version %d  services %d  backends %d, %d healthy", w.snapshot.Version, len(w.snapshot.Services), len(backends), healthy)
	columns := w.screen.columns()
	lines = append([]string{clip(head, columns), w.screen.styled(styleRed, clip(printable(w.trouble()), columns))}, lines...)
	w.screen.page(lines)
}

// trouble says why the table may be out of date, "" if it is not.
func (w *psWatch) trouble() string {
	switch {
	case w.lost != nil:
		return w.lost.Error() + "; trying again"
	case w.engine != nil && !w.engine.Good:
		return "the engine does not answer, this is its last roll: " + w.engine.Error
	}
	return ""
}
