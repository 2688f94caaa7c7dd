// SPDX-License-Identifier: Apache-2.0

package ring

import (
	"errors"
	"fmt"
	"math/bits"
)

// Sizes in bytes.
const (
	HeaderSize = 16      // commit word and sequence (R1)
	MarksSize  = 136     // released and claimed, and on a line of its own writing
	MinSize    = 1 << 10 // smallest region
	MaxSize    = 1 << 30 // largest region
	align      = 16
)

// Flags of a record, as they stand in its commit word (R2).
const (
	flagPad    = 1 << 0 // filler up to the end of the region
	flagMoved  = 1 << 1 // the ring goes on in its next generation
	FlagRedel  = 1 << 2 // the producer itself sends this again
	FlagGap    = 1 << 3 // the payload tells of records that were discarded
	flagClosed = 1 << 4 // the ring ends here until it is made anew

	flagsEnd  = flagMoved | flagClosed
	flagsUser = FlagRedel | FlagGap
	flagsAll  = flagPad | flagsEnd | flagsUser
)

// Commit word: tag<<40 | flags<<32 | length+1.
const (
	flagShift = 32
	tagShift  = 40
	tagBit    = 1 << 20 // makes every tag non-zero
	tagMask   = tagBit - 1
	lenMask   = 1<<32 - 1
)

// maxPos is a position that no ring reaches: sums of positions below it do not wrap.
const maxPos = 1 << 62

var (
	// ErrFull means that the record does not fit until the consumer releases more.
	ErrFull = errors.New("ring is full")
	// ErrTooBig means that no ring of this size can hold the record.
	ErrTooBig = errors.New("record is larger than half the ring")
	// ErrMoved means that all records are taken and the ring goes on in its next generation.
	ErrMoved = errors.New("ring has moved to its next generation")
	// ErrClosed means that all records are taken and the ring has ended.
	ErrClosed = errors.New("ring is closed")
	// ErrDamaged means that the shared bytes break a rule of the format.
	ErrDamaged = errors.New("ring is damaged")
	// ErrBusy means that the consumer passed what Look read, each time it looked.
	ErrBusy = errors.New("ring changes too fast to be looked at")
)

// lapTag ties a commit word to the one position it is valid at (for 2^24 bytes
// of positions), so that an older lap's bytes do not pass for a record.
func lapTag(pos uint64) uint64 { return (pos/align&tagMask | tagBit) << tagShift }

func commitWord(pos uint64, flags, n uint64) uint64 {
	return lapTag(pos) | flags<<flagShift | (n + 1)
}

// RecordSize returns the bytes that a record of n payload bytes takes in the ring.
func RecordSize(n int) uint64 { return HeaderSize + (uint64(n)+align-1)&^(align-1) }

// MaxPayload returns the largest payload of a ring of size bytes.
func MaxPayload(size uint64) int { return int(size/2 - HeaderSize) }

// SizeFor returns the smallest region size that holds a record of n payload
// bytes, at least atLeast; both are rounded up to a power of two.
func SizeFor(n int, atLeast uint64) uint64 {
	need := max(2*RecordSize(n), atLeast, MinSize)
	return 1 << bits.Len64(need-1)
}

// A header is a checked copy of one record header.
type header struct {
	flags uint64
	n     uint64 // payload bytes
	adv   uint64 // bytes to the next header; 0 at the end of the ring
}

// parse checks word w, read once at position pos of a region of size bytes of
// which nothing below released may be needed any more (R13).
func parse(w, pos, released, size uint64) (header, error) {
	h := header{flags: w >> flagShift & 0xff, n: w&lenMask - 1}
	if w>>tagShift<<tagShift != lapTag(pos) || h.flags&^flagsAll != 0 || w&lenMask == 0 {
		return h, damagedf("position %d: word %#x is no commit word of this place", pos, w)
	}
	off := pos & (size - 1)
	switch {
	case h.flags == 0 || h.flags&^flagsUser == 0:
		h.adv = HeaderSize + (h.n+align-1)&^(align-1)
		if h.adv > size/2 || off+h.adv > size {
			return h, damagedf("position %d: a record of %d bytes does not fit a ring of %d", pos, h.n, size)
		}
	case h.n != 0:
		return h, damagedf("position %d: flags %#x with a payload of %d bytes", pos, h.flags, h.n)
	case h.flags == flagPad:
		h.adv = size - off
		if off == 0 {
			return h, damagedf("position %d: a pad at the start of the region", pos)
		}
	case h.flags == flagMoved || h.flags == flagClosed:
		return h, nil
	default:
		return h, damagedf("position %d: flags %#x do not go together", pos, h.flags)
	}
	if pos+h.adv+HeaderSize > released+size {
		return h, damagedf("position %d: a record that ends at %d reaches into what was released only up to %d", pos, pos+h.adv, released)
	}
	return h, nil
}

// plain is parse for what nearly every word is, a record without flags. Whatever
// it does not accept is parse's to judge. size is a power of two, limit the
// position that no record may reach (R3).
func plain(w, pos, limit, size uint64) (n, adv uint64, ok bool) {
	n = w&lenMask - 1 // huge for a length of 0
	adv = HeaderSize + (n+align-1)&^(align-1)
	ok = (w^lapTag(pos))>>flagShift == 0 && n <= size/2-HeaderSize &&
		pos&(size-1)+adv <= size && pos+adv <= limit
	return n, adv, ok
}

// afterPad checks what stands behind a pad: the record that did not fit before
// it, published by the same store (R4, R5).
func afterPad(pos, word uint64, h header) error {
	if word == 0 || h.adv == 0 {
		return damagedf("position %d: word %#x behind a pad", pos, word)
	}
	return nil
}

// checkReleased checks a copy of `released` before it is used as a position (R13).
func checkReleased(rel uint64) error {
	if rel%align != 0 || rel > maxPos {
		return damagedf("released is %d: no multiple of %d up to %d", rel, align, uint64(maxPos))
	}
	return nil
}

func damagedf(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrDamaged, fmt.Sprintf(format, args...))
}
