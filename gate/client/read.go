// SPDX-License-Identifier: Apache-2.0

package client

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/skybus-io/skybus/gate/sock"
)

const (
	// MaxBatch is how many packets handle gets at once, at most.
	MaxBatch = 256

	// closeTime is how long a client that has broken the WebSocket protocol has to
	// take the close frame.
	closeTime = 2 * time.Second
)

// A batch collects packets for handle.
type batch struct {
	list  [MaxBatch][]byte
	n     int
	bytes int
}

var batches = sync.Pool{New: func() any { return new(batch) }}

// Serve reads until the connection ends, and returns why; it is closed then. The error is io.EOF if the client has closed it (errors.Is: of
// WebSocket a *CloseError), what handle returned, wraps ErrKicked after Kick, is ErrDetached after Detach, the reason after CloseAfterFlush, wraps
// frame.ErrTooLarge or frame.ErrMalformed, or is one of the network.
//
// handle gets all packets that one read has brought, in order, at most MaxBatch; before Authenticated one at a time. They are valid until it returns, and may be
// changed. It may wait: nothing is read meanwhile; and it may call any method of the Conn. Serve or Start is called once.
func (c *Conn) Serve(handle func(packets [][]byte) error) error {
	s := serving{handle, make(chan error, 1)}
	c.Start(s)
	return <-s.end
}

// serving is a call of Serve.
type serving struct {
	handle func([][]byte) error
	end    chan error
}

func (s serving) Handle(packets [][]byte) error { return s.handle(packets) }
func (s serving) Ended(err error)               { s.end <- err }

// A Handler is who gets the packets of a connection.
type Handler interface {
	// Handle is the handle of Serve.
	Handle(packets [][]byte) error
	// Ended is called once, when the connection has ended, with what Serve would return.
	Ended(err error)
}

// Start is Serve for many connections: it returns at once. The goroutine that reads, and calls h, is not always
// the same one: where Tidy is called, a fresh one waits for an idle connection.
func (c *Conn) Start(h Handler) {
	c.mu.Lock()
	again, alone := c.serving, c.alone || c.state >= ended
	c.serving = true
	c.mu.Unlock()
	switch {
	case alone: // CloseAfterFlush came first, or Kick
		go func() {
			<-c.Done()
			h.Ended(c.Err())
		}()
	case again:
		h.Ended(errors.New("client: Serve was called before"))
	default:
		c.handler = h
		go c.read()
	}
}

// Tidy has a connection take less memory for which nothing has come since the last Tidy. Whoever looks at many connections calls it
// about once a second, one goroutine at a time.
func (c *Conn) Tidy() {
	if n := c.sock.Received(); n != c.tidied {
		c.tidied = n
	} else {
		c.sock.Renew()
	}
}

// read is the goroutine that reads.
func (c *Conn) read() {
	var src sock.Source
	if c.tls != nil {
		src = c.tls.stream
	}
	err := c.sock.Loop(src, (*reader)(c))
	if errors.Is(err, sock.ErrRenew) {
		go c.read()
		return
	}
	c.over(err)
}

// over is the end of reading.
func (c *Conn) over(err error) {
	if errors.Is(err, io.EOF) {
		c.lastWords()
	}
	c.half.Store(0)
	c.stop(err, false)
	if c.handler != nil {
		c.handler.Ended(c.Err())
	}
}

// A reader is a Conn as the one that takes what Loop reads.
type reader Conn

// Take cuts packets out of what has come.
func (r *reader) Take(b []byte) (taken int, err error) {
	c := (*Conn)(r)
	if c.ws != nil {
		return c.takeWeb(b)
	}
	return c.takeFramed(b)
}

// lastWords waits, when the client has closed its side first, for CloseAfterFlush to have
// everything written.
func (c *Conn) lastWords() {
	c.mu.Lock()
	c.eof = true
	wait := c.state == closing && !c.shut
	c.mu.Unlock()
	if wait {
		<-c.Done()
	}
}

// maxPacket returns how large a packet of the client may be now.
func (c *Conn) maxPacket() int {
	if c.known.Load() {
		return c.set.opt.MaxPacket
	}
	return c.set.opt.BeforeAuth
}

// takeFramed cuts packets out of a stream and hands them over.
func (c *Conn) takeFramed(b []byte) (taken int, err error) {
	list := batches.Get().(*batch)
	defer batches.Put(list)
	whole := false
	for err == nil {
		packet, n, serr := c.set.opt.Framing.Split(b[taken:], c.maxPacket())
		if n == 0 || serr != nil {
			if err = c.give(list); err == nil {
				err = serr
			}
			break
		}
		taken += n
		whole = true
		err = c.add(list, packet, b[taken:])
	}
	c.markHalf(taken < len(b), whole)
	return taken, err
}

// add puts a packet to the batch, and hands that over when it is full; before Authenticated, at once.
func (c *Conn) add(list *batch, packet, behind []byte) error {
	list.list[list.n] = packet
	list.n++
	list.bytes += len(packet)
	switch {
	case !c.known.Load():
		return c.giveFirst(list, behind)
	case list.n < MaxBatch:
		return nil
	}
	return c.give(list)
}

// giveFirst is give before Authenticated: Detach wants to know what has come behind the packet.
func (c *Conn) giveFirst(list *batch, behind []byte) error {
	c.behind = &behind
	defer func() { c.behind = nil }()
	return c.give(list)
}

// give hands the batch over. The error is one that ends the reading.
func (c *Conn) give(list *batch) error {
	n, bytes := list.n, list.bytes
	if n == 0 {
		return nil
	}
	defer clear(list.list[:n])
	list.n, list.bytes = 0, 0
	if c.handler == nil || !c.isOpen() {
		return nil // thrown away
	}
	c.half.Store(0) // a client is not late while its packets wait here
	if err := c.throttle(n, bytes); err != nil {
		return err
	}
	c.packetsIn.Add(uint64(n))
	c.bytesIn.Add(uint64(bytes))
	c.batches.Add(1)
	if err := c.handler.Handle(list.list[:n:n]); err != nil {
		return err
	}
	if c.isAway() {
		return ErrDetached
	}
	return nil
}

func (c *Conn) isOpen() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state == open
}

func (c *Conn) isAway() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state == away
}

// markHalf notes whether half a packet is there: since when, unless one that began
// before has been waited for all the time.
func (c *Conn) markHalf(half, whole bool) {
	switch {
	case !half:
		if c.half.Load() != 0 {
			c.half.Store(0)
		}
	case whole || c.half.Load() == 0:
		c.half.Store(Now())
	}
}

// HalfSince returns since when (Now) a packet is incomplete: some of its bytes, or fragments, have come. ok is false if
// none is.
func (c *Conn) HalfSince() (since int64, ok bool) {
	since = c.half.Load()
	return since, since != 0
}

// throttle waits until the rate allows a batch.
func (c *Conn) throttle(packets, bytes int) error {
	if c.rate == nil {
		return nil
	}
	d := c.rate.take(packets, bytes, Now())
	if d <= 0 {
		return nil
	}
	c.rate.throttled.Add(1)
	c.rate.throttledFor.Add(int64(d))
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-c.Done():
		return net.ErrClosed
	}
}
