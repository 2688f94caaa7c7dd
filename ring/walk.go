// SPDX-License-Identifier: Apache-2.0

package ring

import (
	"sync/atomic"

	"github.com/skybus-io/skybus/internal/invariant"
)

type walked struct {
	tail, next uint64 // position and sequence of the tail header
	records    uint64
	bytes      uint64 // payload bytes
	end        error  // ErrMoved, ErrClosed or nil
}

// walk goes over the records from released to the first zero word or the end of
// the ring. The consumer may be live: nothing it has passed is rewritten while
// no producer writes (R9). visit may be nil; it ends the walk by an error.
func walk(r Region, released uint64, visit func(pos, seq uint64, h header) error) (walked, error) {
	w := walked{tail: released}
	if released%align != 0 {
		return w, damagedf("released is %d, not a multiple of %d", released, align)
	}
	w.next = atomic.LoadUint64(r.seq(released))
	for {
		if invariant.Enabled {
			invariant.Step("ring.walk")
		}
		word := atomic.LoadUint64(r.word(w.tail))
		if s := atomic.LoadUint64(r.seq(w.tail)); s != w.next {
			return w, damagedf("position %d: sequence %d where %d was expected", w.tail, s, w.next)
		}
		if word == 0 {
			return w, nil
		}
		h, err := parse(word, w.tail, released, r.Size())
		if err != nil {
			return w, err
		}
		if h.adv == 0 {
			w.end = endOf(h)
			return w, nil
		}
		if visit != nil {
			if err := visit(w.tail, w.next, h); err != nil {
				return w, err
			}
		}
		w.tail += h.adv
		if h.flags != flagPad {
			w.next++
			w.records++
			w.bytes += h.n
		}
	}
}

// A State is what can be read of a ring at one moment.
type State struct {
	Released, Claimed, Tail uint64 // positions
	HeadSeq, NextSeq        uint64 // sequence at Released, and of the next record to be committed
	Records, Bytes          uint64 // between Released and Tail; payload bytes
	Moved, Closed           bool
}

// Look reads the state without disturbing either side. On a live ring it walks
// again when the consumer has passed the records it looked at (R12), a bounded
// number of times; the last attempt's error is returned.
func Look(r Region) (s State, err error) {
	for range 100 {
		rel := r.marks.released.Load()
		var w walked
		head := atomic.LoadUint64(r.seq(rel))
		w, err = walk(r, rel, nil)
		taken := r.takenTo()
		if now := r.marks.released.Load(); now != rel {
			if now < rel {
				return s, damagedf("released went back from %d to %d", rel, now)
			}
			if err != nil {
				continue
			}
		}
		if err == nil && taken > w.tail {
			// The consumer is ahead of what the walk saw: look again, unless it stays so.
			err = damagedf("claimed is %d, the tail at %d", taken, w.tail)
			continue
		}
		s = State{Released: rel, Claimed: taken, Tail: w.tail, HeadSeq: head, NextSeq: w.next, Records: w.records, Bytes: w.bytes}
		s.Moved, s.Closed = w.end == ErrMoved, w.end == ErrClosed //nolint:errorlint // the bare sentinels
		return s, err
	}
	return s, err
}

// A Watcher follows a ring without taking part in it: it writes nothing, so it
// can slow down neither side, and it misses records that were released before
// it came to them. One goroutine may use it.
type Watcher struct {
	r   Region
	pos uint64
	seq uint64
}

// NewWatcher starts at the oldest record not yet released, or with fromTail
// behind the newest.
func NewWatcher(r Region, fromTail bool) (*Watcher, error) {
	w := &Watcher{r: r}
	if _, err := w.resync(); err != nil {
		return nil, err
	}
	if fromTail {
		s, err := Look(r)
		if err != nil {
			return nil, err
		}
		w.pos, w.seq = s.Tail, s.NextSeq
	}
	return w, nil
}

// Seq returns the sequence of the record that Next will look for.
func (w *Watcher) Seq() uint64 { return w.seq }

// Next copies the next record's payload into buf's memory, grown if need be, and returns it as rec.Data, with
// the number of records missed before it. ok is false when nothing more is
// committed. Errors: ErrMoved, ErrClosed, ErrDamaged.
func (w *Watcher) Next(buf []byte) (rec Record, missed uint64, ok bool, err error) {
	for tries := 0; ; tries++ {
		rel := w.r.marks.released.Load()
		if rel > w.pos {
			m, err := w.resync()
			if err != nil {
				return rec, missed, false, err
			}
			missed += m
			rel = w.pos
		}
		word := atomic.LoadUint64(w.r.word(w.pos))
		seq := atomic.LoadUint64(w.r.seq(w.pos))
		h, err := header{}, error(nil)
		if word != 0 {
			h, err = parse(word, w.pos, rel, w.r.Size())
		}
		if err == nil && seq != w.seq {
			err = damagedf("position %d: sequence %d where %d was expected", w.pos, seq, w.seq)
		}
		var data []byte
		if err == nil && h.adv != 0 && h.flags != flagPad {
			data = append(buf[:0], w.r.payload(w.pos, int(h.n))...)
		}
		if w.r.marks.released.Load() > w.pos && tries < 1000 {
			continue // overtaken: what was read may be of the next lap (R12)
		}
		switch {
		case err != nil:
			return rec, missed, false, err
		case word == 0:
			return rec, missed, false, nil
		case h.adv == 0:
			return rec, missed, false, endOf(h)
		}
		w.pos += h.adv
		if h.flags == flagPad {
			continue
		}
		w.seq++
		return Record{Data: data, Seq: seq, Flags: uint8(h.flags), end: w.pos}, missed, true, nil
	}
}

// resync goes to `released` and returns how many records that skips.
func (w *Watcher) resync() (missed uint64, err error) {
	for range 1000 {
		rel := w.r.marks.released.Load()
		seq := atomic.LoadUint64(w.r.seq(rel))
		if w.r.marks.released.Load() != rel {
			continue
		}
		if rel%align != 0 || seq < w.seq {
			return 0, damagedf("released %d has sequence %d, after %d", rel, seq, w.seq)
		}
		if w.seq != 0 {
			missed = seq - w.seq
		}
		w.pos, w.seq = rel, seq
		return missed, nil
	}
	return 0, nil // the consumer races ahead: the next call tries again
}
