// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync/atomic"
	"time"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/internal/invariant"
	"github.com/skybus-io/skybus/ring"
)

// A Sender is the producing end of a lane. The caller has its source bound and
// keeps one Sender a lane. Its methods may be called by many goroutines; a batch
// belongs to the goroutine that began it.
type Sender struct {
	t    *Table
	e    *laneEntry
	pair Pair
	max  int // largest payload of a record: a message of the domain's largest size
	to   *inbox
	slot uint32

	mu    sendLock // guards all below, and the order of what is sent
	tx    *ring.Tx
	at    segment
	rung  uint32 // episode of the reader's sleep that this lane ended
	ticks uint32
	idle  uint64 // tail when the idle clock last looked
	since time.Time
	waits int   // goroutines between WaitRoom and GotRoom
	err   error // closed or quarantined: every use fails with it
	slow  bool  // err is set, or the lane is durable: no quick path

	disk    *disk     // of a durable lane, else nil
	pending []claimed // of a durable lane: what tx has pending
	sums    summer
	due     uint64 // what End has to wait for, 0 for nothing

	turn    uint64        // counts Begin
	owner   atomic.Uint64 // turn of the Begin that holds mu, 0: none
	fullErr error         // what ErrFull is wrapped in while the ring's size is fullAt
	fullAt  uint64
}

// NewSender opens the lane p and makes it if the domain's rules allow. The
// caller has its source bound.
func (t *Table) NewSender(p Pair) (*Sender, error) {
	i, ok := t.find(p)
	if !ok {
		var err error
		if i, err = t.makeOnDemand(p); err != nil {
			return nil, err
		}
	}
	e := t.lane(i)
	if err := t.quarantined(e); err != nil {
		return nil, err
	}
	s := &Sender{t: t, e: e, pair: p, max: t.MaxMessage()}
	if e.isDurable() {
		s.max += trailerSize
	}
	if err := s.direct(); err != nil {
		return nil, err
	}
	if err := s.attach(); err != nil {
		if errors.Is(err, ErrDamaged) {
			return nil, t.quarantine(e, err)
		}
		return nil, err
	}
	return s, nil
}

// makeOnDemand makes a lane that no file configures.
func (t *Table) makeOnDemand(p Pair) (i uint32, err error) {
	remote, err := t.mayReach(p)
	if err != nil {
		return 0, err
	}
	d, durable, err := t.durability(p)
	if err != nil {
		return 0, err
	}
	spec := laneSpec{}
	if durable {
		spec.flags, spec.folder = d.flags(), t.filesFolder(d.Dir)
	}
	if remote {
		spec.flags |= laneRemote
	}
	err = t.change(func() error {
		if durable {
			if err := t.takeUpPair(p, d.Dir); err != nil {
				return err
			}
		}
		var ok bool
		if i, ok = t.find(p); ok {
			return nil
		}
		if !remote {
			if _, err := t.know(p.Dst); err != nil {
				return err
			}
		}
		i, err = t.makeLane(p, spec)
		return err
	})
	return i, budget(err)
}

// mayReach applies the rule of the domain: a typo never becomes a lane that
// nobody reads. It tells whether p.Dst is on another host.
func (t *Table) mayReach(p Pair) (remote bool, err error) {
	remote, err = t.isRemote(p.Dst)
	flags := t.st.flags.Load()
	_, known := t.findEndpoint(p.Dst)
	switch {
	case err != nil:
		return false, err
	case p.Src == p.Dst:
		return false, fmt.Errorf("%w to %s: an address has no lane to itself", ErrNoRoute, t.Format(p.Dst))
	case p.Dst.IsNone() || !t.cfg.Template.Contains(p.Dst):
		return false, fmt.Errorf("%w to %s: no address that template %s can name", ErrNoRoute, t.Format(p.Dst), t.cfg.Template)
	case flags&tableStrict != 0:
		return false, fmt.Errorf("%w to %s: no channel with %s is configured, and domain %d is strict",
			ErrNoRoute, t.Format(p.Dst), t.Format(p.Src), t.key)
	case !known && !remote && flags&tableAllowUnknown == 0:
		return false, fmt.Errorf("%w to %s: no process has ever bound it in domain %d, no channel is configured%s",
			ErrNoRoute, t.Format(p.Dst), t.key, t.noRouteEither())
	}
	return remote, nil
}

