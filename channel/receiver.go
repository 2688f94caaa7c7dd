// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/internal/invariant"
	"github.com/skybus-io/skybus/ring"
)

// A Receiver is the consuming end of a lane. It belongs to a Drain and is used
// under the same lock.
type Receiver struct {
	t    *Table
	e    *laneEntry
	src  addr.Addr
	slot uint32

	rx    *ring.Rx
	at    segment
	from  *inbox // of the producer, whose bell rings when there is room again
	rung  uint32 // episode of the producer's wait that this lane ended
	empty int    // turns in which nothing was found
	turns uint32 // batches left before the next lane has its turn
	holds bool   // what was taken is released later: the lane is not followed before
	rests bool   // nothing is to be taken now: see Rest
	err   error  // quarantined
	stuck bool   // it could not be followed, for a reason that may pass: until the next sweep

	durable bool // records have trailers
	sums    summer
}

// newReceiver opens the lane with entry i. It returns nil without an error for a
// lane that has been given back.
func (t *Table) newReceiver(i uint32) (*Receiver, error) {
	e := t.lane(i)
	r := &Receiver{t: t, e: e, src: addr.Addr(e.src), slot: e.slot % MaxInboxLanes, durable: e.isDurable()}
	if err := t.quarantined(e); err != nil {
		r.err = err
		return r, nil
	}
	at, err := t.openFirst(e)
	if err == errIdle { //nolint:errorlint // the bare sentinel
		return nil, nil
	}
	if err == nil {
		err = r.enter(at)
	}
	if errors.Is(err, ErrDamaged) {
		r.err = t.quarantine(e, err)
		return r, r.err
	}
	if err == nil {
		if e.gen.Load() != at.gen { // the consumer before died in follow: a second one must not get further behind
			step("channel.behind")
			t.dropLinks(e, at.gen)
			e.gen.Store(at.gen)
		}
		_ = t.settleBytes(e) // accounts can wait: the next one to open the lane sees to them
	}
	return r, err
}

func (r *Receiver) enter(at segment) error {
	rx, err := ring.AttachRx(at.ring)
	if err != nil {
		r.t.pool.put(at.seg)
		return err
	}
	r.rx, r.at = rx, at
	return nil
}

// Src returns the address at the other end.
func (r *Receiver) Src() addr.Addr { return r.src }

// Life returns a number that no other sequence of numbers of this domain has: a lane that was removed
// and made again counts from 1 again, in another life.
func (r *Receiver) Life() uint64 { return atomic.LoadUint64(&r.e.prod.epoch) }

// Ready reports whether take would find something.
func (r *Receiver) Ready() bool {
	return r.err == nil && !r.stuck && !r.rests && r.rx != nil && r.rx.Ready() && !r.Waits()
}

// over reports whether nothing more will come through r: the lane retired or is
// quarantined.
func (r *Receiver) over() bool { return r.rx == nil || r.err != nil }

// Dry reports whether the last take got everything that was there.
func (r *Receiver) Dry() bool { return r.rx == nil || r.rx.Dry() }

// Err returns why the lane is quarantined, or nil.
func (r *Receiver) Err() error { return r.err }

// take fills recs with what is ready, following the lane through its
// generations. With copying set it takes one record that the caller will
// release before the user sees it.
func (r *Receiver) take(recs []ring.Record, maxBytes uint64, copying bool) (int, error) {
	for r.err == nil && !r.stuck && !r.rests && r.rx != nil {
		n, err := 0, error(nil)
		if copying {
			n, err = r.rx.TakeOne((*[1]ring.Record)(recs))
		} else {
			n, err = r.rx.Take(recs, maxBytes)
		}
		if err == nil && n > 0 && r.durable {
			n, err = r.unwrap(recs[:n])
		}
		if err == nil && n > 0 {
			n, err = r.discard(recs[:n])
			if n == 0 && err == nil {
				continue
			}
		}
		switch {
		case err == nil:
			return n, nil
		case r.holds && r.rx.Backlog() > 0 && !errors.Is(err, ErrDamaged):
			return 0, nil // the end can wait
		case errors.Is(err, ring.ErrMoved):
			err = r.follow()
		case errors.Is(err, ring.ErrClosed):
			err = r.end()
		}
		if err != nil {
			return 0, r.fail(err)
		}
	}
	return 0, r.err
}

func (r *Receiver) fail(err error) error {
	if errors.Is(err, ErrDamaged) {
		r.err = r.t.quarantine(r.e, err)
		return r.err
	}
	r.stuck = true
	return err
}

// discard drops what an operator has asked to be dropped, from the front of
// recs, and returns how many remain.
func (r *Receiver) discard(recs []ring.Record) (int, error) {
	mark := r.e.discard.Load()
	if recs[0].Seq > mark || mark == 0 {
		return len(recs), nil
	}
	n := 0
	for n < len(recs) && recs[n].Seq <= mark {
		n++
	}
	r.e.cons.discarded += uint64(n)
	if n < len(recs) {
		r.rx.Rewind(&recs[n], false)
	}
	r.Release(&recs[n-1], true)
	return 0, nil
}

