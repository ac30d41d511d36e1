package main

import (
	"cmp"
	"time"
)

// record is the registry's own record of a backend: what each observer said
// last. Guarded by Registry.mu. Its state is derived from that, never set.
type record struct {
	source  string
	entry   Entry
	poll    uint64 // the last Replace that had it
	backend *Backend

	started     time.Time // last start that an event told of, by the engine's clock
	reach       reach
	reachedAt   time.Time // of the last Connected
	reachCause  Cause     // why reach is lost or not yet there
	reachReason string    // the same in words
	unconfirmed bool      // an event says that it lives anew; its address counts when a poll has confirmed it
	drain       drain     // zero when it is not draining
	ejected     ejection  // zero when it is not ejected
	checked     bool      // an active check has had a result since it (re)started
	check       string    // what the active check found wrong, "" when it passes or there is none
	state       State     // derived at the last publish
	cause       Cause     //
	reason      string    //
	since       time.Time // of state; zero before the first publish
}

// reach is whether connections to a backend succeed.
type reach uint8

const (
	unreached reach = iota // none has yet since it (re)started
	reached
	lost // they did, and now fail
)

// drain is the wish to send a backend no new requests.
type drain struct {
	reason string    // "" when there is none
	byHand bool      // until undone; else until the container stops or until passes
	at     time.Time // of the event that announced the end, by the engine's clock
	since  time.Time // when it began
	until  time.Time // zero: no end
	cut    bool      // what was in flight has had its time and was cut off
}

// cutAt returns when requests in flight have had limit; zero if it isn't due.
func (d *drain) cutAt(limit time.Duration) time.Time {
	if d.reason == "" || d.cut {
		return time.Time{}
	}
	return d.since.Add(limit)
}

// ejection is what passive checks make of a backend that keeps failing.
type ejection struct {
	reason string // "" when there is none
	times  int    // in a row, for the backoff
	until  time.Time
	trial  bool // the backoff is over, one request may try
}

func newRecord(source string, entry Entry) *record {
	return &record{source: source, entry: entry, backend: NewBackend(entry.Spec), reachCause: CauseUntried}
}

// follow returns the record for what the engine says now of the same container
// and service. With an equal spec it is rec itself, and its Backend is kept.
func (rec *record) follow(source string, entry Entry) *record {
	next := rec
	if rec.entry.Spec != entry.Spec {
		next = newRecord(source, entry)
		rec.backend.disconnect()
		next.drain, next.started = rec.drain, rec.started
		next.state, next.since = rec.state, rec.since
		if entry.Candidates == "" {
			// It only stopped: its counters are still what people want to see.
			next.backend.inherit(rec.backend)
		}
	}
	next.source, next.entry = source, entry
	if entry.Engine == EngineStopped && !next.drain.byHand {
		next.drain = drain{} // what the signal announced has happened
	}
	return next
}

// end makes the record drain because the container ends, and reports whether
// that is news.
func (rec *record) end(reason string, at, now, until time.Time) bool {
	switch {
	case rec.drain.byHand, rec.entry.Engine == EngineStopped:
		return false
	case !at.After(rec.started), !at.After(rec.drain.at), !now.Before(until):
		return false // late news of a life that is over, or told twice
	}
	// Two signals (stop, then kill) are one end: the later says how it goes.
	rec.drain = drain{reason: reason, at: at, since: cmp.Or(rec.drain.since, now), until: until}
	return true
}

// derive makes one state of all that is known, the strongest word first.
func (rec *record) derive() (State, Cause, string) {
	switch {
	case rec.entry.Engine == EngineStopped:
		return Stopped, CauseStopped, "the container does not run"
	case rec.entry.Engine == EnginePaused:
		return Paused, CausePaused, "the container is paused"
	case rec.drain.byHand:
		return Draining, CauseDrained, rec.drain.reason
	case rec.drain.reason != "":
		return Draining, CauseEnding, rec.drain.reason
	case rec.entry.Engine == EngineStarting:
		return Starting, CauseUnproven, "its HEALTHCHECK has not passed yet"
	case rec.entry.Candidates == "":
		return Starting, CauseUntried, "it has no address yet"
	case rec.reach == unreached:
		return Starting, rec.reachCause, "no connection to it has succeeded yet" + because(rec.reachReason)
	case rec.entry.Check.Path != "" && !rec.checked && rec.reach == reached:
		return Starting, CauseUnchecked, "its health check " + rec.entry.Check.Path + " has not passed yet" + because(rec.check)
	case rec.entry.Engine == EngineUnhealthy:
		return Unhealthy, CauseUnsound, "its HEALTHCHECK fails"
	case rec.reach == lost:
		return Unhealthy, rec.reachCause, "connections to it fail" + because(rec.reachReason)
	case rec.check != "":
		return Unhealthy, CauseCheck, rec.check
	case rec.ejected.reason != "":
		return Unhealthy, CauseFailing, rec.ejected.reason
	}
	return Healthy, NoCause, "a connection to " + rec.backend.Address() + " succeeded"
}

// member is the record as a snapshot shows it.
func (rec *record) member() Member {
	return Member{Backend: rec.backend, Name: rec.entry.Name, State: rec.state, Cause: rec.cause, Reason: rec.reason, Since: rec.since,
		stopping: rec.drain.reason != "" && !rec.drain.byHand,
		probed:   rec.runs() && rec.reach != reached && !rec.unconfirmed,
		gone:     rec.unconfirmed,
		trial:    rec.ejected.trial}
}

// runs tells whether there is a process that could be connected to.
func (rec *record) runs() bool {
	return rec.entry.Candidates != "" && rec.entry.Engine != EngineStopped && rec.entry.Engine != EnginePaused
}

// drainCut tells, once, that requests in flight have had limit to end.
func (rec *record) drainCut(limit time.Duration, now time.Time) bool {
	t := rec.drain.cutAt(limit)
	if t.IsZero() || now.Before(t) {
		return false
	}
	rec.drain.cut = true
	return true
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}
