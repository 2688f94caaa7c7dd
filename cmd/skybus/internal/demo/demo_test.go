// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/internal/testutil"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && strings.HasPrefix(os.Args[1], "part") {
		if err := part(faults[os.Args[1]]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE")) // parts end as fast with the race detector
	os.Exit(runTests(m))
}

// faults are what a broken bus would do to message 1000, or to order 10, by the argument that
// the parts are started with.
var faults = map[string]between{
	"part": {},
	"part-lost": at1000(func(handler, skybus.Message) error {
		return nil
	}),
	"part-doubled": at1000(func(h handler, m skybus.Message) error {
		return errors.Join(h(m), h(m))
	}),
	"part-torn": at1000(func(h handler, m skybus.Message) error {
		m.Data[len(m.Data)-1] ^= 1
		return h(m)
	}),
	"part-dying": at1000(func(handler, skybus.Message) error {
		return errors.New("tired")
	}),
	"part-forgets": {shop: func(h actor.Handler) actor.Handler {
		return at10{h, func(*actor.Context, *actor.Message) error { return nil }}
	}},
	"part-embezzles": {shop: func(h actor.Handler) actor.Handler {
		return at10{h, func(c *actor.Context, _ *actor.Message) error {
			return c.Reply(&receipt{PID: os.Getpid(), Counted: 10})
		}}
	}},
	"part-hurries": {shop: func(h actor.Handler) actor.Handler {
		return at10{h, func(c *actor.Context, m *actor.Message) error {
			eleven := *m
			eleven.Value = &order{Number: 11}
			return errors.Join(h.Handle(c, &eleven), h.Handle(c, m))
		}}
	}},
	"part-closed": {shop: func(actor.Handler) actor.Handler {
		return actor.Func(func(*actor.Context, *actor.Message) error {
			fmt.Fprintln(os.Stderr, "bankrupt")
			os.Exit(3)
			return nil
		})()
	}},
}

// at10 does something else with order 10.
type at10 struct {
	actor.Handler
	do func(c *actor.Context, m *actor.Message) error
}

func (h at10) Handle(c *actor.Context, m *actor.Message) error {
	if o, ok := m.Value.(*order); ok && o.Number == 10 {
		return h.do(c, m)
	}
	return h.Handler.Handle(c, m)
}

func at1000(do func(h handler, m skybus.Message) error) between {
	return between{consumer: func(h handler) handler {
		return func(m skybus.Message) error {
			if m.Seq == 1000 {
				return do(h, m)
			}
			return h(m)
		}
	}}
}

// play runs a short demonstration and returns what it printed.
func play(t *testing.T, ctx context.Context, o Options) (Summary, string, error) { //nolint:revive // t comes first
	t.Helper()
	testutil.NoLeaks(t)
	var out bytes.Buffer
	o.Root, o.Out, o.Program = testutil.Dir(t), &out, "skybus"
	if o.Duration == 0 {
		o.Duration = 1500 * time.Millisecond
	}
	if o.Part == nil {
		o.Part = []string{"part"}
	}
	if o.Hosts == 0 && o.Daemon == "" {
		o.Hosts = 1
	}
	sum, err := Run(ctx, o)
	if left, e := os.ReadDir(o.Root); e != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, e)
	}
	return sum, out.String(), err
}

func TestPromisesHoldWhileProcessesAreKilled(t *testing.T) {
	sum, out, err := play(t, t.Context(), Options{Duration: 3 * time.Second, Rate: 20_000})
	if err != nil || !sum.Pass || sum.Sent < 1000 || sum.Received != sum.Sent || sum.ConsumerKills != 2 || sum.ProducerKills != 1 {
		t.Errorf("%+v, %v\n%s", sum, err, out)
	}
	for _, want := range []string{"consumer pid", "killed with -9", "consumer back", "producer back", "received/s", "PASS: nothing lost", "skybus top -k 9000"} {
		if !strings.Contains(out, want) {
			t.Errorf("the output does not have %q:\n%s", want, out)
		}
	}
}

