// SPDX-License-Identifier: Apache-2.0

package actortest

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skybus-io/skybus/actor"
)

type (
	buy struct{ Item string }
	pay struct{ Amount int }
)

// A shop asks a bank before it sells.
func newShop(bank actor.PID) actor.Spec {
	return actor.Spec{Name: "shop", New: func() actor.Handler {
		m := new(actor.Mux)
		actor.On(m, func(c *actor.Context, b buy) error {
			buyer := c.Message().From
			if _, err := c.CallTimeout(time.Minute, bank, pay{Amount: 5}); err != nil {
				return c.Send(buyer, fmt.Sprintf("no %s: %v", b.Item, errors.Unwrap(err)))
			}
			return c.Send(buyer, "a "+b.Item)
		})
		return m
	}}
}

func TestProbesOnBothSides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := New(t, actor.Config{})
		bank, buyer := NewProbe(t, rt), NewProbe(t, rt)
		shop, err := rt.Start(t.Context(), newShop(bank.PID()))
		if err != nil {
			t.Fatal(err)
		}

		buyer.Send(shop, buy{Item: "sword"})
		if m := bank.Expect(pay{Amount: 5}); m.From != shop || !m.IsCall() {
			t.Errorf("the bank got %+v, want a call of the shop's", m)
		}
		buyer.ExpectNone(59 * time.Second)
		bank.Reply("paid")
		buyer.Expect("a sword")

		buyer.Send(shop, buy{Item: "shield"})
		if p := ExpectType[pay](bank); p.Amount != 5 {
			t.Errorf("the bank got %+v", p)
		}
		bank.Fail(errors.New("no money"))
		buyer.Expect("no shield: no money")

		buyer.Send(shop, buy{Item: "bow"})
		bank.Next()
		began := time.Now()
		buyer.Timeout(time.Hour)
		buyer.Expect("no bow: context deadline exceeded")
		if d := time.Since(began); d != time.Minute {
			t.Errorf("the shop gave up after %v, want 1m0s", d)
		}
		if n := len(bank.Messages()); n != 3 {
			t.Errorf("the bank has %d messages, want 3", n)
		}
	})
}

func TestProbeHearsWhatTheRuntimeSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := New(t, actor.Config{}, AllowUndelivered)
		probe := NewProbe(t, rt)
		p := start(t, rt, func(c *actor.Context, m *actor.Message) error { return c.Sleep(time.Hour) })
		probe.Monitor(p)
		if err := rt.Kill(p); err != nil {
			t.Fatal(err)
		}
		if d := ExpectType[actor.Down](probe); d.Service != p || !errors.Is(d.Reason, actor.ErrKilled) {
			t.Errorf("got %+v, want the end of %v, killed", d, p)
		}
		probe.Do(func(c *actor.Context) error {
			c.Tick(time.Second, "tick")
			return nil
		})
		if m := probe.Expect("tick"); m.Kind != actor.KindTick {
			t.Errorf("a tick of kind %v", m.Kind)
		}
	})
}

// A call that the test leaves without an answer ends when the probe does.
func TestUnansweredCallEndsWithTheProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := New(t, actor.Config{})
		probe := NewProbe(t, rt)
		got := make(chan error)
		go func() {
			_, err := rt.Call(t.Context(), probe.PID(), "hello?")
			got <- err
		}()
		probe.Expect("hello?")
		if err := rt.Kill(probe.PID()); err != nil {
			t.Fatal(err)
		}
		if err := <-got; !errors.Is(err, actor.ErrNoReply) {
			t.Errorf("the caller got %v, want ErrNoReply", err)
		}
	})
}

