// SPDX-License-Identifier: Apache-2.0

// Package plan says what is measured and what is judged. It is data: an area has cases, a case has
// implementations that are run one after the other in every round, and figures compare two of them.
// A new area is a new file here and a line in Areas.
package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/skybus-io/skybus/bench/internal/result"
)

// Areas returns all areas in the order in which they are run.
func Areas() []Area { return []Area{IPC(), Relay(), Actor(), Node(), Gate()} }

// Area is one part of the product: what `make bench ONLY=name` runs.
type Area struct {
	Name    string
	Title   string
	Cases   []Case
	Figures []Figure
}

// Case is one question asked of several implementations.
type Case struct {
	Name    string
	Size    int
	Of      string // what Size counts; empty: bytes of a message
	Mode    string // "throughput", "latency" or "memory", as the programs call it
	What    string // the conditions, in a sentence
	Metrics []Metric
	Impls   []Impl
	StartUp time.Duration // what programs may take beyond the duration and the half minute that all have
}

// Key names a case and its size; no two cases of an area have the same.
func (c Case) Key() string { return c.Name + "-" + strconv.Itoa(c.Size) }

// Amount is the size in words: "64 B", "4 senders".
func (c Case) Amount() string { return strconv.Itoa(c.Size) + " " + cmp.Or(c.Of, "B") }

// Role is what an implementation is in its case.
type Role int

// The roles.
const (
	Ours      Role = iota
	Yardstick      // what the machine can do, written here without a product around it
	Peer           // another project, or what a program does without one
)

// Impl is one implementation: a program of the workshop and the flags that make it answer the case. Size,
// duration and directory are added when it is run.
type Impl struct {
	Name    string
	Role    Role
	Program string
	Args    []string
}

// Metric is one number of a result line.
type Metric struct {
	Name   string // suffix of the case's name in the records; empty if the case has one metric only
	Unit   string
	Higher bool // higher is better
	Of     func(result.Line) float64
}

// The metrics in use.
var (
	Rate = Metric{Unit: "msg/s", Higher: true, Of: func(l result.Line) float64 { return l.MsgsPerSec }}
	P50  = Metric{Name: "p50", Unit: "ns", Of: func(l result.Line) float64 { return l.P50 }}
	P99  = Metric{Name: "p99", Unit: "ns", Of: func(l result.Line) float64 { return l.P99 }}
	Anon = Metric{Unit: "bytes", Of: func(l result.Line) float64 { return l.Anon }}
)

// Record names a metric of a case in the records: "oneway-batch", "rtt-spin-p50".
func (m Metric) Record(c Case) string {
	if m.Name == "" {
		return c.Name
	}
	return c.Name + "-" + m.Name
}

// Better is "higher" or "lower".
func (m Metric) Better() string {
	if m.Higher {
		return "higher"
	}
	return "lower"
}

// Figure is a promise: the ratio of ours to a peer's, both from the same run, is at least the bound if
// higher is better, and at most the bound if lower is. Without a peer it is ours alone that is held to the
// bound, in the metric's unit.
type Figure struct {
	Case   string // the case's Key
	Metric string // the metric's Name
	Ours   string
	Peer   string // empty: none
	Bound  float64
}

// Check reports every mistake in a plan: names that clash, figures that point nowhere.
func (a Area) Check() (mistakes []error) {
	fault := func(format string, args ...any) { mistakes = append(mistakes, fmt.Errorf(format, args...)) }
	cases := map[string]Case{}
	for _, c := range a.Cases {
		if _, twice := cases[c.Key()]; twice {
			fault("case %s is there twice", c.Key())
		}
		cases[c.Key()] = c
		seen := map[string]bool{}
		for _, i := range c.Impls {
			if seen[i.Name] {
				fault("case %s has %s twice", c.Key(), i.Name)
			}
			seen[i.Name] = true
		}
		if len(c.Metrics) == 0 {
			fault("case %s measures nothing", c.Key())
		}
	}
	for _, f := range a.Figures {
		c, ok := cases[f.Case]
		if !ok {
			fault("a figure is about case %s, which does not exist", f.Case)
			continue
		}
		for _, name := range []string{f.Ours, f.Peer} {
			if name == "" && f.Ours != "" {
				continue
			}
			if !slices.ContainsFunc(c.Impls, func(i Impl) bool { return i.Name == name }) {
				fault("a figure compares %s in case %s, where it is not", name, f.Case)
			}
		}
		if !slices.ContainsFunc(c.Metrics, func(m Metric) bool { return m.Name == f.Metric }) {
			fault("a figure is about metric %q of case %s, which it does not have", f.Metric, f.Case)
		}
	}
	return mistakes
}