// follow goes on in the next generation and unlinks the one it has passed (R10).
func (r *Receiver) follow() error {
	r.releaseAll()
	next, err := r.t.openSegment(r.e, r.at.gen+1)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			err = fmt.Errorf("%w: moved to generation %d: %w", ErrDamaged, r.at.gen+1, err)
		}
		return damage(err)
	}
	old, seq := r.at, r.rx.Seq()
	if err := r.enter(next); err != nil {
		return err
	}
	if r.rx.Seq() != seq && bodyOf[laneBody](next.seg.Body()).jump == 0 {
		r.t.pool.put(old.seg)
		return fmt.Errorf("%w: generation %d begins with sequence %d, after %d", ErrDamaged, next.gen, r.rx.Seq(), seq-1)
	}
	step("channel.unlink")
	_ = r.t.removeGeneration(r.e, old.gen) // a tool may have been quicker
	step("channel.follow")
	r.e.gen.Store(next.gen)
	r.t.dropLane(r.e, old.ring.Size())
	r.t.pool.put(old.seg)
	return nil
}

// end comes to CLOSED: the lane goes on in a generation that exists already, or
// retires.
func (r *Receiver) end() error {
	r.releaseAll()
	retired, err := r.retire()
	if err != nil || !retired {
		if err == nil {
			err = r.follow()
		}
		return err
	}
	r.t.pool.put(r.at.seg)
	r.rx, r.at = nil, segment{}
	return nil
}

// Release gives rec and all before it back to the producer, at once if now is
// set, and wakes it if it waits for room.
func (r *Receiver) Release(rec *ring.Record, now bool) {
	if r.rx != nil && r.rx.Release(rec, now) {
		r.freed()
	}
}

// ReleaseTo is Release by position, at once: for records that are released later than
// others are taken. See Drain.Hold.
func (r *Receiver) ReleaseTo(end uint64) {
	if r.rx != nil && r.rx.ReleaseTo(end) {
		r.freed()
	}
}

// Waits reports whether the lane goes on behind records that are not released: nothing
// more comes before they are.
func (r *Receiver) Waits() bool {
	return r.err == nil && r.rx != nil && r.holds && r.rx.Backlog() > 0 && r.rx.AtEnd()
}

// Rest has nothing be taken while so much of the lane is held that the rest is for its
// producer. After Rest(false) Drain.Again is to be called.
func (r *Receiver) Rest(rests bool) { r.rests = rests }

// Rests reports whether Rest has been called.
func (r *Receiver) Rests() bool { return r.rests }

// Awaited reports whether the producer waits for room.
func (r *Receiver) Awaited() bool {
	return r.err == nil && r.rx != nil && r.at.prod.waiting.Load() != 0
}

// Size returns the bytes of the ring that is read now.
func (r *Receiver) Size() uint64 { return r.at.ring.Size() }

// Restart puts back what was taken and is not released.
func (r *Receiver) Restart() {
	if r.rx != nil {
		r.rx.Restart()
	}
}

// MayHold returns how many bytes of records may be handled before they are to be
// released: Release puts less off.
func (r *Receiver) MayHold() uint64 { return r.at.ring.Size() / 8 }

// Done ends a take: the first n of recs have been handled, and are counted and
// released; the others come again, the first of them flagged if it was seen.
func (r *Receiver) Done(recs []ring.Record, n int, seen bool) {
	if n < len(recs) {
		r.Rewind(&recs[n], seen)
	}
	if n > 0 {
		r.Count(recs[:n])
		r.Release(&recs[n-1], true)
	}
}

// Accept ends a copying take: the record is the user's now, for good.
func (r *Receiver) Accept(rec *[1]ring.Record) {
	r.Count(rec[:])
	r.Release(&rec[0], true)
}

func (r *Receiver) releaseAll() {
	if r.rx.ReleaseAll() {
		r.freed()
	}
}

// Rewind puts rec and what follows back.
func (r *Receiver) Rewind(rec *ring.Record, seen bool) { r.rx.Rewind(rec, seen) }

// freed rings for a producer that waits for room; `released` was stored before.
func (r *Receiver) freed() {
	step("channel.freed")
	if r.e.flags.Load()&laneMirror != 0 {
		r.tellRelay()
		return
	}
	invariant.Fence()
	e := r.at.prod.waiting.Load() // pairs with the store in Sender.WaitRoom ("waiting")
	if e == 0 || e == r.rung {
		return
	}
	r.rung = e
	if r.from == nil {
		in, err := r.t.inbox(r.src, false)
		if err != nil {
			return // the producer looks again by itself within a second
		}
		r.from = in
	}
	r.e.cons.wakes++
	r.from.page.bell.Ring()
}

// Count adds what the user has taken to the lane's counters.
func (r *Receiver) Count(recs []ring.Record) {
	bytes, again := 0, uint64(0)
	for i := range recs {
		bytes += len(recs[i].Data)
		if recs[i].Redelivered {
			again++
		}
	}
	c := &r.e.cons
	c.messages += uint64(len(recs))
	c.bytes += uint64(bytes)
	c.redelivered += again
}

func (r *Receiver) close() {
	if r.at.seg != nil {
		r.t.pool.put(r.at.seg)
	}
	r.rx, r.at = nil, segment{}
	r.err = os.ErrClosed
}
