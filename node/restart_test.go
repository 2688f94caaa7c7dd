// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/internal/killtest"
)

// A caller is one kind of request that must always be answered.
type caller struct {
	what   string
	target func(n *Node, t testing.TB) func(v any) (actor.PID, any)
	n      atomic.Int64
	ended  atomic.Int64 // by the restart: its answer was behind a lane full of others
}

func byName(name string) func(*Node, testing.TB) func(any) (actor.PID, any) {
	return func(*Node, testing.TB) func(any) (actor.PID, any) {
		return func(v any) (actor.PID, any) { return At(there), Named{name, v} }
	}
}

func byPID(name string) func(*Node, testing.TB) func(any) (actor.PID, any) {
	return func(n *Node, t testing.TB) func(any) (actor.PID, any) {
		p, err := n.Lookup(soon(t), there, name)
		if err != nil {
			t.Fatal(err)
		}
		return func(v any) (actor.PID, any) { return p, v }
	}
}

// A load is what another process does to one that restarts.
type load struct {
	t          *testing.T
	a          *Node
	ledger     *killtest.Received
	stop       atomic.Bool
	work       sync.WaitGroup
	callers    []*caller
	sent       [2]int64 // to sink and sink2
	multicasts int64
	refused    atomic.Int64 // of those: the lane was full
	downs      list[actor.Down]
	bounces    atomic.Int64
}

const mostSent = 1 << 24

// newLoad has a node, and another process that is to restart so often.
func newLoad(t *testing.T, restarts int) (*load, *killtest.Process) {
	t.Helper()
	d := domain(t)
	l := &load{t: t}
	cfg := Config{Patience: patience, Services: []actor.Spec{{Name: "home", New: actor.Func(echo)}}}
	cfg.Actor.Events.Undelivered = func(actor.PID, actor.Undelivered) { l.refused.Add(1) }
	l.a = begin(t, d, here, cfg)
	plan := changelingPlan{Root: filepath.Dir(d.Table().Folder()), Ledger: filepath.Join(t.TempDir(), "ledger"), Most: mostSent, Restarts: restarts, Rest: 60}
	ledger, err := killtest.OpenReceived(plan.Ledger, 2, mostSent)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ledger.Close)
	l.ledger = ledger
	p := killtest.Start(t, "changeling", plan)
	p.Line()
	l.callers = []*caller{
		{what: "echo, by name", target: byName("echo")}, {what: "echo, by PID", target: byPID("echo")},
		{what: "counter", target: byPID("counter")}, {what: "an answer later", target: byPID("later")},
		{what: "a call back", target: byName("back")},
	}
	return l, p
}

// watch has a service watch one of the other process.
func (l *load) watch(target actor.PID) {
	l.t.Helper()
	watcher := serve(l.t, l.a, actor.Spec{}, func(c *actor.Context, m *actor.Message) error {
		switch v := m.Value.(type) {
		case actor.Down:
			l.downs.add(v)
		case actor.Undelivered:
			l.bounces.Add(1)
		case string:
			if _, err := c.Monitor(target); err != nil {
				return err
			}
			return c.Reply(nil)
		}
		return nil
	})
	if _, err := l.a.Runtime().Call(soon(l.t), watcher, "watch"); err != nil {
		l.t.Fatal(err)
	}
}

// call calls until the load stops: each call must be answered.
func (l *load) call(k *caller) {
	to := k.target(l.a, l.t)
	for range 2 {
		l.work.Go(func() {
			for !l.stop.Load() {
				v := k.n.Add(1)
				ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
				pid, value := to(v)
				got, err := l.a.Runtime().Call(ctx, pid, value)
				cancel()
				if k.what == "a call back" && errors.Is(err, actor.ErrStopped) {
					k.ended.Add(1)
					continue
				}
				if err != nil || k.what != "counter" && got != v {
					l.t.Errorf("%s, %d: got %v, %v", k.what, v, got, err)
					l.stop.Store(true)
				}
			}
		})
	}
}

// send sends numbers until the load stops.
func (l *load) send(lane int, to func(v any) (actor.PID, any)) {
	l.work.Go(func() {
		for !l.stop.Load() && l.sent[lane] < mostSent {
			pid, value := to(l.sent[lane] + 1)
			if err := l.a.Runtime().Send(context.Background(), pid, value); err != nil {
				l.t.Error(err)
				return
			}
			if l.sent[lane]++; l.sent[lane]%256 == 0 {
				time.Sleep(time.Millisecond)
			}
		}
	})
}

// multicast sends to a group with a member over there until the load stops.
func (l *load) multicast(member actor.PID) {
	l.t.Helper()
	g, err := l.a.Runtime().NewGroup()
	if err == nil {
		err = l.a.Join(soon(l.t), g, member)
	}
	if err != nil {
		l.t.Fatal(err)
	}
	l.work.Go(func() {
		for !l.stop.Load() {
			if err := l.a.Runtime().Send(context.Background(), g.PID(), l.multicasts); err != nil {
				l.t.Error(err)
				return
			}
			l.multicasts++
			time.Sleep(200 * time.Microsecond)
		}
	})
}

