// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"sync"
	"time"

	"github.com/skybus-io/skybus/gate/queue"
)

// pieces is memory for one write.
type pieces [queue.MaxFill][]byte

var piecePool = sync.Pool{New: func() any { return new(pieces) }}

// then is what is to be done after a write, without the lock.
type then struct {
	edge    queue.Edge
	queued  int
	written bool // all, and the connection is closing
	err     error
}

// Send queues a packet, and takes a reference to it; Flush writes. key is that of queue.Newest. Send never waits. A packet
// that would lead above the soft mark has what is queued written first, and itself after it: a client is slow by what it does
// not take, not by what it was not given yet. With the verdict queue.Kick the connection has been kicked; with queue.Closed it has ended, or CloseAfterFlush
// was called.
func (c *Conn) Send(p *queue.Packet, kind queue.Kind, key uint64) queue.Verdict {
	c.mu.Lock()
	if c.state != open {
		c.mu.Unlock()
		return queue.Closed
	}
	if c.q.Bytes()+p.Len() > c.set.opt.Marks.Soft {
		return c.sendMuch(p, kind, key)
	}
	v, _ := c.q.Push(p, kind, key)
	c.mu.Unlock()
	if v == queue.Kick {
		_ = c.kickSelf(ErrFull)
	}
	return v
}

// sendMuch is Send for a packet that leads about the soft mark. It unlocks.
func (c *Conn) sendMuch(p *queue.Packet, kind queue.Kind, key uint64) queue.Verdict {
	var before then
	if !c.q.Empty() {
		before = c.flushLocked()
	}
	v := queue.Closed
	if before.err == nil {
		v, _ = c.q.Push(p, kind, key)
	}
	after := c.flushLocked()
	c.mu.Unlock()
	c.after(before)
	c.after(after)
	if v == queue.Kick {
		_ = c.kickSelf(ErrFull)
	}
	return v
}

// SendWait is Send and Flush, but waits first while the client is slow: until its queue is below the low mark, ctx has ended, whose cause is the
// error, or the connection has, whose error it is.
func (c *Conn) SendWait(ctx context.Context, p *queue.Packet, kind queue.Kind, key uint64) (queue.Verdict, error) {
	for {
		wait, err := c.slow()
		if err != nil {
			return queue.Closed, err
		}
		if wait == nil {
			break
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return queue.Dropped, context.Cause(ctx)
		}
	}
	v := c.Send(p, kind, key)
	c.Flush()
	if v == queue.Closed {
		_, err := c.slow()
		return v, err
	}
	return v, nil
}

// slow returns what ends when the client is not slow any more, nil if it is not.
func (c *Conn) slow() (<-chan struct{}, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != open {
		return nil, c.err
	}
	if _, over := c.q.Over(); !over {
		return nil, nil
	}
	if c.low == nil {
		c.low = make(chan struct{})
	}
	return c.low, nil
}

// wakeLocked ends all waits of SendWait.
func (c *Conn) wakeLocked() {
	if c.low != nil {
		close(c.low)
		c.low = nil
	}
}

// Flush writes what is queued, as far as the client takes it now. What is left is written as soon as the client takes it: a goroutine
// sees to that, which ends when nothing is left. Flush never waits.
func (c *Conn) Flush() {
	c.mu.Lock()
	if c.flushing || c.state >= ended || c.q.Empty() && (c.tls == nil || !c.tls.stream.pending()) {
		c.mu.Unlock()
		return
	}
	t := c.flushLocked()
	c.mu.Unlock()
	c.after(t)
}

// flushLocked writes, unless the flusher does, and starts that if something is left. What it returns is for after.
func (c *Conn) flushLocked() then {
	if c.state >= ended {
		return then{}
	}
	if c.flushing {
		return c.settleLocked(nil)
	}
	_, left, err := c.writeLocked()
	if left && err == nil {
		c.flushing = true
		go c.flusher()
	}
	return c.settleLocked(err)
}

// settleLocked looks where the queue stands.
func (c *Conn) settleLocked(err error) then {
	t := then{err: err}
	if c.q.Crosses() {
		t.edge, t.queued = c.q.Settle(Now()), c.q.Bytes()
		if t.edge == queue.Under {
			c.wakeLocked()
		}
	}
	t.written = c.state == closing && err == nil && !c.flushing
	return t
}

// after does what a write has led to. The lock is not held.
func (c *Conn) after(t then) {
	if t.edge != queue.NoEdge && c.set.opt.OnSlow != nil {
		c.set.opt.OnSlow(c, t.edge == queue.Over, t.queued)
	}
	if t.err != nil {
		c.stop(t.err, true)
	}
	if t.written {
		c.written()
	}
}

// writeLocked writes what the client takes now. It returns how many bytes it has taken, and whether something is
// left.
func (c *Conn) writeLocked() (total int, left bool, err error) {
	if c.tls != nil {
		return c.tls.stream.writeQueue(&c.q)
	}
	list := piecePool.Get().(*pieces)
	n, size := 0, 0
	for !c.q.Empty() && n == size && err == nil {
		bufs := c.q.Fill(list[:0])
		size = 0
		for _, b := range bufs {
			size += len(b)
		}
		n, err = c.sock.WriteNow(bufs)
		c.q.Done(n)
		total += n
		clear(bufs)
	}
	piecePool.Put(list)
	if left = !c.q.Empty(); left {
		c.q.Blocked(total, Now())
	}
	return total, left, err
}

// pause is how long the flusher waits when the socket says that it takes something, and
// takes nothing: the system is short of memory.
const pause = time.Millisecond

// flusher writes whenever the client takes something, until nothing is left.
func (c *Conn) flusher() {
	for c.sock.WaitWritable() == nil {
		t, taken, more := c.flushMore()
		c.after(t)
		if !more {
			return
		}
		if taken == 0 {
			time.Sleep(pause)
		}
	}
}

func (c *Conn) flushMore() (t then, taken int, more bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state >= ended {
		return then{}, 0, false
	}
	taken, left, err := c.writeLocked()
	c.flushing = left && err == nil
	return c.settleLocked(err), taken, c.flushing
}

// Queued returns how many bytes wait to be written.
func (c *Conn) Queued() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.q.Bytes()
}

// controlLocked queues bytes of the protocol, as they are.
func (c *Conn) controlLocked(wire []byte) {
	p := queue.BorrowRaw(c.set.opt.Budget, wire)
	_, _ = c.q.Push(p, queue.Control, 0) // no form, and no limit
	p.Release()
}
