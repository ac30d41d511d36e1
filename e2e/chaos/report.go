package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"rollcall/e2e/chaos/load"
	"rollcall/e2e/lab"
)

// Report is all that a run has shown.
type Report struct {
	options      Options
	steps        []*Step
	outcomes     []load.Outcome
	measurements []*Measurement
	steady       []*load.Streams
	witness      *Witness
	logs         []*lab.Log // of each rollcall
	problems     []string   // what kept the program from its work
	notes        []string
	began        time.Time
}

func newReport(o Options) *Report { return &Report{options: o, began: time.Now()} }

func (r *Report) begin(s *Step) {
	s.Number, s.Began = len(r.steps), time.Now()
	r.steps = append(r.steps, s)
}

// verdict of one request.
type verdict uint8

const (
	good verdict = iota
	allowed
	failed
)

// judge tells what a request's outcome means, given what rollcall has logged of
// it. A POST that can't be sent again is answered with 502: one whose container was
// killed under it; and one that crossed with the end of a connection, which a hasty
// application closed without having looked at it. Only the application knows that
// it has not.
func (r *Report) judge(o *load.Outcome, logged string) verdict {
	switch {
	case o.Failure == "":
		return good
	case o.Kind != load.Post || o.Failure != "502 backend-failed":
		return failed
	case r.steps[o.Step].Abrupt:
		return allowed
	case r.steps[o.Step].Hasty && crossed.MatchString(logged) && !r.witness.Saw(o.Path):
		return allowed
	}
	return failed
}

// crossed is what rollcall says of a connection that was closed while a request
// was on its way: an idle one, or one that the application had not accepted yet
// when it stopped listening.
var crossed = regexp.MustCompile("kept connection was closed|connection broke: .*reset by peer")

// mostCrossed bounds the POSTs that may fail in a hasty step: more is no
// coincidence.
const mostCrossed = 2

// row is one line of the table.
type row struct {
	requests, failed, allowed int
	kinds                     map[string]int // of what failed
	reasons                   map[string]int // of what failed or was allowed
	latencies                 []time.Duration
}

func (r *Report) rows() []row {
	why := r.reasonsLogged()
	rows := make([]row, len(r.steps))
	for i := range rows {
		rows[i].kinds, rows[i].reasons = map[string]int{}, map[string]int{}
	}
	for i := range r.outcomes {
		o := &r.outcomes[i]
		row := &rows[o.Step]
		row.requests++
		row.latencies = append(row.latencies, o.Latency)
		logged := why[o.Path]
		verdict := r.judge(o, logged)
		if verdict == good {
			continue
		}
		reason := fmt.Sprintf("%s: %s", o.Kind, o.Failure)
		if logged != "" {
			reason += " (" + logged + ")"
		}
		if o.Kind == load.Post {
			reason += map[bool]string{true: ", seen by the app", false: ", not seen by the app"}[r.witness.Saw(o.Path)]
		}
		if verdict == allowed {
			row.allowed++
			reason = "allowed: " + reason
		} else {
			row.failed++
			row.kinds[o.Kind.String()]++
		}
		row.reasons[reason]++
	}
	for i := range rows {
		slices.Sort(rows[i].latencies)
	}
	return rows
}

// address is what differs between two failures of one kind.
var address = regexp.MustCompile(`\d+\.\d+\.\d+\.\d+:\d+(->\d+\.\d+\.\d+\.\d+:\d+)?`)

// reasonsLogged returns what rollcall has logged of failed requests, by path.
func (r *Report) reasonsLogged() map[string]string {
	reasons := map[string]string{}
	for _, log := range r.logs {
		for _, line := range log.Lines("request refused") {
			reason := cmp.Or(line.Fields["error"], line.Fields["rollcall_error"])
			reasons[line.Fields["path"]] = address.ReplaceAllString(reason, "ADDRESS")
		}
	}
	return reasons
}

// Print writes the table.
func (r *Report) Print(w io.Writer) {
	rows := r.rows()
	fmt.Fprintf(w, "%d requests a second for %s; latency from the intended start, without the time that the app was asked to take\n\n",
		r.options.Rate, time.Since(r.began).Round(time.Second))
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "STEP\tREQUESTS\tFAILED\tALLOWED\tP50\tP99\tMAX\tFAILURES BY KIND\tSTREAMS ENDED")
	total := row{}
	for i, row := range rows {
		s := r.steps[i]
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%s\t%s\t%s\t%s\t%s\n", s.Name, row.requests, row.failed, row.allowed,
			short(quantile(row.latencies, 0.5)), short(quantile(row.latencies, 0.99)), short(quantile(row.latencies, 1)),
			counted(row.kinds), ends(s))
		total.requests += row.requests
		total.failed += row.failed
		total.allowed += row.allowed
	}
	fmt.Fprintf(table, "all\t%d\t%d\t%d\n", total.requests, total.failed, total.allowed)
	table.Flush()
	r.printReasons(w, rows)
	r.printRest(w)
}

func ends(s *Step) string {
	if len(s.Torn) == 0 {
		return fmt.Sprintf("%d by the app", s.Byes)
	}
	return fmt.Sprintf("%d by the app, %d torn", s.Byes, len(s.Torn))
}

