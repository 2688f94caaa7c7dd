// SPDX-License-Identifier: Apache-2.0

package sock

import (
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/skybus-io/skybus/internal/sys"
)

const (
	// lentSize is the size of the buffers that are borrowed while bytes are there.
	lentSize = 32 << 10

	// shortSize is up to how many bytes what has come is copied to a buffer of that size, and the large one
	// given back, before it is handed over: whoever takes it may wait for long.
	shortSize = 1 << 10

	// copyAtMost is up to how many bytes half a packet is copied to a borrowed buffer, for the
	// rest to be read behind it. Larger ones are read on where they are.
	copyAtMost = 8 << 10
)

// lent is a borrowed buffer.
type lent struct {
	b    [lentSize]byte
	hint sys.Hint
}

var (
	lentPool  = sync.Pool{New: func() any { return new(lent) }}
	shortPool = sync.Pool{New: func() any { return new([shortSize]byte) }}
)

// A State says what is known of a stream after a read.
type State uint8

// The states.
const (
	Unknown State = iota // there may be more
	Drained              // there was no more, and no end: but an error may have come
	Again                // there is nothing; what comes ends the wait
)

// A Taker gets what Loop has read: all bytes that have come and were not taken. It returns how many it takes: what is left comes
// again, with more behind it. They are valid until Take returns. It may wait; nothing is read meanwhile.
type Taker interface {
	Take(b []byte) (taken int, err error)
}

// A Source reads in Loop's place, as TLS does: by Receive from the socket.
type Source interface {
	// Receive reads what is there, without waiting. The error is io.EOF at the end. No bytes, no error
	// and not Again: it is called again.
	Receive(fd uintptr, b []byte) (n int, s State, err error)
}

// Receive reads what the socket has, without waiting. Only a Source calls it, with the descriptor that it got.
func (c *Conn) Receive(fd uintptr, b []byte) (n int, s State, err error) {
	l := lentPool.Get().(*lent)
	defer lentPool.Put(l)
	return c.receive(fd, b, &l.hint)
}

func (c *Conn) receive(fd uintptr, b []byte, h *sys.Hint) (n int, s State, err error) {
	var drained, again bool
	if c.hint {
		n, drained, again, err = sys.Recv(fd, b, h)
	} else {
		n, again, err = sys.RecvNow(fd, b)
	}
	switch {
	case again:
		s = Again
	case n == 0 && err == nil:
		err = io.EOF
	case drained:
		s = Drained
	}
	c.received.Add(1)
	return n, s, err
}

// ErrRenew is why Loop returns after Renew. Nothing has ended: another goroutine is to call Loop.
var ErrRenew = errors.New("sock: Loop is to be called by a fresh goroutine")

// A loop is a call of Loop.
type loop struct {
	c     *Conn
	src   Source // nil: the socket
	to    Taker
	begun bool
	err   error
}

// Loop reads until the connection ends, and returns why: io.EOF, net.ErrClosed, the error of to, or one of the
// network; or ErrRenew. It closes nothing by itself. src is nil, or reads in the place of Loop. One goroutine at a time
// calls Loop.
//
// # Waiting without a read that finds nothing
//
// The poller tells of an event once. A wait must not begin with bytes, an end or an error in the socket
// whose event has passed already. Reading until nothing is there makes sure of that, and costs a system call. It is spared if
// the read said that nothing is left and no end has come (TCP_INQ), and a write has worked that was begun after it, which shows that there was no error:
// then each event that matters is still to come. That is the case for a request that is answered at once.
func (c *Conn) Loop(src Source, to Taker) error {
	if !c.begin() {
		return net.ErrClosed
	}
	defer c.finish()
	l := &loop{c: c, src: src, to: to}
	if err := c.raw.Read(l.ready); err != nil {
		if c.renewed() {
			return ErrRenew
		}
		return c.because(err)
	}
	if c.closing.Load() && errors.Is(l.err, io.EOF) {
		return net.ErrClosed
	}
	return c.because(l.err)
}

// Rest returns the bytes that have come and were not taken. It is called when Loop does not run; they are
// the caller's, and the Conn forgets them.
func (c *Conn) Rest() []byte {
	rest := c.rest
	c.rest = nil
	return rest
}

// SetRest has Loop begin with bytes that were read already. It is called before Loop; they
// are the Conn's from then on.
func (c *Conn) SetRest(b []byte) { c.rest = b }

// Renew has a Loop that has handed something over return ErrRenew, when it waits. The stack of a goroutine that
// waits stays as large as it was ever needed: a fresh one waits on half of it, or less. It costs some microseconds.
func (c *Conn) Renew() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.looping && !c.renewing && !c.closing.Load() && c.fed.Swap(false) {
		c.renewing = true
		_ = c.Conn.SetReadDeadline(longAgo)
	}
}

