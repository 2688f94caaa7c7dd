// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/ring"
)

// A Channel is a configured pair of lanes.
type Channel struct {
	A, B         addr.Addr
	SendSize     uint64 // bytes from A to B
	RecvSize     uint64 // bytes from B to A
	Priority     uint8
	Desc         string
	Number       uint32 // how the domain knows it; given when it is made
	HoldsA2B     uint64 // messages waiting
	HoldsB2A     uint64
	SizeA2B      uint64 // as made, bytes
	SizeB2A      uint64
	CreatedNanos int64
}

func (c Channel) lanes() [2]Pair { return [2]Pair{{c.A, c.B}, {c.B, c.A}} }

// Channels lists the configured channels by number.
func (t *Table) Channels() []Channel {
	lanes := t.Lanes()
	back := map[Pair]LaneInfo{}
	for _, l := range lanes {
		back[Pair{l.Src, l.Dst}] = l
	}
	var list []Channel
	for _, l := range lanes {
		if !l.Configured || !l.First {
			continue
		}
		r := back[Pair{l.Dst, l.Src}]
		list = append(list, Channel{
			A: l.Src, B: l.Dst, SendSize: l.AskedSize, RecvSize: r.AskedSize, SizeA2B: l.Size, SizeB2A: r.Size,
			Priority: uint8(l.Priority), Desc: l.Desc, Number: l.Number, HoldsA2B: l.Messages, HoldsB2A: r.Messages,
			CreatedNanos: l.Created.UnixNano(),
		})
	}
	slices.SortFunc(list, func(a, b Channel) int { return int(a.Number) - int(b.Number) })
	return list
}

// A Plan is what Configure did, or would do.
type Plan struct {
	Created []Channel
	Kept    []Channel
	Deleted []Channel
	Resized []Channel // kept with another size than the file asks for: the file's wishes
}

// Configure makes the domain's configured channels those of want: missing ones
// are created, existing ones left as they are with their messages, surplus ones
// deleted. On-demand lanes are not touched. Nothing is changed if a surplus
// channel is bound, or holds messages and force is not set. With dry nothing is
// changed at all.
func (t *Table) Configure(want []Channel, force, dry bool) (Plan, error) {
	plan := t.plan(want)
	if err := t.checkSurplus(plan.Deleted, force); err != nil || dry {
		return plan, err
	}
	for _, c := range plan.Deleted {
		if err := t.Delete(c, force); err != nil {
			return plan, err
		}
	}
	for i, c := range plan.Created {
		if err := t.create(&plan.Created[i]); err != nil {
			plan.Created = plan.Created[:i]
			return plan, fmt.Errorf("channel %s: %w", t.FormatPair(Pair{c.A, c.B}), err)
		}
	}
	return plan, nil
}

func (t *Table) plan(want []Channel) (p Plan) {
	have := map[Pair]Channel{}
	for _, c := range t.Channels() {
		have[unordered(c.A, c.B)] = c
	}
	for _, w := range want {
		key := unordered(w.A, w.B)
		c, ok := have[key]
		delete(have, key)
		switch {
		case !ok:
			p.Created = append(p.Created, w)
			continue
		case c.A == w.A && (c.SendSize != w.SendSize || c.RecvSize != w.RecvSize),
			c.A != w.A && (c.SendSize != w.RecvSize || c.RecvSize != w.SendSize):
			p.Resized = append(p.Resized, w)
		}
		p.Kept = append(p.Kept, c)
	}
	for _, c := range have {
		p.Deleted = append(p.Deleted, c)
	}
	slices.SortFunc(p.Deleted, func(a, b Channel) int { return int(a.Number) - int(b.Number) })
	return p
}

func unordered(a, b addr.Addr) Pair { return Pair{min(a, b), max(a, b)} }

