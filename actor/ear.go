// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// An ear is how a goroutine that is no handler hears answers: it has a PID, and takes
// what the runtime sends to that. One goroutine at a time has it.
type ear struct {
	rt      *Runtime
	s       *service
	pid     PID
	session uint64
	answer  chan Message // of capacity 1: the answer to session
}

// newEar returns an ear with a handle of its own, which it keeps.
func (rt *Runtime) newEar() *ear {
	e := &ear{rt: rt, answer: make(chan Message, 1)}
	e.s = &service{rt: rt, kind: external, weight: 1, extra: &extra{ear: e}}
	if rt.table.add(e.s) {
		e.pid = e.s.pid()
	} // else it hears nothing, for nobody can send to it
	return e
}

// ears are those that nobody has. They keep their places in the table.
type ears struct {
	mu   sync.Mutex
	free []*ear
}

func (rt *Runtime) ear() *ear {
	rt.ears.mu.Lock()
	defer rt.ears.mu.Unlock()
	if n := len(rt.ears.free); n > 0 {
		e := rt.ears.free[n-1]
		rt.ears.free = rt.ears.free[:n-1]
		return e
	}
	return rt.newEar()
}

func (rt *Runtime) giveBack(e *ear) {
	e.forget()
	rt.ears.mu.Lock()
	defer rt.ears.mu.Unlock()
	rt.ears.free = append(rt.ears.free, e)
}

// expect returns a new session that the ear waits for.
func (e *ear) expect() uint64 {
	e.s.mu.Lock()
	defer e.s.mu.Unlock()
	e.session++
	e.s.queued = true // it waits
	return e.session
}

// forget has the ear wait for nothing.
func (e *ear) forget() {
	e.s.mu.Lock()
	defer e.s.mu.Unlock()
	e.s.queued = false
	select {
	case <-e.answer:
	default:
	}
}

// hear takes what was sent to the ear.
func (e *ear) hear(m *Message) error {
	e.s.mu.Lock()
	defer e.s.mu.Unlock()
	if !e.s.queued || m.Session != e.session {
		return ErrNoService
	}
	e.s.queued = false
	e.answer <- *m
	return nil
}

// wait returns the answer.
func (e *ear) wait(ctx context.Context) (any, error) {
	select {
	case m := <-e.answer:
		return m.outcome()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// outcome is what an answer says.
func (m *Message) outcome() (any, error) {
	if m.Kind == KindError {
		err, _ := m.Value.(error)
		return nil, err
	}
	return m.Value, nil
}

// take is what ears, groups and pools do with a message.
func (s *service) take(w *worker, m *Message) error {
	if s.kind == external {
		return s.extra.ear.hear(m)
	}
	own := *m // as in Runtime.far
	return s.extra.post(w, &own)
}

// Send sends v to a service, as nobody in particular. It waits while the mailbox is full and blocks,
// until ctx is over. Errors: those of Context.Send, ctx's; then the message was not sent.
// Not for handlers.
func (rt *Runtime) Send(ctx context.Context, to PID, v any) error {
	return rt.SendKind(ctx, to, KindMessage, v)
}

// SendKind is Send with a kind.
func (rt *Runtime) SendKind(ctx context.Context, to PID, kind Kind, v any) error {
	if err := rt.pause.pass(ctx); err != nil {
		return fmt.Errorf("send to %s: %w", rt.title(to), err)
	}
	to, v = rt.addressee(to, v)
	m := Message{Value: v, Kind: kind.user()}
	if t := TraceOf(ctx); !t.IsZero() {
		m.brings(&trip{trace: t})
	}
	err := rt.deliver(nil, to, &m)
	if err == errBlocked { //nolint:errorlint // it is never wrapped
		err = rt.sendWithRoom(ctx, to, &m)
	}
	if err != nil {
		return fmt.Errorf("send to %s: %w", rt.title(to), err)
	}
	return nil
}

func (rt *Runtime) sendWithRoom(ctx context.Context, to PID, m *Message) error {
	e := rt.ear()
	defer rt.giveBack(e)
	b := blocked{m: *m, from: e.s, session: e.expect()}
	s, _ := rt.local(to)
	room, err := rt.line(nil, to, &b)
	if room || err != nil {
		return err
	}
	select {
	case a := <-e.answer:
		_, err = a.outcome()
		return err
	case <-ctx.Done():
	}
	if s != nil && s.forget(e.s, b.session) || b.cancel != nil && b.cancel() {
		return context.Cause(ctx)
	}
	_, err = e.wait(context.Background()) // it has just been taken, or refused
	return err
}

// TrySend is Send that does not wait: a full mailbox that blocks is ErrMailboxFull.
// Any goroutine may call it, also a handler.
func (rt *Runtime) TrySend(to PID, v any) error {
	to, v = rt.addressee(to, v)
	err := rt.deliver(nil, to, &Message{Value: v})
	if err == errBlocked { //nolint:errorlint // it is never wrapped
		err = ErrMailboxFull
	}
	if err != nil {
		return fmt.Errorf("send to %s: %w", rt.title(to), err)
	}
	return nil
}

// Call sends v to a service and waits for the answer until ctx is over. Errors: those
// of Context.Call, ctx's cause. Not for handlers: it would stop their service.
func (rt *Runtime) Call(ctx context.Context, to PID, v any) (any, error) {
	return rt.CallKind(ctx, to, KindMessage, v)
}

// CallKind is Call with a kind.
func (rt *Runtime) CallKind(ctx context.Context, to PID, kind Kind, v any) (any, error) {
	if ctx.Err() != nil {
		return nil, fmt.Errorf("call %s: %w", rt.title(to), context.Cause(ctx))
	}
	if err := rt.pause.pass(ctx); err != nil {
		return nil, fmt.Errorf("call %s: %w", rt.title(to), err)
	}
	to, v = rt.addressee(to, v)
	e := rt.ear()
	defer rt.giveBack(e)
	m := Message{Value: v, From: e.pid, Session: e.expect(), Kind: kind.user()}
	m.brings(tripOf(ctx))
	err := rt.deliver(nil, to, &m)
	if err == errBlocked { //nolint:errorlint // it is never wrapped
		_, err = rt.line(nil, to, &blocked{m: m})
	}
	if err == nil {
		if m.Value, err = e.wait(ctx); err != nil {
			rt.forgetCall(to, m.From, m.Session, ctx.Err() != nil)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("call %s: %w", rt.title(to), err)
	}
	return m.Value, nil
}

// CallTimeout is Call that waits for d at most.
func (rt *Runtime) CallTimeout(d time.Duration, to PID, v any) (any, error) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	return rt.Call(ctx, to, v)
}
