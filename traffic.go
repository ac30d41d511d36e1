package main

import (
	"sync/atomic"
	"time"

	"rollcall/internal/http1"
)

// Traffic counts what passes through one service. It survives polls. Safe for
// concurrent use; counting neither locks nor allocates.
type Traffic struct {
	codes   [600]atomic.Uint64                // requests by status code
	latency latencies                         // from a request's head to its answer's end
	nanos   atomic.Uint64                     // sum of all durations
	retries [http1.Canceled + 1]atomic.Uint64 // by the kind of failure before
	gone    atomic.Uint64                     // clients that left before there was a status
}

// latencies counts durations in buckets, the last of which has no upper bound.
type latencies [len(latencyBounds) + 1]atomic.Uint64

func (l *latencies) count(took time.Duration) {
	i := 0
	for i < len(latencyBounds) && took > latencyBounds[i] {
		i++
	}
	l[i].Add(1)
}

// latencyBounds are the upper bounds of the buckets that durations are counted
// in.
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
	t.latency.count(took)
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
