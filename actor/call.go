// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"context"
	"fmt"
	"time"
)

// mine returns the service that the handler belongs to. A Context that is used after
// its handler has returned, or by another goroutine while it waits, has none.
func (c *Context) mine() *service {
	if c.s == nil {
		panic("actor: a Context was used outside its handler; give other goroutines c.Runtime() and c.Self()")
	}
	c.check()
	return c.s
}

// Self returns the PID of the service.
func (c *Context) Self() PID { return c.mine().pid() }

// Runtime returns the runtime, which any goroutine may use.
func (c *Context) Runtime() *Runtime { return c.rt }

// Name returns the service's name, or "".
func (c *Context) Name() string { return c.mine().name() }

// Args returns Spec.Args.
func (c *Context) Args() any {
	if spec := c.mine().spec(); spec != nil {
		return spec.Args
	}
	return nil
}

// Send sends v to a service. It waits only if the mailbox of that is full and blocks: then
// the handler's service does other things meanwhile. Errors: ErrNoService, ErrMailboxFull, ErrStopped,
// ErrNoRemote. Without an error the message is handled, or comes back as Undelivered; with any but ErrStopped it is not
// sent.
func (c *Context) Send(to PID, v any) error { return c.SendKind(to, KindMessage, v) }

// SendKind is Send with a kind: KindMessage, KindText, or one of the program's from KindUser on.
func (c *Context) SendKind(to PID, kind Kind, v any) error {
	s := c.mine()
	to, v = c.rt.addressee(to, v)
	m := Message{Value: v, From: s.pid(), Kind: kind.user()}
	if c.trip.Load() != nil {
		c.onward(&m)
	}
	err := c.rt.deliver(c.w, to, &m)
	if to.Handle == s.handle {
		c.turn.yields = true
	}
	if err == errBlocked { //nolint:errorlint // it is never wrapped
		session := s.add(c)
		c.out, c.to = m, to
		_, err = c.wait(sendWithRoom, reason{what: room, of: to})
		if t, _ := c.rt.local(to); err != nil && t != nil {
			t.forget(s, session) // what s has not sent when it ended does not come later
		}
	}
	if err != nil {
		return fmt.Errorf("send to %s: %w", c.rt.title(to), err)
	}
	return nil
}

// user is k, if programs may send that.
func (k Kind) user() Kind {
	if k >= KindUser || k == KindText {
		return k
	}
	return KindMessage
}

// Call sends v to a service and waits for the answer. Meanwhile the handler's service
// handles other messages. Errors: those of Send, what the handler over there has returned,
// PanicError, ErrNoReply, ErrStopped.
func (c *Context) Call(to PID, v any) (any, error) {
	return c.request(to, &Message{Value: v}, nil)
}

// CallTimeout is Call that waits for d at most; then the error is
// context.DeadlineExceeded, and an answer that comes later is forgotten.
func (c *Context) CallTimeout(d time.Duration, to PID, v any) (any, error) {
	e := c.rt.expiry(d)
	defer e.stop()
	return c.request(to, &Message{Value: v}, e)
}

// CallContext is Call that waits until ctx is over; the error is its cause then.
func (c *Context) CallContext(ctx context.Context, to PID, v any) (any, error) {
	return c.requestUntil(ctx, to, &Message{Value: v})
}

// requestUntil is request that waits until ctx is over.
func (c *Context) requestUntil(ctx context.Context, to PID, m *Message) (any, error) {
	if ctx.Err() != nil {
		return nil, fmt.Errorf("call %s: %w", c.rt.title(to), context.Cause(ctx))
	}
	e := &expiry{rt: c.rt, ctx: ctx}
	defer e.stop()
	return c.request(to, m, e)
}

// CallKind is Call with a kind.
func (c *Context) CallKind(to PID, kind Kind, v any) (any, error) {
	return c.request(to, &Message{Value: v, Kind: kind.user()}, nil)
}

