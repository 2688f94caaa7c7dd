// SPDX-License-Identifier: Apache-2.0

package actortest

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skybus-io/skybus/actor"
)

// A clerk is a handler with a start and an end.
type clerk struct{ log []string }

func (k *clerk) Start(c *actor.Context) error {
	k.log = append(k.log, "start")
	return c.Sleep(time.Second)
}

func (k *clerk) Stop(*actor.Context, error) { k.log = append(k.log, "stop") }

func (k *clerk) Handle(c *actor.Context, m *actor.Message) error {
	switch m.Value {
	case "panic":
		panic("no ink")
	case "fail":
		return errBad
	case "wait":
		if err := c.Sleep(time.Minute); err != nil {
			return err
		}
	}
	return c.Reply(m.Value)
}

func TestRecorder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRecorder(t)
		rt := New(t, actor.Config{}, AllowPanics)
		k := &clerk{}
		p, err := rt.Start(t.Context(), actor.Spec{New: r.Wrap("clerk", func() actor.Handler { return k })})
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{"hello", "fail", "panic", "wait"} {
			_, _ = rt.Call(t.Context(), p, text)
		}
		go func() { _, _ = rt.Call(t.Context(), p, "wait") }()
		synctest.Wait()
		wantTimeline(t, r, `
			+0s     clerk \(:\w+\)  starts                  took 1s
			+1s     clerk \(:\w+\)  call from :\w+: "hello"
			+1s     clerk \(:\w+\)  call from :\w+: "fail"   error: bad luck
			+1s     clerk \(:\w+\)  call from :\w+: "panic"  panicked
			+1s     clerk \(:\w+\)  call from :\w+: "wait"   took 1m0s
			+1m1s   clerk \(:\w+\)  call from :\w+: "wait"   not done`)
		time.Sleep(time.Second)
		if err := rt.Kill(p); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		wantTimeline(t, r, `
			+0s     clerk \(:\w+\)  starts                  took 1s
			+1s     clerk \(:\w+\)  call from :\w+: "hello"
			+1s     clerk \(:\w+\)  call from :\w+: "fail"   error: bad luck
			+1s     clerk \(:\w+\)  call from :\w+: "panic"  panicked
			+1s     clerk \(:\w+\)  call from :\w+: "wait"   took 1m0s
			+1m1s   clerk \(:\w+\)  call from :\w+: "wait"   took 1s, error: stopped
			+1m2s   clerk \(:\w+\)  stops                    error: killed`)
		if got := strings.Join(k.log, " "); got != "start stop" {
			t.Errorf("the handler did %q, want its start and its stop", got)
		}
		if e := r.Entries()[3]; e.What != Handled || e.Message.Value != "panic" || !e.Panicked || e.Service != p || e.Name != "clerk" {
			t.Errorf("the entry of the panic is %+v", e)
		}
	})
}

// wantTimeline compares lines, in which spaces stand for any number of them.
func wantTimeline(t *testing.T, r *Recorder, want string) {
	t.Helper()
	wants := strings.Split(strings.TrimSpace(want), "\n")
	lines := strings.Split(strings.TrimSpace(r.String()), "\n")
	ok := len(lines) == len(wants)
	for i := 0; ok && i < len(lines); i++ {
		pattern := strings.Join(strings.Fields(strings.ReplaceAll(wants[i], "+", `\+`)), `\s+`)
		pattern = strings.ReplaceAll(pattern, `\w\+`, `\w+`)
		ok = regexp.MustCompile("^" + pattern + "$").MatchString(strings.TrimSpace(lines[i]))
	}
	if !ok {
		t.Errorf("the timeline is\n%s\nwant\n%s", r, want)
	}
}

func TestTapPassesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRecorder(t)
		rt := New(t, actor.Config{}, AllowFailures)
		bank, buyer := NewProbe(t, rt), NewProbe(t, rt)
		tap, err := r.Tap(rt, "bank", bank.PID())
		if err != nil {
			t.Fatal(err)
		}
		shop, err := rt.Start(t.Context(), newShop(tap))
		if err != nil {
			t.Fatal(err)
		}
		buyer.Send(shop, buy{Item: "sword"})
		if m := bank.Expect(pay{Amount: 5}); m.From != shop || !m.IsCall() {
			t.Errorf("the bank got %+v, want a call of the shop's", m)
		}
		bank.Reply(nil)
		buyer.Expect("a sword")
		wantTimeline(t, r, `+0s bank \(:\w+\) call from `+shop.String()+`: actortest.pay{Amount:5}`)

		if err := rt.Kill(bank.PID()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		buyer.Send(shop, buy{Item: "bow"})
		if m := buyer.Next(); !strings.Contains(m.Value.(string), "no such service") {
			t.Errorf("the buyer got %v, want that the bank is gone", m.Value)
		}
		if e := r.Entries()[1]; e.What != Passed || !errors.Is(e.Err, actor.ErrNoService) {
			t.Errorf("the entry of the call to nobody is %+v", e)
		}
	})
}

func TestRecorderPrintsWhenTheTestFails(t *testing.T) {
	for _, fails := range []bool{false, true} {
		inner := fake(t, func(t testing.TB) {
			r := NewRecorder(t)
			rt := New(t, actor.Config{})
			p, err := rt.Start(t.Context(), actor.Spec{New: r.Wrap("clerk", actor.Func(func(c *actor.Context, m *actor.Message) error {
				return c.Reply(m.Value)
			}))})
			if err != nil {
				t.Errorf("start: %v", err)
			}
			if _, err := rt.Call(t.Context(), p, "hello"); err != nil || fails {
				t.Errorf("%v", err)
			}
		})
		printed := strings.Join(inner.logs, "\n")
		if got := strings.Contains(printed, "what was recorded:") && strings.Contains(printed, `"hello"`) && strings.Contains(printed, "stops"); got != fails {
			t.Errorf("failed: %v, printed %q", fails, printed)
		}
	}
}

func TestWrapOfNothing(t *testing.T) {
	rt := New(t, actor.Config{})
	r := NewRecorder(t)
	if p, err := rt.Spawn(actor.Spec{New: r.Wrap("nobody", func() actor.Handler { return nil })}); err == nil {
		t.Errorf("a factory that returns nil made %v", p)
	}
}
