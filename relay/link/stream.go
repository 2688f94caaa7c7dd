// SPDX-License-Identifier: Apache-2.0

package link

import (
	"math"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/relay/wire"
	"github.com/skybus-io/skybus/ring"
)

// A Stream is a lane at its origin, as one connection carries it.
type Stream struct {
	Src, Dst addr.Addr
	Owner    any // whoever opened it

	source   Source
	num      uint32
	epoch    uint64
	priority uint8
	release  Release

	flowing bool // RESUME has come
	closed  bool
	again   uint64 // up to this sequence the far side may have had what is sent, and lost it (L13)
	sent    uint64 // last sequence sent
	stored  uint64 // as acknowledged
	free    uint64 // up to which the origin may let go
	credit  uint64 // record bytes since RESUME
	used    uint64
	largest uint64
	wanted  bool // WANT was sent for the record at hand
	stalled bool // the last turn ended for want of credit
	parked  bool // it waits until less is in flight
	held    bool // it is in the session's list of those that wait for the old ring
	heldAt  int64

	recs    []ring.Record // taken and not yet sent
	buf     []ring.Record
	off     int // of the first of them: what went out in FRAGs
	flight  []mark
	queued  bool // in the session's list of active streams
	deficit int
}

// mark is the end of a frame: record bytes that are in flight until seq is stored.
type mark struct{ seq, bytes uint64 }

// Position returns the last sequence sent, and the last that the far side has stored.
func (st *Stream) Position() (sent, stored uint64) { return st.sent, st.stored }

// Flowing reports whether the far side has taken the stream.
func (st *Stream) Flowing() bool { return st.flowing && !st.closed }

// Stalled reports whether something waits for the far side to make room, or to
// take the stream. Then Host.Woken, or Refused, tells when that is over.
func (st *Stream) Stalled() bool { return st.stalled || st.parked || !st.flowing && !st.closed }

// Ready reports whether there is something to send and credit for it.
func (st *Stream) Ready() bool {
	return st.Flowing() && !st.stalled && !st.parked && st.more()
}

func (st *Stream) more() bool { return len(st.recs) > 0 || st.source.Ready() }

// Open begins a stream from source; the far side's host has dst.
func (s *Session) Open(source Source, src, dst addr.Addr, priority uint8, release Release) *Stream {
	st := &Stream{Src: src, Dst: dst, source: source, num: s.numbers + 1, priority: min(priority, 7), release: release}
	s.numbers++
	s.streams[st.num] = st
	if s.up {
		s.sendOpen(st)
	}
	return st
}

func (s *Session) sendOpen(st *Stream) {
	st.source.Restart()
	st.epoch = st.source.Epoch()
	o := wire.Open{
		Src: uint32(st.Src), Dst: uint32(st.Dst), Epoch: st.epoch, First: st.first(), Next: st.source.Next(),
		Consumed: st.source.Consumed(), Size: st.source.Size(), Priority: st.priority, Release: uint8(st.release),
	}
	o.Next = max(o.Next, o.First)
	s.control = wire.AppendOpen(s.control, st.num, &o)
}

// first returns the first record that the lane still has. A GAP that begins a life
// has number 0, and is none of them.
func (st *Stream) first() uint64 { return max(st.source.First(), 1) }

// Shut ends a stream on this connection. What was not confirmed stays in the lane.
func (s *Session) Shut(st *Stream) {
	if st.closed {
		return
	}
	s.forget(st)
	if s.up && s.err == nil {
		s.control = wire.AppendClose(s.control, st.num, st.epoch)
	}
}

func (s *Session) forget(st *Stream) {
	st.closed = true
	for _, m := range st.flight {
		s.stats.InFlight -= m.bytes
	}
	st.flight = nil
	if st.off > 0 {
		s.stats.InFlight -= ring.RecordSize(len(st.recs[0].Data))
		st.off = 0
	}
	delete(s.streams, st.num)
	s.unpark()
}

// Wake has the session look whether st has something to send.
func (s *Session) Wake(st *Stream) {
	if st.flowing && !st.closed && !st.queued && !st.parked {
		st.queued = true
		s.active = append(s.active, st)
	}
}

