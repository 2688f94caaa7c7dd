// SPDX-License-Identifier: Apache-2.0

package relay

import (
	"crypto/tls"
	"io"
	"net"
	"time"

	"github.com/skybus-io/skybus/internal/sys"
)

// notSent is how many bytes the kernel takes that it cannot send yet: a message
// of another lane waits behind them.
const notSent = 128 << 10

// encryptAtOnce is how many bytes try encrypts. To hand so little to a goroutine takes longer than to
// encrypt and write it: there and back, a message at a time, 45 us. With more, whoever calls try reads
// the lanes while another processor encrypts.
const encryptAtOnce = 4 << 10

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
	g := &gatherer{Conn: s.Conn, raw: s.raw}
	c := wrap(g)
	return &sock{Conn: c, gather: g}, c
}

// direct reports whether pieces go to the kernel from where they are.
func (s *sock) direct() bool { return s.gather == nil }

// try writes as much as the socket takes without waiting. more says that writeAll has
// to do the rest, and returns; that includes what takes long to encrypt, for whoever calls
// has other connections to look after.
func (s *sock) try(pieces [][]byte) (rest [][]byte, more bool, err error) {
	if s.direct() {
		rest, err = writeSome(s.raw, pieces)
		return rest, len(rest) > 0, err
	}
	if size(pieces) > encryptAtOnce {
		return pieces, true, nil
	}
	if err := s.encrypt(pieces); err != nil {
		return nil, false, err
	}
	more, err = s.gather.push()
	return nil, more, err
}

func size(pieces [][]byte) (n int) {
	for _, p := range pieces {
		n += len(p)
	}
	return n
}

// writeSome writes what the socket takes now, and returns what is left.
func writeSome(raw sys.RawConn, pieces [][]byte) ([][]byte, error) {
	n, err := sys.Writev(raw, pieces)
	for len(pieces) > 0 && n >= len(pieces[0]) {
		n -= len(pieces[0])
		pieces = pieces[1:]
	}
	if n > 0 {
		pieces[0] = pieces[0][n:]
	}
	return pieces, err
}

// writeAll writes pieces, and what try has left in the gatherer before them, and waits
// until all is written.
func (s *sock) writeAll(pieces [][]byte) error {
	if s.direct() {
		bufs := net.Buffers(pieces)
		_, err := bufs.WriteTo(s.Conn)
		return err
	}
	if err := s.encrypt(pieces); err != nil {
		return err
	}
	return s.gather.drain()
}

// encrypt has TLS write pieces to the gatherer.
func (s *sock) encrypt(pieces [][]byte) error {
	s.gather.begin()
	defer s.gather.end()
	for _, p := range pieces {
		if _, err := s.Write(p); err != nil {
			return err
		}
	}
	return nil
}

// hangUp ends what this side writes and waits a moment for the other to read it: a
// socket that is closed with bytes unread takes back what it has sent.
func (s *sock) hangUp() {
	if half, ok := s.Conn.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		_ = s.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		_, _ = io.Copy(io.Discard, s.Conn)
	}
}
