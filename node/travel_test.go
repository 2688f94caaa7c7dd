// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/node/envelope"
)

var elsewhere = addr.MustParse("0.0.3.3")

// three starts three nodes.
func three(t testing.TB) (a, b, c *Node) {
	t.Helper()
	d := domain(t)
	return begin(t, d, here, Config{}), begin(t, d, there, Config{}), begin(t, d, elsewhere, Config{})
}

// A travelled is what a handler sees of what a message has brought along.
type travelled struct {
	trace actor.Trace
	left  time.Duration
	bound bool
}

// A trace goes through three processes and back to the first, whatever is sent or called; a deadline as the time that is left.
func TestTraceAndDeadlineTravel(t *testing.T) {
	a, b, c := three(t)
	got := make(chan travelled, 10)
	note := func(c *actor.Context) {
		end, ok := c.Ctx().Deadline()
		got <- travelled{c.Trace(), time.Until(end), ok}
	}
	last := serve(t, a, actor.Spec{}, func(c *actor.Context, _ *actor.Message) error { note(c); return nil })
	second := serve(t, c, actor.Spec{}, func(c *actor.Context, _ *actor.Message) error {
		note(c)
		return errors.Join(c.Send(last, "sent"), c.Reply(nil))
	})
	first := serve(t, b, actor.Spec{}, func(c *actor.Context, _ *actor.Message) error {
		note(c)
		_, err := c.Call(second, "called")
		return errors.Join(err, c.Reply(nil))
	})
	trace := actor.NewTrace()
	ctx, cancel := context.WithTimeout(actor.WithTrace(t.Context(), trace), time.Hour)
	defer cancel()
	for i, want := range []struct {
		ctx   context.Context
		trace actor.Trace
		bound bool
	}{{ctx, trace, true}, {t.Context(), actor.Trace{}, false}} {
		if _, err := a.Runtime().Call(want.ctx, first, "begin"); err != nil {
			t.Fatal(err)
		}
		for k := range 3 {
			g := <-got
			bound := want.bound && k < 2 // the third is no request
			if g.trace != want.trace || g.bound != bound || bound && (g.left <= 0 || g.left > time.Hour) {
				t.Errorf("round %d, hop %d: %+v; want %v, a deadline: %v", i, k, g, want.trace, bound)
			}
		}
	}
}

// A caller that gives up has the far handler's context end, while that runs and before; and what it calls, if it has given that on.
func TestCallerGivesUp(t *testing.T) {
	a, b, c := three(t)
	causes, running := make(chan error, 10), make(chan bool, 10)
	deep := serve(t, c, actor.Spec{}, func(c *actor.Context, _ *actor.Message) error {
		running <- true
		<-c.Ctx().Done()
		causes <- context.Cause(c.Ctx())
		return context.DeadlineExceeded // it may be back in time
	})
	blocks := serve(t, b, actor.Spec{}, func(c *actor.Context, m *actor.Message) error {
		_, err := c.CallContext(c.Ctx(), deep, m.Value)
		causes <- err
		return err
	})
	behind := serve(t, b, actor.Spec{}, func(c *actor.Context, _ *actor.Message) error {
		<-running
		<-c.Ctx().Done()
		causes <- context.Cause(c.Ctx())
		return nil
	})
	handler := serve(t, a, actor.Spec{}, func(c *actor.Context, m *actor.Message) error {
		_, err := c.CallTimeout(50*time.Millisecond, m.Value.(actor.PID), "x")
		return err
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-running
		cancel()
	}()
	if _, err := a.Runtime().Call(ctx, blocks, "x"); !errors.Is(err, context.Canceled) {
		t.Errorf("the call: %v", err)
	}
	for range 2 {
		want(t, <-causes, actor.ErrGivenUp)
	}
	if _, err := a.Runtime().Call(soon(t), handler, deep); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the handler's call: %v", err)
	}
	<-running
	if err := <-causes; !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, actor.ErrGivenUp) { // whichever is first
		t.Errorf("over there it ended of %v", err)
	}
	// Two calls: the second one waits in the mailbox while its caller gives up.
	ctx, cancel = context.WithCancel(t.Context())
	done := make(chan error, 2)
	for range 2 {
		go func() {
			_, err := a.Runtime().Call(ctx, behind, "x")
			done <- err
		}()
	}
	eventually(t, "both to be there", func() bool { i, _ := b.Runtime().Info(behind); return i.Handled+uint64(i.Waiting) == 2 })
	cancel()
	for range 2 {
		want(t, <-done, context.Canceled)
	}
	running <- true
	running <- true
	for range 2 {
		want(t, <-causes, actor.ErrGivenUp)
	}
	if n := b.Stats().Malformed + c.Stats().Malformed; n > 0 {
		t.Errorf("%d envelopes were malformed", n)
	}
}

