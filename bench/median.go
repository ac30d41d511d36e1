package main

import (
	"maps"
	"slices"
)

// median of values, 0 if there are none.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	values = slices.Sorted(slices.Values(values))
	middle := len(values) / 2
	if len(values)%2 == 0 {
		return (values[middle-1] + values[middle]) / 2
	}
	return values[middle]
}

// values are those of a contestant's cells of a workload, by round.
func (c *Contest) values(workload, contestant string, value func(*Cell) float64) map[int]float64 {
	values := map[int]float64{}
	for i := range c.Cells {
		if cell := &c.Cells[i]; cell.Workload == workload && cell.Contestant == contestant {
			values[cell.Round] = value(cell)
		}
	}
	return values
}

// Median is the median of the rounds.
func (c *Contest) Median(workload, contestant string, value func(*Cell) float64) float64 {
	return median(slices.Collect(maps.Values(c.values(workload, contestant, value))))
}

// Ratio is the median of the rounds' ratios of one contestant to another, 0 if
// one of them has no part. Within a round both ran shortly after one another.
func (c *Contest) Ratio(workload, contestant, to string, value func(*Cell) float64) float64 {
	theirs := c.values(workload, to, value)
	var ratios []float64
	for round, mine := range c.values(workload, contestant, value) {
		if theirs[round] > 0 {
			ratios = append(ratios, mine/theirs[round])
		}
	}
	return median(ratios)
}

// What is compared.
func perRequest(c *Cell) float64 { return c.PerRequest() }
func perSecond(c *Cell) float64  { return c.PerSecond() }
func p50(c *Cell) float64        { return float64(c.P50.Microseconds()) }
func p99(c *Cell) float64        { return float64(c.P99.Microseconds()) }
func p999(c *Cell) float64       { return float64(c.P999.Microseconds()) }
func memoryMiB(c *Cell) float64  { return float64(c.Memory) / (1 << 20) }
func failures(c *Cell) float64   { return float64(c.Failed) }
