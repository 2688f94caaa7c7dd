// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"
	"time"

	"github.com/skybus-io/skybus/ring"
)

// A Source is the relay's end of a lane to another host: what it takes stays in
// the lane until the far side has confirmed it. One goroutine at a time may use it.
type Source struct {
	t    *Table
	e    *laneEntry
	i    uint32
	pair Pair
	r    *Receiver // nil while the lane's memory is given back
	sent []sent    // what was taken and not released, in order
}

// sent is where a batch that was taken ends.
type sent struct{ seq, end uint64 }

// Source opens the lane p, which leads to another host.
func (r *Relay) Source(p Pair) (*Source, error) {
	i, ok := r.t.find(p)
	if !ok {
		return nil, fmt.Errorf("%w: there is no lane %s", ErrNoRoute, r.t.FormatPair(p))
	}
	s := &Source{t: r.t, e: r.t.lane(i), i: i, pair: p}
	return s, s.open()
}

// open attaches to the lane if it has memory.
func (s *Source) open() error {
	if s.r != nil && s.r.rx != nil {
		return nil
	}
	r, err := s.t.newReceiver(s.i)
	s.r, s.sent = r, s.sent[:0]
	if r != nil {
		r.holds = true
		if r.err != nil {
			err = r.err
		}
	}
	return err
}

// Pair returns the lane's two addresses.
func (s *Source) Pair() Pair { return s.pair }

// Epoch names the life of the lane.
func (s *Source) Epoch() uint64 { return atomic.LoadUint64(&s.e.prod.epoch) }

// Size returns the bytes of the ring that is being read.
func (s *Source) Size() uint64 {
	if s.open() != nil || s.r == nil {
		return firstRing
	}
	return s.r.at.ring.Size()
}

// Priority returns the lane's priority in the table.
func (s *Source) Priority() uint8 { return uint8(min(s.e.priority.Load(), 255)) }

// First returns the sequence of the first record that the lane still has, or will get.
func (s *Source) First() uint64 {
	if s.open() != nil || s.r == nil {
		return s.e.lastSeq.Load() + 1
	}
	seq, err := ring.Released(s.r.at.ring)
	if err != nil {
		return s.r.rx.Seq()
	}
	return seq
}

// Next returns the sequence that Take begins with.
func (s *Source) Next() uint64 {
	if s.open() != nil || s.r == nil {
		return s.e.lastSeq.Load() + 1
	}
	return s.r.rx.Seq()
}

// Consumed returns the last sequence known to be consumed at the far side, which
// outlives the relay's process.
func (s *Source) Consumed() uint64 { return atomic.LoadUint64(&s.e.cons.consumed) }

// Confirm notes that the far side has consumed everything up to seq.
func (s *Source) Confirm(seq uint64) {
	if seq > s.Consumed() {
		step("relay.confirm")
		atomic.StoreUint64(&s.e.cons.consumed, seq)
	}
}

// Again notes that the far side has lost what was taken so far, and Doubtful
// returns up to which sequence that was. It outlives the relay's process.
func (s *Source) Again() error {
	if s.r == nil || s.r.rx == nil {
		return nil
	}
	seq, err := s.r.rx.Shown()
	if err == nil && seq > s.Doubtful() {
		step("relay.again")
		atomic.StoreUint64(&s.e.cons.again, seq)
	}
	return damage(err)
}

// Doubtful returns the sequence up to which records may have been handled at the
// far side although it does not know them.
func (s *Source) Doubtful() uint64 { return atomic.LoadUint64(&s.e.cons.again) }

// Ready reports whether Take would find something.
func (s *Source) Ready() bool {
	if s.r == nil || s.r.rx == nil {
		return s.e.state.Load() == laneLive && s.open() == nil && s.r != nil && s.r.Ready()
	}
	return s.r.Ready() && !s.Held()
}

// Held reports whether the lane goes on in a larger ring, to which the source comes
// when all of this one is released.
func (s *Source) Held() bool {
	return s.r != nil && s.r.rx != nil && s.r.rx.Backlog() > 0 && s.r.rx.AtEnd()
}