func (s *Session) onResume(st *Stream, state *wire.State, unknown bool) error {
	if st.flowing {
		return protocolf("a second RESUME for %v -> %v", st.Src, st.Dst)
	}
	if state.Epoch != st.epoch {
		s.stats.Stale++
		return nil
	}
	if unknown {
		if err := st.source.Again(); err != nil {
			s.host.Refused(st, wire.Notice{Code: wire.CodeDamaged, Text: err.Error()})
			s.Shut(st)
			return nil
		}
	}
	st.flowing, st.again = true, st.source.Doubtful()
	st.credit, st.largest = state.Credit, uint64(state.Largest)
	first := st.first()
	st.sent = state.Stored
	if first-1 > st.sent { // discarded while no daemon ran (L14), or the route led elsewhere meanwhile
		g := wire.Gap{Epoch: st.epoch, From: st.sent + 1, To: first - 1, Reason: ReasonDiscarded, Text: "discarded at the origin"}
		if st.source.Consumed() >= first-1 {
			g.Reason, g.Text = ReasonElsewhere, "consumed by another host"
		}
		s.gap(st, &g)
	}
	st.stored = st.sent
	s.confirm(st, state)
	s.Wake(st)
	s.host.Woken(st)
	return nil
}

// gap tells the far side that records will never come.
func (s *Session) gap(st *Stream, g *wire.Gap) {
	s.control = wire.AppendGap(s.control, st.num, g)
	if st.sent = g.To; g.Reason != ReasonElsewhere {
		s.stats.GapsSent++
		s.host.Lost(st.Src, st.Dst, g)
	}
}

// passOn turns a GAP that the origin's own lane has into one for the far side.
func (s *Session) passOn(st *Stream, rec *ring.Record) {
	g, err := wire.ParseGap(rec.Data)
	if err != nil {
		g.Reason, g.Text = ReasonDiscarded, "a gap that cannot be read"
	}
	g.Epoch, g.From, g.To = st.epoch, st.sent+1, rec.Seq
	st.recs = st.recs[1:]
	s.gap(st, &g)
}

func (s *Session) onAck(st *Stream, state *wire.State) error {
	switch {
	case state.Epoch != st.epoch || !st.flowing:
		s.stats.Stale++
		return nil
	case state.Stored > st.sent:
		return protocolf("%v -> %v: an ACK of %d, sent was %d", st.Src, st.Dst, state.Stored, st.sent)
	}
	st.credit, st.largest = max(st.credit, state.Credit), uint64(state.Largest)
	s.confirm(st, state)
	if st.stalled {
		st.stalled, st.wanted = false, false
		s.Wake(st)
		s.host.Woken(st)
	} else if st.source.Ready() { // its ring has ended, and goes on now that all of it is consumed
		s.Wake(st)
	}
	s.unpark()
	return nil
}

// unpark has the streams go on that waited until less was in flight.
func (s *Session) unpark() {
	if len(s.parked) == 0 || s.congested() || s.err != nil {
		return
	}
	for _, st := range s.parked {
		if st.parked = false; !st.closed {
			s.Wake(st)
			s.host.Woken(st)
		}
	}
	clear(s.parked)
	s.parked = s.parked[:0]
}

// confirm lets go what the far side has (L5).
func (s *Session) confirm(st *Stream, state *wire.State) {
	st.stored = max(st.stored, state.Stored)
	n := 0
	for n < len(st.flight) && st.flight[n].seq <= st.stored {
		s.stats.InFlight -= st.flight[n].bytes
		n++
	}
	st.flight = append(st.flight[:0], st.flight[n:]...)
	st.source.Confirm(state.Consumed)
	st.free = max(st.free, state.Consumed)
	if st.release == OnStored {
		st.free = st.stored
	}
	st.source.Release(st.free)
}

// Hold notes that the lane of st may go on in a larger ring, which Tick sees to in time. It reports when Tick is
// to be called for that, 0 if it has not to.
func (s *Session) Hold(st *Stream, now int64) (at int64) {
	if st.held || st.closed || !st.source.Held() {
		return 0
	}
	st.held, st.heldAt = true, now
	s.held = append(s.held, st)
	return now + HeldWait
}