func TestPromisesHoldAtFullSpeed(t *testing.T) {
	sum, out, err := play(t, t.Context(), Options{Key: 77})
	if err != nil || !sum.Pass || !strings.Contains(out, "domain 77") {
		t.Errorf("%+v, %v\n%s", sum, err, out)
	}
}

func TestBrokenBusFails(t *testing.T) {
	for arg, want := range map[string]string{"part-lost": "1 message lost", "part-doubled": "1 message duplicated", "part-torn": "1 message torn"} {
		t.Run(arg, func(t *testing.T) {
			sum, out, err := play(t, t.Context(), Options{Rate: 20_000, Part: []string{arg}})
			if err != nil || sum.Pass || !slices.Contains(sum.Broken, want) || !strings.Contains(out, "FAIL: "+want) || strings.Contains(out, "PASS") {
				t.Errorf("%+v, %v\n%s", sum, err, out)
			}
		})
	}
}

func TestProcessThatEndsByItselfFails(t *testing.T) {
	sum, out, err := play(t, t.Context(), Options{Rate: 20_000, Part: []string{"part-dying"}})
	if err != nil || sum.Pass || !strings.Contains(out, "FAIL: the consumer ended by itself") || !strings.Contains(out, "tired") {
		t.Errorf("%+v, %v\n%s", sum, err, out)
	}
}

func TestInterruptedDemonstrationLeavesNothing(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	sum, out, err := play(t, ctx, Options{Rate: 20_000})
	if !errors.Is(err, context.DeadlineExceeded) || sum.Pass || strings.Contains(out, "PASS") {
		t.Errorf("%+v, %v\n%s", sum, err, out)
	}
}

// onLine calls do once, when a line with that text is written.
type onLine struct {
	text string
	do   func()
	once sync.Once
	bytes.Buffer
}

func (w *onLine) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte(w.text)) {
		w.once.Do(w.do)
	}
	return w.Buffer.Write(b)
}

func TestKeptDemonstrationGoesOnUntilInterrupted(t *testing.T) {
	testutil.NoLeaks(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := &onLine{text: "it goes on", do: func() { time.AfterFunc(200*time.Millisecond, cancel) }}
	o := Options{Root: testutil.Dir(t), Duration: 1500 * time.Millisecond, Rate: 20_000, Hosts: 1, Keep: true, Out: out, Part: []string{"part"}}
	sum, err := Run(ctx, o)
	if err != nil || !sum.Pass || strings.Count(out.String(), "PASS") != 3 {
		t.Errorf("%+v, %v\n%s", sum, err, out)
	}
	if left, err := os.ReadDir(o.Root); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestDomainOfOthersIsNotTaken(t *testing.T) {
	root := testutil.Dir(t)
	for _, key := range []int{firstKey, firstKey + 1} {
		d, err := skybus.Open(key, skybus.Options{Root: root})
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
	}
	if _, err := newPlace(root, firstKey); !errors.Is(err, os.ErrExist) {
		t.Errorf("error %v", err)
	}
	p, err := newPlace(root, 0)
	if err != nil || p.key != firstKey+2 {
		t.Fatalf("place %+v, %v", p, err)
	}
	q, err := newPlace(root, 0)
	if err != nil || q.key != firstKey+3 {
		t.Fatalf("place %+v, %v", q, err)
	}
	if err := errors.Join(p.remove(), q.remove()); err != nil {
		t.Error(err)
	}
}

func TestOptionsThatMakeNoSenseAreRefused(t *testing.T) {
	for what, o := range map[string]Options{
		"duration": {Duration: time.Millisecond}, "rate": {Rate: 5}, "hosts 3": {Hosts: 3}, "hosts -1": {Hosts: -1}, "there is no skybusd": {Daemon: "/none"},
	} {
		if _, _, err := play(t, t.Context(), o); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: error %v", what, err)
		}
	}
}