// attach finds the tail: from the lowest generation along MOVED (R10). A
// generation beyond the last is what a dead producer left half done.
func (s *Sender) attach() error {
	s.since = time.Now()
	at, err := s.t.openFirst(s.e)
	if err == errIdle { //nolint:errorlint // the bare sentinel
		s.tx = ring.Ended(s.e.lastSeq.Load() + 1) // given back: the next message makes it anew
		return nil
	}
	if err != nil {
		return err
	}
	for {
		tx, err := s.attachTx(at)
		if err != nil {
			return err
		}
		last := tx.Err() == nil || errors.Is(tx.Err(), ring.ErrClosed) && !s.t.exists(s.e, at.gen+1)
		if last && tx.Err() != nil && !s.t.exists(s.e, at.gen) {
			s.t.pool.put(at.seg)
			return s.attach() // the consumer, which unlinks in order, has passed it and those behind it
		}
		if last {
			s.tx, s.at, s.idle = tx, at, tx.Tail()
			break
		}
		next, err := s.t.openSegment(s.e, at.gen+1)
		s.t.pool.put(at.seg)
		switch {
		case errors.Is(err, fs.ErrNotExist) && s.e.gen.Load() > at.gen:
			return s.attach() // the consumer has passed both meanwhile
		case errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("%w: lane %s moved to generation %d: %w", ErrDamaged, s.t.FormatPair(s.pair), at.gen+1, err)
		case err != nil:
			return damage(err)
		}
		at = next
	}
	if s.tx.Err() == nil {
		s.t.removeSegment(s.e, s.at.gen+1)
	}
	if !s.tx.Empty() || s.tx.Err() != nil { // the last producer may have died before it rang
		s.to.page.announce(s.slot, &s.rung)
	}
	if s.tx.Err() != nil {
		s.detach()
	}
	if s.at.seg != nil && s.e.isDurable() {
		if err := s.openDisk(); err != nil {
			s.detach()
			return err
		}
	}
	return nil
}

// attachTx attaches to the ring of at, which is let go if that fails.
func (s *Sender) attachTx(at segment) (*ring.Tx, error) {
	tx, err := ring.AttachTx(at.ring)
	if err != nil {
		s.t.pool.put(at.seg)
		return nil, err
	}
	tx.Limit(s.max)
	return tx, nil
}

// To reports whether the lane ends at dst.
func (s *Sender) To(dst addr.Addr) bool { return s.pair.Dst == dst }

// Pair returns the lane's two addresses.
func (s *Sender) Pair() Pair { return s.pair }

// Send commits one message, a copy of p. On a sync lane it returns when the message
// is on disk. Errors: ErrFull, ErrTooBig, ErrBudget, ErrDamaged (then it may be
// committed or not), os.ErrClosed.
func (s *Sender) Send(p []byte) error {
	quick := s.mu.Enter()
	if !quick {
		s.mu.Lock()
	}
	if s.slow || s.e.quarantine.Load() != 0 || s.tx.Send(p) != nil {
		return s.sendSlow(p, quick)
	}
	s.committed(1, uint64(len(p)))
	if quick {
		s.mu.Leave()
	} else {
		s.mu.Unlock()
	}
	return nil
}

// sendSlow does what Send needs when the ring refused, or says why not. It lets
// the lane's lock go.
func (s *Sender) sendSlow(p []byte, quick bool) error {
	b, err := s.claim(len(p))
	if err == nil {
		copy(b, p)
		s.commit()
	}
	due := s.due
	s.due = 0
	if quick {
		s.mu.Leave()
	} else {
		s.mu.Unlock()
	}
	if due == 0 {
		return err
	}
	return s.disk.wait(due) // nobody else is kept from sending meanwhile
}

// Begin locks the lane for the caller, who must call End or Finish with what it returns.
func (s *Sender) Begin() (token uint64) {
	s.mu.Lock()
	s.turn++
	s.owner.Store(s.turn)
	return s.turn
}

// Owns reports whether the lane is still locked by the Begin that returned token.
func (s *Sender) Owns(token uint64) bool { return s.owner.Load() == token && token != 0 }

// End is Finish for a caller that need not know: what failed is what the lane's next
// use gets.
func (s *Sender) End(token uint64) { _ = s.Finish(token) }

