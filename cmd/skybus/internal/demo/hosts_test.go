// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/relay"
)

// programs is the folder of what is built for the tests.
var programs string

// runTests is what TestMain does when the process is not a part.
func runTests(m *testing.M) int {
	var err error
	if programs, err = os.MkdirTemp("", "skybus-demo-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(programs)
	return m.Run()
}

// buildDaemon builds cmd/skybusd, once.
var buildDaemon = sync.OnceValues(func() (path string, err error) {
	path = filepath.Join(programs, daemonName)
	if text, err := exec.Command("go", "build", "-o", path, "../../../skybusd").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the daemon: %w\n%s", err, text)
	}
	return path, nil
})

// theDaemon returns the daemon as it is shipped. Where it cannot be built, for
// want of a Go command, the test is skipped, but not in CI.
func theDaemon(t *testing.T) string {
	t.Helper()
	path, err := buildDaemon()
	if err != nil && os.Getenv("CI") == "" && errors.Is(err, exec.ErrNotFound) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// script makes a program of shell lines.
func script(t *testing.T, lines string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), daemonName)
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+lines+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// cross plays the part between two hosts alone, as play does both.
func cross(t *testing.T, ctx context.Context, o Options) (HostsSummary, string, error) { //nolint:revive // t comes first
	t.Helper()
	testutil.NoLeaks(t)
	var out bytes.Buffer
	if o.Out == nil {
		o.Out = &out
	}
	o.Root, o.Program, o.began = testutil.Dir(t), "skybus", time.Now()
	if o.Part == nil {
		o.Part = []string{"part"}
	}
	if o.Duration == 0 {
		o.Duration = 1500 * time.Millisecond
	}
	sum, err := twoHosts(ctx, &o, o.Daemon)
	if left, e := os.ReadDir(o.Root); e != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, e)
	}
	if b, ok := o.Out.(fmt.Stringer); ok {
		pidsAreGone(t, b.String())
		return sum, b.String(), err
	}
	return sum, out.String(), err
}

var pidInText = regexp.MustCompile(`pid (\d+)`)

// pidsAreGone checks that no process runs that the text names.
func pidsAreGone(t *testing.T, text string) {
	t.Helper()
	for _, m := range pidInText.FindAllStringSubmatch(text, -1) {
		pid, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		p, err := os.FindProcess(pid)
		if err != nil {
			continue
		}
		if err := p.Signal(syscall.Signal(0)); !errors.Is(err, os.ErrProcessDone) {
			t.Errorf("process %d is still there: %v", pid, err)
		}
	}
}

func TestPromisesHoldBetweenHosts(t *testing.T) {
	sum, out, err := play(t, t.Context(), Options{Duration: 2 * time.Second, Rate: 10_000, Daemon: theDaemon(t)})
	two := sum.TwoHosts
	if err != nil || !sum.Pass || two == nil || !two.Pass || two.Sent < 1000 || two.Received != two.Sent || two.Redelivered != 0 {
		t.Fatalf("%+v, %+v, %v\n%s", sum, two, err, out)
	}
	if two.LinkCuts != 1 || two.DaemonKills != 2 || two.MostWaiting == 0 || two.Longest < int64(400*time.Millisecond) {
		t.Errorf("%+v\n%s", two, out)
	}
	for _, want := range []string{
		"skybus daemon certs --dir", "the link is up", "link cut: ", "(link cut)", "link mended after", "link back after",
		"skybusd of west pid", "skybusd of west, now pid", "skybusd of east, now pid", "resumed at sequence",
		"with the link cut and 2 daemons killed in mid-stream", "skybus links -k 9000 --root",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the output does not have %q:\n%s", want, out)
		}
	}
	if strings.Count(out, "PASS: ") != 3 || strings.Contains(out, "skybus tail") {
		t.Errorf("want three verdicts, and the last part's commands:\n%s", out)
	}
	pidsAreGone(t, out)
}

func TestPromisesHoldBetweenHostsAtFullSpeed(t *testing.T) {
	sum, out, err := cross(t, t.Context(), Options{Key: 77, Daemon: theDaemon(t)})
	if err != nil || !sum.Pass || sum.Sent == 0 || !strings.Contains(out, "domain 77") {
		t.Errorf("%+v, %v\n%s", sum, err, out)
	}
}

