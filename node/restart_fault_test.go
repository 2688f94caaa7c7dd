// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/internal/killtest"
	"github.com/skybus-io/skybus/internal/testutil"
)

// A fault is what goes wrong with the second program.
func oddAtStart(d *skybus.Domain, plan *changelingPlan, generation int) error {
	if generation == 0 {
		return nil
	}
	h := &inherited
	switch plan.Odd {
	case "another version":
		data, err := os.ReadFile(fmt.Sprintf("/proc/self/fd/%d", h.state.Fd()))
		if err != nil {
			return err
		}
		i := strings.Index(string(data), "Version") + len("Version")
		if _, err := h.state.WriteAt([]byte{restartVersion + 1}, int64(i)); err != nil {
			return err
		}
	case "another address":
		_, err := Start(d, here+100, Config{})
		return err
	case "no node":
		return errors.New("this program is none")
	}
	return nil
}

// What the program after a restart cannot take over is an error there that says why; then the process ends, the address is free, and nothing of
// what waits is lost.
func TestProgramsThatDoNotTakeOver(t *testing.T) {
	for odd, says := range map[string]string{
		"another version": "is of version 2, want 1",
		"another address": "has handed over the node at 0.0.3.2, and this is 0.0.3.101",
		"no node":         "this program is none",
	} {
		t.Run(odd, func(t *testing.T) {
			d := domain(t)
			a := begin(t, d, here, Config{})
			const most = 1 << 24
			plan := changelingPlan{Root: filepath.Dir(d.Table().Folder()), Ledger: filepath.Join(t.TempDir(), "ledger"), Most: most, Restarts: 1, Rest: 50, Odd: odd}
			ledger, err := killtest.OpenReceived(plan.Ledger, 2, most)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(ledger.Close)
			log := filepath.Join(t.TempDir(), "log")
			plan.Log = log
			p := killtest.Start(t, "changeling", plan)
			p.Line()
			stop := make(chan struct{})
			sent := flood(t, a, most, stop)
			if err := p.Wait(); err == nil {
				t.Error("the second program ended well")
			}
			if text, err := os.ReadFile(log); err != nil || !strings.Contains(string(text), says) {
				t.Errorf("the second program says %q, %v; want %q", text, err, says)
			}
			fault := make(chan error, 1)
			begin(t, d, there, Config{Services: changelingServices(ledger, fault, true)[:1]}) // who sends may wait for room
			close(stop)
			n := sent()
			eventually(t, "the last message", func() bool { return ledger.Last(0) == uint64(n) })
			if tally := ledger.Tally(0, uint64(n)); tally.Missing+tally.Doubled+tally.Beyond > 0 {
				t.Errorf("of %d messages: %+v", n, tally)
			}
			select {
			case err := <-fault:
				t.Error(err)
			default:
			}
		})
	}
}

