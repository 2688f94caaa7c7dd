// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/ring"
	"github.com/skybus-io/skybus/shm"
)

// A segment is one generation of a lane, mapped.
type segment struct {
	seg  *shm.Segment
	ring ring.Region
	prod *laneProducer
	gen  uint32
}

// openSegment maps generation gen of the lane e; pool.put ends that.
func (t *Table) openSegment(e *laneEntry, gen uint32) (segment, error) {
	path, err := t.segmentPath(e, gen)
	if err != nil {
		return segment{}, err
	}
	seg, err := t.pool.get(path, func(path string) (*shm.Segment, error) {
		return shm.Open(path, magicLane, false)
	})
	if err != nil {
		return segment{}, budget(err)
	}
	s, err := t.checkSegment(e, gen, seg)
	if err != nil {
		t.pool.put(seg)
	}
	return s, err
}

// checkSegment makes sure that seg is what its name says.
func (t *Table) checkSegment(e *laneEntry, gen uint32, seg *shm.Segment) (segment, error) {
	s := segment{seg: seg, gen: gen}
	body := bodyOf[laneBody](seg.Body())
	if body.key != t.key || body.src != e.src || body.dst != e.dst || body.gen != gen || body.capacity+laneDataAt != uint64(len(seg.Mem())) {
		return s, fmt.Errorf("%w: %s says it is generation %d of %s in domain %d, with %d bytes", ErrDamaged, seg.Path(), body.gen,
			t.FormatPair(Pair{addr.Addr(body.src), addr.Addr(body.dst)}), body.key, body.capacity)
	}
	var err error
	if s.ring, err = regionOf(seg.Mem()); err != nil {
		return s, fmt.Errorf("%w: %s: %w", ErrDamaged, seg.Path(), err)
	}
	s.prod = shm.View[laneProducer](seg.Mem(), laneProducerAt)
	return s, nil
}

// errIdle means that a lane has been given back: it has no segment.
var errIdle = errors.New("lane is idle")

// openFirst maps the lowest generation that exists. The consumer unlinks a
// generation before it says so in the entry, so the next one may be the lowest.
// State and generation are looked at before: a lane that is idle then may be live
// again at once, and one that was live may be idle, or further on.
func (t *Table) openFirst(e *laneEntry) (segment, error) {
	for {
		state, gen := e.state.Load(), e.gen.Load()
		if state == laneIdle {
			return segment{}, errIdle
		}
		step("lane.open")
		s, err := t.openSegment(e, gen)
		if errors.Is(err, fs.ErrNotExist) {
			s, err = t.openSegment(e, gen+1)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return s, damage(err)
		}
		step("lane.open")
		if e.gen.Load() == gen && e.state.Load() == state {
			return s, fmt.Errorf("%w: the segment of lane %s is gone: %w", ErrDamaged, t.FormatPair(pairOf(e)), err)
		}
	}
}

// damage makes what is wrong with a lane's file a damage of the lane.
func damage(err error) error {
	for _, kind := range []error{shm.ErrMagic, shm.ErrTruncated, shm.ErrChecksum} {
		if errors.Is(err, kind) {
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
	}
	return err
}

// reader returns the address whose inbox the lane is in, and whose lock says who
// reads it: the destination, or the relay.
func (e *laneEntry) reader() addr.Addr {
	if e.flags.Load()&laneRemote != 0 {
		return relayAddr
	}
	return addr.Addr(e.dst)
}

// nameOf writes the address of an inbox.
func (t *Table) nameOf(a addr.Addr) string {
	if a == relayAddr {
		return "the relay"
	}
	return t.Format(a)
}

// bit returns the lane's bit in its reader's ready set.
func (e *laneEntry) bit() uint32 {
	if e.flags.Load()&laneRemote != 0 {
		return e.back % MaxInboxLanes
	}
	return e.slot % MaxInboxLanes
}

// writer returns the address whose lock says who writes the lane, and whose bell
// rings when there is room: the source, or the relay.
func (e *laneEntry) writer() addr.Addr {
	if e.flags.Load()&laneMirror != 0 {
		return relayAddr
	}
	return addr.Addr(e.src)
}

func pairOf(e *laneEntry) Pair { return Pair{addr.Addr(e.src), addr.Addr(e.dst)} }

// exists reports whether generation gen of the lane has a file.
func (t *Table) exists(e *laneEntry, gen uint32) bool {
	_, err := os.Stat(t.lanePath(e, gen))
	return err == nil
}

// quarantine takes a damaged lane out of use, for every process to see.
func (t *Table) quarantine(e *laneEntry, err error) error {
	what := strings.TrimPrefix(err.Error(), ErrDamaged.Error()+": ")
	if e.quarantine.Load() != laneDamaged {
		clear(e.reason[:])
		copy(e.reason[:reasonSize-1], what)
		e.quarantine.Store(laneDamaged)
	}
	return fmt.Errorf("lane %s is quarantined: %w", t.FormatPair(pairOf(e)), err)
}

// quarantined returns why a lane is out of use, or nil.
func (t *Table) quarantined(e *laneEntry) error {
	if e.quarantine.Load() != laneDamaged {
		return nil
	}
	return fmt.Errorf("lane %s is quarantined: %w: %s", t.FormatPair(pairOf(e)), ErrDamaged, text(e.reason[:]))
}
