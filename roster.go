package main

import (
	"cmp"
	"slices"
	"time"
)

// roster is what the registry keeps of one service. Guarded by Registry.mu.
type roster struct {
	name     string
	records  map[string]*record // by container
	touched  bool               // it is in Registry.changed
	standing standing           // survives polls
	service  *Service           // as it was published last; nil before
}

// roster returns that of a service, made if need be. It must be called with mu
// held.
func (r *Registry) roster(service string) *roster {
	ros := r.rosters[service]
	if ros == nil {
		ros = &roster{name: service, records: map[string]*record{}}
		r.rosters[service] = ros
	}
	return ros
}

// touch notes that something about a roster changed, and makes the registry publish
// it. It must be called with mu held.
func (r *Registry) touch(ros *roster) {
	if !ros.touched {
		ros.touched = true
		r.changed = append(r.changed, ros)
	}
}

// put makes rec the roster's record of its container. It must be called with mu
// held.
func (r *Registry) put(ros *roster, rec *record) {
	id := rec.entry.ContainerID
	if old := ros.records[id]; old == nil {
		r.containers[id] = append(r.containers[id], ros)
	} else if old != rec {
		delete(r.expiring, old)
	}
	ros.records[id] = rec
	r.touch(ros)
}

// drop takes a record out of its roster. It must be called with mu held.
func (r *Registry) drop(ros *roster, rec *record, reason string, now time.Time) {
	id := rec.entry.ContainerID
	delete(ros.records, id)
	delete(r.expiring, rec)
	if rest := slices.DeleteFunc(r.containers[id], func(other *roster) bool { return other == ros }); len(rest) > 0 {
		r.containers[id] = rest
	} else {
		delete(r.containers, id)
	}
	r.touch(ros)
	rec.backend.disconnect()
	r.log.Info("backend gone", "service", ros.name, "container", rec.entry.Name, "id", short(id), "was", rec.state.String(), "reason", reason)
	r.history.add(Event{Time: now, Kind: eventGone, Service: ros.name, Container: rec.entry.Name, ContainerID: id,
		Was: rec.state.String(), Reason: reason})
}

// publish stores the next snapshot. What was not touched is taken from the last
// one, so that a change costs the same among ten services and, but for some
// copying of pointers, among thousands. It must be called with mu held.
func (r *Registry) publish(now time.Time) {
	old := r.current.Load()
	next := &Snapshot{Version: old.Version + 1, Time: now, superseded: make(chan struct{})}
	slices.SortFunc(r.changed, func(a, b *roster) int { return cmp.Compare(a.name, b.name) })
	var renewed []*Service
	sameClaims := true
	for _, ros := range r.changed {
		was := ros.service
		r.compile(ros, now)
		if ros.service != nil {
			renewed = append(renewed, ros.service)
		}
		sameClaims = sameClaims && was != nil && ros.service != nil && was.claimsAs(ros.service)
	}
	next.services = replaceServices(old.services, r.changed)
	for _, s := range next.services {
		next.Differences = append(next.Differences, s.unlike...)
	}
	if sameClaims {
		next.routes, next.Conflicts = old.routes.with(renewed), old.Conflicts
	}
	if next.routes == nil {
		next.routes, next.Conflicts = newRouteTable(next.services)
	}
	for _, ros := range r.changed {
		ros.touched = false
	}
	clear(r.changed)
	r.changed = r.changed[:0]
	r.current.Store(next)
	close(old.superseded) // after the store: who wakes up must find the new one
	r.warn(old, next)
}

// compile settles the states of a roster's records, and makes the service that is
// published: nil if there are no records left, and then the roster is gone. It must
// be called with mu held.
func (r *Registry) compile(ros *roster, now time.Time) {
	if len(ros.records) == 0 {
		ros.service = nil
		delete(r.rosters, ros.name)
		return
	}
	members := make([]Member, 0, len(ros.records))
	for _, rec := range ros.records {
		r.settle(rec, now)
		if rec.drain.reason != "" || rec.ejected.reason != "" {
			r.expiring[rec] = ros
		} else {
			delete(r.expiring, rec)
		}
		members = append(members, rec.member())
	}
	slices.SortFunc(members, byService)
	ros.service = newService(members)
	ros.service.stand(&ros.standing)
	ros.service.unlike = ros.service.differences()
}

// settle derives the state of rec and logs a change of it.
func (r *Registry) settle(rec *record, now time.Time) {
	state, cause, reason := rec.derive()
	if state == rec.state && reason == rec.reason && !rec.since.IsZero() {
		return
	}
	if state != rec.state || rec.since.IsZero() {
		was := ""
		if !rec.since.IsZero() {
			was = rec.state.String()
		}
		r.log.Info("backend "+state.String(), "service", rec.entry.Service, "container", rec.entry.Name,
			"id", short(rec.entry.ContainerID), "address", rec.backend.Address(), "was", cmp.Or(was, "new"), "reason", reason)
		r.history.add(Event{Time: now, Kind: eventKind(was, state, reason == rec.ejected.reason), Service: rec.entry.Service,
			Container: rec.entry.Name, ContainerID: rec.entry.ContainerID, Was: was, State: state.String(), Reason: reason})
		rec.since = now
	}
	rec.state, rec.cause, rec.reason = state, cause, reason
}

// replaceServices returns the services, sorted by name, with those of the changed
// rosters, also sorted by name, in their places.
func replaceServices(services []*Service, changed []*roster) []*Service {
	merged := make([]*Service, 0, len(services)+len(changed))
	for _, ros := range changed {
		i, found := slices.BinarySearchFunc(services, ros.name, func(s *Service, name string) int { return cmp.Compare(s.Name, name) })
		merged = append(merged, services[:i]...)
		if ros.service != nil {
			merged = append(merged, ros.service)
		}
		if services = services[i:]; found {
			services = services[1:]
		}
	}
	return append(merged, services...)
}
