// SPDX-License-Identifier: Apache-2.0

package node

import (
	"errors"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/node/envelope"
)

// bounce sends a message back: without its value if it would be too large with the report.
func (n *Node) bounce(p *peer, b *buffer, e *envelope.Envelope, r *envelope.Report, payload []byte) error {
	if err := reportInto(b, e, envelope.Bounce, *r); err != nil {
		return err
	}
	b.b = append(b.b, payload...)
	bare, text := *e, *r
	bare.Encoding, bare.Type = 0, 0
	text.Text += " (its value is too large to come back)"
	var small buffer
	if err := reportInto(&small, &bare, envelope.Bounce, text); err != nil {
		return err
	}
	l := &later{b: b.b, sent: func(err error) {
		if errors.Is(err, skybus.ErrTooBig) {
			_, err = n.answer(p, &later{b: small.b})
		}
		if err != nil && !errors.Is(err, skybus.ErrClosed) {
			n.cfg.Log.Warn("a message could not be sent back", "to", n.d.FormatAddr(p.addr), "err", err)
		}
	}}
	_, err := n.answer(p, l)
	if errors.Is(err, skybus.ErrTooBig) {
		_, err = n.answer(p, &later{b: small.b})
	}
	return err
}

// bounceOf sends a message back that a service here did not handle.
func (n *Node) bounceOf(p *peer, b *buffer, to actor.PID, m *actor.Message, u *actor.Undelivered) error {
	e := envelope.Envelope{To: uint64(to.Handle), From: uint64(u.To.Handle), Session: m.Session, UserKind: uint8(u.Kind)}
	r := report(u.Reason)
	r.Original = envelope.Send
	payload, enc, typ, err := n.codec.Append(nil, u.Value)
	if err != nil { // it came from there, but its handler may have changed it
		payload, enc, typ = nil, 0, 0
		r.Text += " (its value cannot travel: " + err.Error() + ")"
	}
	e.Encoding, e.Type = envelope.Encoding(enc), typ
	if err := n.bounce(p, b, &e, &r, payload); err != nil {
		return &CallError{Target: to, Err: err}
	}
	return nil
}
