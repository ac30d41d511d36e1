package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Report is all that a run found out.
type Report struct {
	Options *Options
	Machine Machine
	Contest *Contest      // nil: left out
	Control *ControlPlane // nil: left out
	Idle    []Idle        // nil: left out
}

// Save writes RESULTS.md and the plots.
func (r *Report) Save(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var page strings.Builder
	r.Write(&page)
	files := map[string]string{"RESULTS.md": page.String()}
	if r.Contest != nil {
		files["cpu.svg"], files["latency.svg"] = r.Contest.plotCPU(), r.Contest.plotLatency()
	}
	if r.Control != nil {
		files["controlplane.svg"] = r.Control.plot()
	}
	if r.Idle != nil {
		files["idle.svg"] = r.plotIdle()
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// Write writes the report as Markdown.
func (r *Report) Write(w io.Writer) {
	m := &r.Machine
	fmt.Fprintf(w, "# Results\n\nWritten by `make bench`; README.md says how it measures.\n\n")
	fmt.Fprintf(w, "%s, %s, Linux %s, %s, rollcall %s, %s.\n", m.Processor, m.Memory, m.Kernel, m.Go, m.Rollcall, m.When.Format(time.DateOnly))
	if r.Contest != nil {
		r.writeContest(w)
	}
	if r.Control != nil {
		r.Control.write(w)
	}
	if r.Idle != nil {
		r.writeIdle(w)
	}
}

func (r *Report) writeContest(w io.Writer) {
	c := r.Contest
	fmt.Fprintf(w, "%d rounds, %v measured per workload, contestant and round after %v of warm-up. %s\n\n", r.Options.Rounds, r.Options.Window, r.Options.WarmUp, c.disturbance())
	fmt.Fprintf(w, "| contestant | version | configuration |\n| --- | --- | --- |\n")
	for _, k := range c.Contestants {
		fmt.Fprintf(w, "| %s | %s | %s |\n", k.Name, k.Version, k.Says)
	}
	c.writeMarks(w)
	fmt.Fprintf(w, "\n## Processor time per request\n\n![processor time per request, as a multiple of nginx's](cpu.svg)\n")
	fmt.Fprintf(w, "\n## Latency at a fixed rate\n\n![latency at a fixed rate](latency.svg)\n")
	for i := range c.Workloads {
		c.writeWorkload(w, &c.Workloads[i])
	}
}

// disturbance says what others did on the machine meanwhile.
func (c *Contest) disturbance() string {
	var shares []float64
	over := 0
	for i := range c.Cells {
		shares = append(shares, c.Cells[i].Strange)
		if c.Cells[i].Strange > disturbed {
			over++
		}
	}
	return fmt.Sprintf("Processes that are no part of this took %.1f %% of the processors (median; at most %.0f %%; above %.0f %% in %d of %d measurements).",
		100*median(shares), 100*slices.Max(shares), 100*disturbed, over, len(c.Cells))
}

func (c *Contest) writeMarks(w io.Writer) {
	fmt.Fprintf(w, "\n## Marks\n\nThe median of the rounds' ratios of rollcall to another contestant, which ran in the same round.\n\n")
	fmt.Fprintf(w, "| workload | of | to | at most | measured | |\n| --- | --- | --- | --- | --- | --- |\n")
	for _, m := range marks {
		ratio := m.Ratio(c)
		measured := "–"
		if ratio > 0 {
			measured = fmt.Sprintf("%.2f", ratio)
		}
		fmt.Fprintf(w, "| %s | %s | %s | %.2f | %s | %s |\n", m.Workload, m.Of, m.To, m.Limit, measured, m.verdict(ratio))
	}
}

func (c *Contest) writeWorkload(w io.Writer, load *Workload) {
	fmt.Fprintf(w, "\n## %s: %s\n\n", load.Name, load.Title)
	fmt.Fprintf(w, "| | CPU µs/request | of nginx | of HAProxy | requests/s | p50 | p99 | p99.9 | memory | failed |\n")
	fmt.Fprintf(w, "| --- | --: | --: | --: | --: | --: | --: | --: | --: | --: |\n")
	for _, k := range c.Contestants {
		value := func(v func(*Cell) float64) float64 { return c.Median(load.Name, k.Name, v) }
		fmt.Fprintf(w, "| %s | %.1f | %s | %s | %.0f | %s | %s | %s | %.1f MiB | %.0f |\n", k.Name, value(perRequest),
			multiple(c.Ratio(load.Name, k.Name, nginx, perRequest)), multiple(c.Ratio(load.Name, k.Name, haproxy, perRequest)),
			value(perSecond), latency(value(p50)), latency(value(p99)), latency(value(p999)), value(memoryMiB), value(failures))
	}
}

func multiple(ratio float64) string {
	if ratio == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f", ratio)
}

// latency writes µs as they are read best.
func latency(µs float64) string {
	if µs < 1000 {
		return fmt.Sprintf("%.0f µs", µs)
	}
	return fmt.Sprintf("%.1f ms", µs/1000)
}
