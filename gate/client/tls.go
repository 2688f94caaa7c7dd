// SPDX-License-Identifier: Apache-2.0

package client

import (
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/skybus-io/skybus/gate/queue"
	"github.com/skybus-io/skybus/gate/sock"
)

const (
	// plainSize is how much is encrypted at once: a record of TLS.
	plainSize = 16 << 10

	// cipherKeep is the largest buffer that is kept for the next use: it has room for plainSize, as many
	// small records, which a connection begins with.
	cipherKeep = plainSize + 4<<10
)

// A TLS is the server's side of TLS over a stream. It is a blocking net.Conn until New
// takes it over.
type TLS struct {
	*tls.Conn
	stream *cipherStream
}

// Secure returns TLS over c, and takes that over. The handshake is for the caller to make, by HandshakeContext or the first
// Read. early are bytes of c that were read already, which are the TLS's from then on. An error means that c has no
// descriptor and none can be made for it; c is closed then.
func Secure(c net.Conn, early []byte, config *tls.Config) (*TLS, error) {
	s, err := sock.Of(c)
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	stream := &cipherStream{Conn: s, sock: s, early: early}
	t := &TLS{Conn: tls.Server(stream, config), stream: stream}
	stream.tls = t.Conn
	return t, nil
}

// A cipherStream is what crypto/tls reads from and writes to: the socket while TLS is a blocking net.Conn; from own on, what there is at
// the moment, and a buffer.
type cipherStream struct {
	net.Conn // sock
	sock     *sock.Conn
	tls      *tls.Conn
	early    []byte // read first
	owned    bool   // by a Conn. Changed while nobody reads or writes
	wrote    func() // called when reading has led to something that is to be written: an answer of the protocol

	// Of the goroutine that reads.
	fd    uintptr
	state sock.State // of the last read of a Receive

	mu  sync.Mutex // last of all locks
	out *[]byte    // ciphertext that the socket has not taken; nil: none
	off int        // bytes of out that are written
}

var (
	plainPool  = sync.Pool{New: func() any { return new([plainSize]byte) }}
	cipherPool = sync.Pool{New: func() any { return new([]byte) }}
)

// errAgain has crypto/tls give up a read, and go on with it in the next call: an error that is temporary.
var errAgain net.Error = again{}

type again struct{}

func (again) Error() string   { return "nothing more has come" }
func (again) Timeout() bool   { return true }
func (again) Temporary() bool { return true }

// own has reads and writes not wait from now on.
func (s *cipherStream) own(wrote func()) { s.owned, s.wrote = true, wrote }

// disown has them wait again.
func (s *cipherStream) disown() { s.owned = false }

// Receive decrypts what is there. It is Loop's Source.
func (s *cipherStream) Receive(fd uintptr, b []byte) (n int, state sock.State, err error) {
	s.fd, s.state = fd, sock.Unknown
	for n < len(b) && err == nil {
		var k int
		k, err = s.tls.Read(b[n:])
		n += k
	}
	if s.pending() {
		s.wrote()
	}
	switch {
	case errors.Is(err, errAgain):
		return n, s.state, nil
	case n > 0:
		return n, sock.Unknown, nil // the error comes again
	}
	return 0, sock.Unknown, err
}

// Read gives crypto/tls bytes of the socket.
func (s *cipherStream) Read(b []byte) (int, error) {
	if len(s.early) > 0 {
		n := copy(b, s.early)
		if s.early = s.early[n:]; len(s.early) == 0 {
			s.early = nil
		}
		return n, nil
	}
	if !s.owned {
		return s.Conn.Read(b)
	}
	if s.state != sock.Unknown {
		return 0, errAgain
	}
	n, state, err := s.sock.Receive(s.fd, b)
	s.state = state
	if state == sock.Again {
		return 0, errAgain
	}
	return n, err
}

// Write takes ciphertext: all of it, as crypto/tls cannot go on after a part.
func (s *cipherStream) Write(b []byte) (int, error) {
	if !s.owned {
		return s.writeWaiting(b)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.out == nil {
		s.out = cipherPool.Get().(*[]byte)
	}
	*s.out = append(*s.out, b...)
	return len(b), nil
}

// writeWaiting writes b behind what may be left from the time of a Conn.
func (s *cipherStream) writeWaiting(b []byte) (int, error) {
	s.mu.Lock()
	out, off := s.out, s.off
	s.out, s.off = nil, 0
	s.mu.Unlock()
	if out != nil {
		if _, err := s.Conn.Write((*out)[off:]); err != nil {
			return 0, err
		}
		recycle(out)
	}
	return s.Conn.Write(b)
}

// SetDeadline and its kin mean nothing to a Conn, but crypto/tls uses them when it closes.
func (s *cipherStream) SetDeadline(t time.Time) error {
	if s.owned {
		return nil
	}
	return s.Conn.SetDeadline(t)
}

// SetWriteDeadline is as SetDeadline.
func (s *cipherStream) SetWriteDeadline(t time.Time) error {
	if s.owned {
		return nil
	}
	return s.Conn.SetWriteDeadline(t)
}

// pending reports whether ciphertext waits.
func (s *cipherStream) pending() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out != nil
}

// flush writes ciphertext as far as the socket takes it, and returns how much that was, and
// whether something is left.
func (s *cipherStream) flush() (n int, left bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.out == nil {
		return 0, false, nil
	}
	one := piecePool.Get().(*pieces)
	one[0] = (*s.out)[s.off:]
	n, err = s.sock.WriteNow(one[:1])
	one[0] = nil
	piecePool.Put(one)
	if s.off += n; s.off < len(*s.out) {
		return n, true, err
	}
	recycle(s.out)
	s.out, s.off = nil, 0
	return n, false, err
}

func recycle(b *[]byte) {
	if cap(*b) <= cipherKeep {
		*b = (*b)[:0]
		cipherPool.Put(b)
	}
}

// writeQueue encrypts and writes what is queued, as far as the socket takes it. It returns how many bytes that took, and whether
// something is left. The caller guards the queue.
func (s *cipherStream) writeQueue(q *queue.Queue) (total int, left bool, err error) {
	for {
		n, left, err := s.flush()
		total += n
		switch {
		case err != nil:
			return total, true, err
		case left:
			q.Blocked(total, Now())
			return total, true, nil
		case q.Empty():
			q.Flows()
			return total, false, nil
		}
		if err := s.encrypt(q); err != nil {
			return total, true, err
		}
	}
}

// encrypt takes a record's worth from the queue.
func (s *cipherStream) encrypt(q *queue.Queue) error {
	plain := plainPool.Get().(*[plainSize]byte)
	defer plainPool.Put(plain)
	b := q.Gather(plain[:0])
	if len(b) > 0 {
		if _, err := s.tls.Write(b); err != nil {
			return err
		}
	}
	q.Done(len(b))
	return nil
}
