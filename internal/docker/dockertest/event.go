package dockertest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// A message is an event as the engine writes it.
type message struct {
	Status string `json:"status,omitempty"`
	ID     string `json:"id,omitempty"`
	From   string `json:"from,omitempty"`
	Type   string
	Action string
	Actor  actor

	Scope    string `json:"scope"`
	Time     int64  `json:"time"`
	TimeNano int64  `json:"timeNano"`
}

type actor struct {
	ID         string
	Attributes map[string]string
}

// emit makes an event of a container. e.mu is held.
func (e *Engine) emit(c *ctr, action string, attributes ...string) {
	attr := maps.Clone(c.labels)
	attr["image"] = c.image
	attr["name"] = c.name
	for i := 0; i < len(attributes); i += 2 {
		attr[attributes[i]] = attributes[i+1]
	}
	e.publish(message{
		Status: action, ID: c.id, From: c.image,
		Type: "container", Action: action,
		Actor: actor{c.id, attr},
	})
}

// emitNetwork makes an event of a network that a container comes to or leaves.
// e.mu is held.
func (e *Engine) emitNetwork(c *ctr, n *bridge, action string) {
	kind := "bridge"
	switch n.name {
	case "host":
		kind = "host"
	case "none":
		kind = "null"
	}
	e.publish(message{
		Type: "network", Action: action,
		Actor: actor{n.id, map[string]string{"container": c.id, "name": n.name, "type": kind}},
	})
}

// publish gives a message to all streams, through the faults. e.mu is held.
func (e *Engine) publish(m message) {
	now := e.tick()
	m.Scope, m.Time, m.TimeNano = "local", now.Unix(), now.UnixNano()
	if e.faults.dropEvents {
		return
	}
	e.history = append(e.history, m)
	batch := []message{m}
	if e.faults.doubleEvents {
		batch = append(batch, m)
	}
	if e.faults.reorderEvents {
		if e.held == nil {
			e.held = &m
			return
		}
		batch = append(batch, *e.held)
		e.held = nil
	}
	e.send(batch...)
}

// tick returns the time, later than any before: in a testing/synctest bubble the
// clock stands still while a container stops and starts. e.mu is held.
func (e *Engine) tick() time.Time {
	now := time.Now()
	if !now.After(e.last) {
		now = e.last.Add(1)
	}
	e.last = now
	return now
}

func (e *Engine) send(batch ...message) {
	for s := range e.streams {
		s.queue = append(s.queue, batch...)
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

// A stream is one client's event stream. queue is guarded by Engine.mu.
type stream struct {
	queue []message
	wake  chan struct{}
	cut   chan struct{} // closed by CutEvents
}

// serveEvents is GET /events.
func (e *Engine) serveEvents(w http.ResponseWriter, r *http.Request) {
	pass, err := parseFilters(r.URL.Query().Get("filters"))
	if err != nil {
		writeError(w, http.StatusBadRequest, err.Error())
		return
	}
	s := &stream{wake: make(chan struct{}, 1), cut: make(chan struct{})}
	e.openStream(s, r.URL.Query().Get("since"))
	defer e.closeStream(s)

	w.Header().Set("Content-Type", "application/json")
	flush := http.NewResponseController(w)
	encoder := json.NewEncoder(w)
	for {
		e.mu.Lock()
		batch := s.queue
		s.queue = nil
		e.mu.Unlock()
		for _, m := range batch {
			if pass(m) && encoder.Encode(m) != nil {
				return
			}
		}
		if flush.Flush() != nil {
			return
		}
		select {
		case <-s.wake:
		case <-s.cut:
			panic(http.ErrAbortHandler)
		case <-r.Context().Done():
			return
		}
	}
}

func (e *Engine) openStream(s *stream, since string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if since != "" {
		for _, m := range e.history {
			if m.TimeNano >= parseTimestamp(since) {
				s.queue = append(s.queue, m)
			}
		}
	}
	e.streams[s] = true
	e.changed.Broadcast()
}

func (e *Engine) closeStream(s *stream) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.streams, s)
	e.changed.Broadcast()
}

// parseTimestamp reads "1795491319.380575032" as nanoseconds.
func parseTimestamp(s string) int64 {
	seconds, fraction, _ := strings.Cut(s, ".")
	sec, _ := strconv.ParseInt(seconds, 10, 64)
	nano, _ := strconv.ParseInt((fraction + "000000000")[:9], 10, 64)
	return sec*1e9 + nano
}

// parseFilters reads {"type":{"container":true},"event":{"start":true}}.
func parseFilters(s string) (func(message) bool, error) {
	filters := make(map[string]map[string]bool)
	if s != "" {
		if err := json.Unmarshal([]byte(s), &filters); err != nil {
			return nil, err
		}
	}
	for key := range filters {
		if key != "type" && key != "event" && key != "container" {
			return nil, fmt.Errorf("invalid filter '%s'", key)
		}
	}
	// With one of these the real engine takes all of the words for prefixes.
	event := filters["event"]
	prefix := event["health_status"] || event["exec_create"] || event["exec_start"]
	return func(m message) bool {
		return match(filters["type"], m.Type, false) &&
			match(event, m.Action, prefix) &&
			(match(filters["container"], m.Actor.ID, false) || match(filters["container"], m.Actor.Attributes["name"], false))
	}, nil
}

func match(words map[string]bool, s string, prefix bool) bool {
	if len(words) == 0 || words[s] {
		return true
	}
	for word := range words {
		if prefix && strings.HasPrefix(s, word) {
			return true
		}
	}
	return false
}
