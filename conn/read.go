// SPDX-License-Identifier: Apache-2.0

package conn

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/skybus-io/skybus/actor"
)

// Read returns what is there, at least a byte and at most limit, and waits for it. limit 0: all that is
// there. The bytes are the caller's, here and in the other functions. Errors: io.EOF, the peer has closed; what the socket says,
// such as a reset; those of a wait.
func (n *Conn) Read(c *actor.Context, limit int) ([]byte, error) {
	return n.read(c, &reading{mode: some, size: limit, waiter: waiter{need: 1}})
}

// ReadN returns the next n bytes, and waits for them. Errors: those of Read; when the peer closes, or resets, in the midst
// of them, what has come is returned with io.ErrUnexpectedEOF, or with the socket's error.
func (n *Conn) ReadN(c *actor.Context, size int) ([]byte, error) {
	if size < 0 {
		return nil, n.failed("read from", fmt.Errorf("%d bytes: want 0 or more", size))
	}
	return n.read(c, &reading{mode: exactly, size: size, waiter: waiter{need: size}})
}

// ReadLine returns what comes before the separator sep, which may be several bytes and is taken, too;
// "" means "\n". The line has at most limit bytes; 0: DefaultLimit. Errors: those of ReadN; ErrTooLong, then
// nothing is taken.
func (n *Conn) ReadLine(c *actor.Context, sep string, limit int) ([]byte, error) {
	if sep == "" {
		sep = "\n"
	}
	if limit <= 0 {
		limit = DefaultLimit
	}
	return n.read(c, &reading{mode: aLine, size: limit, sep: sep, at: -1, waiter: waiter{need: limit + len(sep)}})
}

// ReadAll returns everything until the peer closes, at most limit bytes; 0: DefaultLimit. Errors: ErrTooLong, then nothing is taken; if the
// socket fails, what has come is returned with its error.
func (n *Conn) ReadAll(c *actor.Context, limit int) ([]byte, error) {
	if limit <= 0 {
		limit = DefaultLimit
	}
	return n.read(c, &reading{mode: everything, size: limit, waiter: waiter{need: limit + 1}})
}

// A mode is which of the functions reads.
type mode uint8

const (
	some mode = iota
	exactly
	aLine
	everything
)

// A reading is what a handler wants to read.
type reading struct {
	waiter
	r    *reader
	mode mode
	size int // bytes: that many, or at most
	sep  string
	seen int // bytes in which there is no sep
	at   int // where it is; less than 0: it is not there yet

	got []byte
	err error
}

// read waits for what x is and returns it.
func (n *Conn) read(c *actor.Context, x *reading) ([]byte, error) {
	k, err := n.mine(c)
	if err == nil {
		x.r, x.want = &n.rd, x
		err = n.rd.do(c, k, &x.waiter)
	}
	if err == nil {
		err = x.err
	}
	return x.got, n.failed("read from", err)
}

// ready is want's.
func (x *reading) ready() bool {
	r := x.r
	if r.over != nil || x.complete() || r.err != nil || r.drains && r.have() == 0 {
		return true
	}
	r.taken() // it may need more than there is room for
	return false
}

// complete reports whether all is there, or more than the limit.
func (x *reading) complete() bool {
	switch have := x.r.have(); x.mode {
	case some:
		return have > 0
	case exactly:
		return have >= x.size
	case everything:
		return have > x.size || errors.Is(x.r.err, io.EOF)
	}
	return x.find()
}

// find looks for the separator, at each byte once.
func (x *reading) find() bool {
	if x.at >= 0 {
		return true
	}
	most := x.size + len(x.sep)
	b := x.r.buf[x.r.from:x.r.to]
	b = b[:min(len(b), most)]
	start := max(0, x.seen-len(x.sep)+1)
	if i := index(b[start:], x.sep); i >= 0 {
		x.at = start + i
		return true
	}
	x.seen = len(b)
	return len(b) == most
}

func index(b []byte, sep string) int {
	if len(sep) == 1 {
		return bytes.IndexByte(b, sep[0])
	}
	return bytes.Index(b, []byte(sep))
}

// take is want's.
func (x *reading) take() {
	r := x.r
	switch {
	case r.over != nil:
		x.err = r.over
	case x.complete():
		x.cut()
	case r.err != nil:
		x.got, x.err = r.rest(x.mode != some)
	default:
		x.err = errDrains
	}
	r.taken()
}

// cut takes what is complete.
func (x *reading) cut() {
	have := x.r.have()
	switch {
	case x.mode == aLine && x.at < 0:
		x.err = fmt.Errorf("%w: no %q in %d bytes", ErrTooLong, x.sep, x.size)
	case x.mode == aLine:
		x.got = x.r.cut(x.at, len(x.sep))
	case x.mode == everything && have > x.size:
		x.err = fmt.Errorf("%w: more than %d bytes", ErrTooLong, x.size)
	case x.mode == everything, x.mode == some && x.size <= 0:
		x.got = x.r.cut(have, 0)
	default:
		x.got = x.r.cut(min(have, x.size), 0)
	}
}
