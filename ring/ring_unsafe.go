// SPDX-License-Identifier: Apache-2.0

package ring

import (
	"fmt"
	"math/bits"
	"sync/atomic"
	"unsafe"
)

// A Region is the memory of one ring: its data and the marks.
type Region struct {
	base  unsafe.Pointer // of the data
	size  uint64         // a power of two
	marks *marks
}

// marks are the consumer's line (R6) and the producer's. All words only grow.
type marks struct {
	released atomic.Uint64 // written by the consumer, read by producer and watchers
	claimed  atomic.Uint64 // written by the consumer, read at attach
	_        [112]byte
	writing  atomic.Uint64 // written by the producer, read by watchers: nothing at or beyond it has been written (R12)
}

var _ = [1]struct{}{}[unsafe.Offsetof(marks{}.claimed)-8]
var _ = [1]struct{}{}[unsafe.Offsetof(marks{}.writing)-128]
var _ = [1]struct{}{}[unsafe.Sizeof(marks{})-MarksSize]

// NewRegion puts a ring together from data, whose length must be a power of two
// from [MinSize] to [MaxSize] and which must be 16-aligned, and marks, of at
// least [MarksSize] bytes and 8-aligned. The bytes belong to the ring for as long
// as any of its ends is in use.
func NewRegion(marksMem, data []byte) (Region, error) {
	n := len(data)
	if n < MinSize || n > MaxSize || bits.OnesCount(uint(n)) != 1 {
		return Region{}, fmt.Errorf("ring of %d bytes: want a power of two from %d to %d", n, MinSize, MaxSize)
	}
	if len(marksMem) < MarksSize {
		return Region{}, fmt.Errorf("ring marks of %d bytes: want %d", len(marksMem), MarksSize)
	}
	d, m := unsafe.Pointer(unsafe.SliceData(data)), unsafe.Pointer(unsafe.SliceData(marksMem))
	if uintptr(d)%align != 0 || uintptr(m)%8 != 0 {
		return Region{}, fmt.Errorf("ring at %p, marks at %p: want multiples of 16 and 8", d, m)
	}
	return Region{base: d, size: uint64(n), marks: (*marks)(m)}, nil
}

// Size returns the size of the data in bytes.
func (r *Region) Size() uint64 { return r.size }

// word returns the commit word and seq the sequence of the header at pos. The
// mask keeps every position inside the region.
func (r *Region) word(pos uint64) *uint64 {
	return (*uint64)(unsafe.Add(r.base, pos&(r.size-align)))
}

func (r *Region) seq(pos uint64) *uint64 {
	return (*uint64)(unsafe.Add(r.base, pos&(r.size-align)+8))
}

// payload returns the n bytes behind the header at pos, checked by plain, parse
// or Claim.
func (r *Region) payload(pos uint64, n int) []byte {
	off := pos&(r.size-align) + HeaderSize
	if n == 0 {
		off = 0 // behind the last header is other memory
	}
	return unsafe.Slice((*byte)(unsafe.Add(r.base, off)), n)
}

// takenTo returns up to where records have been shown to the user (R7).
func (r *Region) takenTo() uint64 {
	return max(r.marks.claimed.Load(), r.marks.released.Load())
}

// Format makes data the start of an empty ring whose first record will carry
// seq. It is for memory that no other side can see yet (R9, R10).
func (r *Region) Format(seq uint64) {
	r.marks.released.Store(0)
	r.marks.claimed.Store(0)
	r.marks.writing.Store(0)
	*r.seq(0) = seq
	atomic.StoreUint64(r.word(0), 0)
}
