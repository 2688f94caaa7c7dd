// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/skybus-io/skybus/bench/internal/plan"
	"github.com/skybus-io/skybus/bench/internal/result"
	"github.com/skybus-io/skybus/bench/internal/run"
)

// rates makes a measured throughput case: ours, a yardstick and a peer, each with its rounds.
func rates(ours, yardstick, peer []float64) Measured {
	m := Measured{Case: plan.Case{Name: "c", Size: 64, Mode: "throughput", What: "what", Metrics: []plan.Metric{plan.Rate}}}
	add := func(name string, role plan.Role, values []float64) {
		s := run.Series{Impl: plan.Impl{Name: name, Role: role}}
		for _, v := range values {
			s.Lines = append(s.Lines, result.Line{MsgsPerSec: v, CPU: 1})
		}
		if len(values) == 0 {
			s.Err = errors.New("not\nhere")
		}
		m.Series = append(m.Series, s)
	}
	add("ours", plan.Ours, ours)
	add("yard", plan.Yardstick, yardstick)
	add("peer", plan.Peer, peer)
	return m
}

func times(ours, yardstick, peer []float64) Measured {
	m := rates(ours, yardstick, peer)
	m.Case.Metrics = []plan.Metric{plan.P50}
	for i := range m.Series {
		for j := range m.Series[i].Lines {
			m.Series[i].Lines[j].P50 = m.Series[i].Lines[j].MsgsPerSec
		}
	}
	return m
}

func TestJudge(t *testing.T) {
	one := func(v float64) []float64 { return []float64{v} }
	for _, c := range []struct {
		name   string
		m      Measured
		metric string
		peer   string
		bound  float64
		want   Outcome
		ratio  float64
	}{
		{"at the bound", rates(one(12), one(20), one(10)), "", "peer", 1.2, Pass, 1.2},
		{"below the bound", rates(one(11), one(20), one(10)), "", "peer", 1.2, Miss, 1.1},
		{"against the yardstick", rates(one(10), one(20), one(5)), "", "yard", 0.45, Pass, 0.5},
		{"ours may beat the yardstick", rates(one(30), one(20), one(10)), "", "yard", 0.45, Pass, 1.5},
		{"a peer beats the yardstick", rates(one(30), one(20), one(21)), "", "peer", 1.2, Void, 30.0 / 21},
		{"medians decide, not one round", rates([]float64{1, 12, 50}, one(20), one(10)), "", "peer", 1.2, Pass, 1.2},
		{"ours is missing", rates(nil, one(20), one(10)), "", "peer", 1.2, None, 0},
		{"the peer is missing", rates(one(12), one(20), nil), "", "peer", 1.2, None, 0},
		{"no yardstick, nothing void", rates(one(12), nil, one(10)), "", "peer", 1.2, Pass, 1.2},
		{"a time within the bound", times(one(12), one(10), one(11)), "p50", "yard", 1.2, Pass, 1.2},
		{"a time above it", times(one(13), one(10), one(11)), "p50", "yard", 1.2, Miss, 1.3},
		{"an amount, whatever a peer does", rates(one(12), one(20), one(21)), "", "", 12, Pass, 12},
		{"a peer faster than the yardstick", times(one(12), one(10), one(9)), "p50", "yard", 1.2, Void, 1.2},
	} {
		f := plan.Figure{Case: "c-64", Metric: c.metric, Ours: "ours", Peer: c.peer, Bound: c.bound}
		v := Judge([]plan.Figure{f}, []Measured{c.m})
		if len(v) != 1 || v[0].Outcome != c.want || v[0].Ratio != c.ratio {
			t.Errorf("%s: %+v, want %s with %v", c.name, v, c.want, c.ratio)
		}
	}
}

func TestJudgePassesOverCasesThatWereNotRun(t *testing.T) {
	f := plan.Figure{Case: "other-64", Ours: "ours", Peer: "peer"}
	if v := Judge([]plan.Figure{f}, []Measured{rates([]float64{1}, nil, nil)}); len(v) != 0 {
		t.Errorf("got %+v", v)
	}
}