// Finish drops what was not committed and lets others send. On a sync lane it
// returns when what was committed is on disk, or with an error that wraps ErrDamaged
// if that is not known; then it may be received or not. Otherwise it returns nil.
func (s *Sender) Finish(token uint64) error {
	if !s.owner.CompareAndSwap(token, 0) {
		return nil
	}
	s.abort()
	due := s.due
	s.due = 0
	s.mu.Unlock()
	if due == 0 {
		return nil
	}
	return s.disk.wait(due)
}

// Claim reserves n bytes to be written in place; between Begin and End. With
// ErrFull it has not grown the lane if claims are pending: commit, then try again.
func (s *Sender) Claim(n int) ([]byte, error) { return s.claim(n) }

// ClaimNext is Claim when others are pending, as quick as can be: whatever it
// refuses, Claim may take, or says why not.
func (s *Sender) ClaimNext(n int) ([]byte, error) {
	if s.slow || s.e.quarantine.Load() != 0 {
		return nil, ErrFull // Claim says why
	}
	return s.tx.Claim(n)
}

// AddNext is ClaimNext and a copy of p.
func (s *Sender) AddNext(p []byte) error {
	if s.slow || s.e.quarantine.Load() != 0 {
		return ErrFull
	}
	return s.tx.Add(p)
}

// Commit publishes all claims; between Begin and End, which on a sync lane waits until
// they are on disk.
func (s *Sender) Commit() { s.commit() }

// Abort drops all claims; between Begin and End.
func (s *Sender) Abort() { s.abort() }

// Pending returns how many claims are not committed; between Begin and End.
func (s *Sender) Pending() int {
	n, _ := s.tx.Pending()
	return int(n)
}

// LastSeq returns the sequence of the last message accepted, 0 for none.
func (s *Sender) LastSeq() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tx.NextSeq() - 1
}

func (s *Sender) claim(n int) ([]byte, error) {
	if s.slow || s.e.quarantine.Load() != 0 { // the reader may have found damage, or the lane was turned
		return s.claimOdd(n)
	}
	return s.reserve(n)
}

// reserve claims n bytes in the ring, the trailer of a durable lane's record among
// them.
func (s *Sender) reserve(n int) ([]byte, error) {
	b, err := s.tx.Claim(n)
	if err != nil {
		return s.claimSlow(n, err)
	}
	return b, nil
}

func (s *Sender) commit() {
	records, bytes := s.tx.Pending()
	if records == 0 {
		return
	}
	if s.disk != nil {
		bytes -= s.wrap()
	}
	s.tx.Commit()
	s.committed(records, bytes)
	if s.disk != nil {
		s.save()
	}
}

// save has what was committed brought on disk, and leaves to whoever lets the lock
// go what to wait for.
func (s *Sender) save() {
	number := s.disk.note()
	if s.disk.sync {
		s.due = number
	} else {
		s.disk.arm()
	}
}

// committed counts what was committed and tells the reader.
func (s *Sender) committed(records, bytes uint64) {
	c := &s.e.prod
	c.messages += records
	c.bytes += bytes
	s.ticks++
	if !s.to.page.quiet(s.slot, s.rung) || s.ticks&1023 == 1 {
		s.tell()
	}
}

// tell tells the reader what was committed.
func (s *Sender) tell() {
	if news, rang := s.to.page.announce(s.slot, &s.rung); news || s.ticks&1023 == 1 {
		s.stamp(rang)
	}
}

// stamp notes the time of activity and how full the lane is: at the first
// message, when the reader had to be told, now and then while the lane is busy,
// and in the end. A clock costs as much as a message.
func (s *Sender) stamp(rang bool) {
	c := &s.e.prod
	c.active = time.Now().UnixNano()
	c.highWater = max(c.highWater, s.tx.Used())
	if rang {
		c.wakes++
	}
}

