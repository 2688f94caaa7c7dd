// SPDX-License-Identifier: Apache-2.0

package ring

import (
	"sync/atomic"

	"github.com/skybus-io/skybus/internal/invariant"
)

// A Watcher follows a ring without taking part in it: it writes nothing, so it
// can slow down neither side. It sees records that were released, too, until the
// producer comes to overwrite them; what is overwritten before it came to it,
// it misses. One goroutine may use it.
type Watcher struct {
	r      Region
	pos    uint64
	seq    uint64        // expected at pos
	synced bool          // pos and seq have been found
	missed uint64        // not yet reported
	fence  atomic.Uint32 // no more than a barrier
}

// NewWatcher starts at the oldest record not yet released, or with fromTail
// behind the newest. It can return ErrBusy.
func NewWatcher(r Region, fromTail bool) (*Watcher, error) {
	w := &Watcher{r: r}
	if fromTail {
		s, err := Look(r)
		if err != nil {
			return nil, err
		}
		w.pos, w.seq, w.synced = s.Tail, s.NextSeq, true
		return w, nil
	}
	return w, w.resync()
}

// Seq returns the sequence of the record that Next will look for.
func (w *Watcher) Seq() uint64 { return w.seq }

// Next copies the next record's payload into buf's memory, grown if need be, and returns it as rec.Data, with
// the number of records missed before it. ok is false when nothing more is
// committed, or when each record is overwritten before it is copied: a later
// call may do better. Errors: ErrMoved, ErrClosed, ErrDamaged.
func (w *Watcher) Next(buf []byte) (rec Record, missed uint64, ok bool, err error) {
	for range lookTries {
		rec, h, err := w.copyNext(buf)
		switch {
		case w.overtaken():
			if err := w.resync(); err != nil && err != ErrBusy { //nolint:errorlint // the bare sentinel
				return Record{}, 0, false, err
			}
			continue
		case err != nil:
			return Record{}, w.gap(), false, err
		case h.adv == 0:
			return Record{}, 0, false, nil
		}
		w.pos += h.adv
		if h.flags != flagPad {
			w.seq++
			return rec, w.gap(), true, nil
		}
	}
	return rec, 0, false, nil
}

// copyNext reads what is at pos. It may be of a later lap: nothing of it counts
// until overtaken has said no (R12). h.adv is 0 when nothing is there.
func (w *Watcher) copyNext(buf []byte) (rec Record, h header, err error) {
	if invariant.Enabled {
		invariant.Step("ring.watch.word")
	}
	word := atomic.LoadUint64(w.r.word(w.pos)) // once (R13)
	seq := atomic.LoadUint64(w.r.seq(w.pos))
	if word != 0 {
		rel := w.r.marks.released.Load() // after the word: the record had its room by then
		if h, err = parse(word, w.pos, rel, w.r.Size()); err != nil {
			return rec, h, err
		}
	}
	switch {
	case seq != w.seq:
		return rec, h, damagedf("position %d: sequence %d where %d was expected", w.pos, seq, w.seq)
	case word == 0 || h.flags == flagPad:
		return rec, h, nil
	case h.adv == 0:
		return rec, h, endOf(h)
	}
	if invariant.Enabled {
		invariant.Step("ring.watch.copy")
	}
	data := append(buf[:0], w.r.payload(w.pos, int(h.n))...)
	if invariant.Enabled {
		invariant.Step("ring.watch.copied")
	}
	return Record{Data: data, Seq: seq, Flags: uint8(h.flags), end: w.pos + h.adv, adv: uint32(h.adv)}, h, nil
}

// overtaken reports whether the producer has come to within a lap of pos: what
// was read there may have been overwritten meanwhile (R12).
func (w *Watcher) overtaken() bool {
	w.fence.Add(1) // the copy's plain loads stay before the load that judges them, on arm64 too
	return w.r.marks.writing.Load() > w.pos+w.r.Size()
}

// gap returns the number of records missed and not yet reported.
func (w *Watcher) gap() (n uint64) {
	n, w.missed = w.missed, 0
	return n
}

// resync goes to `released` and counts the records that skips.
func (w *Watcher) resync() error {
	for range lookTries {
		rel := w.r.marks.released.Load()
		if err := checkReleased(rel); err != nil {
			return err
		}
		if invariant.Enabled {
			invariant.Step("ring.watch.resync")
		}
		seq := atomic.LoadUint64(w.r.seq(rel))
		if w.r.marks.released.Load() != rel {
			continue
		}
		if w.synced && seq < w.seq {
			return damagedf("released %d has sequence %d, after %d", rel, seq, w.seq)
		}
		if w.synced {
			w.missed += seq - w.seq
		}
		w.pos, w.seq, w.synced = rel, seq, true
		return nil
	}
	return ErrBusy
}
