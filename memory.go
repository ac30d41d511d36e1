package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
)

// A proxy's garbage is short-lived and what lives is little, so a collection that
// comes later costs memory and spares time. Measured with make bench -rivals on
// two processors, small GETs on 64 and 512 connections: GOGC=200 takes 5 % and 1 %
// off the processor time of a request, GOGC=400 8 % and 5 %, and the process grows
// from 20 and 39 MiB to 66 MiB in both.
const (
	lazyPercent = 400
	eagerGrowth = 128 << 20 // bytes of garbage that are worth it, however much lives
)

// tuneMemory trades memory for processor time, as far as the environment (GOGC,
// GOMEMLIMIT) does not decide that, and stays within the memory that the container
// may have.
func tuneMemory(getenv func(string) string) {
	if getenv("GOMEMLIMIT") == "" {
		if limit := containerLimit(os.ReadFile); limit > 0 {
			debug.SetMemoryLimit(limit / 10 * 9) // the rest is for what is no Go memory
		}
	}
	if getenv("GOGC") == "" {
		debug.SetGCPercent(lazyPercent)
		followLiveHeap()
	}
}

// gcPercent is GOGC for a heap of which so many bytes live: a large one is not to
// be multiplied.
func gcPercent(live uint64) int {
	return max(100, int(min(lazyPercent, 100*eagerGrowth/max(live, 1))))
}

// followLiveHeap sets GOGC after each collection that found another size of heap.
func followLiveHeap() {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	percent := lazyPercent
	type collected struct{ _ [16]byte }
	var next func(*collected)
	next = func(c *collected) {
		metrics.Read(sample)
		if sample[0].Value.Kind() == metrics.KindUint64 {
			// In steps, because setting it stops the program for a moment.
			if want := gcPercent(sample[0].Value.Uint64()) / 50 * 50; want != percent {
				percent = want
				debug.SetGCPercent(percent)
			}
		}
		runtime.SetFinalizer(c, next)
	}
	runtime.SetFinalizer(new(collected), next)
}

// containerLimit is how many bytes the control group of this process may use, 0 if
// there is no limit.
func containerLimit(read func(path string) ([]byte, error)) int64 {
	for _, path := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		text, err := read(path)
		if err != nil {
			continue
		}
		// Version 2 says "max" for none, version 1 the largest number of pages.
		if limit, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && limit < 1<<62 {
			return limit
		}
	}
	return 0
}
