// SPDX-License-Identifier: Apache-2.0

package skybus

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skybus-io/skybus/channel"
	"github.com/skybus-io/skybus/ring"
)

// A Hold keeps a message in its lane. Releasing it is what Receive does when a handler has
// returned. The zero Hold holds nothing.
type Hold struct {
	l *heldLane
	n uint64
}

// Release says that the message was handled: it does not come again once it and all before it
// from the same address are released. Any goroutine may call it; a second time, and after
// the receiving has ended, it does nothing.
func (h Hold) Release() {
	if h.l != nil {
		h.l.release(h.n)
	}
}

// Origin says which message this is, until it is released: source differs for each sequence of Message.Seq, also
// where a lane was removed and made again, and number is Seq. A message that comes again has the same ones, also in
// another process. Any goroutine may call it; ok is false afterwards, and for the zero Hold.
func (h Hold) Origin() (source, number uint64, ok bool) {
	if h.l == nil {
		return 0, 0, false
	}
	h.l.mu.Lock()
	defer h.l.mu.Unlock()
	rest := h.l.list[h.l.head:]
	if h.n-h.l.first >= uint64(len(rest)) {
		return 0, 0, false
	}
	// A life is unique in its own domain; that of a lane from another host is of that domain.
	return h.l.r.Life() + uint64(h.l.r.Src())*0x9e3779b97f4a7c15, rest[h.n-h.l.first].seq, true
}

// Keep has the message stay in its lane, whatever comes behind it and whoever waits: it, and what
// comes from the same address after it, comes again to who receives next. Release does not undo
// that. It may be called while handle runs.
func (h Hold) Keep() { h.PutBack() }

// An Intake takes messages from an endpoint for goroutines that take turns at it: one at a time
// calls its methods, but for Wake and Ready. A message is in its lane until its Hold is released.
type Intake struct {
	e     *Endpoint
	lanes map[*channel.Receiver]*heldLane
	last  *heldLane // taken from last
	turns int
	m     Message // that is handled
	w     waiter

	ready        func() bool       // of the wait at hand
	told         func(parked bool) // of the wait at hand
	look         func() bool       // something
	sleep, awake func(episode uint32)

	idle   atomic.Bool // it is about to wait: what is released is stored at once
	parked atomic.Bool // it is about to wait in the kernel
	due    atomic.Bool // something has waited for too long for what is held
	over   atomic.Bool
}

// A heldLane are the records of one lane that are taken, and not all released.
type heldLane struct {
	e  *Endpoint
	in *Intake
	r  *channel.Receiver

	mu    sync.Mutex
	first uint64       // number of list[head]
	list  []heldRecord // in order
	head  int          // of list: those before are released
	held  uint64       // bytes from head on
	end   uint64       // the prefix that is released ends here; 0: all of it is stored
	bytes uint64       // of the prefix
	most  uint64       // bytes after which it is stored at once

	part uint64 // bytes that may be held while more is taken

	waits  time.Time // since when the lane waits for what is held; guarded by the endpoint's rmu
	oldest uint64    // number of the first that was held then
	armed  atomic.Bool
}

type heldRecord struct {
	end   uint64
	seq   uint64
	size  uint32
	done  bool
	kept  bool // it is not released
	again bool // it was redelivered
}

// How long, and how much, a message may hold up others of its lane.
const (
	heldPart  = 2                     // at most one in so many bytes of a lane is held
	heldWatch = 4                     // from this part on it is looked whether the sender waits
	heldWait  = 20 * time.Millisecond // where the lane goes on in another file
)