// Take fills recs with what is ready, at most maxBytes of ring space but at
// least one record. Their bytes are valid until Release.
func (s *Source) Take(recs []ring.Record, maxBytes uint64) (int, error) {
	if err := s.open(); err != nil || s.r == nil {
		return 0, err
	}
	gen := s.r.at.gen
	n, err := s.r.take(recs, maxBytes, false)
	if s.r.at.gen != gen { // all that was before is released
		s.sent = s.sent[:0]
	}
	if err == nil && n > 0 {
		s.sent = append(s.sent, sent{recs[n-1].Seq, recs[n-1].End()})
		s.r.Count(recs[:n])
	}
	return n, err
}

// Release gives what was taken up to seq back to the lane's producer, in the
// portions in which it was taken.
func (s *Source) Release(seq uint64) {
	n := 0
	for n < len(s.sent) && s.sent[n].seq <= seq {
		n++
	}
	if n == 0 || s.r == nil || s.r.rx == nil {
		return
	}
	end := s.sent[n-1].end
	s.sent = append(s.sent[:0], s.sent[n:]...)
	if s.r.rx.ReleaseTo(end) {
		s.r.freed()
	}
}

// Restart has Take begin again with the first record that is not released.
func (s *Source) Restart() {
	if s.r != nil && s.r.rx != nil {
		s.r.rx.Restart()
	}
	s.sent = s.sent[:0]
}

// Close lets the lane go.
func (s *Source) Close() {
	if s.r != nil {
		s.r.close()
	}
}

// A Sink is the relay's end of a lane from another host: it writes what the far
// side has. One goroutine at a time may use it.
type Sink struct {
	s    *Sender
	e    *laneEntry
	slot uint32
	old  segment // the generation that the reader was in when it was last looked at
}

// ErrNoLane means that there is no such mirrored lane.
var ErrNoLane = errors.New("no such lane")

// Sink opens the lane p, which comes from another host. Errors: ErrNoLane.
func (r *Relay) Sink(p Pair) (*Sink, error) {
	i, ok := r.t.find(p)
	if !ok {
		return nil, fmt.Errorf("%w: %s", ErrNoLane, r.t.FormatPair(p))
	}
	e := r.t.lane(i)
	if e.flags.Load()&laneMirror == 0 {
		if err := r.adopt(e); err != nil {
			return nil, err
		}
	}
	return r.sink(e)
}

func (r *Relay) sink(e *laneEntry) (*Sink, error) {
	if err := r.t.quarantined(e); err != nil {
		return nil, err
	}
	to, err := r.t.inbox(e.reader(), false)
	if err != nil {
		return nil, err
	}
	s := &Sender{t: r.t, e: e, pair: pairOf(e), to: to, slot: e.bit(), max: maxMessage}
	if e.isDurable() { // adopted
		s.max += trailerSize
	}
	if err := s.attach(); err != nil {
		if errors.Is(err, ErrDamaged) {
			err = r.t.quarantine(e, err)
		}
		return nil, err
	}
	k := &Sink{s: s, e: e, slot: e.back % MaxInboxLanes}
	if s.at.seg != nil { // the daemon may have died before it noted this
		body := bodyOf[laneBody](s.at.seg.Body())
		e.noteLife(body.epoch, body.begin)
	}
	return k, nil
}

// adopt makes a lane that was written by a process of this host one that the
// relay writes. Nobody may have its source bound.
func (r *Relay) adopt(e *laneEntry) error {
	t := r.t
	return t.change(func() error {
		ok, err := t.locks.TryBind(e.src)
		if err != nil || !ok {
			return errors.Join(err, fmt.Errorf("lane %s: %w here, %s", t.FormatPair(pairOf(e)), ErrInUse, t.holder(pairOf(e).Src)))
		}
		defer t.locks.Unbind(e.src)
		if e.back, err = t.takeSlot(relayAddr); err != nil {
			return err
		}
		step("relay.adopt")
		e.flags.Or(laneMirror)
		t.st.epoch.Add(1)
		return nil
	})
}

