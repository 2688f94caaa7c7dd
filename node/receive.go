// SPDX-License-Identifier: Apache-2.0

package node

import (
	"errors"
	"fmt"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/node/codec"
	"github.com/skybus-io/skybus/node/envelope"
)

// A held is what keeps a record in its lane: a holding, or a test's.
type held interface {
	Release()
	Keep()
	claim() actor.Held // for a service, which releases it
	small(b []byte) any
}

// take takes one record that p has sent. It does not wait, and what is wrong with a record is no error: what one sender
// has sent must not hold up the others. It has h released once, now or when the message was handled, or kept.
func take[H held](n *Node, in actor.Inlet, p *peer, m *skybus.Message, h H) {
	if m.Gap != nil {
		n.cfg.Log.Error("messages are missing", "from", n.d.FormatAddr(m.Src), "reason", m.Gap.Reason)
		h.Release()
		return
	}
	if n.restart.before != nil {
		done := false
		if done, m.Redelivered = n.restart.before.look(m); done {
			h.Release()
			return
		}
	}
	var e envelope.Envelope
	if err := e.Parse(m.Data); err != nil {
		if errors.Is(err, envelope.ErrOptional) {
			n.count.optional.Add(1)
		} else {
			n.malformed(m, err)
		}
		h.Release()
		return
	}
	if n.restart.holds(&e) {
		h.Keep()
		return
	}
	switch e.Kind {
	case envelope.Send, envelope.Call:
		if sendable(actor.Kind(e.UserKind)) {
			deliver(n, in, p, &e, m.Redelivered, h)
			return // it is held
		}
		n.malformed(m, fmt.Errorf("user kind %d is the runtime's", e.UserKind))
	case envelope.Reply, envelope.Error:
		n.deliverAnswer(in, p, &e)
	case envelope.Down:
		n.deliverDown(p, &e)
	case envelope.Bounce:
		n.deliverBounce(p, &e)
	case envelope.Monitor:
		n.serve(p, &e)
	case envelope.Demonitor:
		n.unserve(p, &e)
	case envelope.Ping:
		n.pong(p, &e)
	case envelope.Pong:
		n.hearPong(p, &e)
	case envelope.Cancel:
		n.rt.Cancel(actor.PID{Node: p.addr, Handle: actor.Handle(e.From)}, e.Session)
	default:
		n.malformed(m, fmt.Errorf("kind %v is not for a node", e.Kind))
	}
	h.Release()
}

// sendable reports whether programs send messages of kind k.
func sendable(k actor.Kind) bool {
	return k == actor.KindMessage || k == actor.KindText || k >= actor.KindUser
}

func (n *Node) malformed(m *skybus.Message, err error) {
	n.count.malformed.Add(1)
	n.cfg.Log.Error("a record that is no envelope was thrown away", "from", n.d.FormatAddr(m.Src), "seq", m.Seq, "bytes", len(m.Data), "err", err)
}

// deliver gives a message to its service, or back to its sender. While the node shuts down it
// stays for the next one.
func deliver[H held](n *Node, in actor.Inlet, p *peer, e *envelope.Envelope, again bool, h H) {
	if n.stopping.Load() {
		h.Keep()
		return
	}
	to, err := n.target(e)
	var v any
	if err == nil {
		if codec.Encoding(e.Encoding) == codec.Raw && e.Type == 0 {
			v = h.small(e.Payload)
		}
		if v == nil {
			v, err = n.decode(e)
		}
	}
	if err == nil {
		from := actor.PID{}
		if e.From != 0 {
			from = actor.PID{Node: p.addr, Handle: actor.Handle(e.From)}
		}
		m := actor.Message{Value: v, From: from, Kind: actor.Kind(e.UserKind), Again: again}
		if e.Kind == envelope.Call {
			m.Session = e.Session
		}
		if e.Left != 0 || e.Trace != (envelope.Trace{}) {
			m.Bring(actor.Trace(e.Trace), ends(e))
		}
		err = in.DeliverHeld(n.rt, to, &m, h.claim())
	}
	if again && errors.Is(err, actor.ErrStalePID) {
		err = fmt.Errorf("%w while it had the message", ErrPeerDied) // which ErrStalePID would deny
	}
	switch {
	case err == nil:
	case n.stopping.Load(): // that may be why
		h.Keep()
	default:
		n.refuse(p, e, err)
		h.Release()
	}
}