// A Restart that is not possible leaves everything as it was, under load.
func TestRestartsThatFail(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("no program\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what    string
		path    string
		busy    bool
		refuses bool
		is      error
		says    string
	}{
		{what: "no such file", path: file + ".none", is: os.ErrNotExist},
		{what: "a folder", path: filepath.Dir(file), says: "want a file that can be executed"},
		{what: "no program", path: file, says: "exec format error"},
		{what: "a handler that does not end", busy: true, says: "have not come to an end: ["},
		{what: "a Snapshot that fails", refuses: true, is: errSnapshot, says: "snapshot of refusing"},
	} {
		t.Run(c.what, func(t *testing.T) {
			const tries, most = 5, 1 << 22
			d := domain(t)
			a := begin(t, d, here, Config{})
			ledger, err := killtest.OpenReceived(filepath.Join(t.TempDir(), "ledger"), 2, most)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(ledger.Close)
			fault := make(chan error, 1)
			b := begin(t, d, there, Config{Services: append(changelingServices(ledger, fault, false), actor.Spec{Name: "busy", New: actor.Func(func(_ *actor.Context, m *actor.Message) error {
				<-m.Value.(chan struct{})
				return nil
			})}, actor.Spec{Name: "refusing", Type: "refusing", New: func() actor.Handler { return &counter{refuses: c.refuses} }})})
			binds := b.e.Binds(there)
			stop, release := make(chan struct{}), make(chan struct{})
			if busy, _ := b.Runtime().Lookup("busy"); c.busy {
				if err := b.Runtime().Send(soon(t), busy, release); err != nil {
					t.Fatal(err)
				}
			}
			sent := flood(t, a, most, stop)
			var ended atomic.Bool
			var work sync.WaitGroup
			calls := int64(0)
			work.Go(func() {
				for ; !ended.Load(); calls++ {
					if v, err := a.Runtime().Call(soon(t), At(there), Named{"counter", int64(0)}); err != nil || v != calls+1 {
						t.Errorf("the counter's answer: %v, %v, want %d", v, err, calls+1)
						return
					}
				}
			})
			for range tries {
				time.Sleep(5 * time.Millisecond)
				wait := patience
				if c.busy {
					wait = 20 * time.Millisecond
				}
				ctx, cancel := context.WithTimeout(context.Background(), wait)
				err := b.Restart(ctx, RestartOptions{Path: c.path, Grace: wait})
				cancel()
				want(t, err, ErrRestart)
				if c.is != nil {
					want(t, err, c.is)
				}
				if err == nil || !strings.Contains(err.Error(), c.says) {
					t.Errorf("the error says %v, want %q", err, c.says)
				}
				var who *actor.BusyError // others may be busy, too, if the machine was
				if c.busy && (!errors.As(err, &who) || !slices.ContainsFunc(who.Services, func(s string) bool { return strings.HasPrefix(s, "busy (") })) {
					t.Errorf("the error says %v, want the busy one among them", err)
				}
			}
			close(release)
			ended.Store(true)
			work.Wait()
			close(stop)
			n := sent()
			eventually(t, "the last message", func() bool { return ledger.Last(0) == uint64(n) })
			if tally := ledger.Tally(0, uint64(n)); tally.Missing+tally.Doubled+tally.Beyond+tally.Again > 0 {
				t.Errorf("of %d messages: %+v", n, tally)
			}
			select {
			case err := <-fault:
				t.Error(err)
			default:
			}
			if now := b.e.Binds(there); now != binds {
				t.Errorf("the address was bound %d times, then %d", binds, now)
			}
			t.Logf("%d messages, %d calls", n, calls)
		})
	}
}

var errSnapshot = errors.New("a snapshot that fails")

// A process is killed again and again while it becomes another program again and again: what was sent by name is handled, and
// what is handled twice says so.
func TestKillsDuringRestarts(t *testing.T) {
	kills := 10
	if testing.Short() {
		kills = 3
	}
	rng := testutil.Rand(t)
	d := domain(t)
	a := begin(t, d, here, Config{})
	const most = 1 << 25
	plan := changelingPlan{Root: filepath.Dir(d.Table().Folder()), Ledger: filepath.Join(t.TempDir(), "ledger"), Most: most, Restarts: 1 << 20, Rest: 20, Killed: true}
	ledger, err := killtest.OpenReceived(plan.Ledger, 2, most)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ledger.Close)
	stop := make(chan struct{})
	p := killtest.Start(t, "changeling", plan)
	p.Line()
	sent := flood(t, a, most, stop)
	for range kills {
		time.Sleep(time.Duration(600+rng.IntN(200)) * time.Millisecond) // it rests for 500 ms at first
		if p.Gone() {
			t.Fatalf("the process: %v", p.Wait())
		}
		p.Kill()
		p = killtest.Start(t, "changeling", plan)
		p.Line()
	}
	p.Kill()
	fault := make(chan error, 1)
	begin(t, d, there, Config{Services: changelingServices(ledger, fault, true)[:1], Log: slog.New(slog.DiscardHandler)})
	close(stop)
	n := sent()
	eventually(t, "the last message", func() bool { return ledger.Last(0) == uint64(n) })
	tally := ledger.Tally(0, uint64(n))
	if tally.Missing+tally.Doubled+tally.Beyond > 0 {
		t.Errorf("of %d messages: %+v", n, tally)
	}
	t.Logf("%d kills: %d messages, %d came again", kills, n, tally.Again)
}

