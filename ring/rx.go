// SPDX-License-Identifier: Apache-2.0

package ring

import (
	"errors"
	"sync/atomic"

	"github.com/skybus-io/skybus/internal/invariant"
	"github.com/skybus-io/skybus/internal/sys"
)

// A Record is one message in the ring.
type Record struct {
	Data        []byte // in place: valid until the record is released
	Seq         uint64 // consecutive within the lane
	end         uint64 // position behind it
	adv         uint32 // bytes it takes in the ring
	Flags       uint8  // FlagRedel, FlagGap as the producer set them
	Redelivered bool   // it may have been handled before
}

// End returns the position behind the record.
func (r *Record) End() uint64 { return r.end }

// An Rx is the consuming end of a ring. One goroutine at a time may use it, and
// one Rx may exist for a ring in all processes together.
type Rx struct {
	r        Region
	pos      uint64 // next header to look at
	released uint64 // `released` as stored
	claimed  uint64 // `claimed` as stored, or more
	redel    uint64 // records below it come again (R8)
	seq      uint64 // sequence expected at pos
	dry      bool   // the last take went as far as there was something
}

// AttachRx takes up at `released`. What was claimed beyond it comes again,
// flagged (R8).
func AttachRx(r Region) (*Rx, error) {
	rel := r.marks.released.Load()
	if err := checkReleased(rel); err != nil {
		return nil, err
	}
	taken := r.takenTo()
	if taken > rel+r.Size() {
		return nil, damagedf("claimed is %d, more than a ring of %d above released %d", taken, r.Size(), rel)
	}
	x := &Rx{r: r, pos: rel, released: rel, claimed: taken, redel: taken}
	x.seq = atomic.LoadUint64(r.seq(rel)) // the header at released is never overwritten (R3)
	return x, nil
}

// Ready reports whether Take would find something: one load. The end of the
// ring counts as something.
func (x *Rx) Ready() bool {
	if invariant.Enabled {
		invariant.Step("ring.rx.ready")
	}
	if atomic.LoadUint64(x.r.word(x.pos)) == 0 { // pairs with Tx.Commit ("commit")
		return false
	}
	prefetch(x.r.word(x.pos + cacheLine)) // the record is likely to go on there
	return true
}

// AtEnd reports whether the ring ends where the next record would be.
func (x *Rx) AtEnd() bool {
	return atomic.LoadUint64(x.r.word(x.pos))>>flagShift&flagsEnd != 0
}

// Dry reports whether the last Take stopped because nothing more was committed.
func (x *Rx) Dry() bool { return x.dry }

// Seq returns the sequence of the next record to be taken.
func (x *Rx) Seq() uint64 { return x.seq }

// Take fills recs with records that are committed, at most maxBytes of ring
// space but at least one, and marks them claimed before it returns (R7). It
// returns how many. With none it returns nil while the ring is empty, ErrMoved
// or ErrClosed at its end, or an error that wraps ErrDamaged. Damage behind
// good records is reported by the next Take.
func (x *Rx) Take(recs []Record, maxBytes uint64) (int, error) {
	n, err := x.take(recs, maxBytes)
	if x.pos > x.claimed {
		if invariant.Enabled {
			invariant.Step("ring.rx.claimed")
		}
		x.claimed = x.pos
		// No barrier: this store must not come after what the user does with the
		// records, not before it in the sight of others. A full one would hold up
		// the load of the payload.
		sys.StoreRelease64(&x.r.marks.claimed, x.pos)
	}
	return n, err
}

func (x *Rx) take(recs []Record, maxBytes uint64) (n int, fault error) {
	r := &x.r
	pos, seq, pad := x.pos, x.seq, false
	x.dry = false
	for n < len(recs) {
		if invariant.Enabled {
			invariant.Step("ring.rx.word")
		}
		w := atomic.LoadUint64(r.word(pos)) // once (R13); pairs with Tx.Commit ("commit")
		flags := uint64(0)
		length, adv, ok := plain(w, pos, x.released+r.size-HeaderSize, r.size)
		if !ok || *r.seq(pos) != seq {
			h, err := x.check(w, pos, seq, pad)
			if err != nil || w == 0 {
				fault, x.dry = err, true
				break
			}
			if pad = h.flags == flagPad; pad {
				pos += h.adv
				continue
			}
			length, adv, flags = h.n, h.adv, h.flags
		}
		if n > 0 && pos+adv-x.pos > maxBytes {
			break
		}
		rec := &recs[n]
		rec.Data, rec.Seq, rec.end, rec.adv = r.payload(pos, int(length)), seq, pos+adv, uint32(adv)
		rec.Flags, rec.Redelivered = uint8(flags), pos < x.redel || flags&FlagRedel != 0
		pos += adv
		seq++
		n++
		pad = false
	}
	if n == 0 {
		return 0, fault
	}
	x.pos, x.seq = recs[n-1].end, seq
	return n, nil
}

