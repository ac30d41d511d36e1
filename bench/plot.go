package main

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// The plots are SVG, drawn here: a library for them would be larger than all of
// this.

// canvas is an SVG under construction.
type canvas struct{ strings.Builder }

func newCanvas(width, height float64) *canvas {
	c := &canvas{}
	fmt.Fprintf(c, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" font-family="sans-serif" font-size="12">`+"\n", width, height)
	fmt.Fprintf(c, `<rect width="%g" height="%g" fill="white"/>`+"\n", width, height)
	return c
}

func (c *canvas) done() string {
	c.WriteString("</svg>\n")
	return c.String()
}

func (c *canvas) text(x, y float64, anchor, text string) {
	fmt.Fprintf(c, `<text x="%.1f" y="%.1f" text-anchor="%s">%s</text>`+"\n", x, y, anchor, html.EscapeString(text))
}

func (c *canvas) line(x1, y1, x2, y2 float64, colour string) {
	fmt.Fprintf(c, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s"/>`+"\n", x1, y1, x2, y2, colour)
}

func (c *canvas) bar(x, y, width, height float64, colour string) {
	fmt.Fprintf(c, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"/>`+"\n", x, y, max(0, width), height, colour)
}

// colours of the contestants.
var colours = map[string]string{
	rollcall: "#d62728", nginx: "#2ca02c", nginxTuned: "#98df8a", haproxy: "#1f77b4", caddy: "#9467bd", naive: "#7f7f7f",
}

// bars is a bar chart: a group for each title, a bar for each contestant.
type bars struct {
	heading string
	scale   func(float64) float64 // from a value to 0 … 1
	ticks   []float64
	write   func(float64) string
}

const (
	barsWidth, barsLeft, barsRight = 900.0, 290.0, 70.0
	barHeight, groupGap, barsTop   = 13.0, 16.0, 44.0
)

// draw draws one bar per title and contestant that has a value.
func (b *bars) draw(titles []string, contestants []*Contestant, value func(title int, contestant string) float64) string {
	group := barHeight*float64(len(contestants)) + groupGap
	height := barsTop + group*float64(len(titles)) + 30
	c := newCanvas(barsWidth, height)
	x := func(v float64) float64 { return barsLeft + (barsWidth-barsLeft-barsRight)*min(1, max(0, b.scale(v))) }
	c.text(barsLeft, 16, "start", b.heading)
	for _, tick := range b.ticks {
		c.line(x(tick), barsTop-6, x(tick), height-30, "#ddd")
		c.text(x(tick), barsTop-10, "middle", b.write(tick))
	}
	for i, title := range titles {
		top := barsTop + group*float64(i)
		c.text(barsLeft-8, top+group/2, "end", title)
		for j, k := range contestants {
			v := value(i, k.Name)
			if v == 0 {
				continue
			}
			y := top + barHeight*float64(j)
			c.bar(barsLeft, y, x(v)-barsLeft, barHeight-2, colours[k.Name])
			c.text(x(v)+4, y+barHeight-3, "start", b.write(v))
		}
	}
	for j, k := range contestants {
		at := 20 + 145*float64(j)
		c.bar(at, height-22, 12, 12, colours[k.Name])
		c.text(at+18, height-12, "start", k.Name)
	}
	return c.done()
}

// curves is a chart with both axes logarithmic: a straight line of slope one is a
// cost for each container, a steeper one would be worse.
type curves struct {
	heading         string
	least, greatest float64 // powers of ten
	write           func(float64) string
	lines           []curve
}

type curve struct {
	title  string
	values []float64 // one for each size
}

const (
	curvesWidth, curvesHeight, curvesLeft      = 620.0, 400.0, 70.0
	curvesTop, curvesBottom, curvesRight       = 40.0, 290.0, 580.0
	legendTop, legendColumn, legendLine, beads = 330.0, 270.0, 18.0, 6.0
)

// shades are the colours of the lines.
var shades = []string{"#d62728", "#ff9896", "#1f77b4", "#2ca02c", "#9467bd"}

// draw draws the lines over the sizes, which grow tenfold.
func (k *curves) draw(sizes []int) string {
	c := newCanvas(curvesWidth, curvesHeight)
	x := func(i int) float64 {
		return curvesLeft + (curvesRight-curvesLeft)*float64(i)/float64(max(1, len(sizes)-1))
	}
	y := func(v float64) float64 {
		return curvesBottom - (curvesBottom-curvesTop)*math.Log(max(v, k.least)/k.least)/math.Log(k.greatest/k.least)
	}
	c.text(curvesLeft, 18, "start", k.heading)
	for v := k.least; v < k.greatest*1.5; v *= 10 {
		c.line(curvesLeft, y(v), curvesRight, y(v), "#ddd")
		c.text(curvesLeft-8, y(v)+4, "end", k.write(v))
	}
	for i, n := range sizes {
		c.text(x(i), curvesBottom+20, "middle", fmt.Sprint(n))
	}
	for j, line := range k.lines {
		shade := shades[j%len(shades)]
		for i, v := range line.values {
			c.bar(x(i)-beads/2, y(v)-beads/2, beads, beads, shade)
			if i > 0 {
				c.line(x(i-1), y(line.values[i-1]), x(i), y(v), shade)
			}
			if len(k.lines) == 1 {
				c.text(x(i), y(v)-8, "middle", k.write(v))
			}
		}
		if line.title != "" {
			left, top := curvesLeft+legendColumn*float64(j%2), legendTop+legendLine*float64(j/2)
			c.bar(left, top, 12, 12, shade)
			c.text(left+18, top+10, "start", line.title)
		}
	}
	return c.done()
}

// plotCPU draws what a request costs each contestant.
func (c *Contest) plotCPU() string {
	var titles []string
	for _, w := range c.Workloads {
		titles = append(titles, w.Title)
	}
	ratio := func(i int, contestant string) float64 {
		return c.Ratio(c.Workloads[i].Name, contestant, nginx, perRequest)
	}
	most := 1.0
	for i := range titles {
		for _, k := range c.Contestants {
			most = max(most, ratio(i, k.Name))
		}
	}
	b := bars{heading: "processor time per request, as a multiple of nginx's (defaults)",
		scale: func(v float64) float64 { return v / most }, write: func(v float64) string { return fmt.Sprintf("%.2g", v) }}
	for tick := 1.0; tick <= most; tick++ {
		b.ticks = append(b.ticks, tick)
	}
	return b.draw(titles, c.Contestants, ratio)
}

// plotLatency draws the latencies at the fixed rate, on a logarithmic scale.
func (c *Contest) plotLatency() string {
	values := []func(*Cell) float64{p50, p99, p999}
	b := bars{heading: "latency at a fixed rate, counted from the moment at which a request was due",
		scale: func(v float64) float64 { return math.Log10(v/50) / math.Log10(1e6/50) },
		ticks: []float64{100, 1000, 10e3, 100e3, 1e6}, write: latency}
	return b.draw([]string{"median", "99 %", "99.9 %"}, c.Contestants, func(i int, contestant string) float64 {
		return c.Median("rate", contestant, values[i])
	})
}
