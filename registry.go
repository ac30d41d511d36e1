package main

import (
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Registry is the database of the network locations of all service instances:
// a mutex-guarded list of backends, which readers get as an immutable Snapshot
// behind an atomic pointer, so that no request waits for a writer and an index
// can't disagree with a length.
//
// Sources say what runs (Replace), observers say how it is (Connected, Eject,
// Drain …). Everything is published whole; what changes nothing publishes
// nothing. All methods are safe for concurrent use.
type Registry struct {
	log        *slog.Logger
	drainLimit time.Duration            // how long requests in flight of a draining backend may go on
	current    atomic.Pointer[Snapshot] // never nil; stored with mu held
	history    History                  // of what is logged
	queue      changeQueue              // what is to be changed next

	mu         sync.Mutex           // guards the following; never held across I/O
	rosters    map[string]*roster   // by service
	containers map[string][]*roster // by container: it may serve several services, and is a member of each
	expiring   map[*record]*roster  // those with a drain or an ejection
	changed    []*roster            // since the last publish
	polls      uint64               // calls of Replace
}

// NewRegistry returns an empty registry, whose snapshot has version 0.
// drainLimit is how long requests in flight of a draining backend may go on.
// It logs one line for each change of a backend's state.
func NewRegistry(log *slog.Logger, drainLimit time.Duration) *Registry {
	r := &Registry{log: log, drainLimit: drainLimit, rosters: map[string]*roster{}, containers: map[string][]*roster{}, expiring: map[*record]*roster{}}
	r.current.Store(&Snapshot{Time: time.Now(), superseded: make(chan struct{})})
	return r
}

// Snapshot returns the registry's present state. It is never nil and never
// changes.
func (r *Registry) Snapshot() *Snapshot { return r.current.Load() }

// List returns the backends of the present snapshot, sorted by service, age and
// container. The slice is the snapshot's: it must not be changed.
func (r *Registry) List() []Member { return r.Snapshot().Members() }

// History returns the last changes of states.
func (r *Registry) History() *History { return &r.history }

// Len returns the number of backends of the present snapshot.
func (r *Registry) Len() int { return r.Snapshot().Len() }

// Lookup returns the backends of a container, by its whole ID.
func (r *Registry) Lookup(containerID string) []Member {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []Member
	for _, ros := range r.containers[containerID] {
		for _, m := range ros.service.Members {
			if m.ContainerID == containerID {
				found = append(found, m)
			}
		}
	}
	return found
}

// Replace makes the entries all that source has. An equal spec keeps its
// Backend, with counters, connections and state; a changed one is a new Backend;
// what the roll lacks is gone. An equal roll publishes nothing.
func (r *Registry) Replace(source string, roll []Entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	r.makeChanges(now)
	r.polls++
	for i := range roll {
		entry := &roll[i]
		ros := r.roster(entry.Service)
		rec := ros.records[entry.ContainerID]
		switch {
		case rec == nil:
			rec = newRecord(source, *entry)
			r.put(ros, rec)
		case rec.entry != *entry:
			rec = rec.follow(source, *entry)
			r.put(ros, rec)
		case rec.unconfirmed:
			r.touch(ros)
		}
		rec.unconfirmed, rec.poll = false, r.polls
	}
	for _, ros := range r.rosters {
		for _, rec := range ros.records {
			if rec.source == source && rec.poll != r.polls {
				r.drop(ros, rec, "removed", now)
			}
		}
	}
	r.publishChanged(now)
}

// Remove takes all backends of a container out, before the next poll does.
// It reports whether there were any.
func (r *Registry) Remove(containerID string) (removed bool) {
	r.update(func(now time.Time) {
		for _, ros := range slices.Clone(r.containers[containerID]) {
			r.drop(ros, ros.records[containerID], "removed", now)
			removed = true
		}
	})
	return removed
}

// Connected notes that a connection to address succeeded: requests go there
// from now on.
func (r *Registry) Connected(b *Backend, address string) {
	r.of(b, func(rec *record, now time.Time) bool {
		if rec.reach == reached && b.Address() == address {
			return false
		}
		b.connect(address)
		b.life.Add(1)
		rec.reach, rec.reachCause, rec.reachReason, rec.reachedAt = reached, NoCause, "", now
		return true
	})
}

// Unreachable notes that a connection to b failed, and why, also in a few words.
// It is out of rotation until one succeeds.
func (r *Registry) Unreachable(b *Backend, cause Cause, reason string) {
	r.of(b, func(rec *record, _ time.Time) bool {
		if rec.reach == lost || rec.reach == unreached && rec.reachReason == reason {
			return false
		}
		if rec.reach == reached {
			rec.reach = lost
		}
		rec.reachCause, rec.reachReason = cause, reason
		return true
	})
}

// Unready notes that b broke a connection, made in one of its lives, before it
// has ever answered: something accepts connections in its place, as Docker's
// userland proxy does for a published port. It is out of rotation until the next
// connection succeeds, which is watched for longer. Some starts are that slow, and others never end: it
// reports false if it has happened too often to count as a start.
func (r *Registry) Unready(b *Backend, life uint32, reason string) (starting bool) {
	r.of(b, func(rec *record, _ time.Time) (changed bool) {
		if b.life.Load() != life || rec.reach != reached {
			starting = true // one of several requests that saw the same
			return false
		}
		if b.falseStarts.Load() == mostFalseStarts {
			return false
		}
		b.falseStarts.Add(1)
		rec.reach, rec.reachCause, rec.reachReason = lost, CauseClosed, reason
		starting = true
		return true
	})
	return starting
}

// mostFalseStarts is how often a backend may break a connection before its first
// answer, and not count as failing.
const mostFalseStarts = 3

// Drain sends the backends of a container no new requests until Undrain.
// It reports whether the container is known.
func (r *Registry) Drain(containerID, reason string) bool {
	return r.each(containerID, func(rec *record, now time.Time) bool {
		if rec.drain.byHand {
			return false
		}
		rec.drain = drain{reason: reason, byHand: true, since: now}
		return true
	})
}

// Stopping notes that at this time (by the engine's clock) a container was told
// to end: no new requests go there until it has stopped or, if it does not,
// until the given time (by rollcall's clock).
func (r *Registry) Stopping(containerID, reason string, at, until time.Time) {
	r.each(containerID, func(rec *record, now time.Time) bool { return rec.end(reason, at, now, until) })
}

// Ending returns the backends of containers that were told to end.
func (r *Registry) Ending() (ending []Member) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for rec := range r.expiring {
		if m := rec.member(); m.stopping {
			ending = append(ending, m)
		}
	}
	return ending
}

