package main

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"
)

// fleetOf is n containers of n/10 services.
func fleetOf(n int) []Entry {
	var roll []Entry
	for i := range n {
		roll = append(roll, backendOf(fmt.Sprint("service-", i/10), fmt.Sprint("web-", i)))
	}
	return roll
}

// sizes are the numbers of containers that the control plane is measured with, here
// and in polls.
var sizes = []int{10, 100, 1000, 10000}

// BenchmarkPublish is one change of one backend among n: what an event, a failed
// check or a container that comes up causes.
func BenchmarkPublish(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			registry := NewRegistry(quiet(), time.Minute)
			registry.Replace(engineA, fleetOf(n))
			id := registry.List()[n/2].ContainerID
			b.ReportAllocs()
			defer reportCPU(b)()
			for b.Loop() {
				registry.Drain(id, "by hand")
				registry.Undrain(id)
			}
		})
	}
}

// BenchmarkStart is n containers that come up at once: a poll finds them, and a
// connection to each succeeds, on a goroutine for each as Health has them.
func BenchmarkStart(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			roll := fleetOf(n)
			b.ReportAllocs()
			defer reportCPU(b)()
			for b.Loop() {
				registry := NewRegistry(quiet(), time.Minute)
				registry.Replace(engineA, roll)
				var all sync.WaitGroup
				for _, m := range registry.List() {
					all.Go(func() { registry.Connected(m.Backend, m.Address()) })
				}
				all.Wait()
			}
		})
	}
}

// Backends that come up while the registry is busy are in rotation together.
func TestChangesThatWaitAreMadeTogether(t *testing.T) {
	registry := NewRegistry(quiet(), time.Minute)
	registry.Replace(engineA, fleetOf(100))
	members, before := registry.List(), registry.Snapshot().Version
	registry.mu.Lock()
	var all sync.WaitGroup
	for _, m := range members {
		all.Go(func() { registry.Connected(m.Backend, m.Address()) })
	}
	for waiting := 0; waiting < len(members); runtime.Gosched() {
		registry.queue.mu.Lock()
		waiting = len(registry.queue.changes)
		registry.queue.mu.Unlock()
	}
	registry.mu.Unlock()
	all.Wait()
	if version := registry.Snapshot().Version; version != before+1 {
		t.Errorf("%d snapshots for changes that waited together", version-before)
	}
	for _, m := range registry.List() {
		if m.State != Healthy {
			t.Fatalf("%s is %s", m.Name, m.State)
		}
	}
}
