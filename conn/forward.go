// SPDX-License-Identifier: Apache-2.0

package conn

import (
	"errors"
	"io"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/node/codec"
)

// A Chunk is bytes of a connection, for a service that Forward sends them to. It is a request from the
// connection's service, Message.From: the next one comes when its handler has returned, or has answered it (Later).
type Chunk struct {
	Conn uint64 // the connection's ID
	Data []byte // the receiver's
	Last bool   // nothing follows, and there is no Data: the peer has closed, or Err says what else
	Err  string
}

// Register has Chunks travel to other processes. Both have to call it, with codec.Default as a rule, before their nodes start.
func Register(r *codec.Registry) error { return codec.Register[*Chunk](r, "skybus/conn.Chunk") }

// Forward sends what comes to another service, here or in another process, as *Chunk, until the peer closes: then it returns nil, when the
// last one is handled. One chunk is under way at a time, of what has come meanwhile, Config.ReadLimit at most;
// so a service that is slow, or waits before it returns, stops the reading, and then the peer. A receiver that wants to answer the peer
// sends to the connection's service, which knows it by its ID (Find).
//
// An error of the receiver's handler ends the forwarding; that it does not reply is none. Errors: that; to is gone; those of Read,
// of which the receiver is told before. The connection stays open.
func (n *Conn) Forward(c *actor.Context, to actor.PID) error {
	const what = "forward"
	for {
		b, err := n.Read(c, 0)
		if err != nil {
			last := &Chunk{Conn: n.id, Last: true}
			if errors.Is(err, io.EOF) {
				err = nil
			} else {
				last.Err = err.Error()
			}
			return errors.Join(err, n.failed(what, pass(c, to, last)))
		}
		if err := pass(c, to, &Chunk{Conn: n.id, Data: b}); err != nil {
			return n.failed(what, err)
		}
	}
}

// pass sends a chunk and waits until it is handled.
func pass(c *actor.Context, to actor.PID, k *Chunk) (err error) {
	if c.Cancelable() {
		_, err = c.CallContext(c.Ctx(), to, k)
	} else {
		_, err = c.Call(to, k)
	}
	if errors.Is(err, actor.ErrNoReply) {
		return nil
	}
	return err
}