// What a later version may send, and may be passed over, is no fault; an hour of the largest kind is no deadline.
func TestOptionalKindsArePassedOver(t *testing.T) {
	d := domain(t)
	b := begin(t, d, there, Config{})
	got := make(chan travelled, 1)
	begun := serve(t, b, actor.Spec{Name: "begun"}, func(c *actor.Context, _ *actor.Message) error {
		end, ok := c.Message().Deadline()
		got <- travelled{left: time.Until(end), bound: ok}
		return nil
	})
	r, err := d.Bind(here)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	record := func(e envelope.Envelope) []byte {
		b, err := e.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	later := record(envelope.Envelope{Kind: envelope.Cancel, From: 7, Session: 1})
	later[1] = 200
	for _, b := range [][]byte{
		later, record(envelope.Envelope{Kind: envelope.Cancel, From: 7, Session: 1}), // of no request
		record(envelope.Envelope{Kind: envelope.Call, To: uint64(begun.Handle), From: 7, Session: 2, Left: 1<<63 - 1}),
	} {
		if err := r.Send(soon(t), there, b); err != nil {
			t.Fatal(err)
		}
	}
	if g := <-got; !g.bound || g.left < 24*time.Hour {
		t.Errorf("the longest time left is %+v", g)
	}
	if st := b.Stats(); st.Optional != 1 || st.Malformed != 0 {
		t.Errorf("%+v, want one optional envelope and none malformed", st)
	}
}

// A call to an address that nobody has bound yet waits for who comes, for as long as the node has
// patience; where somebody was, and is gone, it fails at once.
func TestCallToWhoHasNotComeYet(t *testing.T) {
	d := domain(t)
	a := begin(t, d, here, Config{})
	done := make(chan error, 1)
	go func() {
		v, err := a.Runtime().Call(soon(t), At(there), Named{"echo", "hello"})
		if err == nil && v != "hello" {
			err = errors.New("another answer")
		}
		done <- err
	}()
	time.Sleep(3 * lookEach) // longer than for one that has died
	b := begin(t, d, there, Config{Services: []actor.Spec{{Name: "echo", New: actor.Func(echo)}}})
	if err := <-done; err != nil {
		t.Errorf("the process came, and then: %v", err)
	}
	b.Close()
	_, err := a.Runtime().Call(soon(t), At(there), Named{"echo", "hello"})
	want(t, err, ErrPeerDied)
	short := begin(t, d, elsewhere, Config{Patience: 600 * time.Millisecond})
	_, err = short.Runtime().Call(soon(t), At(addr.MustParse("0.0.3.9")), Named{"echo", "hello"})
	want(t, err, ErrSilent)
	if errors.Is(err, ErrPeerDied) {
		t.Errorf("%v, though nobody was there", err)
	}
	var e *skybus.Endpoint
	if e, err = d.Bind(addr.MustParse("0.0.3.9")); err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	n := 0
	for ; ; n++ {
		if _, err := e.TryRecv(); err != nil {
			break
		}
	}
	if n != 1 {
		t.Errorf("%d records wait at the address, want the call alone", n)
	}
}
