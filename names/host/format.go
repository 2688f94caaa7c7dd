// SPDX-License-Identifier: Apache-2.0

package host

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/bits"
	"sync/atomic"

	"github.com/skybus-io/skybus/internal/invariant"
	"github.com/skybus-io/skybus/names"
	"github.com/skybus-io/skybus/shm"
)

// FileName is the table's file in the folder of its domain.
const FileName = "names"

// The layout; docs/format/names.md has it as a table. What is called At is an offset in bytes
// from the start of the file, and in the header's body for those of the body.
//
//	0         128      256    512      4096      12288            + 8 buckets
//	+---------+--------+------+--------+---------+----------------+------------------+
//	| header  | state  | bell | 0      | journal | buckets, 8 each| units, 64 each   |
//	+---------+--------+------+--------+---------+----------------+------------------+
const (
	bodyAtKey     = 0
	bodyAtBuckets = 4
	bodyAtUnits   = 8
	bodyEnd       = 12

	mutationAt = 128
	changesAt  = 136
	movingAt   = 144
	namesAt    = 152
	usedAt     = 160
	freeAt     = 168
	liveAt     = 232
	bellAt     = 256
	journalAt  = 4096
	bucketsAt  = journalAt + 8*journalSize

	journalSize = 1024 // changes that a watcher may be behind

	unitSize   = 64
	classes    = 8 // blocks of 1, 2, 4 ... 128 units
	minUnits   = 512
	maxUnits   = 1 << 20
	unitsEach  = 2                // units for each bucket
	recordHead = 24               // bytes before the name
	claimSize  = 24               // bytes of a claim
	freeClaims = 1<<16 - 1        // a block with so many claims is free
	wordMask   = 1<<32 - 1        // the lower half of a word
	tagStep    = 1 << 32          // one in the upper half
	maxTries   = 1_000_000        // looks at a bucket that changes all the time
	lockAt     = 1<<32 + 1        // byte of the domain's lock file
	fullUnits  = maxUnits / 8 * 7 // units of records at most: the rest lets them change
)

var (
	_ = [1]struct{}{}[freeAt+8*classes-liveAt]
	_ = [1]struct{}{}[bucketsAt-12288]
	// The longest record fits into the largest block.
	_ [unitSize<<(classes-1) - (recordHead + names.MaxName + 1 + names.MaxQueue*claimSize)]struct{}
)

var (
	magic      = shm.Magic([]byte("SKYNAMES"))
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	le         = binary.LittleEndian
)

// ErrDamaged means that the bytes in shared memory break a rule of the format.
var ErrDamaged = errors.New("table of names is damaged")

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrDamaged, fmt.Errorf(format, args...))
}

// A table is the mapped file. Whoever only reads needs no lock; the methods that change it say
// so.
type table struct {
	seg     *shm.Segment // nil: mem is the heap's
	mem     []byte
	buckets uint32 // a power of two
	units   uint32
	arena   int // offset of unit 0, which is never used
}

// sizeOf returns the size in bytes of a file for that many units.
func sizeOf(units uint32) int64 {
	return bucketsAt + 8*int64(units/unitsEach) + unitSize*int64(units)
}

// bodyOf returns the kind's part of the header.
func bodyOf(key, units uint32) (body [shm.BodySize]byte) {
	le.PutUint32(body[bodyAtKey:], key)
	le.PutUint32(body[bodyAtBuckets:], units/unitsEach)
	le.PutUint32(body[bodyAtUnits:], units)
	return body
}

// view checks what a header says, and that the file is as large as that.
func view(mem []byte, body [shm.BodySize]byte, key uint32) (*table, error) {
	k, buckets, units := le.Uint32(body[bodyAtKey:]), le.Uint32(body[bodyAtBuckets:]), le.Uint32(body[bodyAtUnits:])
	switch {
	case k != key:
		return nil, damaged("it is of domain %d, want %d", k, key)
	case units < minUnits || units > maxUnits || bits.OnesCount32(units) != 1 || buckets != units/unitsEach:
		return nil, damaged("%d buckets and %d units: want a power of two of units from %d to %d, and half as many buckets",
			buckets, units, minUnits, maxUnits)
	case int64(len(mem)) != sizeOf(units):
		return nil, damaged("%d units take %d bytes, the file has %d", units, sizeOf(units), len(mem))
	case body != bodyOf(key, units):
		return nil, damaged("the header's body does not end with zeros")
	}
	return &table{mem: mem, buckets: buckets, units: units, arena: bucketsAt + 8*int(buckets)}, nil
}

func (t *table) word(at int) *atomic.Uint64 { return shm.View[atomic.Uint64](t.mem, at) }

func (t *table) bell() *shm.Doorbell { return shm.View[shm.Doorbell](t.mem, bellAt) }

// bucketAt returns the offset of the word of the bucket that a hash is in: the first unit of
// its first record in the lower half, and in the upper one a number that grows with each change of the bucket.
func (t *table) bucketAt(hash uint32) int { return bucketsAt + 8*int(hash&(t.buckets-1)) }

func (t *table) unitAt(unit uint32) int { return t.arena + unitSize*int(unit) }

// has reports whether a block lies within the units.
func (t *table) has(unit uint32, class uint8) bool {
	return unit > 0 && class < classes && unit < t.units && uint32(1)<<class <= t.units-unit
}

// moving reports whether the file's name is about to lead to another table, or does already.
func (t *table) moving() bool { return t.word(movingAt).Load() != 0 }

func (t *table) close() {
	if t != nil && t.seg != nil {
		t.seg.Close()
	}
}

func hashOf(name string) uint32 { return crc32.Checksum([]byte(name), castagnoli) }

func step(site string) {
	if invariant.Enabled {
		invariant.Step(site)
	}
}
