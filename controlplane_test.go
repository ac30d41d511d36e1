package main

import (
	"fmt"
	"testing"
	"time"
)

// fleet is n containers of n/10 services, as an engine lists them.
func fleet(n int) *engineInMemory {
	var containers []listed
	for i := range n {
		containers = append(containers, hello(fmt.Sprint("web-", i), fmt.Sprintf("172.17.%d.%d", i>>8, i&255), labelled(fmt.Sprintf("rollcall.service=service-%d", i/10))))
	}
	return newEngineInMemory(containers...)
}

// fleetEntries is the roll that such a fleet gives.
func fleetEntries(n int) []Entry {
	var roll []Entry
	for i := range n {
		roll = append(roll, backendOf(fmt.Sprint("service-", i/10), fmt.Sprint("web-", i)))
	}
	return roll
}

// sizes are the numbers of containers that the control plane is measured with.
var sizes = []int{10, 100, 1000, 10000}

// BenchmarkPoll is a poll that finds what the last one found, without the engine's
// share and the decoding of its list (see BenchmarkList and BenchmarkDecodeList in
// internal/docker).
func BenchmarkPoll(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			registry := NewRegistry(quiet(), time.Minute)
			registrar := NewRegistrar(fleet(n), registry, helloRules, time.Second, quiet())
			registrar.window = dockerBridge
			if err := registrar.poll(b.Context()); err != nil || registry.Len() != n {
				b.Fatal(registry.Len(), err)
			}
			b.ReportAllocs()
			defer reportCPU(b)()
			for b.Loop() {
				registrar.poll(b.Context())
			}
		})
	}
}

// BenchmarkReplace is the registry's share of such a poll.
func BenchmarkReplace(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			registry, roll := NewRegistry(quiet(), time.Minute), fleetEntries(n)
			registry.Replace(engineA, roll)
			b.ReportAllocs()
			defer reportCPU(b)()
			for b.Loop() {
				registry.Replace(engineA, roll)
			}
		})
	}
}

// BenchmarkPublish is one change of one backend among n: what an event, a failed
// check or a container that comes up causes.
func BenchmarkPublish(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			registry := NewRegistry(quiet(), time.Minute)
			registry.Replace(engineA, fleetEntries(n))
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
			roll := fleetEntries(n)
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
