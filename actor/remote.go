// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"fmt"
	"sync"
)

// A Remote takes messages to other processes. Its methods are called by many
// goroutines, handlers among them, and must not wait.
type Remote interface {
	// Send takes a message for a PID of another process. Its kind is one that a program sends,
	// or KindReply or KindError, which end the request of Session; or KindDown or
	// KindBounce. ErrNoRoom: there is no room for it now, and it is not taken. Another error is
	// the sender's; what becomes known later comes back through Runtime.Deliver. Where
	// the other process ends before it has answered a request, its From is to get a KindError.
	// m is the caller's again afterwards.
	Send(to PID, m *Message) error
	// SendLater takes a message for which there was no room, and sends it when there is,
	// behind those that it took before and ahead of what Send gets meanwhile. m is the caller's again. Then, or when it
	// never can, it calls sent, which may be nil. cancel takes the message back; it reports
	// false if that is too late.
	SendLater(to PID, m *Message, sent func(err error)) (cancel func() bool)
	// Forget says that nobody waits any more for the answer to a request. If that has not come, the
	// other process is to be told: Runtime.Cancel.
	Forget(from PID, session uint64)
	// Monitor has the other process send a Down to watcher when target ends, or is gone
	// already, or cannot be reached any more. stop ends that.
	Monitor(watcher, target PID) (stop func(), err error)
}

// Held is what a message from another process came in, and what keeps it until it is
// handled.
type Held interface {
	// Release is called once: when the handler has returned, or the message was given up,
	// which its sender was told. Any goroutine may call it.
	Release()
	// Origin says which message it is, while it is held: the number it has among those of one source. What comes
	// again has the same two.
	Origin() (source, number uint64, ok bool)
	claim() *Claim
}

// A Claim is what the runtime has of a Held, which embeds it: one for each message.
type Claim struct{ src source }

func (c *Claim) claim() *Claim { return c }

// An Addressed value is for whoever has a name where it is sent to: it goes to a PID that has no handle.
// A Remote sees to that; what a process so sends to its own Node gets there without one.
type Addressed interface {
	// Addressee returns the name, and what the service is to get.
	Addressee() (name string, v any)
}

// addressee returns who is to get v, and what that is then.
func (rt *Runtime) addressee(to PID, v any) (PID, any) {
	if to.Handle != 0 || to.Node.IsNone() || to.Node != rt.cfg.Node {
		return to, v
	}
	if a, is := v.(Addressed); is {
		name, inner := a.Addressee()
		if p, ok := rt.Lookup(name); ok {
			return p, inner
		}
	}
	return to, v // nobody
}

// A source is where a message came from, beside its sender's PID.
type source struct {
	c    *Context // that waits for the answer
	held Held     // of a message from elsewhere
	trip *trip    // what it brings along; nil: nothing, and its trips is false
}

// release lets go of what holds m, if something does.
func (m *Message) release() {
	if m.src == nil || m.src.held == nil {
		return
	}
	h := m.src.held
	m.src = nil
	h.Release()
}

// Deliver takes a message that came from another process. It does not wait: a full
// mailbox that blocks is ErrMailboxFull. Errors: also ErrNoService, ErrStalePID; all are for the
// Remote to bring back to the sender. Nobody waits any more for an answer that comes late: that is ErrNoService or
// no error. Any goroutine may call it.
func (rt *Runtime) Deliver(to PID, m Message) error { return rt.deliverFree(nil, to, &m) }

func (rt *Runtime) deliverFree(w *worker, to PID, m *Message) error {
	m.afar()
	err := rt.accept(w, to, m)
	if err == errBlocked { //nolint:errorlint // it is never wrapped
		err = ErrMailboxFull
	}
	if err != nil {
		return fmt.Errorf("deliver to %v: %w", to, err)
	}
	return nil
}

// DeliverHeld is Deliver for a message that something holds until it is handled; for a
// service with Spec.ReleaseEarly, a group, and an answer, until it is in the mailbox. For a full mailbox that
// blocks it waits in line, with others, outside of the mailbox. With an error nothing is released.
func (rt *Runtime) DeliverHeld(to PID, m Message, held Held) error {
	return rt.deliverHeld(nil, to, &m, held)
}

