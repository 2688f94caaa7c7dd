// SPDX-License-Identifier: Apache-2.0

package entry

import (
	"net"
	"sync"

	"github.com/skybus-io/skybus/internal/sys"
)

// readSize is how much an early read takes at once.
const readSize = 4 << 10

var readBuffers = sync.Pool{New: func() any { return new([readSize]byte) }}

// system is what a net.Conn with a descriptor has.
type system interface {
	SyscallConn() (sys.RawConn, error)
}

// early collects the first bytes of a connection until it is known what they are.
// It holds no more than has come, and borrows a buffer to read only once there is
// something. One goroutine uses it.
type early struct {
	conn net.Conn
	wait func() error // until there is something to read; nil: not known how
	buf  []byte       // what has come and is not taken yet
}

func newEarly(c net.Conn) *early {
	e := &early{conn: c}
	if sc, ok := c.(system); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			e.wait = func() error { return await(raw) }
		}
	}
	return e
}

// await waits until a socket has something to read, or has come to its end.
func await(raw sys.RawConn) error {
	var one [1]byte
	return raw.Read(func(fd uintptr) bool {
		_, again, _ := sys.PeekNow(fd, one[:]) // a fault is for the read to tell
		return !again
	})
}

// more waits for bytes, and appends what one read brings, at most to limit bytes in
// all.
func (e *early) more(limit int) error {
	room := limit - len(e.buf)
	if room <= 0 {
		return errTooLong
	}
	if e.wait != nil {
		if err := e.wait(); err != nil {
			return err
		}
	}
	b := readBuffers.Get().(*[readSize]byte)
	defer readBuffers.Put(b)
	n, err := e.conn.Read(b[:min(room, readSize)])
	e.buf = append(e.buf, b[:n]...)
	if n > 0 {
		return nil // an error comes again
	}
	return err
}

// drop takes n bytes.
func (e *early) drop(n int) { e.buf = e.buf[n:] }

// prefixed is a connection some bytes of which have been read already.
type prefixed struct {
	net.Conn
	first []byte // read first
}

// Read reads what is left of the first bytes, then from the connection.
func (p *prefixed) Read(b []byte) (int, error) {
	if len(p.first) > 0 {
		n := copy(b, p.first)
		if p.first = p.first[n:]; len(p.first) == 0 {
			p.first = nil
		}
		return n, nil
	}
	return p.Conn.Read(b)
}
