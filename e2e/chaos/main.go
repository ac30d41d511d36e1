// Command chaos shows that no request is lost while containers come and go. It
// runs rollcall, sends requests through it at a fixed rate, and meanwhile stops,
// kills, removes, pauses, recreates, scales and rebuilds the containers behind it,
// and stops and kills an engine. It prints a table of what became of the requests,
// draws latency and failures over time, and exits 1 if a guarantee is broken:
//
//   - with several replicas no GET, HEAD, PUT or DELETE fails in any step, and no
//     POST in any step that warns its containers (a stop signal);
//   - where containers are killed without a warning, only POSTs that had reached
//     one may fail (502 backend-failed, counted as allowed);
//   - a POST may also fail that crossed with the end of an idle connection which
//     its application closed, without having read it: counted as allowed, and at
//     most two in a step;
//   - with one replica nothing fails while it restarts within --hold;
//   - no POST reaches an application twice;
//   - no stream to another backend is dropped;
//   - a container gets its first request soon after it listens.
//
// Usage, in the repository, with a Docker engine, Docker Compose, and for the
// engine steps root and dockerd:
//
//	go run ./e2e/chaos [flags]
//
// It makes its own containers, networks, images and engines, and removes them at
// its end. The engine of the machine is asked for containers, nothing else.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"rollcall/e2e/lab"
)

// Options are what the command line says.
type Options struct {
	Short    bool
	Rate     int
	Margin   time.Duration // of load before what happens in a step, and after all is well again
	Out      string
	Only     string
	Rollcall string
	Strict   bool // time limits count: nothing else works on this machine
}

// longest bounds the whole program.
const longest = 25 * time.Minute

func main() {
	o := Options{Strict: true}
	seconds := flag.Float64("seconds", 2, "load before and after each step")
	flag.BoolVar(&o.Short, "short", false, "fewer and quicker steps")
	flag.IntVar(&o.Rate, "rate", 300, "requests a second")
	flag.StringVar(&o.Out, "out", filepath.Join(os.TempDir(), "rollcall-chaos"), "directory for table, plot and logs")
	flag.StringVar(&o.Only, "only", "", "run only steps whose name contains this")
	flag.StringVar(&o.Rollcall, "rollcall", "", "the program to try (default: built from this repository)")
	flag.Parse()
	o.Margin = time.Duration(*seconds * float64(time.Second))
	if flag.NArg() > 0 || o.Rate < 1 || o.Margin < 0 {
		fmt.Fprintln(os.Stderr, "chaos: bad arguments; chaos -help lists what is accepted")
		os.Exit(2)
	}
	os.Exit(lab.Main(func(l *lab.Lab) int { return run(l, o) }))
}

func run(l *lab.Lab, o Options) int {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	ctx, cancel = context.WithTimeout(ctx, longest)
	defer cancel()
	passed := lab.Program(ctx, "chaos", os.Stderr, func(t lab.T) {
		report := play(t, l, o, os.Stderr)
		if err := report.Write(o.Out); err != nil {
			t.Fatalf("%v", err)
		}
		report.Print(os.Stdout)
		fmt.Println("\nTable, plot and logs are in", o.Out)
		for _, broken := range report.Broken() {
			t.Errorf("BROKEN: %s", broken)
		}
	})
	if !passed {
		return 1
	}
	return 0
}