func (rt *Runtime) deliverHeld(w *worker, to PID, m *Message, held Held) error {
	t := m.trip()
	m.src = &held.claim().src
	m.src.held, m.src.trip = held, t
	err := rt.accept(w, to, m)
	if err == errBlocked { //nolint:errorlint // it is never wrapped
		_, err = rt.line(w, to, &blocked{m: *m})
	}
	if err != nil {
		return fmt.Errorf("deliver to %v: %w", to, err)
	}
	if m.src == nil || m.src.held == nil {
		held.Release()
	}
	return nil
}

// accept puts a message from elsewhere into the mailbox of to.
func (rt *Runtime) accept(w *worker, to PID, m *Message) error {
	if err, is := m.Value.(error); m.Kind == KindError && (!is || err == nil) {
		return fmt.Errorf("the value of a KindError is a %s, want an error", m.what())
	}
	if m.Kind >= kindSystem && m.Kind < KindUser && m.Kind != KindReply && m.Kind != KindError {
		return fmt.Errorf("kind %d is none that comes from elsewhere", m.Kind)
	}
	s, here := rt.local(to)
	if !here {
		return ErrNoService
	}
	if s == nil {
		return rt.absent(to)
	}
	if s.releasesEarly(m) {
		m.lighten()
	}
	return rt.give(w, s, m)
}

// releasesEarly reports whether m is released when it is in the mailbox of s.
func (s *service) releasesEarly(m *Message) bool {
	return s.early || m.Kind == KindReply || m.Kind == KindError || s.kind == external || s.kind == many && s.extra.pool == nil
}

// far gives m to the Remote. What nobody waits with gets its room later.
func (rt *Runtime) far(to PID, m *Message) error {
	r := rt.cfg.Remote
	if r == nil {
		return fmt.Errorf("%v: %w", to, ErrNoRemote)
	}
	own := outgoing.Get().(*Message) // m itself would have to be allocated for every call if it went out here
	defer own.outgone()
	*own = *m
	own.afar()
	err := r.Send(to, own)
	if err != ErrNoRoom { //nolint:errorlint // it is never wrapped
		return err
	}
	if m.system() || m.Kind == KindReply || m.Kind == KindError {
		r.SendLater(to, own, nil)
		return nil
	}
	return errBlocked
}

// outgoing are messages that a Remote looks at.
var outgoing = sync.Pool{New: func() any { return new(Message) }}

func (m *Message) outgone() {
	*m = Message{}
	outgoing.Put(m)
}

// farLine has b's message wait for room on the way to another process.
func (rt *Runtime) farLine(to PID, b *blocked) error {
	r := rt.cfg.Remote
	if r == nil {
		return fmt.Errorf("%v: %w", to, ErrNoRemote)
	}
	own, from, session := b.m, b.from, b.session
	own.afar()
	b.cancel = r.SendLater(to, &own, func(err error) {
		switch {
		case from == nil && err != nil && own.IsCall():
			rt.reply(nil, own.From, own.Session, nil, err)
		case from == nil:
		case err != nil:
			rt.tell(from, &Message{Kind: KindError, Session: session, Value: err})
		default:
			rt.tell(from, &Message{Kind: kindRoom, Session: session})
		}
	})
	return nil
}

// forgetCall says that nobody waits any more for the answer of to, which has come, unless the
// caller has given up.
func (rt *Runtime) forgetCall(to, from PID, session uint64, gaveUp bool) {
	switch {
	case rt.cfg.Remote != nil && !to.Node.IsNone() && to.Node != rt.cfg.Node:
		rt.cfg.Remote.Forget(from, session)
	case gaveUp:
		rt.Cancel(from, session)
		if rt.cfg.Remote != nil { // a pool, or a handler, may have passed it on
			rt.cfg.Remote.Forget(from, session)
		}
	}
}
