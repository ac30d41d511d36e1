package main

import (
	"errors"
	"runtime"
	"runtime/debug"
	"testing"
)

func TestGCPercent(t *testing.T) {
	for live, want := range map[uint64]int{0: 400, 4 << 20: 400, 32 << 20: 400, 64 << 20: 200, 100 << 20: 128, 128 << 20: 100, 4 << 30: 100} {
		if got := gcPercent(live); got != want {
			t.Errorf("%d MiB live: GOGC=%d, want %d", live>>20, got, want)
		}
	}
}

func TestContainerLimit(t *testing.T) {
	const v1, v2 = "/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory.max"
	for name, c := range map[string]struct {
		files map[string]string
		want  int64
	}{
		"no control groups":     {nil, 0},
		"version 2, no limit":   {map[string]string{v2: "max\n"}, 0},
		"version 2":             {map[string]string{v2: "67108864\n"}, 64 << 20},
		"version 1":             {map[string]string{v1: "67108864\n"}, 64 << 20},
		"version 1, no limit":   {map[string]string{v1: "9223372036854771712\n"}, 0},
		"something unheard-of":  {map[string]string{v2: "plenty\n"}, 0},
		"both, as hybrids have": {map[string]string{v2: "max\n", v1: "67108864\n"}, 64 << 20},
	} {
		got := containerLimit(func(path string) ([]byte, error) {
			if text, ok := c.files[path]; ok {
				return []byte(text), nil
			}
			return nil, errors.New("no such file")
		})
		if got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

// The environment decides, if it says something.
func TestTuneMemoryLeavesWhatTheEnvironmentSays(t *testing.T) {
	before := debug.SetGCPercent(123)
	defer debug.SetGCPercent(before)
	tuneMemory(func(string) string { return "off" })
	if got := debug.SetGCPercent(123); got != 123 {
		t.Errorf("GOGC is %d", got)
	}
}

// What lives decides, collection after collection.
func TestGCFollowsTheLiveHeap(t *testing.T) {
	before := debug.SetGCPercent(lazyPercent)
	defer debug.SetGCPercent(before)
	followLiveHeap()
	current := func() int {
		runtime.GC()
		percent := debug.SetGCPercent(-1)
		debug.SetGCPercent(percent)
		return percent
	}
	ballast := make([]byte, 200<<20)
	eventually(t, "a large heap is collected as Go does it by itself", func() bool { return current() == 100 })
	runtime.KeepAlive(ballast)
	ballast = nil
	eventually(t, "a small one is left to grow again", func() bool { return current() == lazyPercent })
}
