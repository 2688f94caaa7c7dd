// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/skybus-io/skybus/actor"
)

var errWhim = errors.New("a whim")

func TestCallElsewhere(t *testing.T) {
	a, b := pair(t)
	p := serve(t, b, actor.Spec{Name: "echo"}, echo)
	for _, v := range []any{nil, []byte("bytes"), "text", int64(7), true, &order{"ann", 3, p}, map[string]any{"a": int64(1)}, strings.Repeat("x", 100_000)} {
		got, err := a.Runtime().Call(soon(t), p, v)
		if err != nil || !reflect.DeepEqual(got, v) {
			t.Errorf("sent %.80v: got %.80v, %v", v, got, err)
		}
	}
	found, err := a.Lookup(soon(t), there, "echo")
	if err != nil || found != p {
		t.Errorf("looked up %v, %v; want %v", found, err, p)
	}
	if got, err := a.Runtime().Call(soon(t), At(there), Named{"echo", "hi"}); err != nil || got != "hi" {
		t.Errorf("by name: %v, %v", got, err)
	}
	if s := b.Stats(); s.Received == 0 || s.Malformed+s.Refused+s.Late+s.EarlyReleases > 0 {
		t.Errorf("counted %+v", s)
	}
}

// A handler that waits for another node lets its service go on; answers find who waits.
func TestHandlersCallElsewhere(t *testing.T) {
	a, b := pair(t)
	far := serve(t, b, actor.Spec{}, func(c *actor.Context, m *actor.Message) error {
		if err := c.Sleep(time.Duration(m.Value.(int64) % 7 * 1e6)); err != nil {
			return err
		}
		return c.Reply(m.Value.(int64) * 2)
	})
	near := serve(t, a, actor.Spec{}, func(c *actor.Context, m *actor.Message) error {
		v, err := actor.Ask[int64](c, far, m.Value)
		if err != nil {
			return err
		}
		return c.Reply(v)
	})
	const n = 500
	answers := make(chan error, n)
	for i := range int64(n) {
		go func() {
			v, err := a.Runtime().Call(soon(t), near, i)
			if err == nil && v != 2*i {
				err = errors.New("the answer is somebody else's")
			}
			answers <- err
		}()
	}
	for range n {
		if err := <-answers; err != nil {
			t.Fatal(err)
		}
	}
}

func TestErrorsFromElsewhere(t *testing.T) {
	a, b := pair(t)
	p := serve(t, b, actor.Spec{}, func(c *actor.Context, m *actor.Message) error {
		switch m.Value {
		case "whim":
			return errWhim
		case "panic":
			panic("whim")
		case "func":
			return c.Reply(func() {})
		case "exit":
			c.Exit(nil)
		}
		return nil
	})
	gone := actor.PID{Node: there, Handle: p.Handle + 1}
	stale := actor.PID{Node: there, Handle: 1}
	for _, c := range []struct {
		what string
		to   actor.PID
		v    any
		is   error
		says string
	}{
		{"the handler's own", p, "whim", nil, "a whim"},
		{"a panic", p, "panic", nil, "panic: whim"},
		{"no answer", p, "nothing", actor.ErrNoReply, ""},
		{"an answer that cannot travel", p, "func", ErrValue, "func()"},
		{"nobody", gone, "x", actor.ErrNoService, ""},
		{"of a process before", stale, "x", actor.ErrStalePID, ""},
		{"no name", At(there), Named{"nobody", 1}, actor.ErrNoService, `"nobody"`},
		{"what cannot travel", p, make(chan int), ErrValue, "chan int"},
		{"an unknown type", p, struct{ A int }{}, ErrValue, "register"},
		{"no handle", At(there), 1, ErrValue, "Named"},
		{"it ends", p, "exit", nil, ""},
	} {
		t.Run(c.what, func(t *testing.T) {
			_, err := a.Runtime().Call(soon(t), c.to, c.v)
			if err == nil || c.is != nil && !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want an error that is %v and has %q", err, c.is, c.says)
			}
			if p := (*actor.PanicError)(nil); c.v == "panic" && !errors.As(err, &p) {
				t.Errorf("%v is no PanicError", err)
			}
			var call *CallError
			if !errors.As(err, &call) {
				t.Errorf("%v is no CallError", err)
			}
		})
	}
}