// MakeSink makes the lane p, which comes from another host: its first record
// is seq, or, if gap is not nil, a GAP with that payload and the number before. The ring has size bytes
// at least. Errors: ErrBudget, ErrNoRoute (a strict domain does not know it).
func (r *Relay) MakeSink(p Pair, epoch, seq, size uint64, gap []byte) (*Sink, error) {
	t := r.t
	if t.Strict() {
		return nil, fmt.Errorf("%w: lane %s: no channel is configured, and domain %d is strict", ErrNoRoute, t.FormatPair(p), t.key)
	}
	var e *laneEntry
	err := t.change(func() error {
		i, ok := t.find(p)
		if !ok {
			if _, err := t.know(p.Dst); err != nil {
				return err
			}
			var err error
			l := newLife(epoch, seq, gap)
			if i, err = t.makeLane(p, laneSpec{flags: laneMirror, begin: &l, ring: t.mirrorSize(size)}); err != nil {
				return err
			}
		}
		e = t.lane(i)
		return nil
	})
	if err != nil {
		return nil, budget(err)
	}
	k, err := r.sink(e)
	if err == nil && gap != nil {
		k.s.to.page.announce(k.s.slot, &k.s.rung)
	}
	return k, err
}

func newLife(epoch, seq uint64, gap []byte) life {
	l := life{epoch: epoch, begin: seq, seq: seq, gap: gap, jump: true}
	if gap != nil {
		l.seq--
	}
	return l
}

// mirrorSize returns the ring that a mirrored lane gets whose origin has one of
// size bytes.
func (t *Table) mirrorSize(size uint64) uint64 {
	return ring.SizeFor(0, min(max(size, 64<<10), max(t.growBetween(), firstRing)))
}

// Renew goes on in a new generation whose life is epoch and whose next record is
// seq; if gap is not nil, a GAP with that payload comes first, with the number before.
func (k *Sink) Renew(epoch, seq uint64, gap []byte) error {
	s := k.s
	l := newLife(epoch, seq, gap)
	if epoch == k.Epoch() {
		l.begin = atomic.LoadUint64(&s.e.prod.begin)
	} else {
		s.e.discard.Store(0) // it is a number of the life before
	}
	if s.at.seg == nil {
		if err := s.reopen(&l); err != nil {
			return err
		}
	} else {
		var next segment
		err := s.t.change(func() error {
			if err := s.t.afford(s.pair, s.tx.Size(), false); err != nil {
				return err
			}
			var err error
			next, err = s.make(s.tx.Size(), &l)
			return err
		})
		if err != nil {
			return budget(err)
		}
		s.tx.Move()
		step("relay.renewed")
		if err := s.enter(next); err != nil {
			return err
		}
	}
	s.e.noteLife(epoch, l.begin)
	return nil
}

// Epoch names the life of the lane that its last generation belongs to.
func (k *Sink) Epoch() uint64 {
	if k.s.at.seg == nil {
		return atomic.LoadUint64(&k.e.prod.epoch)
	}
	return bodyOf[laneBody](k.s.at.seg.Body()).epoch
}

// Fresh reports whether nothing of the lane's life has been stored yet: its origin
// may not know that this host had lost what it had of it before.
func (k *Sink) Fresh() bool { return k.s.tx.NextSeq() == atomic.LoadUint64(&k.e.prod.begin) }

// Slot is the bit that Relay.News tells of when the reader has released something.
func (k *Sink) Slot() uint32 { return k.slot }

// Stored returns the sequence of the last record committed.
func (k *Sink) Stored() uint64 {
	return k.s.tx.NextSeq() - 1 // nothing else remembers it (L4)
}