// ReceiveHeld is Receive for those who are done with a message later, elsewhere and in
// any order: it is released by h, and not when handle returns. m.Data is handle's until it returns, and nobody's after that, for
// a message may be released early. What a
// killed process had taken and not released comes again, flagged, and so does what was
// released behind the first that was not.
//
// A message that is held for long must not hold up those behind it. So at most half of a
// lane's bytes are held for more than 20 ms: then the oldest messages are released, though they are not done with. The same
// happens, 20 ms after the lane has grown into another file, to what is left of the one before, and to the older half of what is held where the sender waits for room
// and the oldest message is the same all that time. EarlyReleases counts them.
//
// When ReceiveHeld returns, what is still held is put back.
func (e *Endpoint) ReceiveHeld(ctx context.Context, handle func(m Message, h Hold) error) error {
	in, err := e.Intake()
	if err != nil {
		return err
	}
	defer in.Close()
	in.w.ctx, in.w.ends = ctx, ctx.Done() != nil
	for {
		n, err := in.Poll(func(m *Message, h Hold) error {
			if in.w.ends && ctx.Err() != nil {
				return in.w.over()
			}
			return handle(*m, h)
		})
		switch {
		case err != nil:
			return err
		case n == 0:
			if err := in.Wait(nil, nil); err != nil {
				return err
			}
		case n < channel.BatchSize: // who handles it has been made ready, and would wait for another processor
			runtime.Gosched()
		}
	}
}

// Intake begins to receive; Intake.Close ends it. Errors: ErrReceiving, ErrClosed.
func (e *Endpoint) Intake() (*Intake, error) {
	if err := e.begin(); err != nil {
		return nil, err
	}
	in := &Intake{e: e, lanes: map[*channel.Receiver]*heldLane{}, w: waiter{e: e, ctx: context.Background(), mode: e.mode, receives: true}}
	in.look, in.sleep, in.awake = in.something, in.sleeps, in.awakes
	e.rmu.Lock()
	defer e.rmu.Unlock()
	e.drain.Hold(true)
	return in, nil
}

// flushTurns is after how many batches all that was released is stored: a lane whose sender
// waits may have nothing more to be taken.
const flushTurns = 64

// Poll hands the messages of one lane that are ready now, at most channel.BatchSize, to handle, as ReceiveHeld does, and
// returns how many there were. m and its Data are handle's until that returns. It does not wait. Errors: handle's, after which only Close may be called; ErrClosed.
func (in *Intake) Poll(handle func(m *Message, h Hold) error) (n int, err error) {
	e := in.e
	if in.turns++; in.turns%flushTurns == 0 { // not between take and handle, for it releases what waits too long
		in.flush()
	}
	l, first, n := in.take()
	for i := range n {
		if e.closed.Load() {
			return i, e.closedErr()
		}
		if rec := &e.recs[i]; i == 0 || in.m.Gap != nil || rec.Flags&ring.FlagGap != 0 {
			in.m = message(l.r, e.addr, rec)
		} else { // the rest is as before
			in.m.Seq, in.m.Redelivered, in.m.Data = rec.Seq, rec.Redelivered, rec.Data
		}
		if err := handle(&in.m, Hold{l, first + uint64(i)}); err != nil {
			return i, err
		}
	}
	return n, nil
}

// Wait returns when there may be something for Poll, when ready is true, after Wake, and now and then
// without a reason. ready is asked often, and must be quick. parks, if any, is called before and
// after a wait in the kernel, which it must not hold up: Wake is needed from then on, and not before, to have ready asked.
// Errors: ErrClosed.
func (in *Intake) Wait(ready func() bool, parks func(parked bool)) error {
	in.idle.Store(true) // first: what is released from now on is stored by who releases it
	in.flush()
	in.ready, in.told = ready, parks
	err := in.w.wait(in.look, in.sleep, in.awake)
	in.idle.Store(false)
	return err
}

// sleeps is called before a wait in the kernel: there is one more look after it.
func (in *Intake) sleeps(episode uint32) {
	in.parked.Store(true)
	if in.told != nil {
		in.told(true)
	}
	in.e.park.sleep(episode)
}

func (in *Intake) awakes(episode uint32) {
	in.e.park.awake(episode)
	if in.told != nil {
		in.told(false)
	}
	in.parked.Store(false)
}

// Wake has Wait return if it waits in the kernel. Any goroutine may call it.
func (in *Intake) Wake() {
	if in.parked.Load() {
		in.e.park.ring()
	}
}

