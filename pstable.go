package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// psColumn is a column of the table of backends.
type psColumn struct {
	head string
	cell func(b *backendView, now time.Time) string
}

var psColumns = []psColumn{
	{"SERVICE", func(b *backendView, _ time.Time) string { return b.Service }},
	{"CONTAINER", func(b *backendView, _ time.Time) string { return b.Container }},
	{"ID", func(b *backendView, _ time.Time) string { return short(b.ContainerID) }},
	{"STATE", func(b *backendView, _ time.Time) string { return b.State.String() }},
	{"ADDRESS", func(b *backendView, _ time.Time) string { return b.Address }},
	{"IN FLIGHT", func(b *backendView, _ time.Time) string { return fmt.Sprint(b.InFlight) }},
	{"REQUESTS", func(b *backendView, _ time.Time) string { return fmt.Sprint(b.Requests) }},
	{"FAILURES", func(b *backendView, _ time.Time) string { return fmt.Sprint(b.Failures) }},
	{"SINCE", func(b *backendView, now time.Time) string { return age(now.Sub(b.Since)) }},
	{"REASON", func(b *backendView, _ time.Time) string { return b.Reason }},
}

// psExpendable are the columns that go first where there is no room for all.
var psExpendable = []string{"ID", "ADDRESS", "FAILURES", "SINCE", "REQUESTS", "IN FLIGHT", "CONTAINER"}

const (
	psGap       = 2  // blanks between columns
	psLeastLast = 24 // the reason gets less only when no other column is left to go
)

// stateStyles are the colours of states; the word stands there all the same.
var stateStyles = map[State]string{
	Healthy: styleGreen, Starting: styleYellow, Draining: styleYellow, Unhealthy: styleRed, Paused: styleFaint, Stopped: styleFaint,
}

// backendTable returns the lines of the table, cut to the screen's width.
func backendTable(s *screen, backends []backendView, now time.Time) []string {
	columns := slices.Clone(psColumns)
	cells := make([][]string, len(columns)) // by column; the head first
	widths := make([]int, len(columns))
	for i, column := range columns {
		cells[i] = []string{column.head}
		for j := range backends {
			cells[i] = append(cells[i], printable(column.cell(&backends[j], now)))
		}
		for _, cell := range cells[i] {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	limit := s.columns()
	for _, head := range psExpendable {
		if limit == 0 || psWidth(widths) <= limit {
			break
		}
		i := slices.IndexFunc(columns, func(c psColumn) bool { return c.head == head })
		columns, cells, widths = slices.Delete(columns, i, i+1), slices.Delete(cells, i, i+1), slices.Delete(widths, i, i+1)
	}
	lines := make([]string, 1+len(backends))
	for row := range lines {
		var line strings.Builder
		room := limit
		for i, column := range columns {
			cell, width := cells[i][row], widths[i]
			if limit > 0 {
				if room <= 0 {
					break
				}
				cell, width = clip(cell, room), min(width, room)
				room -= width + psGap
			}
			style := ""
			switch {
			case row == 0:
				style = styleBold
			case column.head == "STATE":
				style = stateStyles[backends[row-1].State]
			}
			line.WriteString(s.styled(style, cell))
			if i < len(columns)-1 {
				line.WriteString(strings.Repeat(" ", width-utf8.RuneCountInString(cell)+psGap))
			}
		}
		lines[row] = strings.TrimRight(line.String(), " ")
	}
	return lines
}

// psWidth is the width that a table needs at least: its last column, the reason,
// may be cut.
func psWidth(widths []int) int {
	last := len(widths) - 1
	sum := psGap*last + min(widths[last], psLeastLast)
	for _, width := range widths[:last] {
		sum += width
	}
	return sum
}

// age is a duration in its largest unit, as tables show it: "42s", "3m", "5h".
func age(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", max(0, int(d.Seconds())))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}
