// SPDX-License-Identifier: Apache-2.0

package actortest

import (
	"context"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/skybus-io/skybus/actor"
)

// DefaultTimeout is how long a Probe waits for a message.
const DefaultTimeout = 5 * time.Second

// A Probe is a service that keeps what it gets for the test to look at: messages and calls, and
// what the runtime sends, such as actor.Down and actor.Undelivered. A call waits until the
// test replies. Its mailbox has no limit.
//
// Expect and the others take the messages one after the other, in the order in which they
// came; what is not as expected ends the test with t.Fatal. So they are for the
// goroutine of the test alone, and not for handlers. PID and Messages may be called by any goroutine.
type Probe struct {
	t       testing.TB
	rt      *actor.Runtime
	pid     actor.PID
	timeout time.Duration
	last    *received // what the test has taken last
	next    int       // the first that it has not taken

	mu   sync.Mutex // guards got
	log  log
	got  []*received
	news chan struct{} // has one while there may be something that the test has not seen
}

// received is a message and, if that is a call, the duty to answer it.
type received struct {
	m        actor.Message
	request  actor.Request
	answered bool
}

// job is what Do has the probe run.
type job func(c *actor.Context) error

// NewProbe starts a probe in rt. It ends with rt, or when it is killed; calls that the
// test has not answered get actor.ErrNoReply then.
func NewProbe(t testing.TB, rt *actor.Runtime) *Probe {
	t.Helper()
	p := &Probe{t: t, rt: rt, timeout: DefaultTimeout, log: newLog(), news: make(chan struct{}, 1)}
	pid, err := rt.Spawn(actor.Spec{
		New:     func() actor.Handler { return (*probeHandler)(p) },
		Mailbox: actor.Mailbox{Capacity: actor.Unbounded},
	})
	if err != nil {
		t.Fatalf("start a probe: %v", err)
	}
	p.pid = pid
	return p
}

// PID returns what services send to. Runtime.Register gives it a name.
func (p *Probe) PID() actor.PID { return p.pid }

// Timeout sets how long the test waits for a message, instead of DefaultTimeout: in a
// bubble of testing/synctest a time of that.
func (p *Probe) Timeout(d time.Duration) { p.timeout = d }

// Next waits for the next message and returns it.
func (p *Probe) Next() actor.Message {
	p.t.Helper()
	return p.take("a message")
}

// Expect waits for the next message, whose value has to be equal to want in the sense of
// reflect.DeepEqual, and returns it.
func (p *Probe) Expect(want any) actor.Message {
	p.t.Helper()
	m := p.take(describe(want))
	if !reflect.DeepEqual(m.Value, want) {
		p.fatal("got %s from %s, want %s", describe(m.Value), sender(m.From), describe(want))
	}
	return m
}

// ExpectType waits for p's next message, whose value has to be a T, and returns that. T may
// be an interface.
func ExpectType[T any](p *Probe) T {
	p.t.Helper()
	want := "a " + reflect.TypeFor[T]().String()
	m := p.take(want)
	v, ok := m.Value.(T)
	if !ok {
		p.fatal("got %s from %s, want %s", describe(m.Value), sender(m.From), want)
	}
	return v
}

// ExpectNone waits for quiet, and wants no message to come until then, or to be there. It is meant
// for a bubble of testing/synctest, where that takes no time; elsewhere it can only
// show that a message has not come yet. What is due at the very end of quiet may be missed:
// synctest.Wait, and then ExpectNone(0), sees that, too.
func (p *Probe) ExpectNone(quiet time.Duration) {
	p.t.Helper()
	if r := p.await(quiet); r != nil {
		p.fatal("got %s from %s, want nothing for %v", describe(r.m.Value), sender(r.m.From), quiet)
	}
}

// take returns the next message, which the test takes for want.
func (p *Probe) take(want string) actor.Message {
	p.t.Helper()
	r := p.await(p.timeout)
	if r == nil {
		p.fatal("no message within %v, want %s", p.timeout, want)
		return actor.Message{}
	}
	p.last = r
	return r.m
}

// await returns the next message, or nil if none comes within d.
func (p *Probe) await(d time.Duration) *received {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		if r := p.shift(); r != nil {
			return r
		}
		select {
		case <-p.news:
		case <-timer.C:
			return p.shift()
		}
	}
}

