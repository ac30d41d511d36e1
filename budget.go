package main

import (
	"sync/atomic"
	"time"
)

// budget bounds a service's retries to a share of its recent requests, so that
// one that dies is not hammered with all of them twice. It belongs to the
// service and survives polls. Safe for concurrent use, without a lock.
type budget struct {
	tokens atomic.Int64 // in retryCost-ths of a retry
	filled atomic.Int64 // Unix nanoseconds of the last floor
}

const (
	retryCost   = 5               // a request earns 1: one retry for five requests
	budgetCap   = 200 * retryCost // retries that a busy service can save up
	budgetFloor = 20 * retryCost  // retries that a quiet one has each second all the same
)

// earn counts a request.
func (b *budget) earn() {
	if b.tokens.Load() < budgetCap {
		b.tokens.Add(1)
	}
}

// spend takes one retry, and reports whether there was one.
func (b *budget) spend() bool {
	if b.tokens.Add(-retryCost) >= 0 {
		return true
	}
	b.tokens.Add(retryCost)
	now, filled := time.Now().UnixNano(), b.filled.Load()
	if now-filled < int64(time.Second) || !b.filled.CompareAndSwap(filled, now) {
		return false
	}
	b.tokens.Add(budgetFloor - retryCost)
	return true
}