// TestBrokenRelayFails has the consumer get what a broken relay would deliver. The
// faults on one host show that the others are found, too.
func TestBrokenRelayFails(t *testing.T) {
	const want = "1 message duplicated"
	sum, out, err := cross(t, t.Context(), Options{Rate: 10_000, Part: []string{"part-doubled"}, Daemon: theDaemon(t)})
	if err != nil || sum.Pass || !slices.Contains(sum.Broken, want) || !strings.Contains(out, "FAIL: "+want) || strings.Contains(out, "PASS") {
		t.Errorf("%+v, %v\n%s", sum, err, out)
	}
}

func TestDaemonThatEndsByItselfFails(t *testing.T) {
	sum, out, err := cross(t, t.Context(), Options{Rate: 10_000, Daemon: script(t, "echo out of order >&2; exit 3")})
	want := "the skybusd of east ended by itself: exit status 3; its log ends: out of order"
	if err != nil || sum.Pass || len(sum.Broken) != 1 || !strings.Contains(sum.Broken[0], want) || !strings.Contains(out, "FAIL: "+want) {
		t.Errorf("%+v, %v\n%s", sum, err, out)
	}
}

func TestDaemonThatCannotStartFails(t *testing.T) {
	sum, _, err := cross(t, t.Context(), Options{Daemon: filepath.Join(t.TempDir(), "none")})
	if err != nil || sum.Pass || len(sum.Broken) != 1 || !strings.Contains(sum.Broken[0], "start the daemon") {
		t.Errorf("%+v, %v", sum, err)
	}
}

// TestCrossingInterruptedAnywhereLeavesNothing ends it before the daemons are
// ready, while messages cross, while the link is cut, and while a daemon is down.
func TestCrossingInterruptedAnywhereLeavesNothing(t *testing.T) {
	for _, at := range []string{"two hosts", "producer pid", "link cut", "killed with -9"} {
		t.Run(at, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			sum, out, err := cross(t, ctx, Options{Rate: 10_000, Daemon: theDaemon(t), Out: &onLine{text: at, do: cancel}})
			if !errors.Is(err, context.Canceled) || sum.Pass || strings.Contains(out, "PASS") || !strings.Contains(out, "interrupted") {
				t.Errorf("%+v, %v\n%s", sum, err, out)
			}
		})
	}
}

func TestKeptCrossingGoesOnUntilInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := &onLine{text: "it goes on", do: func() { time.AfterFunc(200*time.Millisecond, cancel) }}
	sum, text, err := cross(t, ctx, Options{Rate: 10_000, Keep: true, Out: out, Daemon: theDaemon(t)})
	if err != nil || !sum.Pass || strings.Count(text, "PASS") != 3 || !strings.Contains(text, "stopped") {
		t.Errorf("%+v, %v\n%s", sum, err, text)
	}
}

// TestWithoutDaemonTheSecondPartIsSkipped has none next to the test binary.
func TestWithoutDaemonTheSecondPartIsSkipped(t *testing.T) {
	for hosts, pass := range map[int]bool{0: true, 2: false} {
		var out bytes.Buffer
		o := Options{Root: testutil.Dir(t), Duration: time.Second, Rate: 1000, Hosts: hosts, Out: &out, Program: "skybus", Part: []string{"part"}}
		sum, err := Run(t.Context(), o)
		text := out.String()
		if err != nil || sum.Pass != pass || sum.TwoHosts != nil || !strings.Contains(sum.Skipped, daemonName) || len(sum.Broken) > 0 == pass {
			t.Errorf("hosts %d: %+v, %v", hosts, sum, err)
		}
		for _, want := range []string{"two hosts: skipped, there is no skybusd", "go build ./cmd/skybusd", "make demo", "PASS"} {
			if !strings.Contains(text, want) {
				t.Errorf("hosts %d: the output does not have %q:\n%s", hosts, want, text)
			}
		}
		if strings.Contains(text, "FAIL") == pass {
			t.Errorf("hosts %d:\n%s", hosts, text)
		}
	}
}