// checkSurplus reports every channel that stands in the way.
func (t *Table) checkSurplus(list []Channel, force bool) error {
	var errs []error
	for _, c := range list {
		if n := c.HoldsA2B + c.HoldsB2A; n > 0 && !force {
			errs = append(errs, fmt.Errorf("channel %d, %s: %w: %d", c.Number, t.FormatPair(Pair{c.A, c.B}), ErrNotEmpty, n))
		}
		for _, a := range []addr.Addr{c.A, c.B} {
			if bound, err := t.locks.Bound(uint32(a)); err != nil || bound {
				errs = append(errs, fmt.Errorf("channel %d: %s: %w: %s", c.Number, t.Format(a), errors.Join(ErrInUse, err), t.holder(a)))
			}
		}
	}
	return errors.Join(errs...)
}

// create makes both lanes of a channel. A lane that exists on demand becomes
// configured as it is.
func (t *Table) create(c *Channel) error {
	return t.change(func() error {
		c.Number = t.st.number.Add(1)
		for i, p := range c.lanes() {
			if _, err := t.know(p.Src); err != nil {
				return err
			}
			spec := laneSpec{size: c.SendSize, flags: laneConfigured, priority: uint32(c.Priority), number: c.Number, desc: c.Desc}
			if i == 0 {
				spec.flags |= laneFirst
			} else {
				spec.size = c.RecvSize
			}
			if err := t.configureLane(p, spec); err != nil {
				return budget(err)
			}
		}
		return nil
	})
}

func (t *Table) configureLane(p Pair, spec laneSpec) error {
	i, ok := t.find(p)
	if !ok {
		_, err := t.makeLane(p, spec)
		return err
	}
	e := t.lane(i)
	e.number.Store(spec.number)
	e.priority.Store(spec.priority)
	clear(e.desc[:])
	copy(e.desc[:descSize-1], spec.desc)
	e.flags.Store(spec.flags)
	return nil
}

// SetStrict makes the domain refuse, or allow again, lanes that no channel configures.
func (t *Table) SetStrict(on bool) error {
	return t.change(func() error {
		if on {
			t.st.flags.Store(tableStrict)
		} else {
			t.st.flags.Store(t.st.flags.Load() &^ tableStrict)
		}
		return nil
	})
}

// SetPriority sets how often the lane p is drained: 1 + priority batches a turn.
func (t *Table) SetPriority(p Pair, priority uint8) error {
	i, ok := t.find(p)
	if !ok {
		return fmt.Errorf("%w: there is no lane %s", ErrNoRoute, t.FormatPair(p))
	}
	return t.change(func() error {
		t.lane(i).priority.Store(uint32(priority))
		return nil
	})
}

