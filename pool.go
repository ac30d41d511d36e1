package main

import (
	"cmp"
	"slices"
	"time"
)

// pool is what the registry keeps of one service. Guarded by Registry.mu.
type pool struct {
	name     string
	records  map[string]*record // by container
	touched  bool               // it is in Registry.changed
	standing standing           // survives polls
	service  *Service           // as it was published last; nil before
}

// pool returns the pool of a service, made if need be. It must be called with mu
// held.
func (r *Registry) pool(service string) *pool {
	p := r.pools[service]
	if p == nil {
		p = &pool{name: service, records: map[string]*record{}}
		r.pools[service] = p
	}
	return p
}

// touch notes that something about a pool changed, and makes the registry publish
// it. It must be called with mu held.
func (r *Registry) touch(p *pool) {
	if !p.touched {
		p.touched = true
		r.changed = append(r.changed, p)
	}
}

// put makes rec the pool's record of its container. It must be called with mu
// held.
func (r *Registry) put(p *pool, rec *record) {
	id := rec.entry.ContainerID
	if old := p.records[id]; old == nil {
		r.containers[id] = append(r.containers[id], p)
	} else if old != rec {
		delete(r.expiring, old)
	}
	p.records[id] = rec
	r.touch(p)
}

// drop takes a record out of its pool. It must be called with mu held.
func (r *Registry) drop(p *pool, rec *record, reason string, now time.Time) {
	id := rec.entry.ContainerID
	delete(p.records, id)
	delete(r.expiring, rec)
	if rest := slices.DeleteFunc(r.containers[id], func(other *pool) bool { return other == p }); len(rest) > 0 {
		r.containers[id] = rest
	} else {
		delete(r.containers, id)
	}
	r.touch(p)
	rec.backend.disconnect()
	r.log.Info("backend gone", "service", p.name, "container", rec.entry.Name, "id", short(id), "was", rec.state.String(), "reason", reason)
	r.history.add(Event{Time: now, Kind: eventGone, Service: p.name, Container: rec.entry.Name, ContainerID: id,
		Was: rec.state.String(), Reason: reason})
}

// publish stores the next snapshot. What was not touched is taken from the last
// one, so that a change costs the same among ten services and, but for some
// copying of pointers, among thousands. It must be called with mu held.
func (r *Registry) publish(now time.Time) {
	old := r.current.Load()
	next := &Snapshot{Version: old.Version + 1, Time: now, superseded: make(chan struct{})}
	slices.SortFunc(r.changed, func(a, b *pool) int { return cmp.Compare(a.name, b.name) })
	var renewed []*Service
	sameClaims := true
	for _, p := range r.changed {
		was := p.service
		r.compile(p, now)
		if p.service != nil {
			renewed = append(renewed, p.service)
		}
		sameClaims = sameClaims && was != nil && p.service != nil && was.claimsAs(p.service)
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
	for _, p := range r.changed {
		p.touched = false
	}
	clear(r.changed)
	r.changed = r.changed[:0]
	r.current.Store(next)
	close(old.superseded) // after the store: who wakes up must find the new one
	r.warn(old, next)
}

// compile settles the states of a pool's records, and makes the service that is
// published: nil if there are no records left, and then the pool is gone. It must
// be called with mu held.
func (r *Registry) compile(p *pool, now time.Time) {
	if len(p.records) == 0 {
		p.service = nil
		delete(r.pools, p.name)
		return
	}
	members := make([]Member, 0, len(p.records))
	for _, rec := range p.records {
		r.settle(rec, now)
		if rec.drain.reason != "" || rec.ejected.reason != "" {
			r.expiring[rec] = p
		} else {
			delete(r.expiring, rec)
		}
		members = append(members, rec.member())
	}
	slices.SortFunc(members, byService)
	p.service = newService(members)
	p.service.stand(&p.standing)
	p.service.unlike = p.service.differences()
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
// pools, also sorted by name, in their places.
func replaceServices(services []*Service, changed []*pool) []*Service {
	merged := make([]*Service, 0, len(services)+len(changed))
	for _, p := range changed {
		i, found := slices.BinarySearchFunc(services, p.name, func(s *Service, name string) int { return cmp.Compare(s.Name, name) })
		merged = append(merged, services[:i]...)
		if p.service != nil {
			merged = append(merged, p.service)
		}
		if services = services[i:]; found {
			services = services[1:]
		}
	}
	return append(merged, services...)
}
