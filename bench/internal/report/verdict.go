// SPDX-License-Identifier: Apache-2.0

// Package report turns measured series into verdicts, tables and records.
package report

import (
	"fmt"

	"github.com/skybus-io/skybus/bench/internal/plan"
	"github.com/skybus-io/skybus/bench/internal/run"
)

// Measured is a case with what it gave.
type Measured struct {
	Case   plan.Case
	Series []run.Series
}

// median is the median of one implementation, and whether there is one.
func (m Measured) median(impl string, metric plan.Metric) (float64, bool) {
	for _, s := range m.Series {
		if v := s.Values(metric); s.Impl.Name == impl && len(v) > 0 {
			return run.Median(v), true
		}
	}
	return 0, false
}

// best is the best median among the implementations of a role.
func (m Measured) best(role plan.Role, metric plan.Metric) (name string, value float64) {
	for _, s := range m.Series {
		v := s.Values(metric)
		if s.Impl.Role != role || len(v) == 0 {
			continue
		}
		if median := run.Median(v); name == "" || better(metric, median, value) {
			name, value = s.Impl.Name, median
		}
	}
	return name, value
}

func better(m plan.Metric, a, b float64) bool {
	if m.Higher {
		return a > b
	}
	return a < b
}

// void says why no ratio of this case counts, or "": a yardstick that a peer beats measures nothing but
// what disturbed it.
func (m Measured) void(metric plan.Metric) string {
	yardstick, mark := m.best(plan.Yardstick, metric)
	peer, value := m.best(plan.Peer, metric)
	if yardstick == "" || peer == "" || !better(metric, value, mark) {
		return ""
	}
	return fmt.Sprintf("%s is better than the %s", peer, yardstick)
}

// Outcome is what became of a figure.
type Outcome string

// The outcomes.
const (
	Pass Outcome = "PASS"
	Miss Outcome = "MISS"
	Void Outcome = "VOID" // the yardstick was slower than the best peer
	None Outcome = "NONE" // one of the two was not measured
)

// Verdict is a judged figure.
type Verdict struct {
	Figure  plan.Figure
	Metric  plan.Metric
	Record  string // the case and metric as the records name them
	Size    int
	Ratio   float64 // ours / the peer's; ours itself where there is no peer
	Outcome Outcome
	Why     string // for Void and None
}

// Bound is the promise in words: ">= 1.20", "<= 64.0 MiB".
func (v Verdict) Bound() string {
	if v.Metric.Higher {
		return ">= " + v.quantity(v.Figure.Bound)
	}
	return "<= " + v.quantity(v.Figure.Bound)
}

// quantity writes a ratio, or an amount where ours is judged alone.
func (v Verdict) quantity(x float64) string {
	if v.Figure.Peer == "" {
		return amount(x, v.Metric)
	}
	return fmt.Sprintf("%.2f", x)
}

// Judge judges the figures whose cases were measured.
func Judge(figures []plan.Figure, measured []Measured) (verdicts []Verdict) {
	for _, f := range figures {
		for _, m := range measured {
			if m.Case.Key() == f.Case {
				verdicts = append(verdicts, judge(f, m))
			}
		}
	}
	return verdicts
}

func judge(f plan.Figure, m Measured) Verdict {
	v := Verdict{Figure: f, Size: m.Case.Size, Outcome: None}
	for _, metric := range m.Case.Metrics {
		if metric.Name == f.Metric {
			v.Metric, v.Record = metric, metric.Record(m.Case)
		}
	}
	ours, haveOurs := m.median(f.Ours, v.Metric)
	peer, havePeer := m.median(f.Peer, v.Metric)
	if f.Peer == "" {
		peer, havePeer = 1, true
	}
	switch {
	case !haveOurs:
		v.Why = f.Ours + " was not measured"
		return v
	case !havePeer:
		v.Why = f.Peer + " was not measured"
		return v
	}
	v.Ratio = ours / peer
	if f.Peer != "" { // an amount needs no yardstick
		v.Why = m.void(v.Metric)
	}
	switch {
	case v.Why != "":
		v.Outcome = Void
	case v.Metric.Higher && v.Ratio >= f.Bound, !v.Metric.Higher && v.Ratio <= f.Bound:
		v.Outcome = Pass
	default:
		v.Outcome = Miss
	}
	return v
}
