package main

import (
	"fmt"
	"html"
	"io"
	"math"
	"slices"
	"strings"
	"time"
)

// The plot is an SVG of two panels over one time axis: latency on a logarithmic
// scale, and requests that failed. It is drawn here: a library for it would be
// larger than this program.
const (
	plotWidth, plotLeft, plotRight = 1600.0, 70.0, 20.0
	labelsHeight                   = 270.0
	latencyTop, latencyBottom      = labelsHeight, labelsHeight + 380.0
	failureTop, failureBottom      = latencyBottom + 40.0, latencyBottom + 200.0
	plotHeight                     = failureBottom + 50.0
	fastest, slowest               = 0.0001, 40.0 // seconds, the ends of the scale
)

// bin is what happened to the requests of a quarter of a second.
type bin struct {
	latencies       []time.Duration
	allowed, failed int
}

const binLength = 250 * time.Millisecond

// canvas draws in plot coordinates.
type canvas struct {
	io.Writer
	began  time.Time
	length time.Duration
}

func (c *canvas) x(t time.Time) float64 {
	return plotLeft + (plotWidth-plotLeft-plotRight)*float64(t.Sub(c.began))/float64(c.length)
}

// latencyY places a latency on the logarithmic scale.
func latencyY(seconds float64) float64 {
	seconds = min(max(seconds, fastest), slowest)
	return latencyBottom - (latencyBottom-latencyTop)*math.Log(seconds/fastest)/math.Log(slowest/fastest)
}

func (c *canvas) line(x1, y1, x2, y2 float64, colour string) {
	fmt.Fprintf(c, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s"/>`+"\n", x1, y1, x2, y2, colour)
}

func (c *canvas) text(x, y float64, anchor, more, text string) {
	fmt.Fprintf(c, `<text x="%.1f" y="%.1f" text-anchor="%s" %s>%s</text>`+"\n", x, y, anchor, more, html.EscapeString(text))
}

// Plot writes the SVG.
func (r *Report) Plot(w io.Writer) {
	c := &canvas{Writer: w, began: r.began, length: max(time.Second, time.Since(r.began))}
	if len(r.steps) > 0 { // without the time that building took
		c.began = r.steps[0].Began
		c.length = max(time.Second, r.steps[len(r.steps)-1].Ended.Sub(c.began))
	}
	fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" font-family="sans-serif" font-size="12">`+"\n", plotWidth, plotHeight)
	fmt.Fprintf(w, `<rect width="%g" height="%g" fill="white"/>`+"\n", plotWidth, plotHeight)
	r.plotSteps(c)
	c.plotAxes()
	bins := r.bins(c)
	c.plotLatency(bins)
	c.plotFailures(bins)
	fmt.Fprintln(w, "</svg>")
}

// plotSteps marks when each step was played.
func (r *Report) plotSteps(c *canvas) {
	for i, s := range r.steps {
		x, end := c.x(s.Began), c.x(s.Ended)
		colour := []string{"#f4f4f4", "#e8eef6"}[i%2]
		fmt.Fprintf(c, `<rect x="%.1f" y="%g" width="%.1f" height="%g" fill="%s"/>`+"\n", x, latencyTop, max(0, end-x), failureBottom-latencyTop, colour)
		middle := (x + end) / 2
		c.text(middle, latencyTop-8, "start", fmt.Sprintf(`transform="rotate(-50 %.1f %g)"`, middle, latencyTop-8), s.Name)
	}
}

func (c *canvas) plotAxes() {
	for _, seconds := range []float64{0.001, 0.01, 0.1, 1, 10} {
		y := latencyY(seconds)
		c.line(plotLeft, y, plotWidth-plotRight, y, "#ccc")
		c.text(plotLeft-6, y+4, "end", "", time.Duration(seconds*float64(time.Second)).String())
	}
	c.line(plotLeft, failureBottom, plotWidth-plotRight, failureBottom, "#888")
	step := time.Duration(max(1, math.Round(c.length.Seconds()/150))) * 10 * time.Second
	for t := time.Duration(0); t <= c.length; t += step {
		c.text(c.x(c.began.Add(t)), failureBottom+18, "middle", "", t.String())
	}
	for i, key := range []struct{ colour, word string }{
		{"#1f77b4", "latency: median"}, {"#ff7f0e", "latency: longest"}, {"#d62728", "failed"}, {"#e0b000", "allowed to fail"},
	} {
		x := plotLeft + float64(i)*160
		fmt.Fprintf(c, `<rect x="%.1f" y="%g" width="12" height="12" fill="%s"/>`+"\n", x, failureBottom+30, key.colour)
		c.text(x+18, failureBottom+41, "start", "", key.word)
	}
}

func (r *Report) bins(c *canvas) []bin {
	why := r.reasonsLogged()
	bins := make([]bin, int(c.length/binLength)+1)
	for i := range r.outcomes {
		o := &r.outcomes[i]
		at := int(o.Intended.Sub(c.began) / binLength)
		if at < 0 || at >= len(bins) {
			continue
		}
		b := &bins[at]
		b.latencies = append(b.latencies, o.Latency)
		switch r.judge(o, why[o.Path]) {
		case allowed:
			b.allowed++
		case failed:
			b.failed++
		}
	}
	for i := range bins {
		slices.Sort(bins[i].latencies)
	}
	return bins
}

func (c *canvas) plotLatency(bins []bin) {
	for _, curve := range []struct {
		q      float64
		colour string
	}{{1, "#ff7f0e"}, {0.5, "#1f77b4"}} {
		var path strings.Builder
		verb := "M" // also after a pause of the load
		for i, b := range bins {
			if len(b.latencies) == 0 {
				verb = "M"
				continue
			}
			x := c.x(c.began.Add(time.Duration(i) * binLength))
			fmt.Fprintf(&path, "%s%.1f %.1f", verb, x, latencyY(quantile(b.latencies, curve.q).Seconds()))
			verb = "L"
		}
		fmt.Fprintf(c, `<path d="%s" fill="none" stroke="%s"/>`+"\n", path.String(), curve.colour)
	}
}

func (c *canvas) plotFailures(bins []bin) {
	most := 1
	for _, b := range bins {
		most = max(most, b.failed+b.allowed)
	}
	c.text(plotLeft-6, failureTop+4, "end", "", fmt.Sprint(most))
	c.text(plotLeft-6, failureBottom+4, "end", "", "0")
	c.text(plotLeft, failureTop-8, "start", "", "requests that failed, per quarter of a second")
	width := max(1, (plotWidth-plotLeft-plotRight)/float64(len(bins)))
	bar := func(x, bottom float64, n int, colour string) (top float64) {
		if n == 0 {
			return bottom
		}
		height := (failureBottom - failureTop) * float64(n) / float64(most)
		fmt.Fprintf(c, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"/>`+"\n", x, bottom-height, width, height, colour)
		return bottom - height
	}
	for i, b := range bins {
		x := c.x(c.began.Add(time.Duration(i) * binLength))
		bar(x, bar(x, failureBottom, b.failed, "#d62728"), b.allowed, "#e0b000")
	}
}
