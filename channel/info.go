// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync/atomic"
	"time"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/ring"
	"github.com/skybus-io/skybus/shm"
)

// LaneInfo is what the tools show of a lane. Counters are for the life of the
// lane, whoever its processes were; they are read without stopping anybody.
type LaneInfo struct {
	Src, Dst   addr.Addr
	Configured bool
	First      bool // its source is the channel's first address
	Idle       bool // its memory was given back
	Remote     bool // its destination is on another host: the relay reads it
	Mirror     bool // its source is on another host: the relay writes it
	Durable    bool // its segments are files on a disk
	Sync       bool // and Send returns when a message is there
	Number     uint32
	Priority   uint32
	Generation uint32
	Slot       uint32 // in the ready set of the destination, or of the relay
	Created    time.Time
	Desc       string
	Path       string
	AskedSize  uint64 // configured, bytes
	GrowsTo    uint64 // when it is full, bytes
	Size       uint64 // of the ring that the reader is in, bytes
	Bytes      uint64 // of all its segments

	Head, Tail       uint64 // positions: released, end of the last record
	HeadSeq, NextSeq uint64 // sequence at Head, and of the next message to be sent
	Messages         uint64 // sent and not released
	Waiting          uint64 // their payload bytes
	Ready            bool   // its bit in the ready set

	Sent, SentBytes, Full, HighWater, Wakes, Grown              uint64
	Received, ReceivedBytes, Redelivered, Discarded, SenderWake uint64
	LastActive                                                  time.Time
	Epoch                                                       uint64 // of a remote or mirrored lane
	Consumed                                                    uint64 // of a remote lane: the last sequence known to be consumed
	Damage                                                      string // why it is quarantined
	Err                                                         error  // why Head to Waiting could not be read
}

// EndpointInfo is what the tools show of an address.
type EndpointInfo struct {
	Addr     addr.Addr
	Bound    bool
	PID      uint32
	PIDNS    uint32
	Program  string
	Since    time.Time // of the last bind; zero after a clean close
	Crashed  bool      // the last binder died without closing
	Binds    uint64
	Sleeping bool
	Parks    uint64
	Sweeps   uint64
}

// DomainInfo is what the tools show of a domain.
type DomainInfo struct {
	Key          uint32
	Dir          string
	Template     string
	Created      time.Time
	Strict       bool
	AllowUnknown bool
	Lanes        int
	Endpoints    int
	Bytes        uint64
	MaxLanes     uint32
	MaxBytes     uint64
	MaxMessage   int
	GrowBytes    uint64 // up to this a full lane grows
	GrowBetween  uint64 // and one to or from another host
	IdleAfter    time.Duration
	RelayKey     uint32 // of the route table that applies; 0: none
}

// Info describes the domain.
func (t *Table) Info() DomainInfo {
	flags := t.st.flags.Load()
	return DomainInfo{
		Key: t.key, Dir: t.dir, Template: t.cfg.Template.String(), Created: time.Unix(0, t.seg.Created()),
		Strict: flags&tableStrict != 0, AllowUnknown: flags&tableAllowUnknown != 0,
		Lanes: int(t.laneCount() - t.st.freed.Load()), Endpoints: int(t.endpointCount()),
		Bytes: t.st.bytes.Load(), MaxLanes: t.st.maxLanes.Load(), MaxBytes: t.st.maxBytes.Load(),
		MaxMessage: t.MaxMessage(), GrowBytes: t.st.growBytes.Load(), GrowBetween: t.growBetween(), IdleAfter: t.IdleAfter(),
		RelayKey: t.RelayKey(),
	}
}

// Lanes lists all lanes, in the order of their entries.
func (t *Table) Lanes() []LaneInfo {
	var list []LaneInfo
	for i := range t.laneCount() {
		if e := t.lane(i); e.state.Load() == laneLive || e.state.Load() == laneIdle {
			list = append(list, t.laneInfo(e))
		}
	}
	return list
}

// Lane describes one lane.
func (t *Table) Lane(p Pair) (LaneInfo, bool) {
	i, ok := t.find(p)
	if !ok {
		return LaneInfo{}, false
	}
	return t.laneInfo(t.lane(i)), true
}

