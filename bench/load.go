package main

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Load is a workload that runs against one address. Its warm-up is not counted;
// what is counted begins with Measure and ends with End.
type Load struct {
	measuring atomic.Bool
	workers   []*worker
	all       sync.WaitGroup
	stop      context.CancelFunc
}

// worker is one connection.
type worker struct {
	*client
	load      *Load
	done      atomic.Int64 // good answers since the beginning
	latencies []time.Duration
	failed    int   // like latencies counted while the load is measured; read after End
	problem   error // the first one
}

// longestRequest is how long a request may go on after the load's end.
const longestRequest = 5 * time.Second

// startLoad begins to send; the load ends by itself after at most longest.
func startLoad(ctx context.Context, w *Workload, address string, longest time.Duration) *Load {
	ctx, stop := context.WithTimeout(ctx, longest)
	l := &Load{stop: stop}
	for range w.Conns {
		c := w.client(address)
		c.end = time.Now().Add(longest + longestRequest)
		l.workers = append(l.workers, &worker{client: c, load: l, latencies: make([]time.Duration, 0, 1<<14)})
	}
	due := make(chan time.Time, 1<<16)
	if w.Rate > 0 {
		l.all.Go(func() { pace(ctx, w.Rate, due) })
	}
	for _, worker := range l.workers {
		l.all.Go(func() {
			defer worker.close()
			if w.Rate > 0 {
				worker.serve(ctx, due)
			} else {
				worker.repeat(ctx)
			}
		})
	}
	return l
}

// repeat sends the next request when the last one is answered.
func (w *worker) repeat(ctx context.Context) {
	for ctx.Err() == nil {
		w.send(ctx, time.Now())
	}
}

// serve sends the requests that are due. Their latency counts from then, so that
// an answer that is late makes those that wait behind it late as well.
func (w *worker) serve(ctx context.Context, due <-chan time.Time) {
	for at := range due {
		if ctx.Err() != nil {
			return
		}
		w.send(ctx, at)
	}
}

func (w *worker) send(ctx context.Context, began time.Time) {
	err := w.do(ctx)
	took := time.Since(began)
	switch {
	case err == nil:
		w.done.Add(1)
		if w.load.measuring.Load() {
			w.latencies = append(w.latencies, took)
		}
	case ctx.Err() == nil && w.load.measuring.Load():
		if w.failed++; w.problem == nil {
			w.problem = err
		}
	}
}

// pace says when each request is due, until ctx ends. It has a thread of its own:
// Go's timers wake a program that is otherwise idle up to a millisecond late.
func pace(ctx context.Context, rate int, due chan<- time.Time) {
	runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
	defer close(due)
	began := time.Now()
	for i := 0; ctx.Err() == nil; i++ {
		at := began.Add(time.Duration(i) * time.Second / time.Duration(rate))
		if wait := time.Until(at); wait > 0 {
			pause := syscall.NsecToTimespec(int64(wait))
			syscall.Nanosleep(&pause, nil)
		}
		select {
		case due <- at:
		default: // a thousand times the connections wait already
			return
		}
	}
}

// done is how many good answers there were.
func (l *Load) done() (n int64) {
	for _, w := range l.workers {
		n += w.done.Load()
	}
	return n
}

// Measure begins what is counted.
func (l *Load) Measure() (done int64) {
	l.measuring.Store(true)
	return l.done()
}

// Stop ends what is counted.
func (l *Load) Stop() (done int64) {
	l.measuring.Store(false)
	return l.done()
}

// End ends the load, waits for the requests in flight and returns the sorted
// latencies, how many requests failed, and the first failure.
func (l *Load) End() (latencies []time.Duration, failed int, problem error) {
	l.stop()
	l.all.Wait()
	for _, w := range l.workers {
		latencies = append(latencies, w.latencies...)
		failed += w.failed
		if problem == nil {
			problem = w.problem
		}
	}
	slices.Sort(latencies)
	return latencies, failed, problem
}

// quantile of sorted latencies, 0 if there are none.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}