func TestProbeSaysWhatIsWrong(t *testing.T) {
	tests := []struct {
		name string
		do   func(t testing.TB, rt *actor.Runtime, p *Probe)
		want []string
	}{
		{"nothing comes", func(_ testing.TB, _ *actor.Runtime, p *Probe) { p.Expect(buy{Item: "sword"}) },
			[]string{"no message within 5s", "want actortest.buy{Item:sword}", "it has got nothing"}},
		{"nothing comes in a time that was set", func(_ testing.TB, _ *actor.Runtime, p *Probe) {
			p.Timeout(time.Hour)
			p.Next()
		}, []string{"no message within 1h0m0s, want a message"}},
		{"another value", func(_ testing.TB, _ *actor.Runtime, p *Probe) {
			p.Send(p.PID(), "a\nb")
			p.Expect(5)
		}, []string{`got "a\nb" from :`, "want int(5)", "the test has taken 1 of:", "message from"}},
		{"another type", func(_ testing.TB, _ *actor.Runtime, p *Probe) {
			p.Send(p.PID(), &buy{Item: "sword"})
			ExpectType[buy](p)
		}, []string{"got &actortest.buy{Item:sword}", "want a actortest.buy"}},
		{"a value of no type", func(_ testing.TB, _ *actor.Runtime, p *Probe) {
			p.Send(p.PID(), nil)
			_ = ExpectType[error](p)
		}, []string{"got nil", "want a error"}},
		{"nothing of a type", func(_ testing.TB, _ *actor.Runtime, p *Probe) { ExpectType[buy](p) },
			[]string{"no message within 5s, want a actortest.buy"}},
		{"one that must not come", func(t testing.TB, rt *actor.Runtime, p *Probe) {
			rt.SendAfter(59*time.Second, p.PID(), "late")
			p.ExpectNone(time.Minute)
		}, []string{`got "late" from nobody, want nothing for 1m0s`, "+59s", "tick from nobody"}},
		{"one that is there already", func(t testing.TB, rt *actor.Runtime, p *Probe) {
			p.Send(p.PID(), 1)
			synctest.Wait()
			p.ExpectNone(0)
		}, []string{"got int(1)", "want nothing for 0s"}},
		{"a reply to nothing", func(_ testing.TB, _ *actor.Runtime, p *Probe) { p.Reply(1) },
			[]string{"reply int(1): no message was taken yet"}},
		{"a reply to no call", func(_ testing.TB, _ *actor.Runtime, p *Probe) {
			p.Send(p.PID(), "hello")
			p.Next()
			p.Fail(errBad)
		}, []string{`fail with "bad luck": the last message is no call: "hello"`}},
		{"a second reply", func(t testing.TB, rt *actor.Runtime, p *Probe) {
			p.Do(func(c *actor.Context) error {
				c.Fork(func(c *actor.Context) { _, _ = c.Call(p.PID(), "hello?") })
				return nil
			})
			p.Expect("hello?")
			p.Reply(1)
			p.Reply(2)
		}, []string{`reply int(2): the last call is answered already: "hello?"`, "call from"}},
		{"a target that is gone", func(t testing.TB, rt *actor.Runtime, p *Probe) {
			p.Send(actor.PID{Handle: 1 << 20}, "hello")
		}, []string{`send "hello" to :100000`, "no such service"}},
		{"a job that does not end", func(t testing.TB, rt *actor.Runtime, p *Probe) {
			p.Do(func(c *actor.Context) error { return c.Sleep(time.Hour) })
		}, []string{"do: call", "deadline exceeded"}},
		{"a probe of a runtime that is closed", func(t testing.TB, rt *actor.Runtime, _ *Probe) {
			rt.Close()
			NewProbe(t, rt)
		}, []string{"start a probe", "stopped"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fake(t, func(t testing.TB) {
					rt := New(t, actor.Config{})
					test.do(t, rt, NewProbe(t, rt))
				}).wants(t, test.want...)
			})
		})
	}
}

func TestDescribe(t *testing.T) {
	type point struct{ X, Y int }
	tests := []struct {
		v    any
		want string
	}{
		{nil, "nil"},
		{"a", `"a"`},
		{5, "int(5)"},
		{time.Second, "time.Duration(1s)"},
		{point{1, 2}, "actortest.point{X:1 Y:2}"},
		{&point{1, 2}, "&actortest.point{X:1 Y:2}"},
		{[]int{1, 2}, "[]int([1 2])"},
		{errors.New("a\nb"), `*errors.errorString(a\nb)`},
		{[]byte{1}, "[]uint8([1])"},
	}
	for _, test := range tests {
		if got := describe(test.v); got != test.want {
			t.Errorf("%#v is described as %s, want %s", test.v, got, test.want)
		}
	}
	if got := describe(make([]int, 1000)); len(got) > longest+3 {
		t.Errorf("a long value has %d bytes: %s", len(got), got)
	}
}