func TestAFigureWithoutPeerIsAnAmount(t *testing.T) {
	for _, c := range []struct {
		bytes float64
		want  Outcome
		ratio string
	}{{64 << 20, Pass, "64.0 MiB"}, {65 << 20, Miss, "65.0 MiB"}} {
		m := Measured{
			Case: plan.Case{Name: "memory", Size: 64, Mode: "memory", What: "what", Metrics: []plan.Metric{plan.Anon}},
			Series: []run.Series{
				{Impl: plan.Impl{Name: "ours", Role: plan.Ours}, Lines: []result.Line{{Anon: c.bytes}}},
				{Impl: plan.Impl{Name: "peer", Role: plan.Peer}, Lines: []result.Line{{Anon: 1}}},
			},
		}
		v := Judge([]plan.Figure{{Case: "memory-64", Ours: "ours", Bound: 64 << 20}}, []Measured{m})
		if len(v) != 1 || v[0].Outcome != c.want {
			t.Errorf("%v bytes: %+v, want %s", c.bytes, v, c.want)
		}
		var out bytes.Buffer
		Verdicts(&out, v)
		if text := out.String(); !strings.Contains(text, c.ratio) || !strings.Contains(text, "<= 64.0 MiB") {
			t.Errorf("%v bytes are written\n%s", c.bytes, text)
		}
	}
	if v := Judge([]plan.Figure{{Case: "c-64", Ours: "ours", Bound: 1}}, []Measured{rates(nil, nil, nil)}); v[0].Outcome != None {
		t.Errorf("nothing measured: %+v", v)
	}
}

func TestRowsSayTheirTLSWhereANetworkIsUsed(t *testing.T) {
	m := rates([]float64{2}, []float64{3}, []float64{1})
	var local, remote bytes.Buffer
	Case(&local, m)
	m.Series[0].Lines[0].TLS, m.Series[1].Lines[0].TLS = "1.3", "off"
	Case(&remote, m)
	if strings.Contains(local.String(), "TLS") {
		t.Errorf("a column of nothing:\n%s", local.String())
	}
	lines := strings.Split(strings.TrimSpace(remote.String()), "\n")
	for i, want := range []string{"TLS", "1.3", "off", "-"} {
		if got := strings.Fields(lines[1+i]); got[len(got)-1] != want {
			t.Errorf("line %q does not end in %s", lines[1+i], want)
		}
	}
}

func TestANumberOfServicesIsNoSizeInBytes(t *testing.T) {
	m := rates([]float64{2}, nil, []float64{0})
	m.Case.Of, m.Case.Metrics[0].Unit = "senders", "allocs/op"
	var screen, page bytes.Buffer
	Case(&screen, m)
	Section(&page, plan.Area{Name: "a", Title: "A"}, Conditions{}, []Measured{m}, nil)
	for _, text := range []string{screen.String(), page.String()} {
		if !strings.Contains(text, "c, 64 senders") || !strings.Contains(text, "2.00 allocs/op") {
			t.Errorf("got\n%s", text)
		}
		if strings.Contains(text, "Inf") { // ours to a peer's nothing
			t.Errorf("a ratio to 0 in\n%s", text)
		}
	}
}

func TestRecordsAreOneObjectALine(t *testing.T) {
	var out bytes.Buffer
	m := rates([]float64{3, 1, 2}, nil, []float64{5, 7})
	if err := WriteRecords(&out, Records("ipc", []Measured{m})); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 2 {
		t.Fatalf("%d lines, want 2: what was left out has none", len(lines))
	}
	var r Record
	if err := json.Unmarshal([]byte(lines[1]), &r); err != nil {
		t.Fatal(err)
	}
	if want := (Record{"ipc", "c", "peer", 64, 6, "msg/s", "higher"}); r != want {
		t.Errorf("got %+v, want %+v", r, want)
	}
}

func TestTableKeepsAReasonOnOneLine(t *testing.T) {
	var out bytes.Buffer
	Case(&out, rates([]float64{2e6}, nil, []float64{1.5e3}))
	for _, want := range []string{"left out: not here", "2.00 M/s", "1.50 K/s"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, out.String())
		}
	}
}

func TestAmountKeepsThreeDigits(t *testing.T) {
	for ns, want := range map[float64]string{9: "9.00 ns", 712: "712 ns", 12800: "12.8 us", 3.2e9: "3.20 s", 5e12: "5000 s"} {
		if got := amount(ns, plan.P50); got != want {
			t.Errorf("%v ns is written %q, want %q", ns, got, want)
		}
	}
}
