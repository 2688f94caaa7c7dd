// SPDX-License-Identifier: Apache-2.0

package node

import (
	"bytes"
	"errors"
	"fmt"
	"sync"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/node/envelope"
)

// remote is the runtime's way to other processes.
type remote struct{ n *Node }

var (
	_ actor.Remote = remote{}
	_ actor.Linker = remote{}
	_ actor.Loader = remote{}
)

// buffers are for one envelope each. Large ones are not kept.
var buffers = sync.Pool{New: func() any { return new(buffer) }}

type buffer struct{ b []byte }

const keepBuffer = 64 << 10

func (b *buffer) free() {
	if cap(b.b) <= keepBuffer {
		buffers.Put(b)
	}
}

// Send encodes a message and puts it into the lane.
func (r remote) Send(to actor.PID, m *actor.Message) error {
	p := r.n.peer(to.Node)
	ofRuntime := m.Kind == actor.KindReply || m.Kind == actor.KindError || m.Kind == actor.KindDown || m.Kind == actor.KindBounce
	if !ofRuntime && p.queued.Load() > 0 { // others wait in line
		return actor.ErrNoRoom
	}
	b := buffers.Get().(*buffer)
	defer b.free()
	if u, is := m.Value.(actor.Undelivered); is && m.Kind == actor.KindBounce {
		return r.n.bounceOf(p, b, to, m, &u)
	}
	err := r.n.encode(b, to, m)
	switch {
	case err == errUnwatched: //nolint:errorlint // it is never wrapped
		return nil
	case err == nil && ofRuntime:
		err = r.n.answerOf(p, b, to, m)
	case err == nil:
		err = r.n.put(p, b.b, to, m)
	}
	if err == nil || err == actor.ErrNoRoom { //nolint:errorlint // it is never wrapped
		return err
	}
	if m.Kind == actor.KindReply { // who waits for it is to know
		return r.Send(to, &actor.Message{Kind: actor.KindError, Session: m.Session, Value: err})
	}
	return &CallError{Target: to, Err: err}
}

// errUnwatched means that nobody wants to hear of an end any more.
var errUnwatched = errors.New("nobody watches")

// put puts an envelope into the lane to p, if there is room.
func (n *Node) put(p *peer, b []byte, to actor.PID, m *actor.Message) error {
	asks := n.expect(p, to, m)
	err := n.e.TrySend(p.addr, b)
	if err == nil {
		n.count.sent.Add(1)
		return nil
	}
	if asks && !p.answered(m.From.Handle, m.Session) { // it has been told that the peer is gone
		return nil
	}
	if errors.Is(err, skybus.ErrFull) {
		return actor.ErrNoRoom
	}
	return err
}

// asks reports whether m is a request.
func asks(m *actor.Message) bool {
	return m.IsCall() && m.Kind != actor.KindReply && m.Kind != actor.KindError
}

// expect notes a request, before it is sent, and reports whether m is one.
func (n *Node) expect(p *peer, to actor.PID, m *actor.Message) bool {
	if !asks(m) {
		return false
	}
	p.expect(m.From, m.Session, to.Handle, nil)
	return true
}

// SendLater has a message wait in line.
func (r remote) SendLater(to actor.PID, m *actor.Message, sent func(err error)) func() bool {
	if sent == nil {
		sent = func(err error) {
			if err != nil && !errors.Is(err, skybus.ErrClosed) {
				r.n.cfg.Log.Warn("a message could not be sent", "to", to, "err", err)
			}
		}
	}
	b := new(buffer)
	if err := r.n.encode(b, to, m); err != nil {
		sent(&CallError{Target: to, Err: err})
		return func() bool { return false }
	}
	return r.n.peer(to.Node).line(&later{b: b.b, to: to, m: *m, asks: asks(m), sent: sent})
}

// Forget has nobody wait for an answer. If none has come, the other node is told.
func (r remote) Forget(from actor.PID, session uint64) {
	for _, p := range r.n.allPeers() {
		q, asked, sent := p.forget(from.Handle, session)
		if sent {
			r.n.cancelCall(p, q.to, from.Handle, session)
		}
		if asked {
			return
		}
	}
}

// cancelCall tells another node that nobody waits for an answer any more. It may fail: the answer is dropped when it comes.
func (n *Node) cancelCall(p *peer, to, from actor.Handle, session uint64) {
	_ = n.control(p, &envelope.Envelope{Kind: envelope.Cancel, To: uint64(to), From: uint64(from), Session: session}, nil)
}

// control sends an envelope without a body, in line with others if there is no room. failed, if
// any, is called if that turns out later to be impossible.
func (n *Node) control(p *peer, e *envelope.Envelope, failed func(err error)) error {
	b, err := e.Append(nil)
	if err != nil {
		return err
	}
	l := &later{b: b}
	if failed != nil {
		l.sent = func(err error) {
			if err != nil {
				failed(err)
			}
		}
	}
	_, err = n.answer(p, l)
	return err
}

