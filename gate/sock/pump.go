// SPDX-License-Identifier: Apache-2.0

package sock

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skybus-io/skybus/internal/sys"
)

// pumpSize is how many bytes a goroutine of a pump carries at once.
const pumpSize = 4 << 10

// pumpLinger is how long a pump tries to write what is left after its other end has closed.
const pumpLinger = 10 * time.Second

// pumped is one end of a pair of sockets, whose other end is carried to and from a
// connection that has no descriptor.
type pumped struct {
	*net.UnixConn
	outer    net.Conn
	released atomic.Bool // the end of the pair lives on in another process
}

// Pump returns a Conn for a net.Conn without a descriptor, and takes that over: two goroutines carry the bytes
// between it and a pair of sockets, one of which is the Conn. Each holds 4 KB, beside what the kernel has of the pair, at most some 400 KB. They end with either side. The Conn's addresses are those of
// outer. On an error outer is the caller's still.
func Pump(outer net.Conn) (*Conn, error) {
	near, far, err := pair()
	if err != nil {
		return nil, fmt.Errorf("pump %T: %w", outer, err)
	}
	c, err := New(&pumped{UnixConn: near, outer: outer})
	if err != nil {
		return nil, errors.Join(err, near.Close(), far.Close())
	}
	go pump(outer, far)
	return c, nil
}

// Of returns New(c), or Pump(c) if c has no descriptor.
func Of(c net.Conn) (*Conn, error) {
	s, err := New(c)
	if errors.Is(err, ErrNoDescriptor) {
		return Pump(c)
	}
	return s, err
}

// pair returns the two ends of a stream.
func pair() (a, b *net.UnixConn, err error) {
	fa, fb, err := sys.SocketPair()
	if err != nil {
		return nil, nil, err
	}
	a, aerr := unixConn(fa)
	b, berr := unixConn(fb)
	if err := errors.Join(aerr, berr); err != nil {
		for _, c := range []*net.UnixConn{a, b} {
			if c != nil {
				_ = c.Close()
			}
		}
		return nil, nil, err
	}
	return a, b, nil
}

// unixConn makes a connection of a file, which it closes.
func unixConn(f *os.File) (*net.UnixConn, error) {
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("%T, want a Unix socket", c), c.Close())
	}
	return u, nil
}

// LocalAddr is that of the connection behind the pump.
func (p *pumped) LocalAddr() net.Addr { return p.outer.LocalAddr() }

// RemoteAddr is that of the connection behind the pump.
func (p *pumped) RemoteAddr() net.Addr { return p.outer.RemoteAddr() }

// Close closes the end of the pair. What is in the pair goes out, in bounded time.
func (p *pumped) Close() error {
	if !p.released.Load() {
		_ = p.outer.SetWriteDeadline(time.Now().Add(pumpLinger))
	}
	return p.UnixConn.Close()
}

// abort closes what is behind the pump.
func (p *pumped) abort() { _ = p.outer.Close() }

// pump carries bytes both ways until both directions have ended or one has failed.
func pump(outer net.Conn, far *net.UnixConn) {
	closeBoth := sync.OnceFunc(func() {
		_ = outer.Close()
		_ = far.Close()
	})
	defer closeBoth()
	in := make(chan struct{})
	go func() {
		defer close(in)
		if carry(far, outer) != nil || far.CloseWrite() != nil {
			closeBoth()
		}
	}()
	if err := carry(outer, far); err != nil || closeWrite(outer) != nil {
		return
	}
	<-in
}

// closeWrite ends the direction to a peer; where that cannot be ended by itself, the
// connection.
func closeWrite(c net.Conn) error {
	if h, ok := c.(interface{ CloseWrite() error }); ok {
		return h.CloseWrite()
	}
	return c.Close()
}

// carry copies until the end of src.
func carry(dst io.Writer, src io.Reader) error {
	buf := make([]byte, pumpSize)
	for {
		n, err := src.Read(buf)
		if n > 0 {
			if _, err := dst.Write(buf[:n]); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