// Delete removes both lanes between c.A and c.B. It takes both addresses' bind
// locks meanwhile, or refuses naming who holds one; lanes that hold messages
// are refused unless force is set.
func (t *Table) Delete(c Channel, force bool) error {
	unlock, err := t.both(c.A, c.B)
	if err != nil {
		return err
	}
	defer unlock()
	return t.change(func() error {
		for _, p := range c.lanes() {
			if l, ok := t.Lane(p); ok && !force && (l.Messages > 0 || l.Err != nil) {
				return fmt.Errorf("lane %s: %w: %w", t.FormatPair(p), ErrNotEmpty, errors.Join(fmt.Errorf("%d", l.Messages), l.Err))
			}
		}
		for _, p := range c.lanes() {
			if i, ok := t.find(p); ok {
				if err := t.removeLane(i); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// both takes two bind locks.
func (t *Table) both(a, b addr.Addr) (unlock func(), err error) {
	if err := t.takeBind(a, bindPatience); err != nil {
		return nil, err
	}
	if err := t.takeBind(b, bindPatience); err != nil {
		t.locks.Unbind(uint32(a))
		return nil, err
	}
	return func() {
		t.locks.Unbind(uint32(a))
		t.locks.Unbind(uint32(b))
	}, nil
}

// removeLane frees an entry and its files. Under the change lock, with both
// ends' bind locks held.
func (t *Table) removeLane(i uint32) error {
	e := t.lane(i)
	step("table.removing")
	e.state.Store(laneRemoving)
	if err := t.removeFiles(e); err != nil {
		return err
	}
	n := e.bytes.Swap(0)
	t.st.bytes.Add(-n)
	step("table.free")
	e.state.Store(laneFree)
	t.st.freed.Add(1)
	t.st.epoch.Add(1)
	return nil
}

// Clean discards what waits in the lane p now. If its destination is bound, a
// mark is left that the reader obeys; otherwise the caller acts as the reader. It
// returns how many messages that are, and whether they are gone already. A
// quarantined lane nobody has bound is made anew.
func (t *Table) Clean(p Pair) (n uint64, done bool, err error) {
	i, ok := t.find(p)
	if !ok {
		return 0, false, fmt.Errorf("%w: there is no lane %s", ErrNoRoute, t.FormatPair(p))
	}
	e := t.lane(i)
	if e.quarantine.Load() != 0 {
		return t.remake(p, i)
	}
	l := t.laneInfo(e)
	if l.Err != nil {
		return 0, false, l.Err
	}
	step("channel.discard")
	e.discard.Store(max(e.discard.Load(), l.NextSeq-1))
	ok, err = t.locks.TryBind(uint32(p.Dst))
	if err != nil {
		return l.Messages, false, err
	}
	if !ok { // a live reader does it
		in, err := t.inbox(p.Dst, false)
		if err == nil {
			in.page.ready[e.slot%MaxInboxLanes/64].Or(1 << (e.slot % 64))
			in.page.bell.Ring()
		}
		return l.Messages, false, err
	}
	defer t.locks.Unbind(uint32(p.Dst))
	return l.Messages, true, t.drainDiscarded(i)
}

// drainDiscarded plays the reader for records that are to be discarded.
func (t *Table) drainDiscarded(i uint32) error {
	r, err := t.newReceiver(i)
	if err != nil || r == nil || r.err != nil {
		return err
	}
	defer r.close()
	recs := make([]ring.Record, BatchSize)
	n, err := r.take(recs, batchBytes, false)
	if n > 0 { // sent since: not ours
		r.Rewind(&recs[0], false)
	}
	return err
}

// remake replaces a damaged lane by an empty one of the same kind.
func (t *Table) remake(p Pair, i uint32) (uint64, bool, error) {
	unlock, err := t.both(p.Src, p.Dst)
	if err != nil {
		return 0, false, err
	}
	defer unlock()
	err = t.change(func() error {
		e := t.lane(i)
		spec := laneSpec{size: e.size, flags: e.flags.Load(), priority: e.priority.Load(), number: e.number.Load(), desc: text(e.desc[:])}
		if err := t.removeLane(i); err != nil {
			return err
		}
		_, err := t.makeLane(p, spec)
		return err
	})
	return 0, err == nil, err
}

// Destroy removes the domain with everything in it. It refuses while any
// address is bound, and, unless force is set, while messages wait.
func (t *Table) Destroy(force bool) error {
	if a, held, err := t.locks.AnyBound(0); err != nil || held {
		return fmt.Errorf("destroy domain %d: %s: %w: %s", t.key, t.Format(addr.Addr(a)), errors.Join(ErrInUse, err), t.holder(addr.Addr(a)))
	}
	if !force {
		var waiting uint64
		for _, l := range t.Lanes() {
			waiting += l.Messages
		}
		if waiting > 0 {
			return fmt.Errorf("destroy domain %d: %w: %d", t.key, ErrNotEmpty, waiting)
		}
	}
	return t.change(func() error {
		if a, held, err := t.locks.AnyBound(0); err != nil || held {
			return fmt.Errorf("destroy domain %d: %s: %w", t.key, t.Format(addr.Addr(a)), errors.Join(ErrInUse, err))
		}
		return removeDomain(t.dir)
	})
}

// removeDomain unlinks the table first: from then on nobody can join.
func removeDomain(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	first, last := []string{"table"}, []string{"lock"}
	for _, d := range entries {
		if d.Name() != "table" && d.Name() != "lock" {
			first = append(first, d.Name())
		}
	}
	for _, name := range append(first, last...) {
		if err := os.Remove(dir + "/" + name); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return os.Remove(dir)
}
