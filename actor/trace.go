// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// A Trace names what a message was sent for, through all the services that it leads to, here and in
// other processes: trace-id and parent-id of W3C Trace Context. What a handler sends and
// calls has the trace of the message at hand. A Trace whose ID is zero is none.
type Trace struct {
	ID   [16]byte
	Span [8]byte
}

// NewTrace returns one that nobody else has.
func NewTrace() (t Trace) {
	_, _ = rand.Read(t.ID[:]) // it never fails
	_, _ = rand.Read(t.Span[:])
	t.ID[0] |= 1 // it is one
	return t
}

// IsZero reports whether t is none.
func (t Trace) IsZero() bool { return t.ID == [16]byte{} }

// String returns the ID and the span in hexadecimal digits, "" for none.
func (t Trace) String() string {
	if t.IsZero() {
		return ""
	}
	return hex.EncodeToString(t.ID[:]) + "-" + hex.EncodeToString(t.Span[:])
}

// ParseTrace reads what String returns. The span may be left out.
func ParseTrace(s string) (t Trace, err error) {
	id, span, has := strings.Cut(s, "-")
	if len(id) != 2*len(t.ID) || has && len(span) != 2*len(t.Span) {
		return Trace{}, fmt.Errorf("trace %q: want 32 hexadecimal digits, and perhaps - and 16 more", s)
	}
	if _, err = hex.Decode(t.ID[:], []byte(id)); err == nil {
		_, err = hex.Decode(t.Span[:], []byte(span))
	}
	switch {
	case err != nil:
		return Trace{}, fmt.Errorf("trace %q: %w", s, err)
	case t.IsZero():
		return Trace{}, fmt.Errorf("trace %q: want an ID that is not zero", s)
	}
	return t, nil
}

type traceKey struct{}

// WithTrace returns a context for calls and sends that have the trace t: Runtime.Call, Runtime.Send,
// Context.CallContext, and what takes a context in package rpc.
func WithTrace(ctx context.Context, t Trace) context.Context {
	return context.WithValue(ctx, traceKey{}, t)
}

// TraceOf returns the trace of a context, as WithTrace or Context.Ctx has given it; zero: none.
func TraceOf(ctx context.Context) Trace {
	t, _ := ctx.Value(traceKey{}).(Trace)
	return t
}

// A trip is what a message brings along from who has sent it, beside its value. Nobody changes
// it: messages share it.
type trip struct {
	trace Trace
	end   time.Time // of a request: until then its caller waits; zero: for ever
	quits bool      // its caller may give up before
}

// tripOf is what a message brings along that is sent with ctx; nil: nothing.
func tripOf(ctx context.Context) *trip {
	t := TraceOf(ctx)
	if ctx.Done() == nil && t.IsZero() {
		return nil
	}
	end, _ := ctx.Deadline()
	if t.IsZero() && end.IsZero() {
		return &justQuits
	}
	return &trip{trace: t, end: end, quits: ctx.Done() != nil}
}

// traced is t's trace; nil has none.
func (t *trip) traced() Trace {
	if t == nil {
		return Trace{}
	}
	return t.trace
}

var justQuits = trip{quits: true}

// brings has m bring t along; nil: nothing.
func (m *Message) brings(t *trip) {
	switch t {
	case nil:
		return
	case &justQuits:
		m.src = &onlyQuits
	default:
		m.src = &source{trip: t}
	}
	m.trips = true
}

var onlyQuits = source{trip: &justQuits}

// trip is what m brings along, or nil.
func (m *Message) trip() *trip {
	if !m.trips || m.src == nil { // trips first: what src points to may be far away
		return nil
	}
	return m.src.trip
}

// Trace returns the trace that m came with, or goes with; zero: none.
func (m *Message) Trace() Trace {
	return m.trip().traced()
}

// Deadline returns until when the caller of a request waits; not ok: for ever, or it is none.
func (m *Message) Deadline() (end time.Time, ok bool) {
	if t := m.trip(); t != nil && m.IsCall() {
		return t.end, !t.end.IsZero()
	}
	return time.Time{}, false
}

// Bring is for a Remote: m, which it is about to deliver, came with a trace, and its caller
// waits until end; zero: none, and for ever.
func (m *Message) Bring(t Trace, end time.Time) {
	if !t.IsZero() || !end.IsZero() {
		m.brings(&trip{trace: t, end: end})
	}
}

// Trace returns the trace of the message at hand; zero: none.
func (c *Context) Trace() Trace {
	c.mine()
	return c.trip.Load().traced()
}

// SetTrace has what the handler sends and calls from now on have the trace t, as if the message at
// hand had come with it.
func (c *Context) SetTrace(t Trace) {
	c.mine()
	var own trip
	if old := c.trip.Load(); old != nil {
		own = *old
	}
	own.trace = t
	c.trip.Store(&own)
}

// deadline is that of the request at hand; zero: none.
func (c *Context) deadline() time.Time {
	if t := c.trip.Load(); t != nil && c.msg.IsCall() {
		return t.end
	}
	return time.Time{}
}

// onward has m, which the handler sends and which is no request, bring along what it is to.
func (c *Context) onward(m *Message) {
	if t := c.trip.Load(); t != nil && !t.trace.IsZero() {
		m.brings(&trip{trace: t.trace})
	}
}

// asking has m, a request of the handler, which waits until e is over, bring along what it is to. Without an e it
// goes on with the time that the request at hand has.
func (c *Context) asking(m *Message, e *expiry) {
	t, end := c.trip.Load(), c.deadline()
	switch {
	case e != nil:
		e.bounds(t)
		e.src.c = c
		m.src, m.trips = &e.src, true
	case !t.trace.IsZero() || !end.IsZero():
		m.src, m.trips = &source{c: c, trip: &trip{trace: t.trace, end: end}}, true
	}
}

// bounds fills in what a request brings along that e bounds, and that is sent for what t has come with.
func (e *expiry) bounds(t *trip) {
	e.src.trip = &e.trip
	e.trip.quits = true
	if t != nil {
		e.trip.trace = t.trace
	}
	if e.ctx == nil {
		e.trip.end = time.Now().Add(e.d)
		return
	}
	e.trip.end, _ = e.ctx.Deadline()
	if own := TraceOf(e.ctx); !own.IsZero() {
		e.trip.trace = own
	}
}

// lighten takes from m what holds it.
func (m *Message) lighten() {
	switch t := m.trip(); {
	case m.src == nil || m.src.held == nil:
	case t == nil:
		m.src = nil
	default:
		m.brings(t)
	}
}

// afar is m as it goes to another process, or comes from there: with what it brings along, and nothing else.
func (m *Message) afar() {
	t := m.trip()
	m.src, m.trips = nil, false
	m.brings(t)
}
