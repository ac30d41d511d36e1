// Command bench measures rollcall beside what one would use instead: nginx (with
// its defaults and tuned), HAProxy, Caddy and a naive proxy in Go. All of them
// stand in front of the same four backends, on 127.0.0.1, and get the same
// workloads, one after the other in random order, in several rounds. It prints
// what each request cost the proxy (processor time of its own processes), how many
// it answered a second, how long they took and how much memory it held, and
// whether the marks are met.
//
// Usage, in the repository (make bench installs nginx and HAProxy before):
//
//	go run ./bench [flags]
//
// A whole run takes some twenty minutes and writes RESULTS.md and its plots to
// bench/. With -rounds, -seconds, -only or -contestants it is shorter, and prints
// only, unless -out names a directory. It ends by itself, and removes what it made.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"rollcall/e2e/lab"
)

// Options are what the command line says.
type Options struct {
	Rounds      int
	Window      time.Duration // that is measured of each workload
	WarmUp      time.Duration // before it
	Rate        int           // of the workload with a fixed rate
	Only        string        // words of workloads' names
	Contestants string        // words of contestants' names
	Caddy       string        // a Caddy that is there
	Rivals      string        // other rollcalls: NAME=PROGRAM, …
	Profile     string        // directory for rollcall's profiles
	Out         string
}

// longest bounds the whole program.
const longest = 35 * time.Minute

// processors is how many all of them share.
var processors = runtime.NumCPU()

func main() {
	var o Options
	seconds := flag.Float64("seconds", 2, "what is measured of each workload, per contestant and round")
	warmUp := flag.Float64("warmup", 0.4, "seconds before that, not counted")
	flag.IntVar(&o.Rounds, "rounds", 5, "rounds")
	flag.IntVar(&o.Rate, "rate", 3000, "requests a second of the workload with a fixed rate")
	flag.StringVar(&o.Only, "only", "", "comma list: only workloads whose name contains one of these; controlplane and idle are two without requests")
	flag.StringVar(&o.Contestants, "contestants", "", "comma list: only contestants whose name contains one of these")
	flag.StringVar(&o.Caddy, "caddy", "", "a caddy program to use (default: one built from the Go module "+caddyModule+")")
	flag.StringVar(&o.Rivals, "rivals", "", "comma list of NAME=PROGRAM: other builds of rollcall to compare with")
	flag.StringVar(&o.Profile, "profile", "", "directory for a processor profile of rollcall per workload; profiling costs some percent")
	flag.StringVar(&o.Out, "out", "", "directory for RESULTS.md and its plots (default: bench, if the run is a whole one)")
	flag.Parse()
	o.Window, o.WarmUp = time.Duration(*seconds*float64(time.Second)), time.Duration(*warmUp*float64(time.Second))
	if flag.NArg() > 0 || o.Rounds < 1 || o.Window < 100*time.Millisecond || o.WarmUp < 0 || o.Rate < 1 {
		fmt.Fprintln(os.Stderr, "bench: bad arguments; bench -help lists what is accepted")
		os.Exit(2)
	}
	whole := true
	flag.Visit(func(f *flag.Flag) { whole = whole && (f.Name == "caddy" || f.Name == "out") })
	if whole && o.Out == "" {
		o.Out = "bench"
	}
	// The load must not wait for its own garbage to be collected; there is little.
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(2 << 30)
	os.Exit(run(&o))
}

func run(o *Options) int {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	ctx, cancel = context.WithTimeout(ctx, longest)
	defer cancel()
	passed := lab.Program(ctx, "bench", os.Stderr, func(t lab.T) {
		report := &Report{Options: o, Machine: thisMachine()}
		stand := newStand(t, o)
		if wanted := o.workloads(); len(wanted) > 0 {
			report.Contest = contest(t, o, stand, wanted)
		}
		if o.wants("controlplane") {
			report.Control = controlPlane(t)
		}
		if o.wants("idle") {
			report.Idle = idle(t, stand)
		}
		report.Write(os.Stdout)
		if o.Out == "" {
			return
		}
		if err := report.Save(o.Out); err != nil {
			t.Fatalf("%v", err)
		}
		fmt.Println("Written to", filepath.Join(o.Out, "RESULTS.md"))
	})
	if !passed {
		return 1
	}
	return 0
}

// workloads are those that were asked for.
func (o *Options) workloads() []Workload {
	return slices.DeleteFunc(workloads(o.Rate), func(w Workload) bool { return !o.wants(w.Name) })
}

// wants tells whether -only names this.
func (o *Options) wants(name string) bool { return isNamed(o.Only, name) }

// isNamed tells whether one of a comma list is part of name; an empty list names all.
func isNamed(list, name string) bool {
	return list == "" || slices.ContainsFunc(strings.Split(list, ","), func(word string) bool { return strings.Contains(name, word) })
}

// say tells who waits what goes on.
func say(format string, args ...any) { fmt.Fprintf(os.Stderr, "bench: "+format+"\n", args...) }
