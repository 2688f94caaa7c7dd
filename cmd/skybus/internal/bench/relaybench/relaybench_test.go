// SPDX-License-Identifier: Apache-2.0

package relaybench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/cmd/skybus/internal/ipcbench"
	"github.com/skybus-io/skybus/internal/testutil"
)

func options(t *testing.T) Options {
	t.Helper()
	testutil.NoLeaks(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Daemon: exe, Links: []string{"links"}, Hold: []string{"hold"}, Lanes: fakeLanes, Queued: 1 << 20}
	o.Options = ipcbench.Options{
		API: ipcbench.Send, Mode: ipcbench.Throughput, Sizes: []int{64}, Wait: skybus.WaitAdaptive,
		Duration: 50 * time.Millisecond, Root: testutil.Dir(t), Part: []string{"part"},
	}
	return o
}

// script makes a program of shell lines.
func script(t *testing.T, lines string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+lines+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// nothingLeft checks that a measurement has removed its folders.
func nothingLeft(t *testing.T, o Options) {
	t.Helper()
	if left, err := os.ReadDir(o.Root); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// run measures and checks what is true of every result.
func run(t *testing.T, o Options) (list []Result) {
	t.Helper()
	err := Run(t.Context(), o, func(r Result) error {
		list = append(list, r)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range list {
		if r.Size != o.Sizes[i] || r.PerSecond <= 0 || r.CPUDaemons <= 0 || r.CPU <= r.CPUDaemons || r.Name != "skybus-"+o.API {
			t.Errorf("result %+v", r)
		}
	}
	if len(list) != len(o.Sizes) {
		t.Errorf("%d results for sizes %v", len(list), o.Sizes)
	}
	nothingLeft(t, o)
	return list
}

func TestThroughputOfEachAPI(t *testing.T) {
	for _, api := range []string{ipcbench.Send, ipcbench.Batch, ipcbench.Claim} {
		t.Run(api, func(t *testing.T) {
			o := options(t)
			o.API, o.Sizes = api, []int{64, 4096}
			for _, r := range run(t, o) {
				if r.P50 != 0 || r.TLS != "off" {
					t.Errorf("result %+v", r)
				}
			}
		})
	}
}

func TestLatencyBetweenTwoHosts(t *testing.T) {
	o := options(t)
	o.Mode = ipcbench.Latency
	if r := run(t, o)[0]; r.P50 <= 0 || r.P50 > r.P99 || r.P99 > r.Max {
		t.Errorf("result %+v", r)
	}
}

func TestDaemonsGetCertificatesForTLS(t *testing.T) {
	o := options(t)
	o.TLS = true // the fake daemon ends when it cannot load them
	if r := run(t, o)[0]; r.TLS != "1.3" {
		t.Errorf("result %+v", r)
	}
}

func TestProfilesOfBothSidesAreWritten(t *testing.T) {
	o := options(t)
	o.Profile = filepath.Join(t.TempDir(), "prof")
	run(t, o)
	for _, name := range []string{".first", ".second"} {
		if st, err := os.Stat(o.Profile + name); err != nil || st.Size() == 0 {
			t.Errorf("profile %s: %v, %v", name, st, err)
		}
	}
}

func TestMemoryOfDaemonsWhileLanesAreFull(t *testing.T) {
	o := options(t)
	o.Sizes = []int{1000}
	var list []Memory
	err := RunMemory(t.Context(), o, func(m Memory) error {
		list = append(list, m)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	nothingLeft(t, o)
	if len(list) != 1 {
		t.Fatalf("%d results", len(list))
	}
	m := list[0]
	if m.Queued < uint64(o.Queued) || m.Queued >= uint64(o.Queued)+uint64(o.Lanes*m.Size) || m.Stored != uint64(o.Lanes*m.Size) {
		t.Errorf("queued %d of %d, stored %d", m.Queued, o.Queued, m.Stored)
	}
	if m.First == 0 || m.Second == 0 || m.Anon != max(m.First, m.Second) || m.Peak < m.Anon || m.CPU <= 0 || m.Lanes != o.Lanes || m.TLS != "off" {
		t.Errorf("result %+v", m)
	}
}

func TestInterruptedRunLeavesNothing(t *testing.T) {
	o := options(t)
	o.Duration = time.Hour
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := Run(ctx, o, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	nothingLeft(t, o)
}

func TestErrorOfOneProcessEndsRun(t *testing.T) {
	o := options(t)
	o.Duration, o.Sizes = time.Hour, []int{1 << 30}
	if err := Run(t.Context(), o, nil); err == nil || !strings.Contains(err.Error(), skybus.ErrTooBig.Error()) {
		t.Errorf("error %v", err)
	}
	nothingLeft(t, o)
}

func TestDaemonThatDiesIsQuoted(t *testing.T) {
	o := options(t)
	o.Daemon = script(t, "echo the port is taken >&2; exit 3")
	for what, do := range map[string]func() error{
		"Run":       func() error { return Run(t.Context(), o, nil) },
		"RunMemory": func() error { return RunMemory(t.Context(), o, nil) },
	} {
		err := do()
		if err == nil || !strings.Contains(err.Error(), "the port is taken") || !strings.Contains(err.Error(), "exit status 3") {
			t.Errorf("%s: error %v", what, err)
		}
		nothingLeft(t, o)
	}
}

func TestDaemonsWithoutALinkEndWithTheContext(t *testing.T) {
	o := options(t)
	o.Daemon = script(t, "echo waiting for a peer >&2; exec sleep 1000")
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := Run(ctx, o, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	nothingLeft(t, o)
}

func TestStopOfADaemon(t *testing.T) {
	for _, c := range []struct {
		name, lines, want string
		patience          time.Duration
	}{
		{"ends well", "trap 'exit 0' TERM; echo ready; while :; do sleep 0.01; done", "", time.Minute},
		{"fails", "trap 'echo trouble; exit 4' TERM; echo ready; while :; do sleep 0.01; done", "exit status 4; its log ends: ready\ntrouble", time.Minute},
		{"does not care", "trap '' TERM; echo ready; while :; do sleep 0.01; done", "did not end", 50 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			testutil.NoLeaks(t)
			d, err := startDaemon(script(t, c.lines), nil)
			if err != nil {
				t.Fatal(err)
			}
			for d.log.text() == "" { // the trap is set
				time.Sleep(time.Millisecond)
			}
			err = d.stop(c.patience)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if d.alive() == nil {
				t.Error("it still runs")
			}
		})
	}
}

func TestDaemonThatCannotStart(t *testing.T) {
	testutil.NoLeaks(t)
	if _, err := startDaemon(filepath.Join(t.TempDir(), "none"), nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}

func TestOptionsThatMakeNoSenseAreRefused(t *testing.T) {
	for what, change := range map[string]func(o *Options){
		"api":     func(o *Options) { o.API = "push" },
		"skybusd": func(o *Options) { o.Daemon = filepath.Join(t.TempDir(), "none") },
		"lanes":   func(o *Options) { o.Lanes = maxLanes + 1 },
		"queued":  func(o *Options) { o.Queued = int64(o.Lanes) - 1 },
	} {
		o := options(t)
		change(&o)
		err := Run(t.Context(), o, func(Result) error { return nil })
		memory := RunMemory(t.Context(), o, func(Memory) error { return nil })
		if what == "lanes" || what == "queued" {
			err = memory
		}
		for _, err := range []error{err, memory} {
			if err == nil || !strings.Contains(err.Error(), what) {
				t.Errorf("%s: error %v", what, err)
			}
		}
	}
}

func TestDaemonIsFoundNextToTheProgram(t *testing.T) {
	o := options(t)
	o.Daemon = ""
	err := o.Check() // a test binary has no daemon beside it
	if err == nil || !strings.Contains(err.Error(), filepath.Join(filepath.Dir(os.Args[0]), "skybusd")) {
		t.Errorf("error %v", err)
	}
}

func TestLinksAreJudged(t *testing.T) {
	for text, want := range map[string]string{
		`[{"peer":"b","state":"up","rtt_ns":1}]`: "",
		`[]`:                                     "none",
		`[{"peer":"b","state":"up"},{"peer":"c","state":"refused"}]`: `to "c" is "refused"`,
		`{"peer":"b"}`: "what was printed",
		``:             "what was printed",
	} {
		err := judgeLinks([]byte(text))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: error %v, want %q", text, err, want)
		}
	}
}

func TestRSSIsFoundInStatus(t *testing.T) {
	for text, want := range map[string]uint64{
		"VmRSS:\t  9 kB\nRssAnon:\t    1234 kB\nRssFile:\t 7 kB\n": 1234 << 10,
		"RssAnon:\t    1234\n": 0, "RssAnon:\tx kB\n": 0, "VmRSS:\t 9 kB\n": 0, "": 0,
		"RssAnon:\t 99999999999999999999 kB\n": 0,
	} {
		got, err := rssAnon([]byte(text))
		if got != want || (err == nil) != (want > 0) {
			t.Errorf("%q: %d, %v, want %d", text, got, err, want)
		}
	}
	if n, err := anon(os.Getpid()); err != nil || n == 0 {
		t.Errorf("own memory: %d, %v", n, err)
	}
}

func TestLaneLimitsHoldWhatIsSent(t *testing.T) {
	o := Options{Lanes: 1000}
	for _, c := range []struct{ size, each int }{{8, 1}, {1024, 1049}, {1 << 20, 2}} {
		l := o.limits(c.size, c.each)[0]
		if need := uint64((c.size + 16 + 15) / 16 * 16 * c.each); l.GrowBytes < 2*need || l.MaxBytes < l.GrowBytes*1000 {
			t.Errorf("%+v: %+v for %d bytes a lane", c, l, need)
		}
	}
}

func TestPathsOfLanesDiffer(t *testing.T) {
	seen := map[[2]string]bool{}
	for i := range maxLanes {
		src, dst := path(i)
		seen[[2]string{src.String(), dst.String()}] = true
	}
	if len(seen) != maxLanes {
		t.Errorf("%d paths for %d lanes", len(seen), maxLanes)
	}
	if src, dst := path(maxLanes - 1); src.String() != "0.0.1.16" || dst.String() != "0.0.2.250" {
		t.Errorf("the last one leads from %s to %s", src, dst)
	}
}

func TestPrintedResults(t *testing.T) {
	r := Result{TLS: "1.3", CPUDaemons: 1.25}
	r.Name, r.Size, r.PerSecond, r.Mode = "skybus-send", 64, 1234567, ipcbench.Throughput
	var text, lines bytes.Buffer
	p := NewPrinter(&text, false)
	for range 2 {
		if err := p.Print(r); err != nil {
			t.Fatal(err)
		}
	}
	got := strings.Split(strings.TrimSpace(text.String()), "\n")
	if len(got) != 3 || len(got[0]) != len(got[1]) || !strings.HasSuffix(got[0], "tls") || !strings.HasSuffix(got[2], "1.25   1.3") {
		t.Errorf("table:\n%s", text.String())
	}
	if err := NewPrinter(&lines, true).Print(r); err != nil {
		t.Fatal(err)
	}
	var back Result
	if err := json.Unmarshal(lines.Bytes(), &back); err != nil || back != r {
		t.Errorf("%s read back as %+v, %v", lines.String(), back, err)
	}
	for _, field := range []string{`"msgs_per_s":1234567`, `"tls":"1.3"`, `"cpu_daemons":1.25`} {
		if !strings.Contains(lines.String(), field) {
			t.Errorf("no %s in %s", field, lines.String())
		}
	}
}

func TestPrintedMemory(t *testing.T) {
	m := Memory{Name: "skybus-relay", Mode: "memory", Size: 1024, Lanes: 1000, Queued: 1 << 30, Anon: 20 << 20, Second: 20 << 20}
	var text, lines bytes.Buffer
	p := NewPrinter(&text, false)
	for range 2 {
		if err := p.PrintMemory(m); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.Split(strings.TrimSpace(text.String()), "\n"); len(got) != 3 || !strings.Contains(got[2], "1024.0 MiB") || !strings.Contains(got[2], "20.0 MiB") {
		t.Errorf("table:\n%s", text.String())
	}
	if err := NewPrinter(&lines, true).PrintMemory(m); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(lines.String(), `"rss_anon_bytes":20971520`) || !strings.Contains(lines.String(), `"mode":"memory"`) {
		t.Errorf("line %s", lines.String())
	}
}
