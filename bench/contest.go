package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"rollcall/e2e/lab"
)

// Contest is all that was measured of the contestants.
type Contest struct {
	Workloads   []Workload
	Contestants []*Contestant
	Cells       []Cell
}

// Cell is one workload of one round, run against one contestant.
type Cell struct {
	Round      int
	Workload   string
	Contestant string

	Requests int64         // good answers
	Took     time.Duration // wall time
	CPU      time.Duration // of the contestant's processes
	Memory   int64         // bytes, of the contestant, at the end
	P50      time.Duration
	P99      time.Duration
	P999     time.Duration
	Failed   int
	Problem  error   // the first failure
	Strange  float64 // share of all processors that processes took which are no part of this
}

// backendCount is how many backends there are.
const backendCount = 4

// Stand is what all measurements share: programs, and backends that run.
type Stand struct {
	dir       string // for files, removed at the end
	bin       *Binaries
	backend   *process
	addresses []string // of the backends
}

// newStand builds the programs and starts the backends; they end with t.
func newStand(t lab.T, o *Options) *Stand {
	t.Helper()
	dir, err := os.MkdirTemp("", "rollcall-bench-")
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	// nginx's workers, which may be another user, keep temporary files in it.
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatalf("%v", err)
	}
	programs := filepath.Join(dir, "bin")
	if err := os.Mkdir(programs, 0o755); err != nil {
		t.Fatalf("%v", err)
	}
	s := &Stand{dir: dir, bin: makeBinaries(t, o, programs)}
	s.backend, s.addresses = startBackends(t, dir, s.bin.Backend, backendCount)
	return s
}

// contest starts the contestants and plays all rounds.
func contest(t lab.T, o *Options, s *Stand, wanted []Workload) *Contest {
	t.Helper()
	engine := startEngine(t)
	addContainers(engine, s.addresses)

	c := &Contest{Workloads: wanted}
	for _, e := range entrants(o, s.bin) {
		if isNamed(o.Contestants, e.name) {
			say("starting %s", e.name)
			c.Contestants = append(c.Contestants, startContestant(t, &e, ground{dir: s.dir, backends: s.addresses, engine: engine.Host(), bin: s.bin}))
		}
	}
	if o.Profile != "" {
		if err := os.MkdirAll(o.Profile, 0o755); err != nil {
			t.Fatalf("%v", err)
		}
	}
	for round := range o.Rounds {
		for _, w := range shuffled(c.Workloads) {
			for _, contestant := range shuffled(c.Contestants) {
				cell := measure(t.Context(), o, &w, contestant, s.backend)
				cell.Round = round
				c.Cells = append(c.Cells, cell)
				say("round %d of %d: %s", round+1, o.Rounds, cell.String())
				if err := t.Context().Err(); err != nil {
					t.Fatalf("it was ended before its time: %v", err)
				}
				if err := contestant.process.running(); err != nil {
					t.Fatalf("%v", err)
				}
			}
		}
	}
	return c
}

func shuffled[T any](list []T) []T {
	list = slices.Clone(list)
	rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}

// measure runs one workload against one contestant.
func measure(ctx context.Context, o *Options, w *Workload, c *Contestant, backend *process) Cell {
	runtime.GC() // of what the last one left; it does not run by itself
	load := startLoad(ctx, w, c.Address, o.WarmUp+o.Window+longestRequest)
	pause(ctx, o.WarmUp)
	if c.Name == rollcall && o.Profile != "" {
		go profile(ctx, c, o.Profile, w.Name, o.Window)
	}
	tree := c.process.tree()
	ours := append([]int{os.Getpid(), backend.pid}, tree...)
	before := load.Measure()
	began, cpu, busy, own := time.Now(), cpuTime(tree), busyTime(), cpuTime(ours)
	pause(ctx, o.Window)
	after := load.Stop()
	cell := Cell{Workload: w.Name, Contestant: c.Name, Requests: after - before, Took: time.Since(began), CPU: cpuTime(tree) - cpu}
	strange := busyTime() - busy - (cpuTime(ours) - own)
	cell.Strange = max(0, float64(strange)) / float64(cell.Took) / float64(processors)
	cell.Memory = memory(tree)
	var latencies []time.Duration
	latencies, cell.Failed, cell.Problem = load.End()
	cell.P50, cell.P99, cell.P999 = quantile(latencies, 0.5), quantile(latencies, 0.99), quantile(latencies, 0.999)
	return cell
}

// pause waits for d or the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// PerRequest is the contestant's processor time in µs for a request.
func (c *Cell) PerRequest() float64 {
	if c.Requests == 0 {
		return 0
	}
	return float64(c.CPU.Nanoseconds()) / 1000 / float64(c.Requests)
}

// PerSecond is the requests that were answered in a second.
func (c *Cell) PerSecond() float64 { return float64(c.Requests) / c.Took.Seconds() }

func (c *Cell) String() string {
	line := fmt.Sprintf("%-9s %-11s %8.1f µs/request %8.0f requests/s  p50 %-9v p99 %-9v %5.1f MiB",
		c.Workload, c.Contestant, c.PerRequest(), c.PerSecond(), c.P50.Round(time.Microsecond), c.P99.Round(time.Microsecond), float64(c.Memory)/(1<<20))
	if c.Strange > disturbed {
		line += fmt.Sprintf("  others took %.0f %%", 100*c.Strange)
	}
	if c.Failed > 0 {
		line += fmt.Sprintf("  %d FAILED: %v", c.Failed, c.Problem)
	}
	return line
}

// disturbed is the share of the processors that others may take before a cell
// counts as disturbed.
const disturbed = 0.05