// claimSlow does what a claim needs when the ring refused it.
func (s *Sender) claimSlow(n int, err error) ([]byte, error) {
	if s.err != nil {
		return nil, s.err
	}
	if bad := s.t.quarantined(s.e); bad != nil {
		return nil, s.fail(bad)
	}
	if s.e.quarantine.Load() == laneTurned {
		if err := s.direct(); err != nil {
			return nil, err
		}
		if err == nil { // the ring was not asked yet
			if s.e.quarantine.Load() != 0 {
				return s.claimSlow(n, nil)
			}
			return s.reserve(n)
		}
	}
	switch {
	case uint(n) > uint(s.max):
		return nil, s.tooBig(n)
	case errors.Is(err, ErrDamaged):
		return nil, s.fail(err)
	case errors.Is(err, ring.ErrClosed):
		err = s.reopen(nil)
	case errors.Is(err, ring.ErrTooBig):
		err = s.growFor(n)
	case errors.Is(err, ring.ErrFull):
		var b []byte
		if b, err = s.catchUp(n); err == nil {
			return b, nil
		}
		if errors.Is(err, ring.ErrFull) {
			s.noteFull()
			err = s.growFull(n)
		}
	}
	switch {
	case errors.Is(err, ErrDamaged):
		return nil, s.fail(err)
	case err != nil:
		return nil, err
	}
	b, err := s.tx.Claim(n)
	switch {
	case errors.Is(err, ring.ErrFull):
		return nil, s.full()
	case errors.Is(err, ring.ErrTooBig):
		return s.claimSlow(n, err)
	}
	return b, err
}

// fail takes the lane out of use: every later use gets the error.
func (s *Sender) fail(err error) error {
	s.err = err
	if s.e.quarantine.Load() != laneDamaged {
		s.err = s.t.quarantine(s.e, err)
	}
	s.tx, s.slow = ring.Ended(s.tx.NextSeq()), true
	return s.err
}

func (s *Sender) noteFull() {
	c := &s.e.prod
	c.full++
	c.highWater = max(c.highWater, s.tx.Used())
}

// full is made once a size: a full lane is no rare event.
func (s *Sender) full() error {
	if s.fullAt != s.tx.Size() {
		s.fullAt = s.tx.Size()
		s.fullErr = fmt.Errorf("%s: %w: its ring of %d bytes has no room", s.t.FormatPair(s.pair), ErrFull, s.fullAt)
	}
	return s.fullErr
}

func (s *Sender) tooBig(n int) error {
	return fmt.Errorf("%s: %w: %d bytes, the domain's limit is %d", s.t.FormatPair(s.pair), ErrTooBig, n-s.trailer(), s.max-s.trailer())
}

// trailer is what each record of the lane has behind its message.
func (s *Sender) trailer() int {
	if s.disk == nil {
		return 0
	}
	return trailerSize
}

func (s *Sender) configured() bool { return s.e.flags.Load()&laneConfigured != 0 }

// growFor makes room for a message that the ring can never hold.
func (s *Sender) growFor(n int) error {
	size := ring.SizeFor(n, 2*s.tx.Size())
	if s.configured() {
		if size = s.configuredSize(); n > ring.MaxPayload(size) {
			return fmt.Errorf("%s: %w: %d bytes, its configured size of %d takes %d", s.t.FormatPair(s.pair), ErrTooBig,
				n-s.trailer(), size, ring.MaxPayload(size)-s.trailer())
		}
	}
	if s.Pending() > 0 {
		return s.full()
	}
	return s.grow(size)
}

// configuredSize is the size that a configured lane has, or, if it was made on
// demand before, grows to.
func (s *Sender) configuredSize() uint64 {
	return max(ring.SizeFor(0, min(s.e.size.Load(), ring.MaxSize)), s.tx.Size())
}

// relayGrowth is how much larger a lane between hosts gets than one of this host.
const relayGrowth = 4

// growsTo is the size up to which a full lane grows: one to or from another host
// holds what is on the way, too.
func (t *Table) growsTo(e *laneEntry) uint64 {
	if e.flags.Load()&laneConfigured != 0 {
		return ring.SizeFor(0, min(e.size.Load(), ring.MaxSize))
	}
	if e.flags.Load()&(laneRemote|laneMirror) != 0 {
		return t.growBetween()
	}
	return t.st.growBytes.Load()
}

func (t *Table) growBetween() uint64 { return min(relayGrowth*t.st.growBytes.Load(), ring.MaxSize) }

// growFull grows a full lane fourfold, up to what it may grow to. When it may not grow, the lane is simply full.
func (s *Sender) growFull(n int) error {
	most := s.t.growsTo(s.e)
	if s.Pending() > 0 || s.tx.Size() >= most {
		return s.full()
	}
	err := s.grow(min(ring.SizeFor(n, 4*s.tx.Size()), most))
	if errors.Is(err, ErrBudget) {
		return s.full()
	}
	return err
}

