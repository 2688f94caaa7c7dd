// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/skybus-io/skybus/bench/internal/plan"
	"github.com/skybus-io/skybus/bench/internal/workshop"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{
		{nil, 0},
		{[]float64{7}, 7},
		{[]float64{9, 1, 5}, 5},
		{[]float64{4, 1, 3, 2}, 2.5},
	} {
		if got := Median(c.values); got != c.want {
			t.Errorf("median of %v = %v, want %v", c.values, got, c.want)
		}
	}
}

func TestMedianLeavesItsInputAlone(t *testing.T) {
	v := []float64{3, 1, 2}
	Median(v)
	if v[0] != 3 {
		t.Errorf("sorted the caller's slice: %v", v)
	}
}

// scripts is a workshop of shell scripts. Each call appends the script's name to the file "calls".
type scripts struct {
	dir string
	t   *testing.T
}

func (s scripts) calls() string {
	text, err := os.ReadFile(filepath.Join(s.dir, "calls"))
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.Join(strings.Fields(string(text)), " ")
}

// get makes a script of the program's name; "missing" cannot be had.
func (s scripts) get(_ context.Context, name string) (workshop.Program, error) {
	if name == "missing" {
		return workshop.Program{}, errors.New("cannot be had")
	}
	body := `echo '{"name":"x","size":64,"mode":"throughput","wait":"spin","msgs_per_s":5,"cpu":1}'`
	switch name {
	case "broken":
		body = "echo some trouble >&2; exit 3"
	case "silent":
		body = "exit 0"
	case "second":
		body = "sleep 1000 & echo $! > " + s.dir + "/pid; " + body // leaves a process behind
	}
	path := filepath.Join(s.dir, name)
	text := fmt.Sprintf("#!/bin/sh\necho %s >> %s/calls\n%s\n", name, s.dir, body)
	return workshop.Program{Command: []string{path}}, os.WriteFile(path, []byte(text), 0o755)
}

func throughput(programs ...string) plan.Case {
	c := plan.Case{Name: "c", Size: 64, Mode: "throughput", Metrics: []plan.Metric{plan.Rate}}
	for _, p := range programs {
		c.Impls = append(c.Impls, plan.Impl{Name: p, Program: p})
	}
	return c
}

func TestRoundsAreInterleaved(t *testing.T) {
	s := scripts{t.TempDir(), t}
	r := &Runner{Get: s.get, Rounds: 3, Duration: time.Millisecond, Log: io.Discard}
	series, err := r.Case(t.Context(), throughput("a", "b"))
	if err != nil {
		t.Fatal(err)
	}
	if got := s.calls(); got != "a b a b a b" {
		t.Errorf("ran %s", got)
	}
	for _, one := range series {
		if v := one.Values(plan.Rate); len(v) != 3 || v[0] != 5 {
			t.Errorf("%s: values %v, error %v", one.Impl.Name, v, one.Err)
		}
	}
}

func TestWhatFailsIsLeftOutAndSaysWhy(t *testing.T) {
	s := scripts{t.TempDir(), t}
	r := &Runner{Get: s.get, Rounds: 2, Duration: time.Millisecond, Log: io.Discard}
	series, err := r.Case(t.Context(), throughput("missing", "broken", "silent", "a"))
	if err != nil {
		t.Fatal(err)
	}
	if got := s.calls(); got != "broken silent a a" {
		t.Errorf("ran %s: what failed once must not run again", got)
	}
	for i, want := range []string{"cannot be had", "some trouble", "no result line"} {
		if err := series[i].Err; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", series[i].Impl.Name, err, want)
		}
		if v := series[i].Values(plan.Rate); v != nil {
			t.Errorf("%s: has values %v", series[i].Impl.Name, v)
		}
	}
	if series[3].Err != nil {
		t.Errorf("the good one has failed: %v", series[3].Err)
	}
}

func TestASecondProcessDoesNotOutliveItsMeasurement(t *testing.T) {
	s := scripts{t.TempDir(), t}
	r := &Runner{Get: s.get, Rounds: 1, Duration: time.Millisecond, Log: io.Discard}
	begun := time.Now()
	series, err := r.Case(t.Context(), throughput("second"))
	if err != nil || series[0].Err != nil {
		t.Fatal(err, series[0].Err)
	}
	if took := time.Since(begun); took > 30*time.Second {
		t.Errorf("took %v: waited for the process left behind", took)
	}
	pid, err := os.ReadFile(filepath.Join(s.dir, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	process := "/proc/" + strings.TrimSpace(string(pid))
	for limit := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if state, err := os.ReadFile(process + "/stat"); err != nil || strings.Contains(string(state), ") Z ") {
			return // gone, or dead and not yet collected by init
		}
		if time.Now().After(limit) {
			t.Fatalf("%s still runs", process)
		}
	}
}

func TestACancelledRunEnds(t *testing.T) {
	s := scripts{t.TempDir(), t}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := &Runner{Get: s.get, Rounds: 1, Duration: time.Millisecond, Log: io.Discard}
	if _, err := r.Case(ctx, throughput("a")); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestOnlyOursGoesWithoutADirectory(t *testing.T) {
	r := &Runner{Duration: time.Second, Pin: "0,1"}
	impl := plan.Impl{Args: []string{"--mode", "latency"}}
	for _, ours := range []bool{true, false} {
		got := strings.Join(r.args(workshop.Program{Ours: ours}, plan.Case{Size: 64}, impl, "/d"), " ")
		want := "--mode latency --size 64 --duration 1s --json"
		if !ours {
			want += " --dir /d"
		}
		if want += " --pin 0,1"; got != want {
			t.Errorf("ours %v: %s, want %s", ours, got, want)
		}
	}
}

func TestUsageCountsWhatIsStolen(t *testing.T) {
	u, ok := parseUsage([]byte("cpu  100 10 50 1000 5 1 2 30 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n"))
	if !ok || u.busy != 193*tick || u.all != 1198*tick {
		t.Errorf("got %+v, %v", u, ok)
	}
	for _, bad := range []string{"", "cpu 1 2", "cpu a b c d e f g h", "intr 1 2 3 4 5 6 7 8"} {
		if _, ok := parseUsage([]byte(bad)); ok {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func TestOthersAreWhatIsNotOurs(t *testing.T) {
	before, after := usage{busy: 10 * time.Second}, usage{busy: 13 * time.Second}
	if got := others(before, after, 2*time.Second, 2*time.Second); got != 0.5 {
		t.Errorf("others used %v of a processor, want 0.5", got)
	}
}