// answerOf sends what answers, or tells of an end. Where an answer turns out later to be impossible,
// who waits for it hears of that.
func (n *Node) answerOf(p *peer, b *buffer, to actor.PID, m *actor.Message) error {
	if sent, err := n.atOnce(p, b.b); sent || err != nil {
		return err
	}
	l := &later{b: b.b}
	if m.Kind == actor.KindReply {
		session := m.Session
		l.sent = func(err error) {
			if err != nil && !errors.Is(err, skybus.ErrClosed) {
				_ = remote{n}.Send(to, &actor.Message{Kind: actor.KindError, Session: session, Value: err})
			}
		}
	}
	_, err := n.answer(p, l)
	return err
}

// atOnce sends an envelope if there is room, and nothing in line.
func (n *Node) atOnce(p *peer, b []byte) (sent bool, err error) {
	if p.queued.Load() > 0 {
		return false, nil
	}
	err = n.e.TrySend(p.addr, b)
	switch {
	case err == nil:
		n.count.sent.Add(1)
		return true, nil
	case errors.Is(err, skybus.ErrFull):
		return false, nil
	}
	return false, err
}

// answer sends an envelope that nobody waits to send, in line with others if there is no room: then
// l.sent is called later.
func (n *Node) answer(p *peer, l *later) (queued bool, err error) {
	if sent, err := n.atOnce(p, l.b); sent || err != nil {
		return false, err
	}
	l.b = bytes.Clone(l.b) // it is a buffer's
	if l.sent == nil {
		l.sent = func(err error) {
			if err != nil && !errors.Is(err, skybus.ErrClosed) {
				n.cfg.Log.Warn("an answer could not be sent", "to", n.d.FormatAddr(p.addr), "err", err)
			}
		}
	}
	p.line(l)
	return true, nil
}

// encode makes the envelope of a message.
func (n *Node) encode(b *buffer, to actor.PID, m *actor.Message) error {
	e := envelope.Envelope{Kind: envelope.Send, To: uint64(to.Handle), From: uint64(m.From.Handle), Session: m.Session}
	if from := m.From; !from.IsZero() && !from.Node.IsNone() && from.Node != n.Addr() {
		return fmt.Errorf("%w: it is from %v, and its answer would not go there", ErrValue, from)
	}
	switch m.Kind {
	case actor.KindError:
		err, _ := m.Value.(error)
		return reportInto(b, &e, envelope.Error, report(err))
	case actor.KindDown:
		d, ok := m.Value.(actor.Down)
		if !ok {
			return fmt.Errorf("%w: a Down is a %T", ErrValue, m.Value)
		}
		r := report(d.Reason)
		r.Name = d.Name
		e.From = uint64(d.Service.Handle)
		if e.Session = n.peer(to.Node).told(to.Handle, d.Service.Handle); e.Session == 0 {
			return errUnwatched
		}
		return reportInto(b, &e, envelope.Down, r)
	case actor.KindBounce:
		return fmt.Errorf("%w: a bounce is a %T", ErrValue, m.Value)
	case actor.KindReply:
		e.Kind = envelope.Reply
	default:
		if sendable(m.Kind) { // else it is passed on, and an ordinary one over there
			e.UserKind = uint8(m.Kind)
		}
		if m.IsCall() {
			e.Kind = envelope.Call
		}
		e.Trace, e.Left = envelope.Trace(m.Trace()), left(m)
	}
	v := m.Value
	if to.Handle == 0 {
		named, ok := v.(actor.Addressed)
		if !ok {
			return fmt.Errorf("%w: %v has no handle, and %T is no Named", ErrValue, to, v)
		}
		var name string
		name, v = named.Addressee()
		e.Name = []byte(name)
	}
	return n.payloadInto(b, &e, v)
}

// payloadInto writes the head of e and the value behind it. What the codec makes of the value
// stands in the head, which is written again then.
func (n *Node) payloadInto(b *buffer, e *envelope.Envelope, v any) (err error) {
	e.Encoding, e.Type = envelope.EncodingCBOR, 0
	switch v.(type) {
	case nil:
		e.Encoding = envelope.EncodingNone
	case []byte:
		e.Encoding = envelope.EncodingRaw
	case string:
		e.Encoding = envelope.EncodingText
	}
	if b.b, err = e.AppendHead(b.b[:0]); err != nil {
		return fmt.Errorf("%w: %w", ErrValue, err)
	}
	size, typed := len(b.b), e.Encoding.Typed()
	out, enc, typ, err := n.codec.Append(b.b, v)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrValue, err)
	}
	b.b = out
	if e.Encoding == envelope.Encoding(enc) && e.Type == typ {
		return nil
	}
	e.Encoding, e.Type = envelope.Encoding(enc), typ
	if e.Encoding.Typed() == typed {
		_, err = e.AppendHead(b.b[:0])
		return err
	}
	body := append([]byte(nil), out[size:]...) // the head is of another size: a type whose values are bytes, or a string
	if b.b, err = e.AppendHead(b.b[:0]); err == nil {
		b.b = append(b.b, body...)
	}
	return err
}

func reportInto(b *buffer, e *envelope.Envelope, k envelope.Kind, r envelope.Report) (err error) {
	e.Kind = k
	if b.b, err = e.AppendHead(b.b[:0]); err == nil {
		b.b, err = envelope.AppendReport(b.b, k, &r)
	}
	return err
}