func TestFolderOfOthersIsNotTaken(t *testing.T) {
	root := testutil.Dir(t)
	if err := os.Mkdir(filepath.Join(root, "skybus-demo-hosts-"+strconv.Itoa(firstKey)), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := newPair(root, firstKey, ""); !errors.Is(err, os.ErrExist) {
		t.Errorf("error %v", err)
	}
	p, err := newPair(root, 0, "")
	if err != nil || p.key != firstKey+1 {
		t.Fatalf("pair %+v, %v", p, err)
	}
	if err := p.remove(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(root); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestLinkOfAPairFollowsTheCable has the two hosts without the script.
func TestLinkOfAPairFollowsTheCable(t *testing.T) {
	testutil.NoLeaks(t)
	o := Options{Duration: time.Second, Out: new(bytes.Buffer), began: time.Now()}
	p, err := newPair(testutil.Dir(t), 0, theDaemon(t))
	if err != nil {
		t.Fatal(err)
	}
	x := &crossing{stage: newStage(t.Context(), &o, p.ledgers, p.key), pair: p, near: p.hosts[0], far: p.hosts[1]}
	err = run(func() error { return x.startDaemon(0) }, func() error { return x.startDaemon(1) }, x.awaitLinks)
	if err != nil {
		t.Fatal(x.explain(err))
	}
	if n := p.cable.cut(); n < 1 {
		t.Errorf("%d connections were cut", n)
	}
	noLink := func() bool {
		st, err := x.near.status(p.key)
		return err == nil && !slices.ContainsFunc(st.Links, func(l relay.Link) bool { return l.State == "up" })
	}
	for limit := time.Now().Add(patience); !noLink(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatal("the link is up though the cable is cut")
		}
	}
	p.cable.mend()
	if err := x.awaitLinks(); err != nil {
		t.Error(x.explain(err))
	}
	if err := errors.Join(x.stop(nearDaemon), x.stop(farDaemon), p.remove()); err != nil {
		t.Error(err)
	}
}

func TestProgressNamesWhatIsDown(t *testing.T) {
	running := func(names ...string) map[string]process {
		m := map[string]process{}
		for _, role := range names {
			m[role] = &daemon{}
		}
		return m
	}
	one := map[string]string{producer: "root", consumer: "root"}
	two := map[string]string{producer: "east", nearDaemon: "east", consumer: "west", farDaemon: "west"}
	for _, c := range []struct {
		roots map[string]string
		parts map[string]process
		cut   bool
		want  string
	}{
		{one, running(producer, consumer), false, ""},
		{one, running(producer), false, "(consumer down)"},
		{two, running(roles...), false, ""},
		{two, running(producer, consumer, nearDaemon), false, "(skybusd of west down)"},
		{two, running(producer, consumer, farDaemon), false, "(skybusd of east down)"},
		{two, running(roles...), true, "(link cut)"},
	} {
		s := stage{roots: c.roots, parts: c.parts, cut: c.cut}
		if got := strings.TrimSpace(s.down()); got != c.want {
			t.Errorf("%v of %v: %q, want %q", c.parts, c.roots, got, c.want)
		}
	}
}

func TestStopOfADaemon(t *testing.T) {
	const loop = "echo ready; while :; do sleep 0.01; done"
	for _, c := range []struct {
		name, lines, want string
		patience          time.Duration
	}{
		{"ends well", "trap 'exit 0' TERM; " + loop, "", time.Minute},
		{"fails", "trap 'echo trouble; exit 4' TERM; " + loop, "exit status 4; its log ends: ready\ntrouble", time.Minute},
		{"does not care", "trap '' TERM; " + loop, "killed", 50 * time.Millisecond},
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
			err = d.Stop(c.patience)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

func TestEndOfTheLogIsKept(t *testing.T) {
	var l tail
	for i := range 1000 {
		fmt.Fprintf(&l, "line %d\n", i)
	}
	if got := l.text(); len(got) > logKept || !strings.HasSuffix(got, "line 998\nline 999") {
		t.Errorf("%d bytes: %.40q...", len(got), got)
	}
}
