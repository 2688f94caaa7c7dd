// SPDX-License-Identifier: Apache-2.0

package client

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"

	"github.com/skybus-io/skybus/gate/frame"
	"github.com/skybus-io/skybus/gate/queue"
	"github.com/skybus-io/skybus/gate/sock"
)

// Why a connection has ended, beside io.EOF: that the client has closed it.
var (
	ErrKicked   = errors.New("kicked")                         // by Kick; the error wraps the reason as well
	ErrDetached = errors.New("the connection was given away")  // by Detach
	ErrFull     = errors.New("more would wait than may")       // Marks.Hard
	ErrSlow     = errors.New("slow for too long")              // Marks.Slow
	ErrStalled  = errors.New("has taken no byte for too long") // Marks.Stall
)

// A CloseError is the close frame that a WebSocket client has sent. It is an io.EOF.
type CloseError struct {
	Code uint16 // frame.CloseNoStatus if it has none
	Text string
}

// Error has the code and the text.
func (e *CloseError) Error() string {
	return fmt.Sprintf("closed by the client, code %d %q", e.Code, e.Text)
}

// Is reports whether target is io.EOF.
func (e *CloseError) Is(target error) bool { return target == io.EOF }

// kicked is an ErrKicked with its reason.
func kicked(reason error) error {
	if reason == nil {
		return ErrKicked
	}
	return fmt.Errorf("%w: %w", ErrKicked, reason)
}

// Kick resets the connection: nothing more is sent, and the kernel lets go of what it holds. reason is
// wrapped by what Serve returns, with ErrKicked; it may be nil. A handler that runs is not interrupted: Done tells it.
func (c *Conn) Kick(reason error) { c.stop(kicked(reason), true) }

// Close closes the connection without sending what is still queued: Serve returns net.ErrClosed.
func (c *Conn) Close() { c.stop(net.ErrClosed, false) }

// stop ends the connection, if it has not ended: false.
func (c *Conn) stop(err error, reset bool) bool {
	c.mu.Lock()
	ok := c.stopLocked(ended, err)
	c.mu.Unlock()
	switch {
	case ok && reset:
		_ = c.sock.Reset()
	case ok:
		_ = c.sock.Close()
	}
	return ok
}

// stopLocked makes an end of all that is queued and of all who wait. The reason of
// CloseAfterFlush stays.
func (c *Conn) stopLocked(s state, err error) bool {
	if c.state >= ended {
		return false
	}
	if c.state == open || c.err == nil {
		c.err = err
	}
	c.state = s
	c.q.Clear()
	if c.limit != nil {
		c.limit.Stop()
		c.limit = nil
	}
	if c.done != nil {
		close(c.done)
	}
	c.wakeLocked()
	return true
}

// CloseAfterFlush ends the connection when what is queued has been written and the client has closed its side as well, and
// resets it after d at the latest. From now on nothing can be queued, and no packet is handed over. Serve returns the reason, net.ErrClosed for nil. A
// WebSocket client gets a close frame: of code 1000, or what reason says if it wraps a *frame.WSError. If nobody has called
// Serve, a goroutine sees to the end.
func (c *Conn) CloseAfterFlush(reason error, d time.Duration) {
	if reason == nil {
		reason = net.ErrClosed
	}
	code, text := closeCode(reason)
	c.closeAfterFlush(reason, d, code, text)
}

// closeCode returns what a close frame says of a reason.
func closeCode(reason error) (code uint16, text string) {
	if we, ok := errors.AsType[*frame.WSError](reason); ok {
		return we.Code, we.Text
	}
	return frame.CloseNormal, ""
}

func (c *Conn) closeAfterFlush(reason error, d time.Duration, code uint16, text string) {
	c.mu.Lock()
	if c.state != open {
		c.mu.Unlock()
		return
	}
	c.state, c.err = closing, reason
	if c.ws != nil {
		c.controlLocked(frame.AppendWSClose(nil, code, text))
	}
	c.limit = time.AfterFunc(d, func() { c.stop(reason, true) })
	c.wakeLocked()
	alone := !c.serving
	c.serving, c.alone = true, alone
	t := c.flushLocked()
	c.mu.Unlock()
	c.after(t)
	if alone {
		go c.read()
	}
}

// written goes on with closing when all is written: the client is told, and has to close
// its side.
func (c *Conn) written() {
	c.mu.Lock()
	if c.state != closing || c.shut {
		c.mu.Unlock()
		return
	}
	c.shut = true
	answered := c.eof || c.ws != nil && c.ws.closed
	c.mu.Unlock()
	if c.tls != nil {
		_ = c.tls.CloseWrite() // what is not sent of it is of no importance
		_, _, _ = c.tls.stream.flush()
	}
	if answered { // of WebSocket: it is for the server to close then
		c.stop(nil, false)
		return
	}
	_ = c.sock.CloseWrite()
}

// Detach gives the connection away, to another process for example: it has ended for this Conn, and is not closed. Only handle
// may call it, before Authenticated and while nothing is queued, and returns nil then; Serve returns ErrDetached. link is for New there: its Early is
// what has come behind the packet that handle has.
//
// With TLS, what is given away is one end of a pair of sockets: two goroutines of this process carry the bytes between
// it and the client.
func (c *Conn) Detach() (s *sock.Conn, link Link, err error) {
	c.mu.Lock()
	switch {
	case c.known.Load() || c.handler == nil:
		err = errors.New("client: Detach after Authenticated or before Serve")
	case !c.q.Empty() || c.flushing:
		err = fmt.Errorf("client: Detach while %d bytes are queued", c.q.Bytes())
	case !c.stopLocked(away, ErrDetached):
		err = c.err
	}
	c.mu.Unlock()
	if err != nil {
		return nil, Link{}, err
	}
	link = c.link()
	if c.behind != nil {
		link.Early = slices.Clone(*c.behind)
	}
	if c.tls == nil {
		return c.sock, link, nil
	}
	c.tls.stream.disown()
	if s, err = sock.Pump(c.tls); err != nil {
		return nil, Link{}, errors.Join(err, c.tls.Close())
	}
	return s, link, nil
}

// Done is closed when the connection has ended, or is about to at once: Err says why.
func (c *Conn) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done == nil {
		c.done = make(chan struct{})
		if c.state >= ended {
			close(c.done)
		}
	}
	return c.done
}

// Err returns why the connection has ended, nil if it has not.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state < ended {
		return nil
	}
	return c.err
}

// Overdue kicks the connection if something takes too long: Marks.Slow and Marks.Stall. It returns the reason, nil
// if there is none. now is Now; a sweeper that looks at many connections asks once.
func (c *Conn) Overdue(now int64) error {
	c.mu.Lock()
	reason := c.q.Overdue(now)
	if c.state >= ended {
		reason = queue.InTime
	}
	c.mu.Unlock()
	switch reason {
	case queue.Slow:
		return c.kickSelf(ErrSlow)
	case queue.Stalled:
		return c.kickSelf(ErrStalled)
	}
	return nil
}

// kickSelf kicks, and tells OnKick.
func (c *Conn) kickSelf(reason error) error {
	if c.stop(kicked(reason), true) && c.set.opt.OnKick != nil {
		c.set.opt.OnKick(c, reason)
	}
	return reason
}
