// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/skybus-io/skybus/ring"
)

// A Durability says how a lane's messages outlive the host; docs/format/durable.md
// tells what each mode survives.
type Durability struct {
	// Sync has a message on disk before Send returns; without it that takes up to
	// a second.
	Sync bool
	// Dir is the absolute path of the folder that has the files, in a folder of the
	// domain's own. It is made if its parent is there.
	Dir string
}

// Durables tells which lanes are durable when they are made. Both functions may
// be called by many goroutines, and with locks held. An error of Lane is what a Send
// gets that would make the lane.
type Durables struct {
	Lane func(p Pair) (d Durability, durable bool, err error)
	// Dirs lists the folders of all lanes: what an earlier life of the host left
	// there is taken up.
	Dirs func() ([]string, error)
}

// SetDurable makes the table ask d. Without, no lane is made durable. It belongs
// before the first use of the table.
func (t *Table) SetDurable(d Durables) { t.durables = d }

// durability returns how p is to be made.
func (t *Table) durability(p Pair) (d Durability, durable bool, err error) {
	if t.durables.Lane == nil {
		return d, false, nil
	}
	if d, durable, err = t.durables.Lane(p); err != nil {
		return d, false, fmt.Errorf("lane %s: is it durable? %w", t.FormatPair(p), err)
	}
	return d, durable, nil
}

// flagsOf are the flags of a lane's entry.
func (d *Durability) flags() uint32 {
	if d.Sync {
		return laneDurable | laneSync
	}
	return laneDurable
}

// What a lane segment's `durable` says.
const (
	inMemory = iota
	onDiskAsync
	onDiskSync
)

// durableWord is what the lane's segments say.
func (e *laneEntry) durableWord() uint32 {
	switch flags := e.flags.Load(); {
	case flags&laneDurable == 0:
		return inMemory
	case flags&laneSync != 0:
		return onDiskSync
	}
	return onDiskAsync
}

func (e *laneEntry) isDurable() bool { return e.flags.Load()&laneDurable != 0 }

// A record of a durable lane ends in a trailer, which ring takes for payload.
//
//	 0              n         n+4       n+8
//	+--------------+---------+---------+
//	| message (n)  |  CRC-32C|    0    |
//	+--------------+---------+---------+
const trailerSize = 8

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A summer makes and checks trailers. One goroutine at a time may use it.
type summer struct {
	head [16]byte // here, for the checksum's code would move it to the heap
}

// sum is that of a record: a record of another place in the lane has another.
func (m *summer) sum(seq uint64, flags uint8, p []byte) uint32 {
	binary.LittleEndian.PutUint64(m.head[0:], seq)
	binary.LittleEndian.PutUint32(m.head[8:], uint32(len(p)))
	binary.LittleEndian.PutUint32(m.head[12:], uint32(flags))
	return crc32.Update(crc32.Checksum(m.head[:], castagnoli), castagnoli, p)
}

// put writes the trailer of b, whose last bytes are for it.
func (m *summer) put(b []byte, seq uint64, flags uint8) {
	n := len(b) - trailerSize
	binary.LittleEndian.PutUint32(b[n:], m.sum(seq, flags, b[:n]))
	binary.LittleEndian.PutUint32(b[n+4:], 0)
}

// whole reports whether rec is what was sent.
func (m *summer) whole(rec *ring.Record) bool {
	n := len(rec.Data) - trailerSize
	return n >= 0 && binary.LittleEndian.Uint32(rec.Data[n+4:]) == 0 &&
		binary.LittleEndian.Uint32(rec.Data[n:]) == m.sum(rec.Seq, rec.Flags, rec.Data[:n])
}

// withTrailer returns a copy of p as the payload of record seq.
func withTrailer(p []byte, seq uint64, flags uint8) []byte {
	b := append(append(make([]byte, 0, len(p)+trailerSize), p...), make([]byte, trailerSize)...)
	new(summer).put(b, seq, flags)
	return b
}

// unwrap checks the trailers of what was taken and strips them. Records from the
// first damaged one on are put back; it returns how many remain, and an error if
// that is none.
func (r *Receiver) unwrap(recs []ring.Record) (int, error) {
	for i := range recs {
		if !r.sums.whole(&recs[i]) {
			r.rx.Rewind(&recs[i], false)
			if i > 0 {
				return i, nil
			}
			return 0, fmt.Errorf("%w: record %d: %d bytes do not fit their checksum", ErrDamaged, recs[i].Seq, len(recs[i].Data))
		}
		recs[i].Data = recs[i].Data[:len(recs[i].Data)-trailerSize]
	}
	return len(recs), nil
}

// A claimed is what a durable Sender has claimed and not committed.
type claimed struct {
	b     []byte // with room for the trailer
	flags uint8
}

// claimOdd is claim where something is to be looked at first.
func (s *Sender) claimOdd(n int) ([]byte, error) {
	if s.disk == nil {
		return s.claimSlow(n, nil)
	}
	if n < 0 || n > s.max-trailerSize {
		return nil, s.tooBig(n + trailerSize)
	}
	n += trailerSize
	b, err := []byte(nil), error(nil)
	if s.err != nil || s.e.quarantine.Load() != 0 {
		b, err = s.claimSlow(n, nil)
	} else {
		b, err = s.reserve(n)
	}
	if err != nil {
		return nil, err
	}
	return s.pend(b, 0), nil
}

// pend keeps b, which was claimed with flags, for its trailer, and returns what
// the caller may write.
func (s *Sender) pend(b []byte, flags uint8) []byte {
	s.pending = append(s.pending, claimed{b, flags})
	n := len(b) - trailerSize
	return b[:n:n]
}

// wrap writes the trailers of all that is claimed, and returns how many bytes
// they are.
func (s *Sender) wrap() uint64 {
	seq := s.tx.NextSeq()
	for i, c := range s.pending {
		step("durable.trailer")
		s.sums.put(c.b, seq+uint64(i), c.flags)
	}
	n := uint64(len(s.pending)) * trailerSize
	s.pending = s.pending[:0]
	return n
}

// abort drops all claims.
func (s *Sender) abort() {
	s.tx.Abort()
	s.pending = s.pending[:0]
}

// catchUp claims n bytes after a sync, if the ring is full only because `released`
// is not on disk yet (D4). The error is ring.ErrFull if it is full in any case.
// The caller keeps the lane's lock meanwhile: this comes once a lap at most.
func (s *Sender) catchUp(n int) ([]byte, error) {
	if !s.mayHaveRoom() {
		return nil, ring.ErrFull
	}
	if err := s.disk.wait(s.disk.note()); err != nil {
		return nil, err
	}
	s.tx.Hold(s.disk.released())
	return s.tx.Claim(n)
}

// mayHaveRoom reports whether the consumer has released what is not known to be
// released on disk.
func (s *Sender) mayHaveRoom() bool {
	return s.disk != nil && s.at.seg != nil && ring.Position(s.at.ring) > s.tx.Held()
}
