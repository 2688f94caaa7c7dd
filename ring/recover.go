// SPDX-License-Identifier: Apache-2.0

package ring

import (
	"sync/atomic"

	"github.com/skybus-io/skybus/internal/invariant"
)

// A Survival is what is whole of a ring whose memory was written to a disk, any
// page at any moment, before the host went down.
type Survival struct {
	Head    uint64 // `released`: where the first record is
	Tail    uint64 // position behind the last whole record
	HeadSeq uint64 // sequence of the first record, of the next one if there is none
	NextSeq uint64 // sequence of the next record that there may be
	Records uint64
	// Orderly is set if Tail is where the producer had its tail, as far as the bytes
	// tell: a header without a record is there, or MOVED.
	Orderly bool
}

// Survey walks from `released` over the records that are whole: header and
// sequence fit, and whole says that the record does. Nobody may use the ring. The
// first record that does not fit ends the walk; that is no error. Without a record
// the sequences are what stands at `released`, and Settle judges them. An error
// wraps ErrDamaged: nothing can be said of the ring.
func Survey(r Region, whole func(rec *Record) bool) (Survival, error) {
	rel := r.marks.released.Load()
	if err := checkReleased(rel); err != nil {
		return Survival{}, err
	}
	tail, head := rel, atomic.LoadUint64(r.seq(rel))
	w, err := walk(r, rel, func(pos, seq uint64, h header) error {
		if h.flags&flagPad != 0 {
			return nil
		}
		rec := r.record(pos, seq, h)
		if !whole(&rec) {
			return errStop
		}
		tail = rec.end
		return nil
	})
	ended := err == nil && w.end != ErrClosed //nolint:errorlint // the bare sentinel
	return Survival{Head: rel, Tail: tail, HeadSeq: head, NextSeq: w.next, Records: w.records, Orderly: ended}, nil
}

// Settle judges the last ring of a lane, whose first record had the sequence
// first. Whole records beyond the tail show that something before them is lost. If
// no record vouches for the sequence, it is first, or, if that record was released,
// one more than that of any whole record in the memory.
func (s *Survival) Settle(r Region, first uint64, whole func(rec *Record) bool) {
	next, high := s.NextSeq, r.highest(s.Head, whole)
	if s.Records == 0 {
		next = first
		if s.Head > 0 {
			next = max(high+1, first)
		}
		s.HeadSeq = next
	}
	s.Orderly = s.Orderly && next == s.NextSeq && high < next
	s.NextSeq = next
}

// record describes the record with header h at pos.
func (r *Region) record(pos, seq uint64, h header) Record {
	return Record{Data: r.payload(pos, int(h.n)), Seq: seq, Flags: uint8(h.flags), end: pos + h.adv, adv: uint32(h.adv)}
}

// highest returns the highest sequence of a whole record anywhere in the ring, in
// the lap before rel or the one after; 0 if there is none.
func (r *Region) highest(rel uint64, whole func(rec *Record) bool) (seq uint64) {
	for off := uint64(0); off < r.size; off += align {
		word := *r.word(off)
		pos := rel&^(r.size-1) + off
		for _, pos := range []uint64{pos - r.size, pos, pos + r.size} {
			h, err := parse(word, pos, pos, r.size) // below 0 it fits no tag, or the checksum does not
			if word == 0 || err != nil || h.adv == 0 || h.flags&flagPad != 0 {
				continue
			}
			rec := r.record(pos, *r.seq(pos), h)
			if rec.Seq > seq && rec.Seq < maxPos && whole(&rec) {
				seq = rec.Seq
			}
		}
	}
	return seq
}

// Seal ends the ring after what Survey found: MOVED stands at s.Tail, and all
// records count as shown to the user. Nobody else may use the ring.
func (s *Survival) Seal(r Region) {
	if invariant.Enabled {
		invariant.Step("ring.seal.seq")
	}
	*r.seq(s.Tail) = s.NextSeq
	if invariant.Enabled {
		invariant.Step("ring.seal.claimed")
	}
	r.marks.claimed.Store(s.Tail)
	if invariant.Enabled {
		invariant.Step("ring.seal.moved")
	}
	atomic.StoreUint64(r.word(s.Tail), commitWord(s.Tail, flagMoved, 0))
}

// Position returns `released` as it stands there. It is for the ring's producer.
func Position(r Region) uint64 { return r.marks.released.Load() }

// Hold has the producer believe `released` only up to pos: what lies behind is not
// overwritten although the consumer is done with it. It belongs to a ring whose memory
// is to be whole after a crash of the host with any older `released`, down to
// pos. The next Hold has the same pos or a larger one.
func (t *Tx) Hold(pos uint64) {
	t.held = pos
	if t.seen > pos {
		t.seen = pos
		t.limit = pos + t.r.Size() - HeaderSize
		t.clear = 0
	}
}
