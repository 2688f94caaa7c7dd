// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/ring"
	"github.com/skybus-io/skybus/shm"
)

// change runs f with the change lock held. The mutation count is odd
// meanwhile: whoever finds it odd knows that its owner died, and tidies up.
func (t *Table) change(f func() error) error {
	step("table.lock")
	if err := t.locks.Change(); err != nil {
		return err
	}
	defer t.locks.Changed()
	if err := t.current(fmt.Errorf("%w: key %d was destroyed", ErrNoDomain, t.key)); err != nil {
		return err
	}
	m := t.st.mutation.Load()
	if m&1 == 1 {
		if err := t.recover(); err != nil {
			return fmt.Errorf("tidy up after a change that was cut off: %w", err)
		}
		t.st.mutation.Store(m + 1)
	}
	step("table.begin")
	t.st.mutation.Add(1)
	if m&1 == 1 {
		_ = t.takeUpAll() // it may be what was cut off; Check knows what cannot be taken up
	}
	err := f()
	step("table.end")
	t.st.mutation.Add(1)
	return err
}

// recover finishes or takes back what a dead process was changing.
func (t *Table) recover() error {
	t.st.epoch.Add(1) // a lane may have come to an entry that the indexes have passed
	if err := t.recoverUncounted(); err != nil {
		return err
	}
	freed := uint32(0)
	for i := range t.laneCount() {
		e := t.lane(i)
		if err := t.recoverLane(e); err != nil {
			return err
		}
		if e.state.Load() == laneFree {
			freed++
		}
	}
	t.st.freed.Store(freed)
	t.sumBytes()
	return t.removeTemporary()
}

// recoverUncounted frees the entry behind the last: a lane that was being made
// there was never counted, so nobody has seen it.
func (t *Table) recoverUncounted() error {
	n := t.laneCount()
	if n == laneCap || t.allocateEntry(n) != nil {
		return nil // it has no memory, and never had: nothing was written
	}
	if e := t.lane(n); e.state.Load() != laneFree {
		return t.freeLane(e)
	}
	return nil
}

