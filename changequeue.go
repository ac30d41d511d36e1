package main

import (
	"sync"
	"time"
)

// changeQueue is what callers of update wait for, in the order in which they came.
type changeQueue struct {
	mu      sync.Mutex // guards changes; held for moments only
	changes []*change
}

type change struct {
	apply func(now time.Time)
	done  bool // guarded by the registry's mu
}

func (q *changeQueue) add(apply func(now time.Time)) *change {
	c := &change{apply: apply}
	q.mu.Lock()
	q.changes = append(q.changes, c)
	q.mu.Unlock()
	return c
}

func (q *changeQueue) take() []*change {
	q.mu.Lock()
	defer q.mu.Unlock()
	changes := q.changes
	q.changes = nil
	return changes
}
