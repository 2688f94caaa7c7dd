// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"errors"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/ring"
	"github.com/skybus-io/skybus/shm"
)

// relayAddr stands for the relay of this host, as no process can bind it: its
// lock says that a daemon runs, its inbox has the lanes to other hosts, and what
// is released of the lanes from there.
const relayAddr = addr.Addr(0)

// DaemonSocket is the name in the domain's folder under which its relay daemon
// answers questions.
const DaemonSocket = "daemon.sock"

// ClusterSocket is the name in the domain's folder under which the engine of cluster-wide
// names answers, which the daemon runs.
const ClusterSocket = "cluster.sock"

// Routes tells whether an address is on another host. An error is what a Send to
// it gets. It may be called by many goroutines, and with locks held.
type Routes func(a addr.Addr) (remote bool, err error)

// SetRoutes makes the table ask f. Without routes every address is of this host.
// It belongs before the first use of the table.
func (t *Table) SetRoutes(f Routes) { t.routes = f }

func (t *Table) isRemote(a addr.Addr) (bool, error) {
	if t.routes == nil || t.RelayKey() == 0 {
		return false, nil
	}
	return t.routes(a)
}

func (t *Table) noRouteEither() string {
	if key := t.RelayKey(); key != 0 {
		return fmt.Sprintf(", and no route of relay key %d leads there", key)
	}
	return ""
}

// RelayKey names the route table that applies; 0 means that there is none.
func (t *Table) RelayKey() uint32 { return t.st.relayKey.Load() }

// SetRelayKey makes the domain follow the route table of that key, and takes up what
// the durable lanes that it names have left behind.
func (t *Table) SetRelayKey(key uint32) error {
	err := t.change(func() error {
		t.st.relayKey.Store(key)
		return nil
	})
	if err == nil {
		_ = t.TakeUp() // a lane that cannot be taken up keeps nobody from working; Check names it
	}
	return err
}

// newEpoch names a new life of a lane: later ones are greater, also after the
// host has lost its memory. Under the change lock.
func (t *Table) newEpoch() uint64 {
	ms := max(uint64(time.Now().UnixMilli()), t.st.epochs.Load()>>20+1)
	e := ms<<20 | rand.Uint64N(1<<20)
	t.st.epochs.Store(e)
	return e
}

// takeSlots gives out the bits of a new lane.
func (t *Table) takeSlots(p Pair, flags uint32) (slot, back uint32, err error) {
	if flags&laneMirror != 0 {
		if back, err = t.takeSlot(relayAddr); err != nil {
			return 0, 0, err
		}
	}
	if flags&laneRemote != 0 {
		back, err = t.takeSlot(relayAddr)
	} else {
		slot, err = t.takeSlot(p.Dst)
	}
	return slot, back, err
}

// writeGap writes the GAP that a life begins with into its new ring.
func (l *life) writeGap(r ring.Region) {
	if l.gap == nil {
		return
	}
	tx, err := ring.AttachTx(r)
	if err != nil {
		return // a ring just formatted
	}
	if b, err := tx.ClaimFlagged(len(l.gap), ring.FlagGap); err == nil {
		copy(b, l.gap)
		tx.Commit()
	}
}

// direct finds out who reads the lane: its destination here, or the relay. A lane
// that leads elsewhere now is turned, if nobody reads it any more the way it
// is; else it stays as it is until then.
func (s *Sender) direct() error {
	e := s.e
	remote, err := s.t.isRemote(s.pair.Dst)
	if err != nil {
		return err
	}
	flags := e.flags.Load()
	if flags&laneRemote != 0 && !remote && flags&laneConfigured == 0 {
		if _, err := s.t.mayReach(s.pair); err != nil {
			return err
		}
	}
	if (flags&laneRemote != 0) != remote || flags&laneMirror != 0 || e.quarantine.Load() == laneTurned {
		err := s.t.change(func() error {
			if err := s.t.turn(e, remote); err != nil {
				return err
			}
			e.quarantine.CompareAndSwap(laneTurned, 0)
			return nil
		})
		if err != nil {
			return budget(err)
		}
	}
	to, err := s.t.inbox(e.reader(), false)
	if err == nil {
		s.to, s.slot, s.rung = to, e.bit(), 0
	}
	return err
}

