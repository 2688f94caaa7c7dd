// SPDX-License-Identifier: Apache-2.0

package conn

import (
	"context"
	"errors"
	"fmt"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/internal/sys"
)

// keptBuffer is the largest buffer that a connection keeps while it has nothing to write.
const keptBuffer = 4 << 10

// A writer is what waits to be written. A goroutine, flush, writes it, and is there only while something is.
type writer struct {
	line

	queue    []byte // not sent yet
	out      int    // bytes that flush has in hand
	spare    []byte // for the next queue
	piece    [1][]byte
	limit    int
	count    uint64
	flushing bool  // flush runs
	err      error // of the socket: nothing can be sent any more
	over     error // the connection is closed, of that
	half     bool  // CloseWrite was called
	abort    bool  // what is queued is not sent any more
	forked   bool  // a handler of the service comes, and sends what Put has queued
}

// queued returns how many bytes wait. With mu held, here and below.
func (w *writer) queued() int { return len(w.queue) + w.out }

// why returns why nothing can be written.
func (w *writer) why() error {
	switch {
	case w.over != nil:
		return w.over
	case w.half:
		return errShut
	}
	return w.err
}

// pieces is b as sys.Writev takes it.
func (w *writer) pieces(b []byte) [][]byte {
	w.piece[0] = b
	return w.piece[:]
}

// room reports whether size bytes may be queued: what is more than the limit by itself waits until
// all is sent.
func (w *writer) room(size int) bool {
	return w.queued() == 0 || w.queued()+size <= w.limit || w.why() != nil
}

// Write sends b, which is the caller's again afterwards. It waits while more than Config.WriteLimit would be queued, and not
// for the peer: an error may be known only at the next Write, or Flush. Either all of b is queued or, with an error, nothing. Errors: what the socket
// has said, those of a wait.
func (n *Conn) Write(c *actor.Context, b []byte) error {
	return n.write(c, &writing{n: n, b: b})
}

// Put is Write that leaves the sending to a handler that runs after the messages that wait now: what all
// of those put goes to the socket at once.
func (n *Conn) Put(c *actor.Context, b []byte) error {
	x := &writing{n: n, b: b, later: true}
	err := n.write(c, x)
	if x.fork {
		c.Fork(func(*actor.Context) { n.sendPut() })
	}
	return err
}

// A writing is what a handler wants to write.
type writing struct {
	waiter
	n     *Conn
	b     []byte
	later bool // Put
	fork  bool // somebody has to send what Put has queued
	err   error
}

// write waits for room and queues x.
func (n *Conn) write(c *actor.Context, x *writing) error {
	k, err := n.mine(c)
	if err == nil {
		x.want = x
		err = n.wr.do(c, k, &x.waiter)
	}
	if err == nil {
		err = x.err
	}
	return n.failed("write to", err)
}

// ready is want's.
func (x *writing) ready() bool {
	if x.n.wr.room(len(x.b)) {
		return true
	}
	x.n.startFlush() // nobody else may: what Put has queued
	return false
}

// take is want's.
func (x *writing) take() {
	w := &x.n.wr
	if x.err = w.why(); x.err != nil {
		return
	}
	if x.later {
		w.queue = append(w.queue, x.b...)
		x.fork = !w.forked && !w.flushing
		w.forked = w.forked || x.fork
		return
	}
	x.n.send(x.b)
	x.err = w.err // the socket may have said it at once
}

// send writes b as far as the socket takes it now, and has flush write the rest. With mu held.
func (n *Conn) send(b []byte) {
	w := &n.wr
	if w.queued() == 0 && !w.flushing && n.raw != nil && len(b) > 0 {
		size, err := sys.Writev(n.raw, w.pieces(b))
		w.piece[0] = nil
		w.count += uint64(size)
		if err != nil && !errors.Is(err, errors.ErrUnsupported) {
			w.err = err
			return
		}
		b = b[size:]
	}
	if len(b) > 0 {
		w.queue = append(w.queue, b...)
		n.startFlush()
	}
}