// Close ends the receiving. What is still held is put back. It is called once.
func (in *Intake) Close() {
	e := in.e
	in.w.done()
	in.flush()
	in.over.Store(true)
	e.rmu.Lock()
	if e.drain != nil {
		e.drain.Hold(false)
	}
	e.rmu.Unlock()
	e.end()
}

// take takes a batch.
func (in *Intake) take() (l *heldLane, first uint64, n int) {
	e := in.e
	e.rmu.Lock()
	defer e.rmu.Unlock()
	if e.drain == nil {
		return nil, 0, 0
	}
	r, n := e.drain.Next(e.recs, false)
	e.turn(n == 0)
	if n == 0 {
		return nil, 0, 0
	}
	r.Count(e.recs[:n])
	l = in.lane(r)
	first, much := l.add(e.recs[:n])
	r.Rest(much)
	return l, first, n
}

// lane returns what is held of a lane.
func (in *Intake) lane(r *channel.Receiver) *heldLane {
	if in.last != nil && in.last.r == r {
		return in.last
	}
	l := in.lanes[r]
	if l == nil {
		l = &heldLane{e: in.e, in: in, r: r}
		in.lanes[r] = l
	}
	in.last = l
	return l
}

// EarlyReleases returns how many messages were released before ReceiveHeld's user was done
// with them.
func (e *Endpoint) EarlyReleases() uint64 { return e.early.Load() }

// something reports whether there is something to take, or to return for. Others release meanwhile.
func (in *Intake) something() bool {
	if in.ready != nil && in.ready() || in.e.closed.Load() || in.due.Load() {
		return true
	}
	in.e.rmu.Lock()
	found := in.e.drain != nil && in.e.drain.Look()
	in.e.rmu.Unlock()
	return found
}

// Ready reports whether somebody should call Poll and then Wait: there is a message, or a lane from which nothing more is taken
// before something is released, or the endpoint was closed. Any goroutine may call it.
func (in *Intake) Ready() bool {
	e := in.e
	e.rmu.Lock()
	defer e.rmu.Unlock()
	return e.drain != nil && (e.closed.Load() || e.drain.Look() || in.stalls())
}

// stalls reports whether a lane waits for what is held of it. With rmu held.
func (in *Intake) stalls() bool {
	for r := range in.lanes {
		if r.Rests() || r.Waits() {
			return true
		}
	}
	return false
}

// fewLanes are remembered although they hold nothing.
const fewLanes = 8

// flush stores what was released in all lanes, and forgets lanes that hold nothing.
func (in *Intake) flush() {
	in.due.Store(false)
	e := in.e
	e.rmu.Lock()
	defer e.rmu.Unlock()
	for r, l := range in.lanes {
		if !l.settled() {
			e.hurry(l)
			e.store(l)
		}
		if len(in.lanes) > fewLanes && l.settled() {
			delete(in.lanes, r)
			in.last = nil
		}
	}
}

// hurry releases what is held for too long in a lane that goes on behind it, or of which so
// much is held that its sender may wait for room, or does.
func (e *Endpoint) hurry(l *heldLane) {
	oldest, held := l.holds()
	most, wanted := l.r.Size()/heldPart, true
	switch {
	case e.drain == nil || held == 0:
		wanted = false
	case l.r.Waits():
		most = 0
	case l.r.Rests():
	case held <= l.r.Size()/heldWatch && !l.r.Awaited():
		wanted = false
	case oldest != l.oldest: // a busy lane is often full: it waits for the oldest alone
		l.waits = time.Time{}
	case l.r.Awaited(): // a large message does not fit beside another one
		most = held / 2
	default: // not yet
		most = held
	}
	switch {
	case !wanted:
		l.waits = time.Time{}
		return
	case l.waits.IsZero():
		l.waits, l.oldest = time.Now(), oldest
	case time.Since(l.waits) >= heldWait:
		e.early.Add(l.shrink(most))
		l.waits = time.Time{}
	}
	l.arm()
}

