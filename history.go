package main

import (
	"sync"
	"time"
)

// Event is one change that people want to see on a time line: of a backend's
// state, or of the engine's.
type Event struct {
	ID          uint64    `json:"id"` // grows by one with each event
	Time        time.Time `json:"time"`
	Kind        string    `json:"kind"`         // see the constants
	Service     string    `json:"service"`      // this and the following are "" for an engine's event
	Container   string    `json:"container"`    // its name
	ContainerID string    `json:"container_id"` //
	Was         string    `json:"was"`          // its state before, "" if it is new
	State       string    `json:"state"`        // its state since, "" if it is gone
	Reason      string    `json:"reason"`
}

// Kinds of events. A backend that gets into another state is an event of that
// state's name, but for these.
const (
	eventStarted    = "started" // it is new, or was stopped, and runs
	eventReady      = "ready"   // it gets requests
	eventEjected    = "ejected" // unhealthy, since requests to it kept failing
	eventGone       = "gone"
	eventEngineLost = "engine-lost"
	eventEngineBack = "engine-back" // also the first time that it answers
)

// eventKind names the change of a backend's state; was is "" for a new one.
func eventKind(was string, state State, ejected bool) string {
	switch {
	case state == Healthy:
		return eventReady
	case state == Starting && (was == "" || was == Stopped.String()):
		return eventStarted
	case state == Unhealthy && ejected:
		return eventEjected
	}
	return state.String()
}

// historyLength is how many events are kept.
const historyLength = 200

// History is the last events. It takes a fixed amount of memory but for the
// events' words. Safe for concurrent use.
type History struct {
	mu    sync.Mutex // guards the following; held for no longer than a copy takes
	ring  [historyLength]Event
	count uint64 // of all events so far, and the ID of the last one
}

// add makes an event the last one. It sets the event's ID.
func (h *History) add(e Event) {
	e.Time = e.Time.UTC()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.count++
	e.ID = h.count
	h.ring[e.ID%historyLength] = e
}

// Events returns the last events, oldest first.
func (h *History) Events() []Event {
	h.mu.Lock()
	defer h.mu.Unlock()
	events := make([]Event, 0, min(h.count, historyLength))
	for id := h.count + 1 - uint64(cap(events)); id <= h.count; id++ {
		events = append(events, h.ring[id%historyLength])
	}
	return events
}
