package main

import (
	"sync/atomic"
	"time"

	"rollcall/internal/http1"
)

// Traffic counts what passes through one service. It survives polls. Safe for
// concurrent use; counting neither locks nor allocates.
type Traffic struct {
	codes   [600]atomic.Uint64 // requests by status code
	buckets [len(latencyBounds) + 1]atomic.Uint64
	nanos   atomic.Uint64                     // sum of all durations
	retries [http1.Canceled + 1]atomic.Uint64 // by the kind of failure before
	gone    atomic.Uint64                     // clients that left before there was a status
}

// latencyBounds are the upper bounds of the latency histogram's buckets.
var latencyBounds = [...]time.Duration{
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond,
	50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second, 30 * time.Second,
}

// count counts a request that ended with a status code, 0 if its client left
// before there was one.
func (t *Traffic) count(code int, took time.Duration) {
	if code < 100 || code >= len(t.codes) {
		t.gone.Add(1)
		return
	}
	t.codes[code].Add(1)
	t.nanos.Add(uint64(took))
	i := 0
	for i < len(latencyBounds) && took > latencyBounds[i] {
		i++
	}
	t.buckets[i].Add(1)
}

// retried counts a request that goes to another backend.
func (t *Traffic) retried(kind http1.Kind) { t.retries[kind].Add(1) }

// retryReasons names the failures after which a request may be retried, for
// metrics.
var retryReasons = map[http1.Kind]string{
	http1.Dial:   "connect",
	http1.Stale:  "stale",
	http1.Broken: "broken",
}