// A message that is not taken comes back to its sender, with its value.
func TestBounce(t *testing.T) {
	a, b := pair(t)
	p := serve(t, b, actor.Spec{}, echo)
	if err := b.Runtime().Stop(soon(t), p); err != nil {
		t.Fatal(err)
	}
	back := make(chan actor.Undelivered, 1)
	s := serve(t, a, actor.Spec{}, func(c *actor.Context, m *actor.Message) error {
		if u, is := m.Value.(actor.Undelivered); is {
			back <- u
			return nil
		}
		return c.Send(p, m.Value)
	})
	sent := &order{Player: "ann", Count: 1}
	if err := a.Runtime().Send(soon(t), s, sent); err != nil {
		t.Fatal(err)
	}
	u := <-back
	if !reflect.DeepEqual(u.Value, sent) || u.To != p || !errors.Is(u.Reason, actor.ErrNoService) {
		t.Errorf("came back: %+v", u)
	}
}

func TestMonitorElsewhere(t *testing.T) {
	for _, c := range []struct {
		what string
		end  func(b *Node, p actor.PID)
		is   error
	}{
		{"it stops", func(b *Node, p actor.PID) { _ = b.Runtime().Stop(context.Background(), p) }, nil},
		{"it is killed", func(b *Node, p actor.PID) { _ = b.Runtime().Kill(p) }, actor.ErrKilled},
		{"its process ends", func(b *Node, _ actor.PID) { b.e.Close(); b.cancel() }, ErrPeerDied},
	} {
		t.Run(c.what, func(t *testing.T) {
			a, b := pair(t)
			p := serve(t, b, actor.Spec{Name: "db"}, echo)
			downs := make(chan actor.Down, 2)
			began := make(chan error, 1)
			s := serve(t, a, actor.Spec{}, func(c *actor.Context, m *actor.Message) error {
				if d, is := m.Value.(actor.Down); is {
					downs <- d
					return nil
				}
				_, err := c.Monitor(p)
				began <- err
				return nil
			})
			if err := a.Runtime().Send(soon(t), s, 1); err != nil {
				t.Fatal(err)
			}
			if err := <-began; err != nil {
				t.Fatal(err)
			}
			eventually(t, "the monitor", func() bool { return watched(b.peer(here)) == 1 })
			c.end(b, p)
			d := <-downs
			if d.Service != p || c.is == nil && d.Reason != nil || !errors.Is(d.Reason, c.is) {
				t.Errorf("told: %+v; want the reason %v", d, c.is)
			}
		})
	}
}

// Calls to a process that ends fail soon, and late answers are counted.
func TestCallOfAProcessThatEnds(t *testing.T) {
	a, b := pair(t)
	p := serve(t, b, actor.Spec{}, func(c *actor.Context, _ *actor.Message) error { return c.Wait("nobody") })
	done := make(chan error, 1)
	go func() {
		_, err := a.Runtime().Call(soon(t), p, 1)
		done <- err
	}()
	eventually(t, "the call", func() bool { return b.Stats().Received > 0 })
	b.e.Close()
	b.cancel()
	want(t, <-done, ErrPeerDied)
}

func TestLateAnswerIsCounted(t *testing.T) {
	a, b := pair(t)
	ctx, cancel := context.WithCancel(context.Background())
	release := make(chan struct{})
	p := serve(t, b, actor.Spec{}, func(c *actor.Context, _ *actor.Message) error {
		cancel() // the caller gives up when its request is surely there
		<-release
		return c.Reply(1)
	})
	_, err := a.Runtime().Call(ctx, p, 1)
	want(t, err, context.Canceled)
	close(release)
	eventually(t, "the late answer", func() bool { return a.Stats().Late == 1 })
	q := a.peer(there)
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.asked) != 0 {
		t.Errorf("%d requests are still waited for", len(q.asked))
	}
}

