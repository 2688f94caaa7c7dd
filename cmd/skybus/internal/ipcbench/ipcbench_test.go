// SPDX-License-Identifier: Apache-2.0

package ipcbench

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/internal/testutil"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "part" {
		if err := Part(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE")) // parts end as fast with the race detector
	os.Exit(m.Run())
}

func options(t *testing.T) Options {
	testutil.NoLeaks(t)
	return Options{
		API: Send, Mode: Throughput, Sizes: []int{64}, Wait: skybus.WaitAdaptive,
		Duration: 50 * time.Millisecond, Root: testutil.Dir(t), Part: []string{"part"},
	}
}

// run measures and checks what is true of every result.
func run(t *testing.T, o Options) []Result {
	t.Helper()
	var list []Result
	err := Run(t.Context(), o, func(r Result) error {
		list = append(list, r)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range list {
		if r.Size != o.Sizes[i] || r.PerSecond <= 0 || r.BytesPerSec != r.PerSecond*float64(r.Size) || r.CPU <= 0 || r.CPU > 64 {
			t.Errorf("result %+v", r)
		}
	}
	left, err := os.ReadDir(o.Root)
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	return list
}

func TestThroughputOfEachAPI(t *testing.T) {
	for _, api := range []string{Send, Batch, Claim} {
		t.Run(api, func(t *testing.T) {
			o := options(t)
			o.API, o.Sizes = api, []int{MinSize, 4096, 64 << 10}
			for _, r := range run(t, o) {
				if r.Name != "skybus-"+api || r.P50 != 0 {
					t.Errorf("result %+v", r)
				}
			}
		})
	}
}

func TestLatencyInEachWaitingMode(t *testing.T) {
	for _, w := range []skybus.Wait{skybus.WaitSpin, skybus.WaitPark, skybus.WaitAdaptive} {
		t.Run(w.String(), func(t *testing.T) {
			o := options(t)
			o.Mode, o.Wait, o.Sizes = Latency, w, []int{64, 1024}
			for _, r := range run(t, o) {
				if r.P50 <= 0 || r.P50 > r.P99 || r.P99 > r.P999 || r.P999 > r.Max || r.Wait != w.String() {
					t.Errorf("result %+v", r)
				}
			}
		})
	}
}

func TestRoundTripsOfEachAPIAreCounted(t *testing.T) {
	for _, api := range []string{Batch, Claim} {
		o := options(t)
		o.Mode, o.API = Latency, api
		run(t, o)
	}
}

func TestRateLimitsRoundTrips(t *testing.T) {
	o := options(t)
	o.Mode, o.Rate, o.Duration = Latency, 200, 200*time.Millisecond
	if r := run(t, o)[0]; r.PerSecond > 250 {
		t.Errorf("%.0f round trips a second, asked for 200", r.PerSecond)
	}
}

func TestProfilesOfBothSidesAreWritten(t *testing.T) {
	o := options(t)
	o.Profile = t.TempDir() + "/prof"
	run(t, o)
	for _, side := range sideNames {
		if st, err := os.Stat(o.Profile + "." + side); err != nil || st.Size() == 0 {
			t.Errorf("profile of %s: %v, %v", side, st, err)
		}
	}
}

func TestInterruptedRunLeavesNothing(t *testing.T) {
	o := options(t)
	o.Duration = time.Hour
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := Run(ctx, o, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	if left, err := os.ReadDir(o.Root); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestErrorOfOneProcessEndsRun(t *testing.T) {
	o := options(t)
	o.Duration = time.Hour
	o.Sizes = []int{1 << 30}
	err := Run(t.Context(), o, nil)
	if err == nil || !strings.Contains(err.Error(), skybus.ErrTooBig.Error()) {
		t.Errorf("error %v", err)
	}
}

func TestOptionsThatMakeNoSenseAreRefused(t *testing.T) {
	for what, change := range map[string]func(o *Options){
		"api": func(o *Options) { o.API = "push" }, "mode": func(o *Options) { o.Mode = "both" },
		"size": func(o *Options) { o.Sizes = []int{7} }, "no size": func(o *Options) { o.Sizes = nil },
		"duration": func(o *Options) { o.Duration = 0 }, "rate": func(o *Options) { o.Rate = 5 },
		"pin": func(o *Options) { o.Pin = []int{1} },
	} {
		o := options(t)
		change(&o)
		if err := Run(t.Context(), o, nil); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: error %v", what, err)
		}
	}
}

func message(seq, n uint64) skybus.Message {
	return skybus.Message{Seq: seq, Data: binary.LittleEndian.AppendUint64(nil, n)}
}

func TestReceiverFindsWhatIsOutOfOrder(t *testing.T) {
	for what, m := range map[string]skybus.Message{
		"a gap": message(3, 3), "a repetition": message(1, 1), "a wrong number": message(2, 1), "a wrong sequence": message(1, 2),
	} {
		handle := (&receiver{mask: 1023}).handler()
		if err := handle(message(1, 1)); err != nil {
			t.Fatal(err)
		}
		if err := handle(m); err == nil {
			t.Errorf("%s was not found", what)
		}
	}
}

func TestWindowLeavesOutTheWarmUp(t *testing.T) {
	r := receiver{warmup: time.Second, duration: 2 * time.Second}
	at := time.Unix(1000, 0)
	for {
		r.last += 100
		if err := r.look(at); err != nil {
			break
		}
		at = at.Add(100 * time.Millisecond)
	}
	if got := r.perSecond(); got != 1000 || r.last != 3100 {
		t.Errorf("%v messages a second after %d messages, want 1000 after 3100", got, r.last)
	}
}

func TestClockIsReadSeldom(t *testing.T) {
	for size, want := range map[int]uint64{8: 1024, 4096: 1024, 64 << 10: 64, 16 << 20: 16} {
		if got := lookEvery(size); got != want {
			t.Errorf("size %d: every %d messages, want %d", size, got, want)
		}
	}
}

func TestPrintedResults(t *testing.T) {
	r := Result{Name: "skybus-send", Size: 64, Mode: Latency, Wait: "spin", PerSecond: 1234567.8, P50: 700, Max: 12345678}
	var text, lines bytes.Buffer
	p := NewPrinter(&text, false)
	for range 2 {
		if err := p.Print(r); err != nil {
			t.Fatal(err)
		}
	}
	got := strings.Split(strings.TrimSpace(text.String()), "\n")
	if len(got) != 3 || len(got[0]) != len(got[1]) || !strings.Contains(got[2], "1,234,567") || !strings.Contains(got[2], "0.70us") {
		t.Errorf("table:\n%s", text.String())
	}
	if err := NewPrinter(&lines, true).Print(r); err != nil {
		t.Fatal(err)
	}
	var back Result
	if err := json.Unmarshal(lines.Bytes(), &back); err != nil || back != r {
		t.Errorf("%s read back as %+v, %v", lines.String(), back, err)
	}
	if !strings.Contains(lines.String(), `"msgs_per_s":1234567.8`) {
		t.Errorf("line %s", lines.String())
	}
}