// Died notes that a container's process ended at this time (by the engine's
// clock). Its address may be another container's from now on; only a poll can
// tell.
func (r *Registry) Died(containerID string, at, until time.Time) {
	r.each(containerID, func(rec *record, now time.Time) bool {
		if !rec.end("its process has ended", at, now, until) {
			return false
		}
		rec.unconfirmed = true
		return true
	})
}

// Undrain puts the backends of a container back into rotation. It reports
// whether the container is known.
func (r *Registry) Undrain(containerID string) bool {
	return r.each(containerID, func(rec *record, _ time.Time) bool {
		was := rec.drain
		rec.drain = drain{}
		return was.reason != ""
	})
}

// Restarted notes that a container began anew at this time (by the engine's
// clock): what was known of its readiness and its end belongs to its former
// life. It reports whether that is news: only a poll that begins now can confirm
// where it is.
func (r *Registry) Restarted(containerID string, at time.Time) (news bool) {
	r.each(containerID, func(rec *record, _ time.Time) bool {
		if !at.After(rec.started) {
			return false // told twice
		}
		rec.started = at
		if !at.After(rec.drain.at) {
			return false // it was told to stop after that
		}
		changed := rec.drain.reason != "" && !rec.drain.byHand
		if changed {
			rec.drain = drain{}
		}
		if at.Before(rec.reachedAt) {
			return changed // late news: it has been connected to since
		}
		rec.reach, rec.reachCause, rec.reachReason, rec.unconfirmed = unreached, CauseUntried, "it has just started", true
		rec.ejected, rec.checked, rec.check = ejection{}, false, ""
		rec.backend.falseStarts.Store(0)
		rec.backend.answered.Store(false)
		news = true
		return true
	})
	return news
}