// letGo has lanes that have waited for long go on in their larger rings: what the far side has stored of the old one
// is released, consumed or not. It returns when the next one is due.
func (s *Session) letGo(now int64) (next int64) {
	next = math.MaxInt64
	list := s.held[:0]
	for _, st := range s.held {
		if !st.closed && st.source.Held() && now-st.heldAt >= HeldWait {
			st.heldAt = now
			st.free = max(st.free, st.stored)
			st.source.Release(st.free)
		}
		if st.held = !st.closed && st.source.Held(); st.held {
			list = append(list, st)
			next = min(next, st.heldAt+HeldWait)
		} else if !st.closed {
			s.Wake(st)
			s.host.Woken(st)
		}
	}
	clear(s.held[len(list):])
	s.held = list
	return next
}

// next returns the record to be sent, or nil. A record that the far side has is
// passed, one that is missing becomes a GAP.
func (s *Session) next(st *Stream) *ring.Record {
	for {
		for len(st.recs) > 0 {
			rec := &st.recs[0]
			if rec.Seq > st.sent {
				if rec.Flags&ring.FlagGap != 0 {
					s.passOn(st, rec)
					continue
				}
				if rec.Seq > st.sent+1 {
					s.gap(st, &wire.Gap{Epoch: st.epoch, From: st.sent + 1, To: rec.Seq - 1, Reason: ReasonDiscarded, Text: "discarded at the origin"})
				}
				return rec
			}
			if st.recs = st.recs[1:]; len(st.recs) == 0 {
				st.source.Release(st.free) // what was known before it was taken again
			}
		}
		if st.buf == nil {
			st.buf = make([]ring.Record, takeAtOnce)
		}
		n, err := st.source.Take(st.buf, min(max(st.credit-st.used, ring.HeaderSize), quantum))
		if err != nil {
			s.host.Refused(st, wire.Notice{Code: wire.CodeDamaged, Text: err.Error()})
			s.Shut(st)
			return nil
		}
		if n == 0 {
			if end := st.source.Next(); st.sent >= end { // it would pass over what is yet to come
				_ = s.fail(protocolf("%v -> %v: %d records are stored, of %d that there are", st.Src, st.Dst, st.sent, end-1))
			}
			return nil
		}
		st.recs = st.buf[:n]
	}
}

// send puts what st may send in its turn into o.
func (s *Session) send(st *Stream, o *Out) {
	if st.deficit <= 0 { // a new turn
		st.deficit += quantum * (1 + int(st.priority))
	}
	for st.deficit > 0 && !st.closed {
		rec := s.next(st)
		if rec == nil {
			st.deficit, st.stalled = 0, false
			return
		}
		if len(s.control) > 0 { // a GAP goes before it
			s.flushControl(o)
		}
		if !s.mayGo(st, rec) {
			return
		}
		if len(rec.Data) > s.cfg.Payload-wire.RecordHeader {
			s.sendPart(st, rec, o)
		} else {
			s.sendFrame(st, o)
		}
		if o.Bytes >= maxOut {
			return
		}
	}
}

// mayGo reports whether the record at hand may be sent now.
func (s *Session) mayGo(st *Stream, rec *ring.Record) bool {
	size := ring.RecordSize(len(rec.Data))
	switch {
	case st.off > 0: // it has begun
		return true
	case uint64(len(rec.Data)) > uint64(s.peer.MaxRecord):
		if err := s.host.Undeliverable(st, rec); err != nil { // as with a lane that cannot be read, it is up to the host to try again
			s.host.Refused(st, wire.Notice{Code: wire.CodeTooBig, Text: err.Error()})
			s.Shut(st)
			return false
		}
		s.gap(st, &wire.Gap{Epoch: st.epoch, From: rec.Seq, To: rec.Seq, Reason: ReasonTooBig, Text: "larger than the far side takes"})
		return false
	case s.congested():
		return false
	case size <= min(st.credit-st.used, 2*st.largest): // L8: no ring takes more than its half
		return true
	}
	if !st.stalled {
		s.stats.Stalls++
	}
	if st.stalled = true; size > st.largest && !st.wanted {
		st.wanted = true
		s.control = wire.AppendWant(s.control, st.num, st.epoch, uint32(len(rec.Data)))
	}
	return false
}

