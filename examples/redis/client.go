// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/conn"
)

// A Command is what the client is called with: a command of Redis and what it takes. The answer is the reply, or a
// Failure as an error.
type Command []string

// wire reads values from a connection for a handler.
type wire struct {
	c *actor.Context
	n *conn.Conn
}

func (w wire) line() ([]byte, error)          { return w.n.ReadLine(w.c, "\r\n", maxLine) }
func (w wire) bytes(size int) ([]byte, error) { return w.n.ReadN(w.c, size) }

// client is a service that has one connection to a server, for all services that call it. Their commands are
// pipelined: none waits for the reply to the one before.
type client struct {
	address string
	dial    actor.Serial // one handler at a time connects
	n       *conn.Conn   // nil: there is none
	pending []waiting    // in the order of their commands
	reads   bool         // a handler reads replies
}

// waiting is a command without a reply yet.
type waiting struct {
	req    actor.Request
	called bool // else it was sent, and nobody wants to know
}

func (w *waiting) end(v any, err error) {
	switch {
	case !w.called:
	case err != nil:
		w.req.Fail(err)
	default:
		w.req.Reply(v)
	}
}

func newClient(address string) func() actor.Handler {
	return func() actor.Handler {
		r := &client{address: address}
		m := new(actor.Mux)
		actor.On(m, r.command)
		return m
	}
}

// command sends a command. Its answer is the reader's to give: this handler's waits end when the caller gives
// up, and the reply comes nevertheless.
func (r *client) command(c *actor.Context, args Command) error {
	if len(args) == 0 {
		return fmt.Errorf("an empty command")
	}
	if err := r.connect(c); err != nil {
		return err
	}
	n := r.n
	if err := n.Put(c, appendCommand(nil, args)); err != nil {
		return err
	}
	req, err := c.Later()
	r.pending = append(r.pending, waiting{req, err == nil})
	if !r.reads {
		r.reads = true
		c.Fork(r.read)
	}
	return nil
}

// connect dials, unless there is a connection that its peer has not closed.
func (r *client) connect(c *actor.Context) error {
	return r.dial.Do(c, func() error {
		if r.n != nil && (len(r.pending) > 0 || r.n.Err() == nil) {
			return nil
		}
		if r.n != nil {
			r.n.Close()
		}
		n, err := conn.Dial(c, r.address)
		r.n = n
		return err
	})
}

// read answers commands until all are answered; so the service can be stopped in good order.
func (r *client) read(c *actor.Context) {
	n := r.n
	for len(r.pending) > 0 {
		v, err := parse(wire{c, n})
		if err != nil {
			r.lost(err)
			break
		}
		r.answer(v)
	}
	r.reads = false
}

// answer gives the oldest command its reply.
func (r *client) answer(v any) {
	w := r.pending[0]
	r.pending = slices.Delete(r.pending, 0, 1)
	if f, failed := v.(Failure); failed {
		w.end(nil, f)
		return
	}
	w.end(v, nil)
}

// lost fails what is under way: whether the server has done it is not known. The next command dials again.
func (r *client) lost(why error) {
	for i := range r.pending {
		r.pending[i].end(nil, why)
	}
	r.pending = nil
	r.n.Close()
	r.n = nil
}
