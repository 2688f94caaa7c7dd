// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"errors"
	"math/bits"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/ring"
)

const (
	hotLanes   = 8        // lanes that are polled although they are empty, so that their bits can stay set
	hotTurns   = 1000     // empty turns after which a lane is polled no more
	batchBytes = 64 << 10 // ring bytes of one batch at most
	sweepLanes = 256      // lanes opened in one sweep

	openedAtOnce = 16 // lanes made active before one of them is read
)

// BatchSize is how many messages of one lane a Drain hands out before the next
// lane has its turn; a lane of priority p gets 1+p batches.
const BatchSize = 32

// A Drain reads one inbox: it knows which lanes have something, and picks them
// in turn. One goroutine at a time may use it.
//
// A lane is active while it is polled, and its bit in the ready set stays set;
// an active lane that stays empty is cooled: its bit is cleared, then it is
// looked at once more.
type Drain struct {
	t      *Table
	in     *inbox
	lanes  []*Receiver // by slot; nil while not open
	known  []uint64    // bits of the active lanes
	active []*Receiver
	next   int  // whose turn it is
	scan   int  // word of the ready set where collect begins
	swept  int  // where the last sweep stopped
	seen   bool // by Look: the lane whose turn it is has something

	bySlot  []uint32 // entries of the lanes by slot, plus 1; of the first indexed ones while the table has epoch
	indexed int
	epoch   uint64

	hold bool // records are released later, and in any order

	// OnDamage is called once for each lane that turns out to be damaged, and at
	// each attempt for one that cannot be read for another reason.
	OnDamage func(src addr.Addr, err error)
}

// NewDrain opens the inbox of a, which the caller has bound.
func (t *Table) NewDrain(a addr.Addr) (*Drain, error) {
	in, err := t.inbox(a, false)
	if err != nil {
		return nil, err
	}
	return &Drain{t: t, in: in, known: make([]uint64, inboxWords)}, nil
}

// Next takes a batch from the lane whose turn it is: recs[:n] is in place, to
// be counted and released through r. n is 0 when nothing is ready. With copying set n is at
// most 1, and the caller releases it before the user sees it.
func (d *Drain) Next(recs []ring.Record, copying bool) (r *Receiver, n int) {
	if copying {
		recs = recs[:1]
	}
	more := true
	for turns := 2 + MaxInboxLanes/openedAtOnce; more && n == 0 && turns > 0; turns-- { // bits may be set for ever, by somebody mad
		if d.seen {
			d.seen = false
		} else {
			more = d.collect()
		}
		r, n = d.takeTurns(recs, copying)
	}
	return r, n
}

// takeTurns takes from the first active lane, beginning with the one whose turn
// it is, that has something.
func (d *Drain) takeTurns(recs []ring.Record, copying bool) (*Receiver, int) {
	for range len(d.active) {
		if d.next >= len(d.active) {
			d.next = 0
		}
		r := d.active[d.next]
		if n := d.takeFrom(r, recs, copying); n > 0 {
			if r.turns == 0 {
				r.turns = 1 + min(r.e.priority.Load(), 255)
			}
			if r.turns--; r.turns == 0 {
				d.next++
			}
			return r, n
		}
		r.turns = 0
		if r.empty++; r.empty > hotTurns || len(d.active) > hotLanes || r.over() {
			if d.cool(d.next) {
				continue
			}
		}
		d.next++
	}
	return nil, 0
}

// Single reports whether one lane alone is being read.
func (d *Drain) Single() bool { return len(d.active) == 1 }

// Unturn gives r the turn back in which Next took from it, because what was taken
// has only been looked at.
func (d *Drain) Unturn(r *Receiver) {
	if r.turns == 0 {
		d.next--
	}
	r.turns++
}

// From takes from the lane that comes from src only.
func (d *Drain) From(src addr.Addr, recs []ring.Record, copying bool) (r *Receiver, n int, err error) {
	i, ok := d.t.find(Pair{src, d.in.addr})
	if !ok {
		return nil, 0, nil
	}
	d.collect()
	r = d.open(d.t.lane(i).slot % MaxInboxLanes)
	if r == nil {
		return nil, 0, nil
	}
	n = d.takeFrom(r, recs, copying)
	return r, n, r.err
}