func (t *Table) laneInfo(e *laneEntry) LaneInfo {
	prod, cons, flags := &e.prod, &e.cons, e.flags.Load()
	l := LaneInfo{
		Src: addr.Addr(e.src), Dst: addr.Addr(e.dst),
		Configured: flags&laneConfigured != 0, First: flags&laneFirst != 0, Idle: e.state.Load() == laneIdle,
		Remote: flags&laneRemote != 0, Mirror: flags&laneMirror != 0, Durable: flags&laneDurable != 0, Sync: flags&laneSync != 0,
		Epoch: atomic.LoadUint64(&prod.epoch), Consumed: atomic.LoadUint64(&cons.consumed),
		Number: e.number.Load(), Priority: e.priority.Load(), Generation: e.gen.Load(), Slot: e.bit(),
		Created: time.Unix(0, e.created), Desc: text(e.desc[:]), AskedSize: e.size.Load(), GrowsTo: t.growsTo(e), Bytes: e.bytes.Load(),
		Sent: atomic.LoadUint64(&prod.messages), SentBytes: atomic.LoadUint64(&prod.bytes),
		Full: atomic.LoadUint64(&prod.full), HighWater: atomic.LoadUint64(&prod.highWater),
		Wakes: atomic.LoadUint64(&prod.wakes), Grown: atomic.LoadUint64(&prod.grown),
		Received: atomic.LoadUint64(&cons.messages), ReceivedBytes: atomic.LoadUint64(&cons.bytes),
		Redelivered: atomic.LoadUint64(&cons.redelivered), Discarded: atomic.LoadUint64(&cons.discarded),
		SenderWake: atomic.LoadUint64(&cons.wakes),
	}
	if at := atomic.LoadInt64(&prod.active); at != 0 {
		l.LastActive = time.Unix(0, at)
	}
	if e.quarantine.Load() == laneDamaged {
		l.Damage = text(e.reason[:])
	}
	if in, err := t.inbox(e.reader(), false); err == nil {
		l.Ready = in.page.ready[l.Slot%MaxInboxLanes/64].Load()>>(l.Slot%64)&1 != 0
	}
	t.lookInto(&l, e)
	return l
}

// lookInto fills in what stands in the lane's segments, from the lowest
// generation to the last.
func (t *Table) lookInto(l *LaneInfo, e *laneEntry) {
	l.Path = t.lanePath(e, l.Generation)
	if file, err := t.segmentPath(e, l.Generation); err == nil {
		l.Path = file
	}
	if l.Idle {
		l.NextSeq = e.lastSeq.Load() + 1
		l.HeadSeq = l.NextSeq
		return
	}
	first := true
	l.Err = t.eachGeneration(e, func(s segment, st ring.State) {
		if first {
			l.Size, l.Path, l.Head, l.HeadSeq = s.ring.Size(), s.seg.Path(), st.Released, st.HeadSeq
			first = false
		}
		l.Tail, l.NextSeq = st.Tail, st.NextSeq
		l.Messages += st.Records
		l.Waiting += st.Bytes
		if l.Durable {
			l.Waiting -= min(st.Bytes, st.Records*trailerSize)
		}
	})
	if errors.Is(l.Err, fs.ErrNotExist) && e.state.Load() == laneIdle {
		l.Err, l.Idle, l.NextSeq = nil, true, e.lastSeq.Load()+1
	}
}

// eachGeneration visits a lane's segments in order, read-only, without taking
// part. A live lane may move on meanwhile; then it starts again, a few times.
func (t *Table) eachGeneration(e *laneEntry, visit func(segment, ring.State)) error {
	for gen, tries := e.gen.Load(), 0; ; {
		more, err := t.lookAt(e, gen, visit)
		if errors.Is(err, fs.ErrNotExist) && tries < 3 {
			tries++
			gen++
			if g := e.gen.Load(); g > gen {
				gen = g
			}
			continue
		}
		if err != nil || !more {
			return err
		}
		gen++
	}
}

func (t *Table) lookAt(e *laneEntry, gen uint32, visit func(segment, ring.State)) (more bool, err error) {
	s, err := t.openSegment(e, gen)
	if err != nil {
		return false, err
	}
	defer t.pool.put(s.seg)
	st, err := ring.Look(s.ring)
	if err != nil {
		return false, err
	}
	visit(s, st)
	return st.Moved || st.Closed && t.exists(e, gen+1), nil
}

// Endpoints lists the addresses that are configured or were ever bound.
func (t *Table) Endpoints() []EndpointInfo {
	var list []EndpointInfo
	for i := range t.endpointCount() {
		if e := t.endpoint(i); e.state.Load() == endpointKnown {
			list = append(list, t.endpointInfo(e))
		}
	}
	slices.SortFunc(list, func(a, b EndpointInfo) int { return addr.Compare(a.Addr, b.Addr) })
	return list
}

// Bound returns the addresses that are bound now, in any order. It costs a system call for each
// address that the domain knows.
func (t *Table) Bound() (list []addr.Addr) {
	for i := range t.endpointCount() {
		e := t.endpoint(i)
		if e.state.Load() != endpointKnown {
			continue
		}
		if bound, _ := t.locks.Bound(e.addr); bound {
			list = append(list, addr.Addr(e.addr))
		}
	}
	return list
}

// Endpoint describes one address.
func (t *Table) Endpoint(a addr.Addr) (EndpointInfo, bool) {
	e, ok := t.findEndpoint(a)
	if !ok {
		return EndpointInfo{}, false
	}
	return t.endpointInfo(e), true
}

