package main

import (
	"bytes"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"strconv"
	"time"

	"rollcall/e2e/lab"
)

// ControlPlane is how long rollcall's own work takes, by number of containers, as
// the Go benchmarks beside the code measure it.
type ControlPlane struct {
	Works []Work
}

// Work is one kind of that work.
type Work struct {
	Title   string
	pattern string // of its benchmark's names; the group is the number of containers
	times   int    // that it is done in one iteration
	Took    map[int]time.Duration
}

// works are what is measured. Go writes a space in a benchmark's name as _.
func works() []Work {
	list := []Work{
		{Title: "a poll, nothing new", pattern: `Poll/(\d+)_containers_unchanged`, times: 1},
		{Title: "a poll, one container changed", pattern: `Poll/(\d+)_containers,_one_changes`, times: 1},
		{Title: "the registry's part, nothing new", pattern: `Replace/(\d+)_containers_unchanged`, times: 1},
		{Title: "one change, published", pattern: `Publish/(\d+)`, times: 2},
		{Title: "all come up at once", pattern: `Start/(\d+)`, times: 1},
	}
	for i := range list {
		list[i].Took = map[int]time.Duration{}
	}
	return list
}

// controlPlane runs the benchmarks.
func controlPlane(t lab.T) *ControlPlane {
	t.Helper()
	say("the control plane's benchmarks")
	cmd := exec.CommandContext(t.Context(), "go", "test", "-run", "^$", "-bench", "^Benchmark(Poll|Replace|Publish|Start)$", "-benchtime", "500ms", ".")
	output, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, output)
	}
	c := &ControlPlane{works()}
	for i := range c.Works {
		w := &c.Works[i]
		w.read(output)
		for _, n := range idleSizes {
			if w.Took[n] == 0 {
				t.Fatalf("%s says nothing of %s with %d containers:\n%s", cmd, w.Title, n, output)
			}
		}
	}
	return c
}

// read takes what go test -bench printed.
func (w *Work) read(output []byte) {
	line := regexp.MustCompile(`(?m)^Benchmark` + w.pattern + `(?:-\d+)?\s+\d+\s+([\d.]+) ns/op`)
	for _, match := range line.FindAllSubmatch(bytes.ReplaceAll(output, []byte("\t"), []byte(" ")), -1) {
		n, _ := strconv.Atoi(string(match[1]))
		nanos, _ := strconv.ParseFloat(string(match[2]), 64)
		w.Took[n] = time.Duration(nanos) / time.Duration(w.times)
	}
}

func (c *ControlPlane) write(w io.Writer) {
	fmt.Fprintf(w, "\n## Control plane\n\nrollcall's own work on containers in services of five to ten, the engine's not counted.\n\n")
	fmt.Fprintf(w, "![time of a poll, a change and a start, by number of containers](controlplane.svg)\n\n| containers |")
	for _, work := range c.Works {
		fmt.Fprintf(w, " %s |", work.Title)
	}
	fmt.Fprint(w, "\n| --: |")
	for range c.Works {
		fmt.Fprint(w, " --: |")
	}
	fmt.Fprintln(w)
	for _, n := range idleSizes {
		fmt.Fprintf(w, "| %d |", n)
		for _, work := range c.Works {
			fmt.Fprintf(w, " %s |", shortly(work.Took[n]))
		}
		fmt.Fprintln(w)
	}
}

// shortly writes a duration with two or three digits.
func shortly(d time.Duration) string {
	for _, unit := range []time.Duration{time.Second, time.Millisecond, time.Microsecond} {
		if d >= unit {
			return fmt.Sprintf("%.3g %s", float64(d)/float64(unit), map[time.Duration]string{time.Second: "s", time.Millisecond: "ms", time.Microsecond: "µs"}[unit])
		}
	}
	return fmt.Sprintf("%d ns", d)
}

func (c *ControlPlane) plot() string {
	k := curves{heading: "what rollcall does, by number of containers", least: 1e-7, greatest: 10,
		write: func(seconds float64) string { return shortly(time.Duration(seconds * float64(time.Second))) }}
	for _, work := range c.Works {
		values := make([]float64, len(idleSizes))
		for i, n := range idleSizes {
			values[i] = work.Took[n].Seconds()
		}
		k.lines = append(k.lines, curve{work.Title, values})
	}
	return k.draw(idleSizes)
}