// target returns whom an envelope is for.
func (n *Node) target(e *envelope.Envelope) (actor.PID, error) {
	if len(e.Name) == 0 {
		return actor.PID{Handle: actor.Handle(e.To)}, nil
	}
	p, ok := n.rt.Lookup(string(e.Name))
	if !ok {
		return p, fmt.Errorf("name %q: %w", e.Name, actor.ErrNoService)
	}
	return p, nil
}

func (n *Node) decode(e *envelope.Envelope) (any, error) {
	v, err := n.codec.Decode(e.Payload, codec.Encoding(e.Encoding), e.Type)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrValue, err)
	}
	return v, nil
}

// refuse tells the sender that its message was not taken, and why.
func (n *Node) refuse(p *peer, e *envelope.Envelope, why error) {
	n.count.refused.Add(1)
	if e.From == 0 {
		n.cfg.Log.Warn("a message was refused, and has no sender to be told", "from", n.d.FormatAddr(p.addr), "err", why)
		return
	}
	b := new(buffer)
	r := report(why)
	back := envelope.Envelope{To: e.From, From: e.To, Session: e.Session}
	var err error
	if e.Kind == envelope.Call {
		if err = reportInto(b, &back, envelope.Error, r); err == nil {
			_, err = n.answer(p, &later{b: b.b})
		}
	} else {
		r.Original = e.Kind
		back.Encoding, back.Type, back.Session, back.UserKind = e.Encoding, e.Type, 0, e.UserKind
		err = n.bounce(p, b, &back, &r, e.Payload)
	}
	if err != nil {
		n.cfg.Log.Warn("a sender could not be told that its message was refused", "to", n.d.FormatAddr(p.addr), "why", why, "err", err)
	}
}

// deliverAnswer gives an answer to who waits for it.
func (n *Node) deliverAnswer(in actor.Inlet, p *peer, e *envelope.Envelope) {
	to := actor.PID{Handle: actor.Handle(e.To)}
	if !p.answered(to.Handle, e.Session) {
		n.count.late.Add(1)
		return
	}
	m := actor.Message{Kind: actor.KindReply, Session: e.Session}
	if e.Kind == envelope.Error {
		m.Kind = actor.KindError
		m.Value = n.reported(p, e)
	} else if v, err := n.decode(e); err != nil {
		m.Kind, m.Value = actor.KindError, &CallError{Hop: n.Addr(), Err: err}
	} else {
		m.Value = v
	}
	if in.Deliver(n.rt, to, &m) != nil {
		n.count.late.Add(1)
	}
}

// reported is the error that an envelope carries.
func (n *Node) reported(p *peer, e *envelope.Envelope) error {
	r, _, err := envelope.ParseReport(e.Kind, e.Payload)
	if err == nil {
		err = errorOf(&r)
	}
	if err == nil {
		err = errors.New("an error without a reason")
	}
	return &CallError{Target: actor.PID{Node: p.addr, Handle: actor.Handle(e.From)}, Hop: p.addr, Err: err}
}

func (n *Node) deliverBounce(p *peer, e *envelope.Envelope) {
	r, payload, err := envelope.ParseReport(e.Kind, e.Payload)
	if err != nil {
		n.cfg.Log.Error("a bounce that cannot be read", "from", n.d.FormatAddr(p.addr), "err", err)
		return
	}
	e.Payload = payload
	v, err := n.decode(e)
	if err != nil {
		v = nil
	}
	from := actor.PID{Node: p.addr, Handle: actor.Handle(e.From)}
	u := actor.Undelivered{To: from, Kind: actor.Kind(e.UserKind), Value: v, Reason: &CallError{Target: from, Hop: p.addr, Err: errorOf(&r)}}
	if n.rt.Deliver(actor.PID{Handle: actor.Handle(e.To)}, actor.Message{Kind: actor.KindBounce, From: from, Value: u}) != nil {
		n.cfg.Log.Warn("a message came back to a sender that is gone", "target", from, "reason", u.Reason)
	}
}
