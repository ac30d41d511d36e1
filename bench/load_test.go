package main

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"
)

// counted waits until so many more answers have come.
func counted(t *testing.T, l *Load, n int64) {
	t.Helper()
	from := l.done()
	for end := time.Now().Add(30 * time.Second); l.done() < from+n; {
		if time.Now().After(end) {
			t.Fatalf("only %d answers", l.done()-from)
		}
		pause(t.Context(), time.Millisecond)
	}
}

func TestWarmUpIsNotCounted(t *testing.T) {
	address := answering(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, 0) })
	load := startLoad(t.Context(), &Workload{Path: "/", Want: 1, Conns: 4}, address, time.Minute)
	counted(t, load, 100)
	before := load.Measure()
	counted(t, load, 100)
	measured := load.Stop() - before
	latencies, failed, problem := load.End()
	if before < 100 || measured < 100 || int64(len(latencies)) < measured-4 || int64(len(latencies)) > measured+4 {
		t.Errorf("%d before, %d measured, %d latencies", before, measured, len(latencies))
	}
	if failed > 0 || problem != nil {
		t.Error(failed, problem)
	}
	if quantile(latencies, 0.5) <= 0 || quantile(latencies, 0.5) > quantile(latencies, 0.99) {
		t.Error(latencies)
	}
}

func TestFailuresAreCounted(t *testing.T) {
	var n atomic.Int64
	address := answering(t, func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1)%10 == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		fmt.Fprint(w, 0)
	})
	load := startLoad(t.Context(), &Workload{Path: "/", Want: 1, Conns: 4}, address, time.Minute)
	load.Measure()
	counted(t, load, 100)
	load.Stop()
	if _, failed, problem := load.End(); failed < 9 || problem == nil {
		t.Error(failed, problem)
	}
}

// A server that stops for a while makes all requests late that are due meanwhile,
// not only the one that it works on.
func TestLatencyCountsFromWhenARequestWasDue(t *testing.T) {
	const stop = 100 * time.Millisecond
	var n atomic.Int64
	address := answering(t, func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1) == 20 {
			pause(r.Context(), stop)
		}
		fmt.Fprint(w, 0)
	})
	load := startLoad(t.Context(), &Workload{Path: "/", Want: 1, Conns: 1, Rate: 500}, address, time.Minute)
	load.Measure()
	counted(t, load, 100)
	load.Stop()
	latencies, _, _ := load.End()
	late := 0
	for _, took := range latencies {
		if took > stop/5 {
			late++
		}
	}
	if late < 20 {
		t.Errorf("of 50 requests that were due while the server stopped, %d are late", late)
	}
}

func TestALoadEndsByItself(t *testing.T) {
	address := answering(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, 0) })
	for _, rate := range []int{0, 1000} {
		load := startLoad(t.Context(), &Workload{Path: "/", Want: 1, Conns: 4, Rate: rate}, address, 10*time.Millisecond)
		load.all.Wait()
	}
}
