// SPDX-License-Identifier: Apache-2.0

package mailbench

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/skybus-io/skybus/internal/testutil"
)

var figureRounds = flag.Int("figures", 0, "rounds of TestFigures; 0: it is skipped")

// reference is the design that the others are compared with.
const reference = "channel"

// TestFigures prints the tables of docs/design/mailbox.md: for each case and candidate
// the median time of the rounds, and the median of its ratios to the channel's time in
// the same round. In a round each candidate has one short turn, in an order of its
// own, so that what else runs on the machine disturbs all of them alike.
func TestFigures(t *testing.T) {
	if *figureRounds <= 0 {
		t.Skip("measures, and does so only when told how often: -figures 41")
	}
	rng := testutil.Rand(t)
	designs := Designs()
	figures := newTable(designs)
	for _, c := range testCases() {
		times := make([][]float64, len(designs))
		for range *figureRounds {
			for _, i := range rng.Perm(len(designs)) {
				times[i] = append(times[i], timed(c, designs[i]))
			}
		}
		figures.add(c.name, times)
	}
	fmt.Fprintf(os.Stdout, "nanoseconds a message (ratio to %s), medians of %d rounds\n\n%s\n", reference, *figureRounds, figures)
	fmt.Fprintf(os.Stdout, "bytes allocated a message\n\n%s\n", allocations(designs))
	fmt.Fprintf(os.Stdout, "bytes that an idle mailbox retains\n\n%s", retentions(designs))
}

func allocations(designs []Design) *table {
	t := newTable(designs)
	for _, c := range testCases() {
		t.add(c.name, singly(designs, func(d Design) float64 { return allocated(c, d) }))
	}
	return t
}

func retentions(designs []Design) *table {
	t := newTable(designs)
	for _, messages := range []int{0, 1, 100, burst} {
		t.add(fmt.Sprintf("after %d", messages), singly(designs, func(d Design) float64 { return held(d, 200, messages) }))
	}
	return t
}

// singly returns for each design what is measured once.
func singly(designs []Design, measure func(Design) float64) [][]float64 {
	values := make([][]float64, len(designs))
	for i, d := range designs {
		values[i] = []float64{measure(d)}
	}
	return values
}

// allocated returns the bytes that one of c's units of work allocates, with the garbage
// collections that come of it.
func allocated(c testCase, d Design) float64 {
	n := 10 * c.sample
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	c.run(d, n)
	runtime.ReadMemStats(&after)
	return float64(after.TotalAlloc-before.TotalAlloc) / float64(n)
}

// timed returns the nanoseconds of one of c's units of work.
func timed(c testCase, d Design) float64 {
	c.run(d, c.sample/10) // what the pools have is part of being at work
	start := time.Now()
	c.run(d, c.sample)
	return float64(time.Since(start).Nanoseconds()) / float64(c.sample)
}

// A table has a row for each design and a column for each case.
type table struct {
	head []string
	rows [][]string
	base int // the row of the reference
}

func newTable(designs []Design) *table {
	t := &table{head: []string{"design"}}
	for i, d := range designs {
		t.rows = append(t.rows, []string{d.Name})
		if d.Name == reference {
			t.base = i
		}
	}
	return t
}

// add appends a column; values has by design one value for each round.
func (t *table) add(name string, values [][]float64) {
	t.head = append(t.head, strings.ReplaceAll(name, "_", " "))
	for i, own := range values {
		cell := fmt.Sprintf("%.0f", median(own))
		if len(own) > 1 {
			cell = fmt.Sprintf("%s (%.2f)", cell, median(ratios(own, values[t.base])))
		}
		t.rows[i] = append(t.rows[i], cell)
	}
}

func (t *table) String() string {
	var b strings.Builder
	line := func(cells []string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	line(t.head)
	line(slices.Repeat([]string{"---"}, len(t.head)))
	for _, row := range t.rows {
		line(row)
	}
	return b.String()
}

func ratios(values, base []float64) []float64 {
	r := make([]float64, len(values))
	for i := range values {
		r[i] = values[i] / base[i]
	}
	return r
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