// Consumed returns the sequence of the last record that the lane's reader has
// released, 0 while it is in an earlier life.
func (k *Sink) Consumed() (uint64, error) {
	s := k.s
	for tries := 0; ; tries++ {
		gen := k.e.gen.Load()
		if s.at.seg != nil && gen >= s.at.gen {
			k.forget()
			return before(s.at)
		}
		if s.at.seg == nil && k.e.state.Load() == laneIdle {
			k.forget()
			return s.tx.NextSeq() - 1, nil // it was empty when it retired
		}
		err := k.lookBack(gen)
		if errors.Is(err, fs.ErrNotExist) && tries < 3 { // the reader has just gone on
			continue
		}
		if err != nil {
			return 0, err
		}
		if bodyOf[laneBody](k.old.seg.Body()).epoch != k.Epoch() {
			return 0, nil
		}
		return before(k.old)
	}
}

// before returns the sequence before the first that is not released.
func before(s segment) (uint64, error) {
	seq, err := ring.Released(s.ring)
	return seq - 1, damage(err)
}

// lookBack opens the generation that the reader is in. It may have unlinked gen
// already, and not said so.
func (k *Sink) lookBack(gen uint32) error {
	if k.old.seg != nil && (k.old.gen == gen || k.old.gen == gen+1) && k.old.seg.Named() {
		return nil
	}
	k.forget()
	old, err := k.s.t.openSegment(k.e, gen)
	if errors.Is(err, fs.ErrNotExist) {
		old, err = k.s.t.openSegment(k.e, gen+1)
	}
	if err == nil {
		k.old = old
	}
	return err
}

func (k *Sink) forget() {
	if k.old.seg != nil {
		k.s.t.pool.put(k.old.seg)
		k.old = segment{}
	}
}

// Space returns the bytes that are free in the ring, and its size.
func (k *Sink) Space() (free, size uint64) {
	s := k.s
	if s.at.seg == nil {
		return firstRing, firstRing
	}
	return s.tx.Size() - s.tx.Used(), s.tx.Size()
}

// Grow goes on in a larger ring: in one of which a record of n bytes takes at
// most a quarter or, if n is 0, in the next larger one that the domain allows a
// full lane. Errors: ErrTooBig, ErrBudget.
func (k *Sink) Grow(n int) error {
	s := k.s
	if s.at.seg == nil {
		if err := s.reopen(nil); err != nil {
			return err
		}
	}
	most := uint64(ring.MaxSize)
	size := ring.SizeFor(0, 4*ring.RecordSize(n))
	if n == 0 {
		most = s.t.growsTo(k.e)
		size = 4 * s.tx.Size()
	}
	if size = min(size, most); size <= s.tx.Size() {
		return fmt.Errorf("lane %s: %w: a ring of %d bytes is as large as it gets", s.t.FormatPair(s.pair), ErrTooBig, s.tx.Size())
	}
	return s.grow(size)
}

// Claim reserves a record of n bytes with the ring's flags. Errors as those of
// Sender.Claim; credit that was kept to has room.
func (k *Sink) Claim(n int, flags uint8) ([]byte, error) {
	s := k.s
	if flags == 0 {
		return s.claim(n)
	}
	if ok, err := s.tx.Room(n + s.trailer()); !ok || err != nil { // whatever makes room does it for a record without flags
		s.commit()
		if _, err := s.claim(n); err != nil {
			return nil, err
		}
		s.abort()
	}
	b, err := s.tx.ClaimFlagged(n+s.trailer(), flags)
	if err != nil || s.disk == nil {
		return b, err
	}
	return s.pend(b, flags), nil
}

// Add is Claim without flags, and a copy of p into what was claimed.
func (k *Sink) Add(p []byte) error {
	if !k.s.slow && k.e.quarantine.Load() == 0 && k.s.tx.Add(p) == nil {
		return nil
	}
	b, err := k.s.claim(len(p))
	if err == nil {
		copy(b, p)
	}
	return err
}

// Commit publishes what was claimed.
func (k *Sink) Commit() {
	k.s.commit()
}

// Abort drops what was claimed and not committed.
func (k *Sink) Abort() {
	k.s.abort()
}

// GiveBack returns the lane's memory when it was not used for long, as
// Sender.GiveBack does.
func (k *Sink) GiveBack(now time.Time) bool { return k.s.GiveBack(now) }

// Close lets the lane go.
func (k *Sink) Close() {
	k.forget()
	k.s.Close()
}
