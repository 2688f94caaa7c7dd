// SPDX-License-Identifier: Apache-2.0

package sock

import (
	"sync"

	"github.com/skybus-io/skybus/internal/sys"
)

// MaxPieces is how many pieces WriteNow takes at most.
const MaxPieces = sys.MaxVectors

// A writeOp is one call of WriteNow: its arguments, results, and memory. Its closure is
// made once.
type writeOp struct {
	pieces  [][]byte
	n       int
	err     error
	run     func(fd uintptr)
	vectors sys.Vectors
}

var writeOps = sync.Pool{New: func() any {
	op := new(writeOp)
	op.run = op.write
	return op
}}

func (op *writeOp) write(fd uintptr) {
	if len(op.pieces) == 1 {
		op.n, _, op.err = sys.SendNow(fd, op.pieces[0])
		return
	}
	op.n, _, op.err = sys.WriteVectors(fd, op.pieces, &op.vectors)
}

// WriteNow writes as much of the pieces, in their order, as the socket takes without waiting, and returns how
// many bytes that were: less than all is no error. There are at most MaxPieces, and none is empty.
// One goroutine at a time calls it.
func (c *Conn) WriteNow(pieces [][]byte) (n int, err error) {
	if len(pieces) == 0 {
		return 0, nil
	}
	before := c.received.Load()
	op := writeOps.Get().(*writeOp)
	op.pieces = pieces
	err = c.raw.Control(op.run)
	if err == nil {
		n, err = op.n, op.err
	}
	op.pieces, op.n, op.err = nil, 0, nil
	writeOps.Put(op)
	if err != nil {
		return n, c.because(err)
	}
	if n > 0 {
		c.answered.Store(before)
	}
	return n, nil
}