func (d *Drain) takeFrom(r *Receiver, recs []ring.Record, copying bool) int {
	failed := r.err != nil
	n, err := r.take(recs, batchBytes, copying)
	if err != nil {
		if !failed {
			d.damage(r.src, err)
		}
		return 0
	}
	if n > 0 {
		r.empty = 0
	}
	return n
}

// ReadyFrom reports whether the lane from src has something.
func (d *Drain) ReadyFrom(src addr.Addr) bool {
	i, ok := d.t.find(Pair{src, d.in.addr})
	if !ok {
		return false
	}
	r := d.open(d.t.lane(i).slot % MaxInboxLanes)
	return r != nil && (r.Ready() || r.err != nil)
}

func (d *Drain) damage(src addr.Addr, err error) {
	if d.OnDamage != nil {
		d.OnDamage(src, err)
	}
}

// collect makes lanes active whose bits have come up, at most openedAtOnce, for
// each that was never read costs a mapping. It reports whether it has left some.
func (d *Drain) collect() (more bool) {
	words := d.in.page.words()
	left := openedAtOnce
	for k := range words {
		w := d.scan + k
		if w >= words {
			w -= words
		}
		step("drain.collect")
		news := d.in.page.ready[w].Load() &^ d.known[w]
		if news == 0 {
			continue
		}
		if left = d.wake(w, news, left); left == 0 {
			d.scan = w // others have had their turn
			return true
		}
	}
	return false
}

// wake makes the lanes with the bits news of word w active, as many as left says,
// and returns how many more may be.
func (d *Drain) wake(w int, news uint64, left int) int {
	for ; news != 0 && left > 0; news &= news - 1 {
		left--
		slot := uint32(w*64 + bits.TrailingZeros64(news))
		r := d.open(slot)
		if r == nil { // no lane: deleted, given back, or its writer died while making it
			d.clear(slot)
			r = d.open(slot) // its writer may have made it before it saw the bit gone
		}
		if r != nil {
			d.activate(r)
		}
	}
	return left
}

func (d *Drain) activate(r *Receiver) {
	w, bit := r.slot/64, uint64(1)<<(r.slot%64)
	if d.known[w]&bit == 0 {
		d.known[w] |= bit
		d.active = append(d.active, r)
	}
	r.empty = 0
}

// Hold has records wait for ReleaseTo: a lane is not followed into its next generation, or
// ended, before all that was taken is released. Without hold what is not released now is put back, and
// the lane polled again: it may have been looked at no more.
func (d *Drain) Hold(hold bool) {
	d.hold = hold
	for _, r := range d.lanes {
		if r == nil {
			continue
		}
		if r.holds, r.rests = hold, false; !hold {
			r.Restart()
			d.Again(r)
		}
	}
}

// Again has r polled again if it has something, after a release that may have been what it
// waited for. It reports whether it has.
func (d *Drain) Again(r *Receiver) bool {
	if !r.Ready() {
		return false
	}
	if d.known[r.slot/64]>>(r.slot%64)&1 == 0 {
		d.in.page.ready[r.slot/64].Or(1 << (r.slot % 64))
		d.activate(r)
	}
	return true
}

func (d *Drain) clear(slot uint32) {
	step("drain.clear")
	d.in.page.ready[slot/64].And(^(uint64(1) << (slot % 64)))
}

// cool takes the i-th active lane out of the polling: first its bit is cleared,
// then it is looked at once more, because its writer may have committed before
// it saw the bit gone. It reports whether the lane is out.
func (d *Drain) cool(i int) bool {
	r := d.active[i]
	d.clear(r.slot)
	if r.Ready() {
		r.empty = 0
		return false
	}
	d.known[r.slot/64] &^= 1 << (r.slot % 64)
	d.active = append(d.active[:i], d.active[i+1:]...)
	if r.rx == nil && r.err == nil { // given back; its producer may have made it anew
		if d.lanes[r.slot] == r {
			d.lanes[r.slot] = nil
		}
		if again := d.open(r.slot); again != nil && again.Ready() {
			d.activate(again)
		}
	}
	return true
}