// check judges word w, read at pos, where the record seq is expected: ErrMoved
// and ErrClosed for the end of the ring.
func (x *Rx) check(w, pos, seq uint64, pad bool) (h header, err error) {
	if w != 0 {
		if h, err = parse(w, pos, x.released, x.r.Size()); err != nil {
			return h, err
		}
		if s := *x.r.seq(pos); s != seq {
			return h, damagedf("position %d: sequence %d where %d was expected", pos, s, seq)
		}
	}
	switch {
	case pad:
		return h, afterPad(pos, w, h)
	case w != 0 && h.adv == 0:
		return h, endOf(h)
	}
	return h, nil
}

func endOf(h header) error {
	if h.flags == flagClosed {
		return ErrClosed
	}
	return ErrMoved
}

// TakeOne is Take for one record without the store of `claimed`: for a receiver
// that copies and calls Release with now set before the user sees a byte (R7).
func (x *Rx) TakeOne(rec *[1]Record) (n int, err error) {
	return x.take(rec[:], 0)
}

// Release gives the records up to and with rec back to the producer. The store
// is put off until C/8 bytes have gathered, unless now is set (R7). A record that
// was put back by Rewind is not released.
func (x *Rx) Release(rec *Record, now bool) (stored bool) {
	if rec.end <= x.released || rec.end > x.pos || !now && rec.end-x.released < x.r.Size()/8 {
		return false
	}
	return x.release(rec.end)
}

// ReleaseTo is Release by position: everything that was taken and ends at end or
// before goes back to the producer, at once.
func (x *Rx) ReleaseTo(end uint64) (stored bool) {
	if end <= x.released || end > x.pos {
		return false
	}
	return x.release(end)
}

// ReleaseAll releases everything taken.
func (x *Rx) ReleaseAll() (stored bool) {
	if x.pos == x.released {
		return false
	}
	return x.release(x.pos)
}

func (x *Rx) release(end uint64) bool {
	if invariant.Enabled {
		invariant.Step("ring.rx.released")
	}
	x.r.marks.released.Store(end)
	x.released = end
	x.claimed = max(x.claimed, end)
	if invariant.Enabled {
		invariant.Step("ring.rx.done")
	}
	return true
}

// Rewind puts rec and what was taken after it back: they are taken again, rec
// flagged redelivered if seen is set, because the user has seen it. A record that
// was put back or released before stays where it is.
func (x *Rx) Rewind(rec *Record, seen bool) {
	x.redel = max(x.redel, x.start(rec))
	if seen {
		x.redel = max(x.redel, rec.end)
	}
	if rec.end <= x.pos && x.start(rec) >= x.released {
		x.pos, x.seq = x.start(rec), rec.Seq
	}
}

// Restart puts everything back that was taken and not released; what was shown
// before comes again, flagged.
func (x *Rx) Restart() {
	x.redel = max(x.redel, x.claimed)
	x.pos = x.released
	x.seq = atomic.LoadUint64(x.r.seq(x.pos)) // the header at released is never overwritten (R3)
}

// Shown returns the sequence of the last record that was taken, in this process or
// one before, and is not released; or the one before the first, if there is none.
func (x *Rx) Shown() (seq uint64, err error) {
	end := max(x.claimed, x.redel)
	first := atomic.LoadUint64(x.r.seq(x.released))
	seq = max(first, 1) - 1
	_, err = walk(x.r, x.released, func(pos, at uint64, h header) error {
		if pos >= end {
			return errStop
		}
		if h.flags&flagPad == 0 {
			seq = at
		}
		return nil
	})
	if err == errStop { //nolint:errorlint // made here
		err = nil
	}
	return seq, err
}

var errStop = errors.New("stop")

// start returns the position of rec's header.
func (x *Rx) start(rec *Record) uint64 { return rec.end - uint64(rec.adv) }

// Backlog returns the bytes taken and not yet released.
func (x *Rx) Backlog() uint64 { return x.pos - x.released }

// Released returns the sequence of the first record that is not released. It is
// for the ring's producer: nobody else keeps that record's header from changing.
func Released(r Region) (seq uint64, err error) {
	rel := r.marks.released.Load()
	if err := checkReleased(rel); err != nil {
		return 0, err
	}
	return atomic.LoadUint64(r.seq(rel)), nil
}