// request sends m and waits for the answer, or until e is over.
func (c *Context) request(to PID, m *Message, e *expiry) (any, error) {
	s := c.mine()
	to, m.Value = c.rt.addressee(to, m.Value)
	m.From, m.Session, m.src = s.pid(), s.add(c), &c.src
	if e != nil || c.trip.Load() != nil {
		c.asking(m, e)
	}
	c.out, c.to = *m, to
	if e != nil {
		e.start(s, c.session)
	}
	c.prepare(reason{what: anAnswer, of: to})
	if !c.lay(sendRequest) || !c.yield(struct{}{}) { // as wait, with fewer frames to return through
		return nil, fmt.Errorf("call %s: %w", c.rt.title(to), ErrStopped)
	}
	v, err := c.came()
	if err != nil {
		c.rt.forgetCall(to, c.out.From, c.out.Session, err == ErrStopped || e != nil && e.gone.Load()) //nolint:errorlint // it is not wrapped
		return nil, fmt.Errorf("call %s: %w", c.rt.title(to), err)
	}
	return v, nil
}

// Reply answers the request at hand. Errors: ErrReplied. That the caller is gone is none.
func (c *Context) Reply(v any) error {
	c.mine()
	if c.done {
		return ErrReplied
	}
	c.answer(v, nil)
	return nil
}

// Fail answers the request at hand with an error. A handler may as well return it.
func (c *Context) Fail(err error) error {
	c.mine()
	if c.done {
		return ErrReplied
	}
	c.answer(nil, err)
	return nil
}

// A Request is one that is answered later, or elsewhere: by any goroutine, once.
type Request struct {
	rt      *Runtime
	from    PID
	session uint64
	ctx     *handling
	s       *service // that owes the answer, if the caller is elsewhere
}

// Later takes the duty to answer from the handler, unless that panics. Errors: ErrReplied.
func (c *Context) Later() (Request, error) {
	c.mine()
	if c.done {
		return Request{}, ErrReplied
	}
	c.done, c.later = true, true
	r := Request{rt: c.rt, from: c.msg.From, session: c.msg.Session, ctx: c.ctx}
	r.owe(c.s)
	return r, nil
}

// Reply answers. A second answer is forgotten, and counted.
func (r Request) Reply(v any) { r.end(v, nil) }

// Fail answers with an error.
func (r Request) Fail(err error) { r.end(nil, err) }

func (r Request) end(v any, err error) {
	r.paid()
	r.rt.reply(nil, r.from, r.session, v, err)
	if r.ctx != nil {
		r.ctx.end(errHandled)
	}
}

// From returns who has asked.
func (r Request) From() PID { return r.from }

// Redirect passes the request at hand on, with another value: the answer goes to the first
// caller. A message that is no request is passed on, too, as from its first sender. It waits for room as Send does. Errors:
// those of Send, ErrReplied. With ErrStopped it may have been passed on.
//
// Between two other processes an answer would not get there: then it is the handler's service that asks, waits and answers, and what is no request comes
// from it.
func (c *Context) Redirect(to PID, v any) error {
	c.mine()
	if c.msg.IsCall() && c.done {
		return ErrReplied
	}
	to, v = c.rt.addressee(to, v)
	if c.rt.foreign(c.msg.From) && c.rt.foreign(to) {
		return c.carry(to, v)
	}
	m := Message{Value: v, From: c.msg.From, Session: c.msg.Session, Kind: c.msg.Kind, src: c.msg.src, trips: c.msg.trips, Again: c.msg.Again}
	t, here := c.rt.local(to)
	if here && t != nil && t.releasesEarly(&m) { // it stays this handler's to release
		m.lighten()
	}
	if m.Kind > kindSystem {
		m.Kind = m.Kind.user() // a fork, a timer, a Start
	}
	passes := here && m.src != nil && m.src.held != nil
	err := c.rt.deliver(c.w, to, &m)
	if err == errBlocked { //nolint:errorlint // it is never wrapped
		err = c.redirectWithRoom(to, m, passes)
	} else if err == nil && passes {
		c.msg.src = nil // it is the next one's to release
	}
	if err != nil {
		return fmt.Errorf("redirect to %s: %w", c.rt.title(to), err)
	}
	c.done = true
	return nil
}