// Binds returns how often an address was bound: Endpoint's, without the other things.
func (t *Table) Binds(a addr.Addr) uint64 {
	if e, ok := t.findEndpoint(a); ok {
		return e.binds.Load()
	}
	return 0
}

func (t *Table) endpointInfo(e *endpointEntry) EndpointInfo {
	bound, _ := t.locks.Bound(e.addr) // false where it cannot be asked
	info := EndpointInfo{
		Addr: addr.Addr(e.addr), Bound: bound, PID: e.pid.Load(), PIDNS: e.pidNS.Load(), Program: text(e.comm[:]),
		Binds: e.binds.Load(), Parks: e.parks.Load(), Sweeps: e.sweep.Load(),
	}
	if at := e.since.Load(); at != 0 {
		info.Since = time.Unix(0, at)
		info.Crashed = !bound
	}
	if in, err := t.inbox(info.Addr, false); err == nil && bound {
		info.Sleeping = in.page.bell.Sleeping() != 0
	}
	return info
}

// Watch follows a lane without taking part in it, from its oldest message or,
// with fromTail, from now on.
func (t *Table) Watch(p Pair, fromTail bool) (*Watch, error) {
	i, ok := t.find(p)
	if !ok {
		return nil, fmt.Errorf("%w: there is no lane %s", ErrNoRoute, t.FormatPair(p))
	}
	w := &Watch{t: t, e: t.lane(i), fromTail: fromTail}
	return w, w.open(w.e.gen.Load())
}

// A Watch looks at a lane's messages as they go by. One goroutine may use it.
type Watch struct {
	t        *Table
	e        *laneEntry
	at       segment
	ring     *ring.Watcher
	fromTail bool
	last     uint64 // sequence seen last
}

// open goes on at generation gen, or at the first behind it that there is. The
// lane is idle if that leaves no ring.
func (w *Watch) open(gen uint32) error {
	for {
		state, first := w.e.state.Load(), w.e.gen.Load()
		gen = max(gen, first)
		at, err := w.load(gen)
		if errors.Is(err, fs.ErrNotExist) { // unlinked, and not yet said so
			at, err = w.load(gen + 1)
		}
		switch {
		case err == nil:
			return w.enter(at)
		case !errors.Is(err, fs.ErrNotExist):
			return err
		case state == laneIdle:
			return nil
		case w.e.state.Load() == state && w.e.gen.Load() == first:
			return err
		}
	}
}

// load maps a generation for itself, so that it cannot be written.
func (w *Watch) load(gen uint32) (segment, error) {
	path, err := w.t.segmentPath(w.e, gen)
	if err != nil {
		return segment{}, err
	}
	seg, err := shm.Open(path, magicLane, true)
	if err != nil {
		return segment{}, err
	}
	at, err := w.t.checkSegment(w.e, gen, seg)
	if err != nil {
		seg.Close()
	}
	return at, err
}

func (w *Watch) enter(at segment) error {
	watcher, err := ring.NewWatcher(at.ring, w.fromTail)
	if err != nil {
		at.seg.Close()
		return err
	}
	w.at, w.ring = at, watcher
	return nil
}

// Next returns the next message, copied into buf's memory, and how many were
// gone before it could be seen. ok is false when there is none yet.
func (w *Watch) Next(buf []byte) (rec ring.Record, missed uint64, ok bool, err error) {
	for {
		if w.ring == nil {
			if err := w.open(w.e.gen.Load()); err != nil || w.ring == nil {
				return rec, 0, false, err
			}
		}
		rec, missed, ok, err = w.ring.Next(buf)
		if ok {
			if n := len(rec.Data); w.e.isDurable() && n >= trailerSize {
				rec.Data = rec.Data[:n-trailerSize]
			}
			if w.last != 0 && rec.Seq > w.last {
				missed = rec.Seq - w.last - 1
			}
			w.last = rec.Seq
		}
		if !errors.Is(err, ring.ErrMoved) && !errors.Is(err, ring.ErrClosed) {
			return rec, missed, ok, err
		}
		gen := w.at.gen + 1
		if errors.Is(err, ring.ErrClosed) && !w.t.exists(w.e, gen) {
			if w.waits() {
				return rec, 0, false, nil
			}
			gen = w.e.gen.Load()
		}
		w.Close()
		w.fromTail = false
		if err := w.open(gen); err != nil {
			return rec, 0, false, err
		}
	}
}

// waits reports whether the lane, which was closed, has not gone on anywhere. A
// consumer that died while it retired the lane may leave its generation's number
// to the next.
func (w *Watch) waits() bool { return w.e.gen.Load() <= w.at.gen && w.at.seg.Named() }

// Close lets the segment go.
func (w *Watch) Close() {
	if w.ring != nil {
		w.at.seg.Close()
		w.ring = nil
	}
}
