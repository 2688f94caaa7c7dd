// SPDX-License-Identifier: Apache-2.0

package sock

import (
	"errors"
	"fmt"
	"net"

	"sync"
	"sync/atomic"
	"time"

	"github.com/skybus-io/skybus/internal/sys"
)

// NotSent is how many bytes a TCP socket takes that cannot be sent yet: what is behind
// waits in a queue, where it can be replaced and counted.
const NotSent = 64 << 10

// A Conn is a stream socket. The methods of net.Conn are there until Loop is called; from then on only Close and
// those about addresses. Any goroutine may call its methods, but for those that say otherwise.
type Conn struct {
	net.Conn

	raw  sys.RawConn
	hint bool   // TCP_INQ works
	rest []byte // what has come and is not taken; of who reads
	dry  bool   // the last Loop was waiting; of who reads

	// What Loop has received, by counting, and up to where a write has followed that
	// worked; see Loop.
	received, answered atomic.Uint32

	fed      atomic.Bool // Loop has handed something over since Renew
	closing  atomic.Bool // set below mu
	mu       sync.Mutex
	looping  bool
	renewing bool // Loop is to return
}

// system is what a net.Conn with a descriptor has.
type system interface {
	SyscallConn() (sys.RawConn, error)
}

// ErrNoDescriptor is the error of New for a net.Conn that is not a socket of the system.
var ErrNoDescriptor = errors.New("the connection has no descriptor")

// New takes over a net.Conn that has a descriptor: a TCP or Unix connection. Of a *Conn it
// returns that. A TCP socket is set to NotSent. Errors wrap ErrNoDescriptor, and leave c to the caller.
func New(c net.Conn) (*Conn, error) {
	if s, ok := c.(*Conn); ok {
		return s, nil
	}
	s, ok := c.(system)
	if !ok {
		return nil, fmt.Errorf("%T: %w", c, ErrNoDescriptor)
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("%T: %w: %w", c, ErrNoDescriptor, err)
	}
	conn := &Conn{Conn: c, raw: raw}
	if _, ok := c.(*net.TCPConn); ok {
		// A kernel without them costs a read more, or holds more.
		conn.hint = sys.WantHint(raw) == nil
		_ = sys.SetNotSentLowat(raw, NotSent)
	}
	return conn, nil
}

// SetUserTimeout ends a TCP connection whose peer does not acknowledge bytes for d. Of
// another it does nothing.
func (c *Conn) SetUserTimeout(d time.Duration) error {
	if _, ok := c.Conn.(*net.TCPConn); !ok {
		return nil
	}
	return sys.SetUserTimeout(c.raw, d)
}

// SyscallConn returns the raw connection.
func (c *Conn) SyscallConn() (sys.RawConn, error) { return c.raw, nil }

// WaitWritable waits until the socket takes bytes, or has failed, which the next WriteNow tells. The error is that the
// connection is closed. One goroutine at a time calls it.
func (c *Conn) WaitWritable() error {
	err := sys.WaitWritable(c.raw)
	if err != nil || c.closing.Load() {
		return c.because(err)
	}
	return nil
}

// CloseWrite ends the direction to the peer, behind what was written.
func (c *Conn) CloseWrite() error { return sys.ShutdownWrite(c.raw) }

// Closed reports whether Close, Reset or Release was called.
func (c *Conn) Closed() bool { return c.closing.Load() }

// Close closes the connection; what was written is still sent. A second call does
// nothing and returns net.ErrClosed.
func (c *Conn) Close() error { return c.end(ending{shut: sys.ShutdownBoth}) }

// Reset closes the connection at once: the peer of a TCP socket gets a reset, and the kernel lets go
// of all it holds. After Close it does so while Loop still runs.
func (c *Conn) Reset() error { return c.end(ending{shut: sys.Cut, reset: true}) }

// Release closes the descriptor, and leaves the connection to another process that has one. A
// pump goes on.
func (c *Conn) Release() error {
	if p, ok := c.Conn.(*pumped); ok {
		p.released.Store(true)
	}
	return c.end(ending{})
}

// ending is a way for a connection to end.
type ending struct {
	shut  func(sys.RawConn) error // done while the descriptor cannot be closed yet; nil: nothing
	reset bool
}

func (c *Conn) end(how ending) error {
	c.mu.Lock()
	again, looping := c.closing.Swap(true), c.looping
	c.mu.Unlock()
	if how.reset && (!again || looping) {
		c.dropAll()
	}
	if looping && how.shut != nil {
		_ = how.shut(c.raw)
	}
	switch {
	case again:
		return net.ErrClosed
	case looping:
		_ = c.Conn.SetDeadline(longAgo) // ends all waits; Loop closes, and may have done so already
		return nil
	}
	return c.Conn.Close()
}

// dropAll has the coming close throw away what is not sent.
func (c *Conn) dropAll() {
	switch t := c.Conn.(type) {
	case *net.TCPConn:
		_ = t.SetLinger(0)
	case *pumped:
		t.abort()
	}
}

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

// because returns net.ErrClosed for an error that comes from closing.
func (c *Conn) because(err error) error {
	if c.closing.Load() || errors.Is(err, net.ErrClosed) {
		return net.ErrClosed
	}
	return err
}

// begin says that Loop runs. From then on it is Loop that closes.
func (c *Conn) begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing.Load() || c.looping {
		return false
	}
	c.looping = true
	return true
}

// finish says that Loop has ended, and closes if that was to be done.
func (c *Conn) finish() {
	c.mu.Lock()
	c.looping = false
	closing := c.closing.Load()
	c.mu.Unlock()
	if closing {
		_ = c.Conn.Close() // nobody is there to be told
	}
}