// turn makes e a lane from here, to another host or not, as far as those who
// use it the way it is have let go. Under the change lock.
func (t *Table) turn(e *laneEntry, remote bool) error {
	if e.flags.Load()&laneMirror != 0 {
		if ok, err := t.locks.TryBind(uint32(relayAddr)); err != nil || !ok {
			return errors.Join(err, fmt.Errorf("lane %s: %w: the relay writes it", t.FormatPair(pairOf(e)), ErrInUse))
		}
		e.flags.And(^uint32(laneMirror))
		t.locks.Unbind(uint32(relayAddr))
	}
	if (e.flags.Load()&laneRemote != 0) == remote {
		return nil
	}
	reader := e.reader()
	ok, err := t.locks.TryBind(uint32(reader))
	if err != nil || !ok {
		return err
	}
	defer t.locks.Unbind(uint32(reader))
	return t.turnFree(e, remote)
}

// turnHere makes e a lane that is read here, if no relay reads it. The caller has
// its destination bound. Under the change lock.
func (t *Table) turnHere(e *laneEntry) error {
	if ok, err := t.locks.TryBind(uint32(relayAddr)); err != nil || !ok {
		return err
	}
	defer t.locks.Unbind(uint32(relayAddr))
	return t.turnFree(e, false)
}

// turnFree is turn for a lane whose reader's lock is held.
func (t *Table) turnFree(e *laneEntry, remote bool) error {
	to := addr.Addr(e.dst)
	if remote {
		to = relayAddr
	}
	slot, err := t.takeSlot(to)
	if err != nil {
		return err
	}
	step("relay.turn")
	e.quarantine.CompareAndSwap(0, laneTurned) // its producer is to look, from now on
	if remote {
		if atomic.LoadUint64(&e.prod.epoch) == 0 {
			atomic.StoreUint64(&e.prod.epoch, t.newEpoch())
		}
		if l := t.laneInfo(e); l.Err == nil && l.HeadSeq > 0 && e.flags.Load()&laneDoubt == 0 { // the rest was consumed here
			atomic.StoreUint64(&e.cons.consumed, max(l.HeadSeq-1, atomic.LoadUint64(&e.cons.consumed)))
		}
		e.back = slot
		e.flags.Or(laneRemote)
	} else {
		if l := t.laneInfo(e); l.Err != nil || l.HeadSeq > atomic.LoadUint64(&e.cons.consumed)+1 {
			e.flags.Or(laneDoubt)
		}
		e.slot = slot
		e.flags.And(^uint32(laneRemote))
	}
	step("relay.turned")
	t.st.epoch.Add(1)
	if in, err := t.inbox(to, false); err == nil { // it may hold something
		in.page.ready[slot%MaxInboxLanes/64].Or(1 << (slot % 64))
		in.page.bell.Ring()
	}
	return nil
}

// tellRelay tells the relay that the reader of a mirrored lane has released something.
func (r *Receiver) tellRelay() {
	if r.from == nil {
		in, err := r.t.inbox(relayAddr, false)
		if err != nil {
			return // the relay looks again by itself within a second
		}
		r.from = in
	}
	back := r.e.back % MaxInboxLanes
	if r.from.page.ready[back/64].Load()>>(back%64)&1 != 0 {
		return // it has been told, and clears the bit before it looks
	}
	r.from.page.announce(back, &r.rung)
}

// A Relay is this process's hold on the lanes to and from other hosts. One
// process of a domain has it. News, Quiet, Find, Lanes and Reroute belong to one
// goroutine; the other methods are safe for concurrent use.
type Relay struct {
	t     *Table
	in    *inbox
	known []atomic.Uint64 // bits that News has told of

	bySlot  map[uint32]uint32 // entries of the lanes by their bits
	indexed uint32
	epoch   uint64
}

// BindRelay makes this process the domain's relay until Close or its death.
// Errors: ErrInUse.
func (t *Table) BindRelay() (*Relay, error) {
	if err := t.takeBind(relayAddr); errors.Is(err, ErrInUse) {
		return nil, fmt.Errorf("%w: another relay daemon runs for domain %d", ErrInUse, t.key)
	} else if err != nil {
		return nil, err
	}
	r := &Relay{t: t, known: make([]atomic.Uint64, inboxWords)}
	err := t.change(func() (err error) {
		r.in, err = t.inbox(relayAddr, true)
		return err
	})
	if err != nil {
		t.locks.Unbind(uint32(relayAddr))
		return nil, budget(err)
	}
	return r, nil
}

// RelayBound reports whether a relay runs for the domain.
func (t *Table) RelayBound() bool {
	held, err := t.locks.Bound(uint32(relayAddr))
	return held && err == nil
}

// Bell rings when there may be News.
func (r *Relay) Bell() *shm.Doorbell { return &r.in.page.bell }

// Close lets the domain's next relay in. Sources and Sinks are closed before.
func (r *Relay) Close() {
	r.Bell().Reset()
	r.t.locks.Unbind(uint32(relayAddr))
}

