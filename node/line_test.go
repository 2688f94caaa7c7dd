// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/node/envelope"
)

// narrow opens a domain whose lanes do not grow.
func narrow(t testing.TB) *skybus.Domain {
	t.Helper()
	testutil.NoLeaks(t)
	d, err := skybus.Open(1000, skybus.Options{Root: testutil.Dir(t), AllowUnknown: true, Limits: skybus.Limits{GrowBytes: 1, MaxMessage: 4 << 10}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// fill sends to a name until the lane is full, and returns how often.
func fill(t *testing.T, n *Node, at addr.Addr) (sent int) {
	t.Helper()
	for ; ; sent++ {
		err := n.Runtime().TrySend(At(at), Named{"sink", strings.Repeat("x", 100)})
		if errors.Is(err, actor.ErrMailboxFull) {
			return sent
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// nothingDue fails the test if a peer still waits for something.
func nothingDue(t *testing.T, p *peer) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.asked)+len(p.watches)+len(p.serving) > 0 || p.first != nil || p.end != nil || p.queued.Load() != 0 {
		t.Errorf("left: %d requests, %d watches, %d monitors, %d in line", len(p.asked), len(p.watches), len(p.serving), p.queued.Load())
	}
}

// Who sends to a lane that stays full can give up, wherever in line: then it was not sent.
func TestGiveUpInLine(t *testing.T) {
	d := narrow(t)
	a := begin(t, d, here, Config{})
	sent := fill(t, a, there)
	var work sync.WaitGroup
	for i := range 20 {
		work.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Duration(1+i%5)*time.Millisecond)
			defer cancel()
			err := a.Runtime().Send(ctx, At(there), Named{"sink", strings.Repeat("z", 200)})
			want(t, err, context.DeadlineExceeded)
		})
		work.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Duration(1+i%7)*time.Millisecond)
			defer cancel()
			_, err := a.Runtime().Call(ctx, At(there), Named{"sink", strings.Repeat("z", 200)})
			want(t, err, context.DeadlineExceeded)
		})
	}
	work.Wait()
	eventually(t, "the line to be empty", func() bool { return a.peer(there).queued.Load() == 0 })
	nothingDue(t, a.peer(there))
	var got list[any]
	begin(t, d, there, Config{Services: []actor.Spec{{Name: "sink", New: actor.Func(func(_ *actor.Context, m *actor.Message) error { got.add(m.Value); return nil })}}})
	if err := a.Runtime().Send(soon(t), At(there), Named{"sink", "last"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the last", func() bool { all := got.get(); return len(all) > 0 && all[len(all)-1] == "last" })
	if n := len(got.get()); n != sent+1 {
		t.Errorf("%d have come, want %d and the last", n, sent)
	}
}

// Requests that wait in line for a process that is gone fail as those do that it has got.
func TestCallsInLineFail(t *testing.T) {
	d := narrow(t)
	a := begin(t, d, here, Config{})
	was, err := d.Bind(there)
	if err != nil {
		t.Fatal(err)
	}
	was.Close()
	fill(t, a, there)
	s := serve(t, a, actor.Spec{}, func(c *actor.Context, _ *actor.Message) error {
		_, err := c.Call(At(there), Named{"sink", 1})
		return err
	})
	const n = 200
	done := make(chan error, 2*n)
	for range n {
		go func() {
			_, err := a.Runtime().Call(soon(t), At(there), Named{"sink", 1})
			done <- err
		}()
		go func() {
			_, err := a.Runtime().Call(soon(t), s, 1)
			done <- err
		}()
	}
	for range 2 * n {
		want(t, <-done, ErrPeerDied)
	}
	eventually(t, "the line to be empty", func() bool { return a.peer(there).queued.Load() == 0 })
	nothingDue(t, a.peer(there))
	if late := a.Runtime().Stats().Late; late > 0 {
		t.Errorf("%d had two outcomes", late)
	}
}

// A raw is an endpoint that is no node.
type raw struct {
	*skybus.Endpoint
	t *testing.T
}

func bindRaw(t *testing.T, d *skybus.Domain, at addr.Addr) raw {
	t.Helper()
	e, err := d.Bind(at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return raw{e, t}
}

func (r raw) put(to addr.Addr, e *envelope.Envelope) {
	r.t.Helper()
	b, err := e.Append(nil)
	if err == nil {
		err = r.Send(soon(r.t), to, b)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// get returns the next envelope that is no Ping.
func (r raw) get() (e envelope.Envelope) {
	r.t.Helper()
	for e.Kind == 0 || e.Kind == envelope.Ping {
		m, err := r.Recv(soon(r.t))
		if err == nil {
			err = e.Parse(m.Data)
		}
		if err != nil {
			r.t.Fatal(err)
		}
	}
	return e
}

// What a service sends before it answers arrives before the answer, also where all of it waits
// for room; and an answer that is too large when its turn comes is an error.
func TestAnswersDoNotOvertake(t *testing.T) {
	for _, c := range []struct {
		what   string
		answer any
		kind   envelope.Kind
	}{
		{"an answer", "answer", envelope.Reply},
		{"one that is too large", strings.Repeat("x", 8<<10), envelope.Error},
	} {
		t.Run(c.what, func(t *testing.T) {
			d := narrow(t)
			b, r := begin(t, d, there, Config{}), bindRaw(t, d, here)
			const n, calls = 300, 5
			serve(t, b, actor.Spec{Name: "many"}, func(x *actor.Context, m *actor.Message) error {
				for i := range n {
					if i%2 == 0 { // what is sent at once and what goes in line
						if err := x.Send(m.From, strings.Repeat("y", i)); err != nil {
							return err
						}
					}
				}
				return x.Reply(c.answer)
			})
			for i := range uint64(calls) {
				r.put(there, &envelope.Envelope{Kind: envelope.Call, Name: []byte("many"), From: 1, Session: 1 + i})
			}
			eventually(t, "a line", func() bool { return b.peer(here).queued.Load() > 0 })
			ended := 0
			for got := 0; ended < calls; {
				switch e := r.get(); e.Kind {
				case envelope.Send:
					got++
				case c.kind:
					if ended++; got < ended*n/2 {
						t.Fatalf("answer %d came after %d messages", ended, got)
					}
				default:
					t.Fatalf("got a %v", e.Kind)
				}
			}
		})
	}
}

// All that wait for a process that dies hear of it, once.
func TestManyRequestsFailTogether(t *testing.T) {
	const n = 10_000
	d := domain(t)
	cfg := Config{Patience: patience} // a slow machine takes a while for so many: they are to fail by the death
	a, b := begin(t, d, here, cfg), begin(t, d, there, cfg)
	p := serve(t, b, actor.Spec{MaxWaiting: 2 * n}, func(c *actor.Context, _ *actor.Message) error { return c.Sleep(time.Hour) })
	var failed list[error]
	s := serve(t, a, actor.Spec{MaxWaiting: 2 * n}, func(c *actor.Context, _ *actor.Message) error {
		_, err := c.Call(p, 1)
		failed.add(err)
		return nil
	})
	for range n {
		if err := a.Runtime().Send(soon(t), s, 1); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all calls", func() bool { return b.Stats().Received >= n })
	b.e.Close()
	eventually(t, "all to fail", func() bool { return len(failed.get()) == n })
	for _, err := range failed.get() {
		if !errors.Is(err, ErrPeerDied) {
			t.Fatal(err)
		}
	}
	nothingDue(t, a.peer(there))
	if late := a.Runtime().Stats().Late; late > 0 {
		t.Errorf("%d had two outcomes", late)
	}
}
