// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/ring"
	"github.com/skybus-io/skybus/shm"
)

// change runs f with the change lock held. The mutation count is odd
// meanwhile: whoever finds it odd knows that its owner died, and tidies up.
func (t *Table) change(f func() error) error {
	if err := t.locks.Change(); err != nil {
		return err
	}
	defer t.locks.Changed()
	if ok, err := t.locks.Current(); err != nil || !ok {
		return errors.Join(err, fmt.Errorf("%w: key %d was destroyed", ErrNoDomain, t.key))
	}
	if m := t.st.mutation.Load(); m&1 == 1 {
		if err := t.recover(); err != nil {
			return fmt.Errorf("tidy up after a change that was cut off: %w", err)
		}
		t.st.mutation.Store(m + 1)
	}
	step("table.begin")
	t.st.mutation.Add(1)
	err := f()
	step("table.end")
	t.st.mutation.Add(1)
	return err
}

// recover finishes or takes back what a dead process was changing.
func (t *Table) recover() error {
	n := t.laneCount()
	var bytes uint64
	var freed uint32
	for i := range min(n+1, laneCap) { // the entry behind the last may be half made
		if i == n && i%laneChunk == 0 {
			break // it may have no memory yet
		}
		e := t.lane(i)
		switch e.state.Load() {
		case laneMaking, laneRemoving:
			if err := t.removeFiles(e); err != nil {
				return err
			}
			e.state.Store(laneFree)
			t.st.epoch.Add(1)
		case laneIdle:
			_ = os.Remove(t.lanePath(e, e.gen.Load()-1))
			e.bytes.Store(0)
		case laneLive:
			if i == n { // complete, but never counted: nobody has seen it
				if err := t.removeFiles(e); err != nil {
					return err
				}
				e.state.Store(laneFree)
			}
		}
		if i < n && e.state.Load() == laneFree {
			freed++
		}
		if i < n && e.state.Load() == laneLive {
			e.bytes.Store(t.sizeOf(e))
			bytes += e.bytes.Load()
		}
	}
	t.st.bytes.Store(bytes)
	t.st.freed.Store(freed)
	return t.removeTemporary()
}

func (t *Table) removeTemporary() error {
	entries, err := os.ReadDir(t.dir)
	for _, d := range entries {
		if shm.IsTemporary(d.Name()) {
			err = errors.Join(err, os.Remove(filepath.Join(t.dir, d.Name())))
		}
	}
	return err
}

// lanePath names the segment of one generation of a lane.
func (t *Table) lanePath(e *laneEntry, gen uint32) string {
	return t.path(laneName(Pair{addr.Addr(e.src), addr.Addr(e.dst)}, gen))
}

func laneName(p Pair, gen uint32) string {
	return fmt.Sprintf("l-%08x-%08x.%d", uint32(p.Src), uint32(p.Dst), gen)
}

func inboxName(a addr.Addr) string { return fmt.Sprintf("i-%08x", uint32(a)) }

// removeFiles unlinks all segments that a lane may have. The generations of a
// lane are consecutive and at most one lies beyond the last that MOVED leads to.
func (t *Table) removeFiles(e *laneEntry) error {
	names, err := filepath.Glob(t.path(laneName(Pair{addr.Addr(e.src), addr.Addr(e.dst)}, 0)[:len("l-00000000-00000000.")] + "*"))
	for _, name := range names {
		step("table.unlink")
		err = errors.Join(err, os.Remove(name))
	}
	return err
}

// A laneSpec says how a lane is to be made.
type laneSpec struct {
	size     uint64 // configured bytes; 0 on demand
	first    uint64 // bytes that its first message needs
	flags    uint32
	priority uint32
	number   uint32
	desc     string
}

// makeLane makes the lane p, which must not exist. Under the change lock.
func (t *Table) makeLane(p Pair, spec laneSpec) (uint32, error) {
	size := ring.SizeFor(0, max(spec.size, spec.first, firstRing))
	if err := t.afford(p, size, true); err != nil {
		return 0, err
	}
	slot, err := t.takeSlot(p.Dst)
	if err != nil {
		return 0, err
	}
	i, err := t.freeEntry()
	if err != nil {
		return 0, err
	}
	e := t.lane(i)
	*e = laneEntry{src: uint32(p.Src), dst: uint32(p.Dst), slot: slot, size: spec.size, created: time.Now().UnixNano()}
	e.gen.Store(1)
	e.flags.Store(spec.flags)
	e.priority.Store(spec.priority)
	e.number.Store(spec.number)
	copy(e.desc[:descSize-1], spec.desc)
	step("table.making")
	e.state.Store(laneMaking)
	seg, err := t.createLane(e, 1, size, 1)
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

// afford checks the domain's budgets for a lane segment of size bytes.
func (t *Table) afford(p Pair, size uint64, entry bool) error {
	if n, most := t.laneCount()-t.st.freed.Load(), t.st.maxLanes.Load(); entry && n >= most {
		return fmt.Errorf("lane %s: %w: the domain has %d lanes, the limit is %d", t.FormatPair(p), ErrBudget, n, most)
	}
	if used, most := t.st.bytes.Load(), t.st.maxBytes.Load(); used+size+laneDataAt > most {
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
	if n%laneChunk == 0 {
		off := int64(t.laneAt) + int64(n)*laneSize
		if err := shm.Allocate(t.file, off, laneChunk*laneSize); err != nil {
			return 0, err
		}
	}
	return n, nil
}

// createLane makes the segment of generation gen, whose ring begins with seq,
// and accounts for it.
func (t *Table) createLane(e *laneEntry, gen uint32, size, seq uint64) (*shm.Segment, error) {
	body := laneBody{key: t.key, src: e.src, dst: e.dst, gen: gen, capacity: size, firstSeq: seq}
	path := t.lanePath(e, gen)
	seg, err := shm.Create(path, shm.Spec{
		Magic: magicLane, Size: int64(size) + laneDataAt, Body: bodyBytes(&body),
		Access: t.cfg.Access, Now: time.Now().UnixNano(),
		Init: func(mem []byte) {
			if r, err := regionOf(mem); err == nil {
				r.Format(seq)
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

// dropLane accounts for a segment that is gone.
func (t *Table) dropLane(e *laneEntry, size uint64) {
	n := min(size+laneDataAt, e.bytes.Load())
	e.bytes.Add(-n)
	t.st.bytes.Add(-n)
}

// removeSegment unlinks a generation that nobody uses, if it exists.
func (t *Table) removeSegment(e *laneEntry, gen uint32) {
	path := t.lanePath(e, gen)
	st, err := os.Stat(path)
	if err != nil {
		return
	}
	step("channel.stray")
	if os.Remove(path) == nil {
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