// The ledger knows what became of what comes again, also after several tries that each took a part.
func TestLedger(t *testing.T) {
	rng := testutil.Rand(t)
	for range 200 {
		checkLedger(t, rng)
	}
}

// checkLedger has a lane with a first record that stays, and processes that follow each other, each of which takes some more and
// handles some of what it took.
func checkLedger(t *testing.T, rng *rand.Rand) {
	t.Helper()
	const records = 40
	src := addr.Addr(7)
	var times [records]int
	crashed := rng.IntN(records) // those before had been taken by a process that was killed
	var l ledger
	taken := crashed
	for range 5 {
		left := skybus.Left{Src: src}
		upTo := 1 + rng.IntN(records)
		for i := range upTo {
			m := skybus.Message{Src: src, Seq: uint64(i + 100), Redelivered: i < taken}
			done, again := false, m.Redelivered
			if l != nil {
				done, again = l.look(&m)
			}
			if again != (i < crashed) && !done {
				t.Fatalf("record %d: again %v, want %v", i, again, i < crashed)
			}
			k := skybus.LeftMessage{Seq: m.Seq, Redelivered: m.Redelivered, Done: done}
			if !done && i > 0 && rng.IntN(2) == 0 {
				times[i]++
				k.Done = true
			}
			k.Kept = !k.Done
			left.Messages = append(left.Messages, k)
		}
		taken = max(taken, upTo)
		l = ledgerOf(l.next([]skybus.Left{left}, false).lanes())
	}
	for i, n := range times {
		if n > 1 {
			t.Fatalf("record %d was handled %d times", i, n)
		}
	}
}

// FuzzInheritance: what is read from the program before is taken over, or refused with an error.
func FuzzInheritance(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\xa1eMagicnskybus-restart"))
	f.Add([]byte("\xa5eMagicnskybus-restartgVersion\x01cKey\x19\x03\xe8fFolderaxdAddr\x19\x03\x02\xa0"))
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := parseInheritance(data)
		if err != nil {
			return
		}
		l := ledgerOf(h.Lanes)
		_ = ledgerOf(l.lanes())
		rt := actor.New(actor.Config{Life: h.Actor.Life, Workers: 1})
		defer rt.Close()
		if run, err := rt.Restore(&h.Actor, func(string) (actor.Spec, bool) { return actor.Spec{New: actor.Func(echo)}, true }); err == nil {
			run()
		}
	})
}

// A node that is closed ends a Restart that waits, and none begins any more.
func TestCloseEndsARestart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file") // no program: if all goes wrong this one stays
	if err := os.WriteFile(file, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	d := domain(t)
	b := begin(t, d, there, Config{})
	release := make(chan struct{})
	p := serve(t, b, actor.Spec{}, func(*actor.Context, *actor.Message) error { <-release; return nil })
	if err := b.Runtime().Send(soon(t), p, 1); err != nil {
		t.Fatal(err)
	}
	failed := make(chan error, 1)
	go func() { failed <- b.Restart(context.Background(), RestartOptions{Path: file, Grace: time.Millisecond}) }()
	eventually(t, "the restart to begin", b.restart.on.Load)
	time.AfterFunc(20*time.Millisecond, func() { close(release) })
	b.Close()
	want(t, <-failed, ErrRestart)
	want(t, b.Restart(context.Background(), RestartOptions{Path: file}), skybus.ErrClosed)
}
