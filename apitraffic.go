package main

import (
	"net/http"
	"time"
)

// trafficView is what has passed through each backend so far. A program that asks
// twice knows the rates between.
type trafficView struct {
	Time     time.Time            `json:"time"`
	Bounds   []float64            `json:"bounds"`   // of the buckets, in seconds
	Backends []backendTrafficView `json:"backends"` // by service, age and container ID
}

type backendTrafficView struct {
	Service     string   `json:"service"`
	ContainerID string   `json:"container_id"`
	InFlight    int64    `json:"in_flight"`
	Requests    uint64   `json:"requests"`
	Failures    uint64   `json:"failures"`
	Errors      uint64   `json:"errors"`
	Buckets     []uint64 `json:"buckets"` // answers by the time to their head, not cumulative; the last is above all bounds
}

// latencySeconds is latencyBounds as the API shows them.
var latencySeconds = func() (seconds []float64) {
	for _, bound := range latencyBounds {
		seconds = append(seconds, bound.Seconds())
	}
	return seconds
}()

func newBackendTrafficView(b *Backend) backendTrafficView {
	view := backendTrafficView{
		Service: b.Service, ContainerID: b.ContainerID,
		InFlight: b.InFlight(), Requests: b.Requests(), Failures: b.Failures(), Errors: b.Errors(),
		Buckets: make([]uint64, len(b.latency)),
	}
	for i := range b.latency {
		view.Buckets[i] = b.latency[i].Load()
	}
	return view
}

func (a *Admin) traffic(w http.ResponseWriter, _ *http.Request) {
	snapshot := a.registry.Snapshot()
	view := trafficView{Time: time.Now().UTC(), Bounds: latencySeconds, Backends: make([]backendTrafficView, snapshot.Len())}
	for i, m := range snapshot.Members() {
		view.Backends[i] = newBackendTrafficView(m.Backend)
	}
	writeJSON(w, http.StatusOK, snapshot.Version, view)
}