// open returns the lane of a slot, opening it if need be; nil if there is none.
func (d *Drain) open(slot uint32) *Receiver {
	if int(slot) < len(d.lanes) && d.lanes[slot] != nil && d.lanes[slot].rx != nil {
		return d.lanes[slot]
	}
	if i, ok := d.entry(slot); ok {
		return d.openLane(i)
	}
	return nil
}

// entry returns the entry of the lane that has a slot. An inbox may have
// thousands of lanes, so it does not search them.
func (d *Drain) entry(slot uint32) (i uint32, ok bool) {
	if epoch := d.t.st.epoch.Load(); epoch != d.epoch {
		d.bySlot, d.indexed, d.epoch = nil, 0, epoch
	}
	for all := d.t.lanesTo(d.in.addr); d.indexed < len(all); d.indexed++ {
		s := int(d.t.lane(all[d.indexed]).slot % MaxInboxLanes)
		if s >= len(d.bySlot) {
			d.bySlot = append(d.bySlot, make([]uint32, s+1-len(d.bySlot))...)
		}
		d.bySlot[s] = all[d.indexed] + 1
	}
	if int(slot) >= len(d.bySlot) || d.bySlot[slot] == 0 {
		return 0, false
	}
	return d.bySlot[slot] - 1, true
}

func (d *Drain) openLane(i uint32) *Receiver {
	slot := d.t.lane(i).slot % MaxInboxLanes
	if n := int(slot) + 1; n > len(d.lanes) {
		d.lanes = append(d.lanes, make([]*Receiver, n-len(d.lanes))...)
	}
	if old := d.lanes[slot]; old != nil && (old.rx != nil || old.err != nil) {
		return old
	}
	r, err := d.t.newReceiver(i)
	if err != nil {
		d.damage(addr.Addr(d.t.lane(i).src), err)
	}
	if r != nil && (r.rx != nil || r.err != nil) {
		r.slot = slot // the entry's may have changed since: loaded once
		r.holds = d.hold
		d.lanes[slot] = r
		return r
	}
	return nil
}

// Look reports whether anything is ready: all bits, and the active lanes, whose
// bits say nothing new.
func (d *Drain) Look() bool {
	for w := range d.in.page.words() {
		step("drain.look")
		if d.in.page.ready[w].Load()&^d.known[w] != 0 {
			return true
		}
	}
	for range len(d.active) { // in turn, so that what is found may be read first
		if d.next >= len(d.active) {
			d.next = 0
		}
		if r := d.active[d.next]; r.Ready() || r.rx == nil && r.err == nil {
			d.seen = true
			return true
		}
		d.next++
	}
	return false
}

// Sweep looks at the headers of all lanes, opening some that were never opened:
// a writer that died between its commit and its bit left its last message
// unannounced. It reports whether it found anything.
func (d *Drain) Sweep() bool {
	found := false
	all := d.t.lanesTo(d.in.addr)
	opened := 0
	for k := range all {
		i := all[(d.swept+k)%len(all)]
		slot := d.t.lane(i).slot % MaxInboxLanes
		r := (*Receiver)(nil)
		if int(slot) < len(d.lanes) {
			r = d.lanes[slot]
		}
		if r == nil {
			if opened++; opened > sweepLanes {
				d.swept = (d.swept + k) % len(all)
				break
			}
			r = d.openLane(i)
		}
		if r != nil {
			r.stuck = false // it is tried again
		}
		if r != nil && r.Ready() && d.known[slot/64]>>(slot%64)&1 == 0 {
			d.in.page.ready[slot/64].Or(1 << (slot % 64)) // what is polled has its bit, for the next reader too
			d.activate(r)
			found = true
		}
	}
	return found
}

// Damaged returns the errors of the quarantined lanes that are open.
func (d *Drain) Damaged() error {
	var errs []error
	for _, r := range d.lanes {
		if r != nil && r.err != nil {
			errs = append(errs, r.err)
		}
	}
	return errors.Join(errs...)
}

// Close lets all lanes go. What was taken and not released comes again.
func (d *Drain) Close() {
	for _, r := range d.lanes {
		if r != nil {
			r.close()
		}
	}
	d.lanes, d.active = nil, nil
}