// renewed reports whether it was Renew that has ended a wait, and not something else meanwhile.
func (c *Conn) renewed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.renewing || c.closing.Load() {
		return false
	}
	c.renewing, c.dry = false, true
	return c.Conn.SetReadDeadline(time.Time{}) == nil
}

// Received counts what Loop has asked the socket for, modulo 2^32: it is as it was while nothing comes.
func (c *Conn) Received() uint32 { return c.received.Load() }

// ready is called when the socket may have something, and returns whether the loop has
// ended. If not, the poller waits.
func (l *loop) ready(fd uintptr) bool {
	if !l.begun {
		l.begun = true
		if l.c.dry {
			l.c.dry = false
			if sys.NothingYet(fd) {
				return false // on a small stack: what is below needs a larger one
			}
		} else if len(l.c.rest) > 0 && !l.again() {
			return true
		}
	}
	return l.readAll(fd)
}

// readAll reads until there is nothing more. It returns whether the loop has ended.
//
//go:noinline
func (l *loop) readAll(fd uintptr) bool {
	for {
		s, ok := l.once(fd)
		if !ok {
			return true
		}
		if s == Again || s == Drained && l.c.answered.Load() == l.c.received.Load() {
			return false
		}
	}
}

// again hands over what there was before.
func (l *loop) again() bool {
	n, ok := l.give(l.c.rest)
	l.c.rest = keep(l.c.rest, n)
	return ok
}

// once reads once, and hands over what there is. ok is false if the loop ends.
func (l *loop) once(fd uintptr) (s State, ok bool) {
	if len(l.c.rest) > copyAtMost {
		return l.readOn(fd)
	}
	b := lentPool.Get().(*lent)
	at := len(l.c.rest)
	n, s, ok := l.receive(fd, b.b[at:], b)
	switch {
	case n == 0:
		lentPool.Put(b)
		return s, ok
	case at+n <= shortSize:
		short := shortPool.Get().(*[shortSize]byte)
		copy(short[at:], b.b[at:at+n])
		lentPool.Put(b)
		ok = l.giveBehind(short[:at+n], at)
		shortPool.Put(short)
	default:
		ok = l.giveBehind(b.b[:at+n], at)
		lentPool.Put(b)
	}
	return s, ok
}

// giveBehind hands over what has come behind the at bytes that were there before, which it puts in front
// of it.
func (l *loop) giveBehind(b []byte, at int) bool {
	copy(b[:at], l.c.rest)
	taken, ok := l.give(b)
	l.c.rest = save(l.c.rest, b[taken:])
	return ok
}

// readOn reads behind half a packet, which grows with what has come.
func (l *loop) readOn(fd uintptr) (s State, ok bool) {
	rest := l.c.rest
	if cap(rest)-len(rest) < len(rest)/4 {
		rest = slices.Grow(rest, len(rest))
	}
	b := lentPool.Get().(*lent)
	n, s, ok := l.receive(fd, rest[len(rest):cap(rest)], b)
	lentPool.Put(b)
	l.c.rest = rest[:len(rest)+n]
	if n > 0 {
		ok = l.again()
	}
	return s, ok
}

// receive reads; ok is false if the stream has ended.
func (l *loop) receive(fd uintptr, b []byte, h *lent) (n int, s State, ok bool) {
	var err error
	if l.src != nil {
		n, s, err = l.src.Receive(fd, b)
	} else {
		n, s, err = l.c.receive(fd, b, &h.hint)
	}
	if err != nil {
		l.err = err
	}
	return n, s, err == nil
}

// give hands bytes over, and returns how many were taken. ok is false if the loop ends.
func (l *loop) give(b []byte) (taken int, ok bool) {
	if !l.c.fed.Load() {
		l.c.fed.Store(true)
	}
	taken, err := l.to.Take(b)
	taken = min(max(taken, 0), len(b))
	if err == nil && l.c.closing.Load() {
		err = net.ErrClosed
	}
	if err != nil {
		l.err = err
	}
	return taken, err == nil
}

// save copies what is left of a borrowed buffer, to the memory that was there before if
// that is fit for it.
func save(rest, left []byte) []byte {
	if len(left) == 0 {
		return nil
	}
	if c := cap(rest); c < len(left) || c > 4*len(left)+64 {
		rest = nil
	}
	return append(rest[:0], left...)
}

// keep takes n bytes from the beginning of rest, and lets go of memory that is not needed.
func keep(rest []byte, n int) []byte {
	if n == 0 {
		return rest
	}
	left := rest[n:]
	if len(left) == 0 || cap(rest) > 4*len(left) {
		return save(nil, left)
	}
	return rest[:copy(rest, left)]
}
