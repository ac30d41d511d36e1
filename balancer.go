package main

import "sync/atomic"

// Balancer chooses among the usable backends of one service. It belongs to the
// service, not to a snapshot: its state survives polls. Safe for concurrent use.
type Balancer interface {
	// Pick returns a backend of the pool that the exchange has not tried, or
	// nil when there is none. It must not keep the pool, nor allocate.
	Pick(pool []*Backend, x *Exchange) *Backend
}

// roundRobin takes one after the other. When the pool changes, the count goes
// on: over time each backend gets its share, whatever the pool's size was.
type roundRobin struct{ count atomic.Uint64 }

func newRoundRobin() Balancer { return &roundRobin{} }

func (rr *roundRobin) Pick(pool []*Backend, x *Exchange) *Backend {
	if len(pool) == 0 {
		return nil
	}
	first := rr.count.Add(1) - 1
	for i := range uint64(len(pool)) {
		// One pool, one length: the index can't outrun it, whatever a poll does meanwhile.
		if b := pool[(first+i)%uint64(len(pool))]; !x.Tried(b) {
			return b
		}
	}
	return nil
}