// sendPart sends one FRAG of a large record.
func (s *Session) sendPart(st *Stream, rec *ring.Record, o *Out) {
	part := rec.Data[st.off:]
	part = part[:min(len(part), s.cfg.Payload)]
	if st.off == 0 {
		s.stats.InFlight += ring.RecordSize(len(rec.Data))
	}
	at := len(o.cur)
	o.cur = wire.AppendFrag(o.cur, st.num, &wire.Frag{
		Epoch: st.epoch, Seq: rec.Seq, Length: uint32(len(rec.Data)), Offset: uint32(st.off), Flags: st.flags(rec),
	}, len(part))
	o.Bytes += len(o.cur) - at
	s.payload(part, o)
	st.off += len(part)
	st.deficit -= len(part)
	if st.off == len(rec.Data) {
		st.off = 0
		s.wentOut(st, 1, ring.RecordSize(len(rec.Data)))
	}
}

// sendFrame sends as many of the records at hand in one DATA frame as may go,
// the first of them in any case.
func (s *Session) sendFrame(st *Stream, o *Out) {
	n, body, bytes := s.fit(st)
	at := len(o.cur)
	o.cur = wire.AppendData(o.cur, st.num, st.epoch, st.recs[0].Seq, body)
	o.Bytes += len(o.cur) - at
	for i := range st.recs[:n] {
		rec := &st.recs[i]
		o.cur = wire.AppendRecord(o.cur, len(rec.Data), st.flags(rec))
		o.Bytes += wire.RecordHeader
		s.payload(rec.Data, o)
	}
	st.deficit -= body
	s.stats.InFlight += bytes
	s.wentOut(st, n, bytes)
}

// fit returns how many records go into one frame, the bytes that they take there
// and those that they take in a ring.
func (s *Session) fit(st *Stream) (n, body int, bytes uint64) {
	free := st.credit - st.used
	if s.cfg.InFlight > 0 {
		free = min(free, s.cfg.InFlight-min(s.cfg.InFlight, s.stats.InFlight))
	}
	for n < len(st.recs) {
		rec := &st.recs[n]
		size, frame := ring.RecordSize(len(rec.Data)), wire.RecordHeader+len(rec.Data)
		if n > 0 && (bytes+size > free || body+frame > s.cfg.Payload || rec.Seq != st.recs[n-1].Seq+1 ||
			rec.Flags&ring.FlagGap != 0 || uint64(len(rec.Data)) > uint64(s.peer.MaxRecord)) {
			break
		}
		n, body, bytes = n+1, body+frame, bytes+size
	}
	return n, body, bytes
}

func (s *Session) payload(p []byte, o *Out) {
	s.stats.SentBytes += uint64(len(p))
	if s.cfg.Direct && len(p) >= refFrom {
		o.ref(p)
	} else {
		o.add(p)
	}
}

// flags returns what the far side is told of a record: whether its receiver may
// have handled it before, because that side has lost its memory (L13) or because the
// sender said so.
func (st *Stream) flags(rec *ring.Record) uint8 {
	if rec.Seq <= st.again || rec.Flags&ring.FlagRedel != 0 {
		return wire.FlagRedelivered
	}
	return 0
}

// wentOut accounts for the first n records at hand, which take bytes in a ring.
func (s *Session) wentOut(st *Stream, n int, bytes uint64) {
	for i := range st.recs[:n] {
		if st.recs[i].Redelivered {
			s.stats.Resent++
		}
	}
	st.sent = st.recs[n-1].Seq
	st.recs = st.recs[n:]
	st.used += bytes
	st.wanted = false
	st.flight = append(st.flight, mark{st.sent, bytes})
	s.stats.SentMessages += uint64(n)
}