// judge says what is lost or doubled, when the load has stopped.
func (l *load) judge(counter, member actor.PID) {
	t := l.t
	t.Helper()
	for lane, n := range l.sent {
		eventually(t, fmt.Sprintf("the last of %d messages", n), func() bool { return l.ledger.Last(lane) == uint64(n) })
		if tally := l.ledger.Tally(lane, uint64(n)); tally.Missing+tally.Doubled+tally.Beyond+tally.Again > 0 {
			t.Errorf("of %d messages: %+v", n, tally)
		}
	}
	for _, k := range []struct {
		what string
		pid  actor.PID
		n    int64
	}{{"calls", counter, l.callers[2].n.Load()}, {"messages to the group", member, l.multicasts - l.refused.Load()}} {
		if v, err := l.a.Runtime().Call(soon(t), k.pid, int64(0)); err != nil || v != k.n+1 {
			t.Errorf("it has counted %v, %v, after %d %s", v, err, k.n, k.what)
		}
	}
	if d, b := l.downs.get(), l.bounces.Load(); len(d) > 0 || b > 0 {
		t.Errorf("who watches heard %v, and got %d messages back", d, b)
	}
	if s := l.a.Stats(); s.Late+s.Refused > 0 {
		t.Errorf("the other node: %+v", s)
	}
}

// restartsOfTest is how many restarts the test has: SKYBUS_RESTARTS says another number.
func restartsOfTest() int {
	n := 60
	if testing.Short() {
		n = 8
	}
	if s, err := strconv.Atoi(os.Getenv("SKYBUS_RESTARTS")); err == nil {
		n = s
	}
	return n
}

// A process becomes another program again and again, under calls and messages of all sorts from another one: nothing is
// lost, nothing is doubled, no call fails, no PID becomes stale, and nobody who watches it hears of an end.
func TestRestartsUnderLoad(t *testing.T) {
	restarts := restartsOfTest()
	l, p := newLoad(t, restarts)
	counter, _ := byPID("counter")(l.a, t)(nil)
	member, _ := byPID("member")(l.a, t)(nil)
	l.watch(counter)
	for _, k := range l.callers {
		l.call(k)
	}
	l.send(0, byName("sink")(l.a, t))
	l.send(1, byPID("sink2")(l.a, t))
	l.multicast(member)
	began := time.Now()
	if line := p.Line(); line != "done" {
		t.Errorf("the process says %q", line)
	}
	took := time.Since(began)
	l.stop.Store(true)
	l.work.Wait()
	l.judge(counter, member)
	if p.Gone() {
		t.Fatalf("the process: %v", p.Wait())
	}
	calls := int64(0)
	for _, k := range l.callers {
		calls += k.n.Load()
	}
	t.Logf("%d restarts in %v: %d messages, %d calls, %d to the group, %d of them refused; %d calls back were ended", restarts, took, l.sent[0]+l.sent[1], calls, l.multicasts, l.refused.Load(), l.callers[4].ended.Load())
	p.Kill()
	eventually(t, "the watcher to hear of the end", func() bool { return len(l.downs.get()) == 1 })
}

// What a service of the restarted process watches, and is linked to, elsewhere it watches on, and hears of its end in a later program.
func TestWatchesGoOnOverRestarts(t *testing.T) {
	d := domain(t)
	heard := new(list[actor.PID])
	a := begin(t, d, here, Config{Patience: patience, Services: []actor.Spec{{Name: "heard", New: actor.Func(func(_ *actor.Context, m *actor.Message) error {
		heard.add(m.Value.(*order).Next)
		return nil
	})}}})
	p := killtest.Start(t, "changeling", changelingPlan{Root: filepath.Dir(d.Table().Folder()), Ledger: filepath.Join(t.TempDir(), "ledger"), Most: 16, Restarts: 4, Rest: 20})
	p.Line()
	watched := serve(t, a, actor.Spec{}, echo)
	observer, _ := byPID("observer")(a, t)(nil)
	linked := serve(t, a, actor.Spec{}, echo)
	for _, o := range []*order{{Player: "watch", Next: watched}, {Player: "link", Next: linked}} {
		if _, err := a.Runtime().Call(soon(t), observer, o); err != nil {
			t.Fatal(err)
		}
	}
	if line := p.Line(); line != "done" {
		t.Fatalf("the process says %q", line)
	}
	if err := a.Runtime().Kill(watched); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the observer to hear of the end", func() bool { l := heard.get(); return len(l) == 1 && l[0] == watched })
	if err := a.Runtime().Kill(linked); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the observer to end", func() bool {
		_, err := a.Runtime().Call(soon(t), observer, "there?")
		return errors.Is(err, actor.ErrNoService)
	})
	if l := heard.get(); len(l) != 1 {
		t.Errorf("heard of %v", l)
	}
	p.Kill()
}