// counted lists what a map counts, the most frequent first.
func counted(count map[string]int) string {
	var words []string
	for _, word := range sortedByCount(count) {
		words = append(words, fmt.Sprintf("%s %d", word, count[word]))
	}
	return cmp.Or(strings.Join(words, ", "), "-")
}

func sortedByCount(count map[string]int) []string {
	return slices.SortedFunc(maps.Keys(count), func(a, b string) int {
		return cmp.Or(cmp.Compare(count[b], count[a]), cmp.Compare(a, b))
	})
}

func (r *Report) printReasons(w io.Writer, rows []row) {
	for i, row := range rows {
		s := r.steps[i]
		torn := map[string]int{}
		for _, reason := range s.Torn {
			torn["torn "+address.ReplaceAllString(reason, "ADDRESS")]++
		}
		if len(row.reasons)+len(torn)+len(s.Problems) == 0 {
			continue
		}
		fmt.Fprintf(w, "\n%s\n", s.Name)
		for _, count := range []map[string]int{row.reasons, torn} {
			for _, reason := range sortedByCount(count) {
				fmt.Fprintf(w, "  %5d  %s\n", count[reason], reason)
			}
		}
		for _, problem := range s.Problems {
			fmt.Fprintf(w, "  the step itself: %s\n", problem)
		}
	}
}

func (r *Report) printRest(w io.Writer) {
	fmt.Fprintln(w)
	for _, streams := range r.steady {
		fmt.Fprintf(w, "streams to other backends: %d open, %d dropped, longest silence %s\n", streams.Most(), len(streams.Ends()), short(streams.Longest()))
		for _, end := range streams.Ends() {
			fmt.Fprintf(w, "  %s: %s, %s\n", r.stepAt(end.At), end.Kind, end.Reason)
		}
	}
	for _, note := range r.notes {
		fmt.Fprintln(w, note)
	}
	fmt.Fprintf(w, "POSTs that reached an app: %d, more than once: %d\n", r.witness.Len(), len(r.witness.Twice()))
	for _, m := range r.measurements {
		if len(m.samples) > 0 {
			fmt.Fprintf(w, "from listening to the %s: median %s, p99 %s, max %s of %d starts\n", m.step.Name,
				short(quantile(m.samples, 0.5)), short(quantile(m.samples, 0.99)), short(quantile(m.samples, 1)), len(m.samples))
		}
	}
}

func (r *Report) stepAt(t time.Time) string {
	for _, s := range slices.Backward(r.steps) {
		if !t.Before(s.Began) {
			return s.Name
		}
	}
	return "before the first step"
}

// Broken lists the guarantees that do not hold.
func (r *Report) Broken() []string {
	broken := slices.Clone(r.problems)
	for i, row := range r.rows() {
		s := r.steps[i]
		if row.failed > 0 {
			broken = append(broken, fmt.Sprintf("%s: %d of %d requests failed", s.Name, row.failed, row.requests))
		}
		if row.allowed > mostCrossed && s.Hasty {
			broken = append(broken, fmt.Sprintf("%s: %d POSTs failed on connections that were closed; at most %d is a coincidence", s.Name, row.allowed, mostCrossed))
		}
		for _, problem := range s.Problems {
			broken = append(broken, s.Name+": "+problem)
		}
		if row.requests == 0 {
			broken = append(broken, s.Name+": no request was sent")
		}
	}
	if len(r.steps) == 0 {
		broken = append(broken, "no step has been played")
	}
	for _, streams := range r.steady {
		if n := len(streams.Ends()); n > 0 {
			broken = append(broken, fmt.Sprintf("%d streams to other backends were dropped", n))
		}
	}
	if n := len(r.witness.Twice()); n > 0 {
		broken = append(broken, fmt.Sprintf("%d POSTs reached an application more than once", n))
	}
	for _, m := range r.measurements {
		if problem := m.Broken(); problem != "" && (r.options.Strict || len(m.samples) == 0) {
			broken = append(broken, problem)
		}
	}
	return broken
}

// list writes every request, for a closer look.
func (r *Report) list(w io.Writer) {
	fmt.Fprintln(w, "intended,step,kind,path,milliseconds,status,failure,from")
	for i := range r.outcomes {
		o := &r.outcomes[i]
		fmt.Fprintf(w, "%s,%q,%s,%s,%.1f,%d,%q,%s\n", o.Intended.UTC().Format("15:04:05.000000"), r.steps[o.Step].Name, o.Kind, o.Path,
			float64(o.Latency)/float64(time.Millisecond), o.Status, o.Failure, o.From)
	}
}

// Write leaves table, plot, requests and logs in a directory.
func (r *Report) Write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var table, plot, requests strings.Builder
	r.Print(&table)
	r.Plot(&plot)
	r.list(&requests)
	files := map[string]string{"chaos.txt": table.String(), "chaos.svg": plot.String(), "requests.csv": requests.String()}
	for i, log := range r.logs {
		files[fmt.Sprintf("rollcall-%d.log", i)] = log.String()
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}