// Eject takes b out of rotation because requests to it keep failing, for longer
// each time in a row; then one trial request decides.
func (r *Registry) Eject(b *Backend, reason string) {
	r.of(b, func(rec *record, now time.Time) bool {
		if rec.ejected.reason != "" && !rec.ejected.trial {
			return false
		}
		rec.ejected = ejection{reason: reason, times: rec.ejected.times + 1}
		rec.ejected.until = now.Add(min(firstEjection<<min(rec.ejected.times-1, 16), longestEjection))
		return true
	})
}

// An ejection's length doubles from the first to the longest.
const (
	firstEjection   = time.Second
	longestEjection = time.Minute
)

// Recovered puts an ejected backend back into rotation: it has answered.
func (r *Registry) Recovered(b *Backend) {
	r.of(b, func(rec *record, _ time.Time) bool {
		was := rec.ejected
		rec.ejected = ejection{}
		return was.reason != ""
	})
}

// Checked notes what an active check found: problem is "" if it passed.
func (r *Registry) Checked(b *Backend, problem string) {
	r.of(b, func(rec *record, _ time.Time) bool {
		changed := rec.check != problem || !rec.checked && problem == ""
		rec.check = problem
		rec.checked = rec.checked || problem == ""
		return changed
	})
}

// NextExpiry returns when the next drain or ejection runs out, zero if none
// does.
func (r *Registry) NextExpiry() (next time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for rec := range r.expiring {
		for _, t := range [...]time.Time{rec.drain.until, rec.drain.cutAt(r.drainLimit), rec.ejected.until} {
			if !t.IsZero() && (next.IsZero() || t.Before(next)) {
				next = t
			}
		}
	}
	return next
}

// Expire ends the drains and ejections that have run out: a container that was
// told to stop and still runs takes requests again, an ejected backend may get
// a trial request.
func (r *Registry) Expire() {
	r.update(func(now time.Time) {
		for rec, ros := range r.expiring {
			if rec.drainCut(r.drainLimit, now) {
				rec.backend.cut()
			}
			if t := rec.drain.until; !t.IsZero() && !now.Before(t) {
				// It was told to stop and goes on; whether it still accepts
				// connections is not known.
				rec.drain, rec.reach, rec.reachCause, rec.reachReason = drain{}, unreached, CauseUntried, "it was told to stop and still runs"
				r.touch(ros)
			}
			if t := rec.ejected.until; !t.IsZero() && !now.Before(t) {
				rec.ejected.until, rec.ejected.trial = time.Time{}, true
				r.touch(ros)
			}
		}
	})
}

// update runs apply with mu held, and publishes a new snapshot if it touched a
// roster. What is to be changed meanwhile is changed next, all together and with one
// snapshot: making one costs the more the more backends there are, and when many
// come up at once, that must not be paid for each.
func (r *Registry) update(apply func(now time.Time)) {
	own := r.queue.add(apply)
	r.mu.Lock()
	defer r.mu.Unlock()
	if own.done {
		return // by who held mu
	}
	now := time.Now()
	r.makeChanges(now)
	r.publishChanged(now)
}

// makeChanges makes what is in the queue; mu is held.
func (r *Registry) makeChanges(now time.Time) {
	for _, c := range r.queue.take() {
		c.apply(now)
		c.done = true
	}
}

func (r *Registry) publishChanged(now time.Time) {
	if len(r.changed) > 0 {
		r.publish(now)
	}
}

// each runs change on the members of a container with mu held, and publishes if
// one changed. It reports whether the container has any.
func (r *Registry) each(containerID string, change func(rec *record, now time.Time) (changed bool)) (known bool) {
	r.update(func(now time.Time) {
		for _, ros := range r.containers[containerID] {
			known = true
			if change(ros.records[containerID], now) {
				r.touch(ros)
			}
		}
	})
	return known
}

// of runs change on the member of a backend with mu held, and publishes if it
// reports true. A backend that a later poll replaced is no one's: what was
// observed of it says nothing about its successor.
func (r *Registry) of(b *Backend, change func(rec *record, now time.Time) (changed bool)) {
	r.update(func(now time.Time) {
		ros := r.rosters[b.Service]
		if ros == nil {
			return
		}
		if rec := ros.records[b.ContainerID]; rec != nil && rec.backend == b && change(rec, now) {
			r.touch(ros)
		}
	})
}