// News calls f for each bit that came up since it was last told, or cooled.
func (r *Relay) News(f func(slot uint32)) {
	for w := range r.in.page.words() {
		step("relay.news")
		news := r.in.page.ready[w].Load() &^ r.known[w].Load()
		r.known[w].Or(news)
		for ; news != 0; news &= news - 1 {
			f(uint32(w*64 + bits.TrailingZeros64(news)))
		}
	}
}

// Quiet reports whether News has nothing to tell.
func (r *Relay) Quiet() bool {
	for w := range r.in.page.words() {
		if r.in.page.ready[w].Load()&^r.known[w].Load() != 0 {
			return false
		}
	}
	return true
}

// Cool has News tell of slot again. Whoever calls it looks at the lane once more
// afterwards: something may have come before the bit was cleared.
func (r *Relay) Cool(slot uint32) {
	r.known[slot/64].And(^(uint64(1) << (slot % 64))) // first: what comes up in between is told, not missed
	step("relay.cool")
	r.in.page.ready[slot/64].And(^(uint64(1) << (slot % 64)))
}

// A RelayLane is a lane to or from another host.
type RelayLane struct {
	Pair
	Slot   uint32 // the bit that News tells of
	Mirror bool   // it comes from another host
}

// Find returns the lane that a bit stands for.
func (r *Relay) Find(slot uint32) (l RelayLane, ok bool) {
	r.index()
	i, ok := r.bySlot[slot]
	if !ok {
		return l, false
	}
	return relayLane(r.t.lane(i))
}

// Lanes lists all lanes to and from other hosts.
func (r *Relay) Lanes() []RelayLane {
	var list []RelayLane
	for i := range r.t.laneCount() {
		if l, ok := relayLane(r.t.lane(i)); ok {
			list = append(list, l)
		}
	}
	return list
}

func (r *Relay) index() {
	if e := r.t.st.epoch.Load(); e != r.epoch || r.bySlot == nil {
		r.bySlot, r.indexed, r.epoch = map[uint32]uint32{}, 0, e
	}
	for n := r.t.laneCount(); r.indexed < n; r.indexed++ {
		if l, ok := relayLane(r.t.lane(r.indexed)); ok {
			r.bySlot[l.Slot] = r.indexed
		}
	}
}

func relayLane(e *laneEntry) (l RelayLane, ok bool) {
	flags := e.flags.Load()
	if s := e.state.Load(); s != laneLive && s != laneIdle || flags&(laneRemote|laneMirror) == 0 {
		return l, false
	}
	return RelayLane{Pair: pairOf(e), Slot: e.back % MaxInboxLanes, Mirror: flags&laneMirror != 0}, true
}

// Reroute makes each lane lead where the routes say. Before it turns a lane that
// the relay uses it calls let, which closes the Source or Sink. It returns what
// could not be turned: lanes whose destination a process of this host has bound,
// although the routes say that it is elsewhere, and files of durable lanes that
// cannot be taken up.
func (r *Relay) Reroute(let func(p Pair)) []error {
	errs := []error{r.t.TakeUp()}
	for i := range r.t.laneCount() {
		e := r.t.lane(i)
		if s := e.state.Load(); s != laneLive && s != laneIdle {
			continue
		}
		if err := r.rerouteLane(e, let); err != nil {
			errs = append(errs, err)
		}
	}
	return slices.DeleteFunc(errs, func(err error) bool { return err == nil })
}

func (r *Relay) rerouteLane(e *laneEntry, let func(p Pair)) error {
	t, p := r.t, pairOf(e)
	from, err := t.isRemote(p.Src)
	to, err2 := t.isRemote(p.Dst)
	flags := e.flags.Load()
	mirror, remote := flags&laneMirror != 0, flags&laneRemote != 0
	if err = errors.Join(err, err2); err != nil || mirror == (mirror && from) && remote == to {
		return err
	}
	if mirror || remote {
		let(p)
	}
	return t.change(func() error {
		if mirror && !from {
			e.flags.And(^uint32(laneMirror))
		}
		switch {
		case remote == to:
			return nil
		case remote: // ours to give
			return t.turnFree(e, false)
		case mirror && from: // both ends are elsewhere now: what is in it stays for whoever reads it here
			return nil
		}
		if err := t.turn(e, true); err != nil {
			return err
		}
		if e.flags.Load()&laneRemote == 0 {
			return fmt.Errorf("lane %s: the routes say that %s is on another host, but %w here, %s", t.FormatPair(p), t.Format(p.Dst),
				ErrInUse, t.holder(p.Dst))
		}
		return nil
	})
}