// carry takes the message at hand from one other process to another.
func (c *Context) carry(to PID, v any) error {
	if !c.msg.IsCall() {
		return c.SendKind(to, c.msg.Kind, v)
	}
	ask := Message{Value: v, Kind: c.msg.Kind.user()}
	v, err := c.requestUntil(c.Ctx(), to, &ask)
	if err != nil {
		return err
	}
	return c.Reply(v)
}

// foreign reports whether p is of another process.
func (rt *Runtime) foreign(p PID) bool { return !p.Node.IsNone() && p.Node != rt.cfg.Node }

// redirectWithRoom waits for room for m. passes: what holds the message at hand goes with it from the moment
// on at which it stands in line. Else it stays until m is sent.
func (c *Context) redirectWithRoom(to PID, m Message, passes bool) error {
	s := c.mine()
	session := s.add(c)
	c.out, c.to = m, to
	c.prepare(reason{what: room, of: to})
	if !c.lay(sendWithRoom) {
		return ErrStopped
	}
	if passes {
		c.msg.src = nil
	}
	if !c.yield(struct{}{}) {
		return ErrStopped
	}
	_, err := c.came()
	if err != ErrStopped { //nolint:errorlint // it is not wrapped
		return err
	}
	if t, _ := c.rt.local(to); t != nil && t.forget(s, session) && passes { // what s has not sent when it ended does not come later
		c.msg.src = m.src
	}
	return err
}

// Sleep waits for d; the service handles other messages meanwhile. Errors: ErrStopped.
func (c *Context) Sleep(d time.Duration) error {
	s := c.mine()
	e := c.rt.expiry(d)
	defer e.stop()
	e.wakes = true
	e.start(s, s.add(c))
	_, err := c.wait(nothing, reason{what: sleep})
	return err
}

// Yield lets the service handle what waits, and others have their turn.
func (c *Context) Yield() error {
	s := c.mine()
	c.rt.tell(s, &Message{Kind: kindRoom, Session: s.add(c)})
	_, err := c.wait(nothing, reason{what: itsTurn})
	return err
}

// Wait waits until somebody in the same service calls Wakeup with the same token,
// which is any comparable value. One handler at a time waits for a token. Errors: ErrStopped.
func (c *Context) Wait(token any) error {
	s := c.mine()
	o := s.mine()
	if _, taken := o.tokens[token]; taken {
		return fmt.Errorf("wait for %v: another handler does", token)
	}
	if o.tokens == nil {
		o.tokens = map[any]uint64{}
	}
	o.tokens[token] = s.add(c)
	_, err := c.wait(nothing, reason{what: aWakeup, name: fmt.Sprint(token)})
	if err != nil && c.s.own != nil {
		delete(c.s.own.tokens, token)
	}
	return err
}

// Wakeup has the handler go on that waits for token, and reports whether there is one.
func (c *Context) Wakeup(token any) bool {
	s := c.mine()
	if s.own == nil {
		return false
	}
	session, ok := s.own.tokens[token]
	if ok {
		delete(s.own.tokens, token)
		c.rt.tell(s, &Message{Kind: kindRoom, Session: session})
	}
	return ok
}

// Fork has f run as a handler of its own, after those messages that wait now. It does not
// if the service ends, or restarts, before. It has the trace of the message at hand, and no request.
func (c *Context) Fork(f func(c *Context)) {
	s := c.mine()
	m := Message{Kind: kindFork, Value: f, From: s.pid(), Session: uint64(s.life())}
	if c.trip.Load() != nil {
		c.onward(&m)
	}
	c.rt.tell(s, &m)
}

// Message returns the message at hand.
func (c *Context) Message() *Message { return &c.msg }