func (t *Table) recoverLane(e *laneEntry) error {
	switch e.state.Load() {
	case laneMaking, laneRemoving, laneTaking:
		return t.freeLane(e)
	case laneIdle: // not yet unlinked by the consumer, or being made anew
		for _, gen := range []uint32{e.gen.Load() - 1, e.gen.Load()} {
			if err := t.removeGeneration(e, gen); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		e.bytes.Store(0)
	case laneLive:
		e.bytes.Store(t.sizeOf(e))
	}
	return nil
}

// freeLane ends an entry that is no lane.
func (t *Table) freeLane(e *laneEntry) error {
	remove := t.removeFiles
	if e.state.Load() == laneTaking {
		remove = t.removeLinks
	}
	if err := remove(e); err != nil {
		return err
	}
	e.bytes.Store(0)
	e.state.Store(laneFree)
	return nil
}

// sumBytes adds up what the lanes account for. Under the change lock.
func (t *Table) sumBytes() {
	sum := uint64(0)
	for i := range t.laneCount() {
		sum += t.lane(i).bytes.Load()
	}
	t.st.bytes.Store(sum)
}

// settleBytes accounts for lane e anew if need be: a consumer may have died
// after it had unlinked a generation. For the lane's consumer.
func (t *Table) settleBytes(e *laneEntry) error {
	if t.sizeOf(e) == e.bytes.Load() {
		return nil
	}
	return t.change(func() error {
		if e.state.Load() == laneLive {
			e.bytes.Store(t.sizeOf(e))
			t.sumBytes()
		}
		return nil
	})
}

func (t *Table) removeTemporary() error {
	entries, err := os.ReadDir(t.dir)
	for _, d := range entries {
		if shm.IsTemporary(d.Name()) {
			err = errors.Join(err, os.Remove(t.path(d.Name())))
		}
	}
	return err
}

// lanePath names the segment of one generation of a lane.
func (t *Table) lanePath(e *laneEntry, gen uint32) string {
	return t.path(laneName(pairOf(e), gen))
}

func laneName(p Pair, gen uint32) string {
	return fmt.Sprintf("l-%08x-%08x.%d", uint32(p.Src), uint32(p.Dst), gen)
}

func inboxName(a addr.Addr) string { return fmt.Sprintf("i-%08x", uint32(a)) }

// removeFiles unlinks all segments that a lane may have. The generations of a
// lane are consecutive and at most one lies beyond the last that MOVED leads to.
func (t *Table) removeFiles(e *laneEntry) error {
	stem := strings.TrimSuffix(laneName(pairOf(e), 0), "0")
	entries, err := os.ReadDir(t.dir)
	var links []string
	for _, d := range entries {
		switch {
		case !strings.HasPrefix(d.Name(), stem):
		case d.Type() == fs.ModeSymlink:
			links = append(links, t.path(d.Name()))
		default:
			step("table.unlink")
			err = errors.Join(err, os.Remove(t.path(d.Name())))
		}
	}
	return errors.Join(err, removeForGood(links))
}

// A laneSpec says how a lane is to be made.
type laneSpec struct {
	size     uint64 // configured bytes; 0 on demand
	flags    uint32
	priority uint32
	number   uint32
	desc     string
	begin    *life  // of a mirrored lane
	folder   string // of a durable lane's files
	ring     uint64 // bytes of the first ring of a mirrored lane; 0 as for others
}

// A life is how a mirrored lane begins, or goes on where its sequence does not.
type life struct {
	epoch uint64
	begin uint64 // of a mirrored lane: the sequence with which the life began
	seq   uint64 // of the first record
	jump  bool   // it does not go on from what was before
	gap   []byte // payload of a GAP that is the first record, or nil

	folder  string // of a durable lane's files; empty: where the others are
	replace bool   // the segment may exist: it was left behind
}

// makeLane makes the lane p, which must not exist. Under the change lock.
func (t *Table) makeLane(p Pair, spec laneSpec) (uint32, error) {
	size, err := t.laneRing(p, spec.size)
	if err != nil {
		return 0, err
	}
	if err := t.afford(p, size, true); err != nil {
		return 0, err
	}
	slot, back, err := t.takeSlots(p, spec.flags)
	if err != nil {
		return 0, err
	}
	i, err := t.freeEntry()
	if err != nil {
		return 0, err
	}
	e := t.lane(i)
	*e = laneEntry{src: uint32(p.Src), dst: uint32(p.Dst), slot: slot, back: back, created: time.Now().UnixNano()}
	e.size.Store(spec.size)
	e.gen.Store(1)
	e.flags.Store(spec.flags)
	e.priority.Store(spec.priority)
	e.number.Store(spec.number)
	copy(e.desc[:descSize-1], spec.desc)
	if spec.flags&laneRemote != 0 {
		e.prod.epoch = t.newEpoch()
	}
	if spec.begin == nil {
		spec.begin = &life{epoch: e.prod.epoch, seq: 1}
	}
	e.prod.epoch, e.prod.begin = spec.begin.epoch, spec.begin.begin
	spec.begin.folder = spec.folder
	step("table.making")
	e.state.Store(laneMaking)
	seg, err := t.createGeneration(e, 1, max(size, spec.ring), *spec.begin)
	if err != nil {
		e.state.Store(laneFree)
		if i < t.laneCount() {
			t.st.freed.Add(1)
		}
		return 0, err
	}
	seg.Close()
	step("table.live")
	e.state.Store(laneLive)
	step("table.count")
	if i < t.laneCount() {
		t.st.epoch.Add(1) // a slot used before: indexes have passed it
	} else {
		t.st.lanes.Store(i + 1)
	}
	return i, nil
}

// laneRing returns the size of the ring that a lane of a configured size, or one
// made on demand, begins with.
func (t *Table) laneRing(p Pair, configured uint64) (uint64, error) {
	if configured > ring.MaxSize {
		return 0, fmt.Errorf("lane %s: %w: a size of %d bytes, the most is %d", t.FormatPair(p), ErrTooBig, configured, ring.MaxSize)
	}
	return ring.SizeFor(0, max(configured, firstRing)), nil
}

// afford checks the domain's budgets for a lane segment of size bytes.
func (t *Table) afford(p Pair, size uint64, entry bool) error {
	if n, most := t.laneCount()-t.st.freed.Load(), t.st.maxLanes.Load(); entry && n >= most {
		return fmt.Errorf("lane %s: %w: the domain has %d lanes, the limit is %d", t.FormatPair(p), ErrBudget, n, most)
	}
	if used, most := t.st.bytes.Load(), t.st.maxBytes.Load(); size+laneDataAt > most || used > most-size-laneDataAt {
		return fmt.Errorf("lane %s: %w: %d bytes more, the domain uses %d of %d", t.FormatPair(p), ErrBudget, size+laneDataAt, used, most)
	}
	return nil
}

// FormatPair writes a lane the way people read it.
func (t *Table) FormatPair(p Pair) string { return t.Format(p.Src) + " -> " + t.Format(p.Dst) }

// freeEntry returns an entry to be filled, with memory behind it.
func (t *Table) freeEntry() (uint32, error) {
	n := t.laneCount()
	if t.st.freed.Load() > 0 {
		for i := range n {
			if t.lane(i).state.Load() == laneFree {
				t.st.freed.Add(^uint32(0))
				return i, nil
			}
		}
	}
	if n == laneCap {
		return 0, fmt.Errorf("%w: the table has no room for more than %d lanes", ErrBudget, laneCap)
	}
	return n, t.allocateEntry(n)
}

// allocateEntry makes sure that entry n has memory, if the one before it has.
func (t *Table) allocateEntry(n uint32) error {
	if n%laneChunk != 0 {
		return nil
	}
	return shm.Allocate(t.file, int64(t.laneAt)+int64(n)*laneSize, laneChunk*laneSize)
}

// createLane makes the segment of generation gen, whose ring goes on with seq,
// and accounts for it.
func (t *Table) createLane(e *laneEntry, gen uint32, size, seq uint64) (*shm.Segment, error) {
	return t.createGeneration(e, gen, size, e.life(seq))
}

// life is that of the lane, which goes on with seq.
func (e *laneEntry) life(seq uint64) life {
	return life{epoch: atomic.LoadUint64(&e.prod.epoch), begin: atomic.LoadUint64(&e.prod.begin), seq: seq}
}

// noteLife copies into the entry what the last segment says of the lane's life:
// when the lane has no segment the entry is all there is.
func (e *laneEntry) noteLife(epoch, begin uint64) {
	step("relay.epoch")
	atomic.StoreUint64(&e.prod.begin, begin)
	atomic.StoreUint64(&e.prod.epoch, epoch)
}

func (t *Table) createGeneration(e *laneEntry, gen uint32, size uint64, l life) (*shm.Segment, error) {
	body := laneBody{key: t.key, src: e.src, dst: e.dst, gen: gen, capacity: size, firstSeq: l.seq, epoch: l.epoch, begin: l.begin}
	if l.jump {
		body.jump = 1
	}
	if body.durable = e.durableWord(); body.durable != inMemory && l.gap != nil {
		l.gap = withTrailer(l.gap, l.seq, ring.FlagGap)
	}
	seg, err := t.createSegment(e, gen, &l, shm.Spec{
		Magic: magicLane, Size: int64(size) + laneDataAt, Body: bodyBytes(&body),
		Access: t.cfg.Access, Now: time.Now().UnixNano(),
		Init: func(mem []byte) {
			if r, err := regionOf(mem); err == nil {
				r.Format(l.seq)
				l.writeGap(r)
			}
		},
	})
	if err != nil {
		return nil, err
	}
	e.bytes.Add(size + laneDataAt)
	t.st.bytes.Add(size + laneDataAt)
	return seg, nil
}

// dropLane accounts for a segment that is gone. The consumer calls it without
// the change lock; settleBytes finds it if it was cut off in between.
func (t *Table) dropLane(e *laneEntry, size uint64) {
	lower(&t.st.bytes, size+laneDataAt)
	lower(&e.bytes, size+laneDataAt)
}

// lower takes n away from a counter, which others may set meanwhile, down to 0.
func lower(c *atomic.Uint64, n uint64) {
	for v := c.Load(); !c.CompareAndSwap(v, v-min(n, v)); {
		v = c.Load()
	}
}

// removeSegment unlinks a generation that nobody uses, if it exists.
func (t *Table) removeSegment(e *laneEntry, gen uint32) {
	st, err := os.Stat(t.lanePath(e, gen))
	if err != nil {
		if e.isDurable() {
			_ = t.removeGeneration(e, gen) // a link that leads nowhere
		}
		return
	}
	step("channel.stray")
	if t.removeGeneration(e, gen) == nil {
		t.dropLane(e, uint64(max(st.Size(), laneDataAt))-laneDataAt)
	}
}

// sizeOf adds up the segments that a lane has.
func (t *Table) sizeOf(e *laneEntry) (sum uint64) {
	gen := e.gen.Load()
	if !t.exists(e, gen) {
		gen++
	}
	for ; ; gen++ {
		st, err := os.Stat(t.lanePath(e, gen))
		if err != nil {
			return sum
		}
		sum += uint64(st.Size())
	}
}

// regionOf returns the ring in the memory of a lane segment.
func regionOf(mem []byte) (ring.Region, error) {
	if len(mem) < laneDataAt {
		return ring.Region{}, fmt.Errorf("%w: lane segment of %d bytes", ErrDamaged, len(mem))
	}
	return ring.NewRegion(mem[laneMarksAt:laneMarksAt+ring.MarksSize], mem[laneDataAt:])
}

// know makes sure that address a has an entry. Under the change lock.
func (t *Table) know(a addr.Addr) (*endpointEntry, error) {
	if e, ok := t.findEndpoint(a); ok {
		return e, nil
	}
	n := t.endpointCount()
	if n == endpointCap {
		return nil, fmt.Errorf("%w: the table has no room for more than %d addresses", ErrBudget, endpointCap)
	}
	if n%endChunk == 0 {
		if err := shm.Allocate(t.file, int64(tableHeaderSize+int(n)*endpointSize), endChunk*endpointSize); err != nil {
			return nil, err
		}
	}
	e := t.endpoint(n)
	*e = endpointEntry{addr: uint32(a)}
	e.state.Store(endpointKnown)
	step("table.endpoint")
	t.st.endpoints.Store(n + 1)
	return e, nil
}
