package main

import (
	"fmt"
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
// connection to each succeeds.
func BenchmarkStart(b *testing.B) {
	for _, n := range sizes[:3] {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			roll := fleetOf(n)
			b.ReportAllocs()
			defer reportCPU(b)()
			for b.Loop() {
				registry := NewRegistry(quiet(), time.Minute)
				registry.Replace(engineA, roll)
				connectAll(registry)
			}
		})
	}
}
