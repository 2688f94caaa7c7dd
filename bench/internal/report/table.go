// SPDX-License-Identifier: Apache-2.0

package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/skybus-io/skybus/bench/internal/plan"
	"github.com/skybus-io/skybus/bench/internal/result"
	"github.com/skybus-io/skybus/bench/internal/run"
)

// grid is a table before it is written: the first row names the columns.
type grid [][]string

// Case writes a case's tables, one a metric, for a terminal.
func Case(w io.Writer, m Measured) {
	for _, metric := range m.Case.Metrics {
		fmt.Fprintf(w, "\n%s, %s: %s\n", metric.Record(m.Case), m.Case.Amount(), m.Case.What)
		rows(m, metric).text(w)
	}
}

// Verdicts writes the judged figures for a terminal.
func Verdicts(w io.Writer, verdicts []Verdict) {
	if len(verdicts) == 0 {
		return
	}
	fmt.Fprintln(w)
	judged(verdicts).text(w)
}

// rows has a line for every implementation; the ratio is ours to it.
func rows(m Measured, metric plan.Metric) grid {
	g := grid{{"impl", "median", "min", "max", "ours / it", "cores", "wait"}}
	network := m.network()
	if network {
		g[0] = append(g[0], "TLS")
	}
	oursName, ours := m.best(plan.Ours, metric)
	for _, s := range m.Series {
		if s.Err != nil {
			g = append(g, []string{s.Impl.Name, "left out: " + strings.Join(strings.Fields(s.Err.Error()), " ")})
			continue
		}
		v := s.Values(metric)
		ratio := "-"
		if it := run.Median(v); oursName != "" && s.Impl.Name != oursName && it != 0 {
			ratio = fmt.Sprintf("%.2f", ours/it)
		}
		row := []string{
			s.Impl.Name, amount(run.Median(v), metric), amount(slices.Min(v), metric), amount(slices.Max(v), metric),
			ratio, fmt.Sprintf("%.1f", run.Median(s.Values(cores))), cmp.Or(s.Lines[0].Wait, "-"),
		}
		if network {
			row = append(row, cmp.Or(s.Lines[0].TLS, "-"))
		}
		g = append(g, row)
	}
	return g
}

// network says whether an implementation of the case goes over a network and says how: then every row has to.
func (m Measured) network() bool {
	return slices.ContainsFunc(m.Series, func(s run.Series) bool {
		return s.Err == nil && slices.ContainsFunc(s.Lines, func(l result.Line) bool { return l.TLS != "" })
	})
}

func judged(verdicts []Verdict) grid {
	g := grid{{"figure", "size", "ours", "peer", "ratio", "bound", "verdict"}}
	for _, v := range verdicts {
		ratio := "-"
		if v.Outcome != None {
			ratio = v.quantity(v.Ratio)
		}
		verdict := string(v.Outcome)
		if v.Why != "" {
			verdict += ": " + v.Why
		}
		g = append(g, []string{v.Record, fmt.Sprint(v.Size), v.Figure.Ours, cmp.Or(v.Figure.Peer, "-"), ratio, v.Bound(), verdict})
	}
	return g
}

func (g grid) text(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	for _, row := range g {
		fmt.Fprintf(t, "  %s\n", strings.Join(row, "\t"))
	}
	_ = t.Flush() // errors of w belong to its owner
}

func (g grid) markdown(w io.Writer) {
	for i, row := range g {
		cells := make([]string, len(g[0]))
		for j, cell := range row {
			cells[j] = strings.ReplaceAll(cell, "|", `\|`)
		}
		fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | "))
		if i == 0 {
			fmt.Fprintf(w, "|%s\n", strings.Repeat(" --- |", len(row)))
		}
	}
}

// amount writes rates in thousands or millions, times and bytes in the unit that keeps three digits.
func amount(v float64, m plan.Metric) string {
	scale := func(step float64, steps ...string) string {
		for len(steps) > 1 && v >= step {
			v, steps = v/step, steps[1:]
		}
		return fmt.Sprintf("%.*f %s", max(0, 2-digits(v)), v, steps[0])
	}
	switch m.Unit {
	case "ns":
		return scale(1000, "ns", "us", "ms", "s")
	case "msg/s":
		return scale(1000, "/s", "K/s", "M/s", "G/s")
	case "bytes":
		return scale(1024, "B", "KiB", "MiB", "GiB")
	case "allocs/op", "x":
		return fmt.Sprintf("%.2f %s", v, m.Unit)
	}
	return fmt.Sprintf("%.4g %s", v, m.Unit)
}

// digits is how many digits v has before the point, less one.
func digits(v float64) int {
	n := 0
	for ; v >= 10; v /= 10 {
		n++
	}
	return n
}
