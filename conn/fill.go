// SPDX-License-Identifier: Apache-2.0

package conn

import (
	"errors"
	"fmt"
	"io"
	"sync"
)

const (
	firstBuffer = 1 << 10 // what an idle connection has
	leastRead   = 512     // bytes that a read of the socket has room for
)

// A reader is what has come and was not taken. A goroutine, fill, reads the socket and alone changes
// buf; handlers take from it. Of buf[to:] the goroutine may be writing while mu is free.
type reader struct {
	line

	buf      []byte
	from, to int // what has come and was not taken
	limit    int
	full     bool // nothing is read from the socket until half is taken
	filled   int  // what the last read of the socket has brought
	count    uint64
	err      error     // of the socket: nothing comes after what is there
	over     error     // it is closed, of that
	drains   bool      // a read that has nothing yet ends
	room     sync.Cond // of mu: fill waits
}

// have returns how many bytes there are. With mu held, here and below.
func (r *reader) have() int { return r.to - r.from }

// need is what the first that waits has to have.
func (r *reader) need() int {
	if len(r.waiters) == 0 {
		return 0
	}
	return r.waiters[0].need
}

// cut takes size bytes, and skips those behind them.
func (r *reader) cut(size, skip int) []byte {
	b := make([]byte, size)
	copy(b, r.buf[r.from:])
	r.from += size + skip
	return b
}

// taken lets fill go on, if there is room.
func (r *reader) taken() {
	if r.full && !r.isFull() {
		r.room.Signal()
	}
}

// isFull reports whether fill is to wait. It goes on when half is taken, or the first that
// waits needs more than is there.
func (r *reader) isFull() bool {
	most := max(r.limit, r.need())
	if r.full {
		r.full = r.have() > r.limit/2 && r.have() >= r.need()
	} else {
		r.full = r.have() >= most
	}
	return r.full
}

// rest returns why nothing comes any more, and with it, if asked for, what is there.
func (r *reader) rest(asked bool) ([]byte, error) {
	if !asked || r.have() == 0 {
		return nil, r.err
	}
	b, err := r.cut(r.have(), 0), r.err
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return b, fmt.Errorf("%w after %d bytes", err, len(b))
}

// finish ends all reads, of a reason.
func (r *reader) finish(why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = why
	r.stopTimer()
	r.wakeAll()
	r.room.Signal()
}

// fill reads the socket as far as there is room, until it or the connection ends.
func (n *Conn) fill() {
	r := &n.rd
	for {
		b := r.space()
		if b == nil {
			return
		}
		size, err := n.nc.Read(b)
		if errors.Is(err, io.EOF) {
			err = n.lost(err)
		}
		if r.came(size, err) {
			return
		}
	}
}

// lost returns what a write has failed with instead of end: of a reset Linux tells one of the two alone, and the
// other one sees an end as if it were in order.
func (n *Conn) lost(end error) error {
	n.wr.mu.Lock()
	defer n.wr.mu.Unlock()
	if n.wr.err != nil {
		return n.wr.err
	}
	return end
}

// space waits for room and returns it; nil: the connection is closed.
func (r *reader) space() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.over == nil && r.isFull() {
		r.room.Wait()
	}
	if r.over != nil {
		r.buf, r.from, r.to = nil, 0, 0
		return nil
	}
	r.tidy()
	most := max(r.limit, r.need()) - r.have()
	return r.buf[r.to:min(len(r.buf), r.to+most)]
}

// tidy makes room behind what is there. The buffer grows while reads fill it and shrinks while they do not.
func (r *reader) tidy() {
	have, size := r.have(), max(len(r.buf), firstBuffer)
	switch {
	case have > size/2, r.filled >= size/2 && size < r.limit:
		size *= 2
	case have == 0 && r.filled < size/8 && size > firstBuffer:
		size /= 2
	}
	if size == len(r.buf) && len(r.buf)-r.to >= leastRead {
		return
	}
	next := r.buf
	if size != len(r.buf) {
		next = make([]byte, size)
	}
	copy(next, r.buf[r.from:r.to])
	r.buf, r.from, r.to = next, 0, have
}

// came notes what a read of the socket has brought, and reports whether it was the last.
func (r *reader) came(size int, err error) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.to += size
	r.filled = size
	r.count += uint64(size)
	r.err = err
	r.wake()
	return err != nil
}