// arm has it looked again when something may be held for too long.
func (l *heldLane) arm() {
	if l.armed.CompareAndSwap(false, true) {
		time.AfterFunc(heldWait, func() {
			l.armed.Store(false)
			l.in.isDue()
		})
	}
}

// holds returns the number of the oldest message that is held, and how many bytes are.
func (l *heldLane) holds() (oldest, bytes uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.first, l.held
}

// isDue has Wait return, however it waits: flush is called before the next one.
func (in *Intake) isDue() {
	in.due.Store(true)
	in.e.park.ring()
}

// tooMuch reports whether more than its part of the lane is held.
func (l *heldLane) tooMuch() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.held > l.part
}

// store gives the prefix that was released back to its producer. With rmu held. It reports
// whether the lane has more now, which nobody was told.
func (e *Endpoint) store(l *heldLane) bool {
	end := l.prefix()
	if end == 0 || e.drain == nil || l.in.over.Load() {
		return false
	}
	l.r.ReleaseTo(end)
	if l.r.Rests() && !l.tooMuch() {
		l.r.Rest(false)
		l.waits = time.Time{}
	}
	return e.drain.Again(l.r)
}

// add appends records and returns the number of the first, and whether more than its part of
// the lane is held now.
func (l *heldLane) add(recs []ring.Record) (first uint64, much bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	first = l.first + uint64(len(l.list)-l.head)
	l.most, l.part = l.r.MayHold(), l.r.Size()/heldPart
	if l.head > len(l.list)/2 { // move the rest down before it grows
		l.list = l.list[:copy(l.list, l.list[l.head:])]
		l.head = 0
	}
	for i := range recs {
		size := ring.RecordSize(len(recs[i].Data))
		l.list = append(l.list, heldRecord{end: recs[i].End(), seq: recs[i].Seq, size: uint32(size), again: recs[i].Redelivered})
		l.held += size
	}
	return first, l.held > l.part
}

// shrink releases the oldest until no more than most bytes are held, and returns how many
// were not done.
func (l *heldLane) shrink(most uint64) (early uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.held > most && !l.list[l.head].kept {
		if !l.list[l.head].done {
			early++
		}
		l.pop()
	}
	l.popDone()
	return early
}

// pop takes the oldest out, which is released.
func (l *heldLane) pop() {
	r := &l.list[l.head]
	l.end = r.end
	l.bytes += uint64(r.size)
	l.held -= uint64(r.size)
	l.head++
	l.first++
}

func (l *heldLane) popDone() {
	for l.head < len(l.list) && l.list[l.head].done && !l.list[l.head].kept {
		l.pop()
	}
}

// settled reports whether nothing is held, nor to be stored.
func (l *heldLane) settled() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.head == len(l.list) && l.end == 0
}

// prefix returns where the records end that are released and not stored, or 0.
func (l *heldLane) prefix() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	end := l.end
	l.end, l.bytes = 0, 0
	return end
}

// release marks record n, and has the lane's prefix stored if it is time.
func (l *heldLane) release(n uint64) {
	if !l.mark(n) && !l.in.idle.Load() { // the receiving goroutine will
		return
	}
	l.e.rmu.Lock()
	more := l.e.store(l)
	l.e.rmu.Unlock()
	if more && l.in.idle.Load() {
		l.e.park.ring()
	}
}

// keep marks record n as one that stays, unless it was released.
func (l *heldLane) keep(n uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	rest := l.list[l.head:]
	if n < l.first || n-l.first >= uint64(len(rest)) {
		return false
	}
	if r := &rest[n-l.first]; !r.kept {
		r.kept = true
		l.held -= uint64(r.size) // what it waits for may come through the same lane
	}
	return true
}

// mark reports whether so much is released that a producer may wait for it.
func (l *heldLane) mark(n uint64) bool {
	l.mu.Lock()
	ready := false
	if rest := l.list[l.head:]; n-l.first < uint64(len(rest)) { // n may be below l.first, and the difference huge
		rest[n-l.first].done = true
		much := l.held > l.part
		l.popDone()
		ready = l.bytes >= l.most || much && l.held <= l.part
	}
	l.mu.Unlock()
	return ready
}