// sendPut sends what Put has queued.
func (n *Conn) sendPut() {
	w := &n.wr
	w.mu.Lock()
	defer w.mu.Unlock()
	w.forked = false
	if w.flushing || len(w.queue) == 0 || w.why() != nil {
		return
	}
	b := w.queue
	w.queue = nil
	n.send(b)
	if len(w.queue) == 0 {
		w.queue = small(b)
	}
	w.wake()
}

// startFlush has a goroutine write the queue. With mu held.
func (n *Conn) startFlush() {
	if w := &n.wr; !w.flushing && len(w.queue) > 0 && w.err == nil {
		w.flushing = true
		go n.flush()
	}
}

// flush writes the queue until it is empty, and does then what waits for that.
func (n *Conn) flush() {
	for {
		b := n.wr.next()
		if b == nil {
			break
		}
		size, err := n.nc.Write(b)
		n.wr.went(b, size, err)
	}
	n.rest()
}

// next takes the queue; nil: there is nothing to write, and flush ends.
func (w *writer) next() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) == 0 || w.err != nil || w.abort {
		w.flushing, w.spare = false, nil
		w.queue = small(w.queue)
		w.wakeAll()
		return nil
	}
	b := w.queue
	w.queue, w.spare = w.spare, nil
	w.out = len(b)
	return b
}

// small empties a buffer; nil: it is too large to be kept.
func small(b []byte) []byte {
	if cap(b) > keptBuffer {
		return nil
	}
	return b[:0]
}

// went notes what a write has done.
func (w *writer) went(b []byte, size int, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.count += uint64(size)
	w.out = 0
	if err != nil {
		w.err = err
	}
	if cap(b) <= 2*w.limit {
		w.spare = b[:0]
	}
	w.wake()
}

// rest closes the socket of a connection that was closed while something was written.
func (n *Conn) rest() {
	w := &n.wr
	w.mu.Lock()
	closed := w.over != nil && !w.flushing
	w.mu.Unlock()
	if closed {
		n.shut()
	}
}

// finishWrites ends all that wait to write, of a reason, and reports whether something is still to be sent.
func (n *Conn) finishWrites(why error) bool {
	w := &n.wr
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = why
	w.stopTimer()
	w.wakeAll()
	if w.abort || w.err != nil {
		return false
	}
	n.startFlush()
	return w.queued() > 0
}

// Flush waits until all that was written has gone to the system. Errors: what the socket says; those of a wait.
func (n *Conn) Flush(c *actor.Context) error {
	return n.failed("flush", n.flushed(c))
}

func (n *Conn) flushed(c *actor.Context) error {
	k, err := n.mine(c)
	if err != nil {
		return err
	}
	w := &n.wr
	sent := &when{
		is: func() bool {
			if w.queued() == 0 || w.err != nil || w.over != nil {
				return true
			}
			n.startFlush()
			return false
		},
		do: func() {
			if err = w.err; w.over != nil {
				err = w.over
			}
		},
	}
	if e := w.do(c, k, &waiter{want: sent}); e != nil {
		err = e
	}
	return err
}

// CloseWrite sends what was written, and then tells the peer that nothing follows: it reads io.EOF. Reading goes on. It waits until all
// is sent. Errors: those of Flush; the connection is none of TCP, TLS or a Unix socket.
func (n *Conn) CloseWrite(c *actor.Context) error {
	const what = "close for writing"
	half, ok := n.nc.(halfCloser)
	if !ok {
		return n.failed(what, fmt.Errorf("%T: %w", n.nc, errors.ErrUnsupported))
	}
	if err := n.flushed(c); err != nil {
		return n.failed(what, err)
	}
	n.wr.mu.Lock()
	first := !n.wr.half
	n.wr.half = true
	n.wr.wakeAll()
	n.wr.mu.Unlock()
	if !first {
		return nil
	}
	if n.raw != nil {
		return n.failed(what, half.CloseWrite())
	}
	_, err := work(c, func(context.Context) (any, error) { return nil, half.CloseWrite() }, func(any) {}) // TLS says so to its peer
	return n.failed(what, err)
}

type halfCloser interface{ CloseWrite() error }