func (p *Probe) shift() *received {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next == len(p.got) {
		return nil
	}
	p.next++
	return p.got[p.next-1]
}

// Reply answers the call that the test has taken last. It ends the test if that was no call or
// is answered already.
func (p *Probe) Reply(v any) {
	p.t.Helper()
	if r := p.duty("reply " + describe(v)); r != nil {
		r.Reply(v)
	}
}

// Fail is Reply with an error.
func (p *Probe) Fail(err error) {
	p.t.Helper()
	if r := p.duty(fmt.Sprintf("fail with %q", err)); r != nil {
		r.Fail(err)
	}
}

// duty takes the duty to answer from the last message.
func (p *Probe) duty(to string) *actor.Request {
	p.t.Helper()
	p.mu.Lock()
	r := p.last
	problem := ""
	switch {
	case r == nil:
		problem = "no message was taken yet, want a call"
	case !r.m.IsCall():
		problem = "the last message is no call: " + describe(r.m.Value)
	case r.answered:
		problem = "the last call is answered already: " + describe(r.m.Value)
	default:
		r.answered = true
	}
	p.mu.Unlock()
	if problem != "" {
		p.fatal("%s: %s", to, problem)
		return nil
	}
	return &r.request
}

// Messages returns all messages that have come so far, those that the test has taken among
// them. A value is the receiver's, and so the test's.
func (p *Probe) Messages() []actor.Message {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make([]actor.Message, len(p.got))
	for i, r := range p.got {
		list[i] = r.m
	}
	return list
}

// Send sends v to a service, from the probe: what comes back, an actor.Undelivered for example, comes
// to the probe. An error ends the test.
func (p *Probe) Send(to actor.PID, v any) {
	p.t.Helper()
	p.do(fmt.Sprintf("send %s to %v", describe(v), to), func(c *actor.Context) error { return c.Send(to, v) })
}

// Monitor has the probe get an actor.Down when target ends.
func (p *Probe) Monitor(target actor.PID) {
	p.t.Helper()
	p.do(fmt.Sprintf("monitor %v", target), func(c *actor.Context) error {
		_, err := c.Monitor(target)
		return err
	})
}

// Do runs f as a handler of the probe and returns when that has: for what only a
// handler can do. f must not call t.Fatal. An error ends the test, and so does a timeout.
func (p *Probe) Do(f func(c *actor.Context) error) {
	p.t.Helper()
	p.do("do", f)
}

func (p *Probe) do(what string, f job) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), p.timeout)
	defer cancel()
	if _, err := p.rt.Call(ctx, p.pid, f); err != nil {
		p.fatal("%s: %v", what, err)
	}
}

// fatal ends the test, and says what has come to the probe.
func (p *Probe) fatal(format string, args ...any) {
	p.t.Helper()
	p.mu.Lock()
	history := "  it has got nothing"
	if len(p.log.entries) > 0 {
		history = fmt.Sprintf("  it has got, and the test has taken %d of:\n%s", p.next, p.log.String())
	}
	p.mu.Unlock()
	p.t.Fatalf("probe %v: %s\n%s", p.pid, fmt.Sprintf(format, args...), history)
}

// probeHandler is the Handler of a Probe.
type probeHandler Probe

// Handle keeps m.
func (h *probeHandler) Handle(c *actor.Context, m *actor.Message) error {
	if f, ok := m.Value.(job); ok {
		if err := f(c); err != nil {
			return err
		}
		return c.Reply(nil)
	}
	r := &received{m: actor.Message{Value: m.Value, From: m.From, Session: m.Session, Kind: m.Kind}}
	if m.IsCall() {
		var err error
		if r.request, err = c.Later(); err != nil {
			return err
		}
	}
	h.mu.Lock()
	h.got = append(h.got, r)
	h.log.add(&Entry{Service: c.Self(), Message: r.m, Done: true})
	h.mu.Unlock()
	select {
	case h.news <- struct{}{}:
	default: // it has one
	}
	return nil
}

// Stop gives those an answer that the test has left without.
func (h *probeHandler) Stop(*actor.Context, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range h.got {
		if r.m.IsCall() && !r.answered {
			r.answered = true
			r.request.Fail(fmt.Errorf("a probe: %w", actor.ErrNoReply))
		}
	}
}
