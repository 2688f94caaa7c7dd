// SPDX-License-Identifier: Apache-2.0

package relay

import (
	"crypto/tls"
	"io"
	"net"
	"sync"
	"time"

	"github.com/skybus-io/skybus/internal/sys"
)

// notSent is how many bytes the kernel takes that it cannot send yet: a message
// of another lane waits behind them.
const notSent = 128 << 10

// A sock is the connection below a session. One goroutine reads, one at a time writes.
type sock struct {
	net.Conn             // TLS, or the TCP connection itself
	raw      sys.RawConn // of the TCP connection; nil with TLS
	gather   *gatherer   // with TLS
}

func newSock(c *net.TCPConn) (*sock, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	_ = sys.SetNotSentLowat(raw, notSent) // without it large messages delay others longer
	return &sock{Conn: c, raw: raw}, nil
}

// secure returns the sock with TLS on top; its handshake is still to be made.
func (s *sock) secure(wrap func(net.Conn) *tls.Conn) (*sock, *tls.Conn) {
	g := &gatherer{Conn: s.Conn}
	c := wrap(g)
	return &sock{Conn: c, gather: g}, c
}

// try writes as much as the socket takes without waiting, and returns what is left.
func (s *sock) try(pieces [][]byte) ([][]byte, error) {
	if s.raw == nil {
		return pieces, nil
	}
	n, err := sys.Writev(s.raw, pieces)
	for len(pieces) > 0 && n >= len(pieces[0]) {
		n -= len(pieces[0])
		pieces = pieces[1:]
	}
	if n > 0 {
		pieces[0] = pieces[0][n:]
	}
	return pieces, err
}

// writeAll writes pieces, and waits until they are written.
func (s *sock) writeAll(pieces [][]byte) error {
	if s.gather == nil {
		bufs := net.Buffers(pieces)
		_, err := bufs.WriteTo(s.Conn)
		return err
	}
	s.gather.hold()
	for _, p := range pieces {
		if _, err := s.Write(p); err != nil {
			return err
		}
	}
	return s.gather.release()
}

// hangUp ends what this side writes and waits a moment for the other to read it: a
// socket that is closed with bytes unread takes back what it has sent.
func (s *sock) hangUp() {
	if half, ok := s.Conn.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		_ = s.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		_, _ = io.Copy(io.Discard, s.Conn)
	}
}

// A gatherer joins the records of one batch: TLS writes each by itself.
type gatherer struct {
	net.Conn
	mu   sync.Mutex
	held bool
	buf  []byte
}

func (g *gatherer) hold() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held = true
}

// Write keeps p while the gatherer holds.
func (g *gatherer) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.held {
		return g.Conn.Write(p)
	}
	g.buf = append(g.buf, p...)
	return len(p), nil
}

func (g *gatherer) release() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held = false
	_, err := g.Conn.Write(g.buf)
	g.buf = g.buf[:0]
	return err
}