// What one service sends to another arrives in order, also when the lane is full and
// when calls are between.
func TestOrderIsKept(t *testing.T) {
	a, b := pair(t)
	var got list[int64]
	const n = 20_000
	p := serve(t, b, actor.Spec{}, func(c *actor.Context, m *actor.Message) error {
		o := m.Value.(*order)
		got.add(int64(o.Count))
		if m.IsCall() {
			return c.Reply(nil)
		}
		return nil
	})
	s := serve(t, a, actor.Spec{}, func(c *actor.Context, m *actor.Message) error {
		for i := range n {
			o := &order{Player: strings.Repeat("x", i%1000), Count: i}
			if i%100 == 99 {
				if _, err := c.Call(p, o); err != nil {
					return err
				}
			} else if err := c.Send(p, o); err != nil {
				return err
			}
		}
		return c.Reply(nil)
	})
	if _, err := a.Runtime().Call(soon(t), s, nil); err != nil {
		t.Fatal(err)
	}
	all := got.get()
	if len(all) != n {
		t.Fatalf("%d arrived", len(all))
	}
	for i, v := range all {
		if v != int64(i) {
			t.Fatalf("%d arrived where %d was due", v, i)
		}
	}
}

// Two that flood each other do not stop each other.
func TestFloodBothWays(t *testing.T) {
	a, b := pair(t)
	const n = 3000
	big := strings.Repeat("x", 1000)
	finished := make(chan error, 2)
	start := func(n1 *Node, name string, other *Node) {
		got := 0
		serve(t, n1, actor.Spec{Name: name}, func(c *actor.Context, m *actor.Message) error {
			switch m.Value {
			case "go":
				for range n {
					if err := c.Send(At(other.Addr()), Named{"flood", big}); err != nil {
						finished <- err
						return err
					}
				}
			default:
				if got++; got == n {
					finished <- nil
				}
			}
			return nil
		})
	}
	start(a, "flood", b)
	start(b, "flood", a)
	for _, n := range []*Node{a, b} {
		p, _ := n.Runtime().Lookup("flood")
		if err := n.Runtime().Send(soon(t), p, "go"); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		select {
		case err := <-finished:
			if err != nil {
				t.Fatal(err)
			}
		case <-time.After(patience):
			t.Fatal("they have stopped each other")
		}
	}
}

// What a node had not handled when it ended comes again to the next one, flagged, by name;
// what went to a handle comes back.
func TestNextLife(t *testing.T) {
	d := domain(t)
	a, b := begin(t, d, here, Config{}), begin(t, d, there, Config{})
	type origin struct{ source, number uint64 }
	origins := make(chan origin, 3)
	note := func(m *actor.Message) {
		source, number, ok := m.Origin()
		if !ok {
			t.Errorf("%v has no origin", m.Value)
		}
		origins <- origin{source, number}
	}
	p := serve(t, b, actor.Spec{Name: "db"}, func(c *actor.Context, m *actor.Message) error {
		note(m)
		return c.Wait("nobody")
	})
	back := make(chan actor.Undelivered, 1)
	s := serve(t, a, actor.Spec{}, func(c *actor.Context, m *actor.Message) error {
		if u, is := m.Value.(actor.Undelivered); is {
			back <- u
			return nil
		}
		return errors.Join(c.Send(p, "to the handle"), c.Send(At(there), Named{"db", "to the name"}))
	})
	if err := a.Runtime().Send(soon(t), s, nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "both to begin", func() bool { return len(origins) == 2 })
	b.e.Close() // as a kill would have it: what services release now is not stored
	b.Close()
	got := make(chan actor.Message, 1)
	begin(t, d, there, Config{Services: []actor.Spec{{Name: "db", New: actor.Func(func(_ *actor.Context, m *actor.Message) error {
		note(m)
		got <- *m
		return nil
	})}}})
	select {
	case m := <-got:
		if first, second, again := <-origins, <-origins, <-origins; first.source != second.source || first.number == second.number || again != second {
			t.Errorf("the origins of the messages are %v and %v, then %v", first, second, again)
		}
		if m.Value != "to the name" || !m.Again {
			t.Errorf("got %v, flagged %v", m.Value, m.Again)
		}
	case <-time.After(patience):
		t.Fatal("what was sent to the name does not come")
	}
	if u := <-back; u.Value != "to the handle" || !errors.Is(u.Reason, ErrPeerDied) { // it may have been done
		t.Errorf("came back: %+v", u)
	}
	_, err := a.Runtime().Call(soon(t), p, 1)
	want(t, err, actor.ErrStalePID)
}