// grow goes on in a new generation of size bytes (R10).
func (s *Sender) grow(size uint64) error {
	var next segment
	err := s.t.change(func() error {
		if err := s.t.afford(s.pair, size, false); err != nil {
			return err
		}
		var err error
		next, err = s.make(size, nil)
		return err
	})
	if err != nil {
		return budget(err)
	}
	s.tx.Move() // before this nobody can reach the new generation
	step("channel.moved")
	s.e.prod.grown++
	s.e.prod.highWater = max(s.e.prod.highWater, s.tx.Used())
	return s.enter(next)
}

// make creates the generation after the present one, which goes on with the
// present one's sequence, or as l says. Under the change lock.
func (s *Sender) make(size uint64, l *life) (segment, error) {
	gen := s.at.gen + 1
	if l == nil {
		same := s.e.life(s.tx.NextSeq())
		l = &same
	}
	s.t.removeSegment(s.e, gen) // the stray of a producer that died here
	seg, err := s.t.createGeneration(s.e, gen, size, *l)
	if err != nil {
		return segment{}, err
	}
	seg.Close()
	next, err := s.t.openSegment(s.e, gen)
	if err == nil && s.disk != nil {
		if err = s.disk.prepare(next); err != nil {
			s.t.pool.put(next.seg)
		}
	}
	if err != nil {
		s.t.removeSegment(s.e, gen) // a consumer that comes to CLOSED must not find it
	}
	return next, err
}

// enter leaves the present segment for next and announces: the reader must come
// to see the old one's end.
func (s *Sender) enter(next segment) error {
	tx, err := s.attachTx(next)
	if err != nil {
		return err
	}
	old := s.at
	s.tx, s.at, s.idle = tx, next, 0
	if old.seg != nil {
		s.t.pool.put(old.seg)
	}
	s.to.page.announce(s.slot, &s.rung)
	s.wakeOwn()
	if s.disk == nil {
		return nil
	}
	s.tx.Hold(0) // nothing of it is on disk but that it is empty
	return s.disk.enter(next)
}

// wakeOwn wakes the goroutines of this process that wait for room: they have
// announced it in the segment that was left.
func (s *Sender) wakeOwn() {
	if s.waits == 0 {
		return
	}
	if in, err := s.t.inbox(s.e.writer(), false); err == nil {
		in.page.bell.Ring()
	}
}

// Room reports whether a message of n bytes would be taken now.
func (s *Sender) Room(n int) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return false, s.err
	}
	if s.e.quarantine.Load() != 0 {
		return true, nil // Send says why
	}
	ok, err := s.tx.Room(n + s.trailer())
	if err == nil && !ok && s.mayHaveRoom() {
		if err = s.disk.wait(s.disk.note()); err == nil {
			s.tx.Hold(s.disk.released())
			ok, err = s.tx.Room(n + s.trailer())
		}
	}
	if errors.Is(err, ErrDamaged) {
		return false, s.fail(err)
	}
	return ok || err != nil, nil // what can be said of it, Send says
}

// WaitRoom announces that the producer waits for room, as Doorbell.Sleep does
// for a reader. The consumer rings the bell of the source's inbox.
func (s *Sender) WaitRoom(episode uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waits++
	if s.at.prod != nil {
		step("channel.waiting")
		s.at.prod.waiting.Store(episode) // pairs with the load in Receiver.freed ("waiting")
		invariant.Fence()
	}
}

// GotRoom takes an announcement back. While other goroutines wait the last one
// stands: whoever rings for it wakes all.
func (s *Sender) GotRoom(uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waits--; s.waits == 0 && s.at.prod != nil {
		s.at.prod.waiting.Store(0)
	}
}

// Close ends the Sender; the lane and what is in it stay.
func (s *Sender) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.disk != nil {
		s.disk.close()
	}
	if s.at.seg != nil {
		s.abort()
		if s.ticks > 0 {
			s.stamp(false)
		}
		s.at.prod.waiting.Store(0)
		s.detach()
	}
	s.err, s.slow = fmt.Errorf("lane %s: %w", s.t.FormatPair(s.pair), os.ErrClosed), true
}

// detach lets the segment go; the Tx left behind refuses every claim.
func (s *Sender) detach() {
	seq := s.tx.NextSeq()
	s.t.pool.put(s.at.seg)
	s.at.seg, s.at.prod = nil, nil
	s.tx = ring.Ended(seq)
}
