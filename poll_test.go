package main

import (
	"context"
	"fmt"
	"testing"
	"time"

	"rollcall/internal/docker"
)

// busyEngine is an engine that runs n containers in services of five, each
// with the labels that Compose gives it and two of rollcall's.
func busyEngine(n int) *engineInMemory {
	containers := make([]listed, n)
	for i := range containers {
		containers[i] = hello(fmt.Sprint("web-", i), fmt.Sprintf("172.17.%d.%d", i/250, i%250+2), image(fmt.Sprint("shop/app-", i/5)), labelled(
			composeProject+"=shop", composeService+fmt.Sprint("=app-", i/5), composeOneOff+"=False", "com.docker.compose.container-number=1",
			"com.docker.compose.config-hash=4f8a", "org.opencontainers.image.version=1.2.3",
			fmt.Sprintf("rollcall.host=app-%d.example.com", i/5), "rollcall.path=/"))
	}
	return newEngineInMemory(containers...)
}

// quickEngine is an engine whose own part of a poll is not worth telling: what
// an inspect would say is known, as it is to the client that caches it.
type quickEngine struct {
	*engineInMemory
	configs map[string]docker.Config
}

func newQuickEngine(e *engineInMemory) *quickEngine {
	q := &quickEngine{e, map[string]docker.Config{}}
	for _, c := range e.containers {
		q.configs[c.ID] = c.config
	}
	return q
}

func (q *quickEngine) Inspect(_ context.Context, id string) (docker.Config, error) {
	return q.configs[id], nil
}
func (q *quickEngine) Forget(func(id string) bool) {}

func BenchmarkPoll(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprintf("%d containers unchanged", n), func(b *testing.B) {
			e := busyEngine(n)
			r := newRollcallInMemory(b, quiet(), e)
			r.registrar.engine = newQuickEngine(e)
			r.registrar.poll(b.Context())
			version := r.Snapshot().Version
			b.ReportAllocs()
			defer reportCPU(b)()
			for b.Loop() {
				r.registrar.poll(b.Context())
			}
			if r.Snapshot().Version != version {
				b.Error("an unchanged poll publishes")
			}
		})
		b.Run(fmt.Sprintf("%d containers, one changes", n), func(b *testing.B) {
			e := busyEngine(n)
			r := newRollcallInMemory(b, quiet(), e)
			r.registrar.engine = newQuickEngine(e)
			r.registrar.poll(b.Context())
			version, polls := r.Snapshot().Version, uint64(0)
			b.ReportAllocs()
			defer reportCPU(b)()
			for b.Loop() {
				e.containers[n/2].Health = []string{"healthy", "unhealthy"}[polls%2]
				r.registrar.poll(b.Context())
				polls++
			}
			if got := r.Snapshot().Version - version; got+1 < polls {
				b.Errorf("%d polls published %d times", polls, got)
			}
		})
	}
}

// BenchmarkReplace is the registry's part of a poll alone.
func BenchmarkReplace(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprintf("%d containers unchanged", n), func(b *testing.B) {
			roll := rollOf(busyEngine(n))
			r := NewRegistry(quiet(), time.Minute)
			r.Replace(engineA, roll)
			b.ReportAllocs()
			defer reportCPU(b)()
			for b.Loop() {
				r.Replace(engineA, roll)
			}
		})
	}
}

func rollOf(e *engineInMemory) []Entry { return entriesOf(e.containers, fromHost(e.containers...)) }

// A poll that brings nothing new costs the registry nothing, and no reader
// notices it.
func TestUnchangedPollOfAThousand(t *testing.T) {
	e := busyEngine(1000)
	r := newRollcallInMemory(t, quiet(), e)
	r.registrar.poll(t.Context())
	before := r.Snapshot()
	if before.Len() != 1000 || len(before.Services()) != 200 {
		t.Fatalf("%d members of %d services", before.Len(), len(before.Services()))
	}
	for range 3 {
		if err := r.registrar.poll(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if r.Snapshot() != before {
		t.Error("polls that brought nothing new were published")
	}
	roll := rollOf(e)
	if n := testing.AllocsPerRun(10, func() { r.Replace(e.Host(), roll) }); n != 0 {
		t.Errorf("an unchanged roll makes the registry allocate %v times", n)
	}
	if r.Snapshot() != before {
		t.Error("an unchanged roll was published")
	}
}
