// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"

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
	Half         bool // one of its lanes is missing: whoever made or deleted it failed or died
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
		if !l.Configured {
			continue
		}
		r := back[Pair{l.Dst, l.Src}]
		switch {
		case l.First:
			list = append(list, channelOf(l, r, l))
		case !r.Configured:
			list = append(list, channelOf(r, l, l))
		}
	}
	slices.SortFunc(list, byNumber)
	return list
}

func byNumber(a, b Channel) int { return cmp.Compare(a.Number, b.Number) }

// channelOf puts a channel together from its lanes, of which known exists.
func channelOf(a2b, b2a, known LaneInfo) Channel {
	c := Channel{
		A: known.Src, B: known.Dst, SendSize: a2b.AskedSize, RecvSize: b2a.AskedSize, SizeA2B: a2b.Size, SizeB2A: b2a.Size,
		Priority: uint8(known.Priority), Desc: known.Desc, Number: known.Number, HoldsA2B: a2b.Messages, HoldsB2A: b2a.Messages,
		CreatedNanos: known.Created.UnixNano(), Half: !a2b.Configured || !b2a.Configured,
	}
	if !known.First {
		c.A, c.B = c.B, c.A
	}
	return c
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
	if err := t.checkWanted(want); err != nil {
		return Plan{}, err
	}
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
		case !ok || c.Half:
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
	slices.SortFunc(p.Deleted, byNumber)
	return p
}

// checkWanted reports every wish that no domain, or not this one, can fulfil.
func (t *Table) checkWanted(want []Channel) error {
	var errs []error
	seen := map[Pair]bool{}
	for _, c := range want {
		p, wrong := Pair{c.A, c.B}, ""
		switch {
		case c.A == c.B:
			wrong = "an address has no channel to itself"
		case c.A.IsNone() || c.B.IsNone() || !t.cfg.Template.Contains(max(c.A, c.B)):
			wrong = fmt.Sprintf("no addresses that template %s can name", t.cfg.Template)
		case seen[unordered(c.A, c.B)]:
			wrong = "it is listed twice"
		}
		seen[unordered(c.A, c.B)] = true
		if wrong != "" {
			errs = append(errs, fmt.Errorf("channel %s: %s", t.FormatPair(p), wrong))
		}
		for _, size := range []uint64{c.SendSize, c.RecvSize} {
			if _, err := t.laneRing(p, size); err != nil {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

func unordered(a, b addr.Addr) Pair { return Pair{min(a, b), max(a, b)} }

// checkSurplus reports every channel that stands in the way.
func (t *Table) checkSurplus(list []Channel, force bool) error {
	var errs []error
	for _, c := range list {
		if n := c.HoldsA2B + c.HoldsB2A; n > 0 && !force {
			errs = append(errs, fmt.Errorf("channel %d, %s: %w: %d", c.Number, t.FormatPair(Pair{c.A, c.B}), ErrNotEmpty, n))
		}
		x, y := t.ends(c.A, c.B)
		for _, a := range []addr.Addr{x, y} {
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
	e.size.Store(spec.size)
	clear(e.desc[:])
	copy(e.desc[:descSize-1], spec.desc)
	e.flags.Store(spec.flags | e.flags.Load()&(laneRemote|laneMirror|laneDurable|laneSync))
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
	return t.change(func() error {
		e, err := t.existing(p)
		if err == nil {
			e.priority.Store(uint32(priority))
		}
		return err
	})
}

// existing returns the entry of a lane that there is. Until the caller holds the
// change lock, or the bind lock of one of the lane's ends, it may become another's.
func (t *Table) existing(p Pair) (*laneEntry, error) {
	i, ok := t.find(p)
	if !ok {
		return nil, fmt.Errorf("%w: there is no lane %s", ErrNoRoute, t.FormatPair(p))
	}
	return t.lane(i), nil
}

// Delete removes both lanes between c.A and c.B. It takes both addresses' bind
// locks meanwhile, or refuses naming who holds one; lanes that hold messages
// are refused unless force is set.
func (t *Table) Delete(c Channel, force bool) error {
	unlock, err := t.both(t.ends(c.A, c.B))
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

// ends returns whose locks say who uses the lanes between a and b: the relay's
// instead of one's that is on another host.
func (t *Table) ends(a, b addr.Addr) (addr.Addr, addr.Addr) {
	x, y := a, b
	if i, ok := t.find(Pair{a, b}); ok {
		x, y = t.lane(i).writer(), t.lane(i).reader()
	}
	if i, ok := t.find(Pair{b, a}); ok {
		if e := t.lane(i); e.writer() == relayAddr {
			y = relayAddr
		} else if e.reader() == relayAddr {
			x = relayAddr
		}
	}
	return x, y
}

// both takes two bind locks.
func (t *Table) both(a, b addr.Addr) (unlock func(), err error) {
	if err := t.takeBind(a); err != nil {
		return nil, err
	}
	if a == b {
		return func() { t.locks.Unbind(uint32(a)) }, nil
	}
	if err := t.takeBind(b); err != nil {
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
	lower(&t.st.bytes, e.bytes.Swap(0))
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
	e, err := t.existing(p)
	if err != nil {
		return 0, false, err
	}
	if e.quarantine.Load() == laneDamaged {
		return 0, true, t.remake(p)
	}
	if n, err = t.discard(p); err != nil {
		return n, false, err
	}
	reader := e.reader()
	ok, err := t.locks.TryBind(uint32(reader))
	if err != nil {
		return n, false, err
	}
	if !ok { // a live reader does it
		in, err := t.inbox(reader, false)
		if err == nil {
			in.page.ready[e.bit()/64].Or(1 << (e.bit() % 64))
			in.page.bell.Ring()
		}
		return n, false, err
	}
	defer t.locks.Unbind(uint32(reader))
	return n, true, t.drainDiscarded(p)
}

// discard leaves the mark up to which the reader discards: all that waits now.
func (t *Table) discard(p Pair) (n uint64, err error) {
	err = t.change(func() error {
		e, err := t.existing(p)
		if err != nil {
			return err
		}
		l := t.laneInfo(e)
		if l.Err != nil {
			return l.Err
		}
		step("channel.discard")
		e.discard.Store(max(e.discard.Load(), l.NextSeq-1))
		n = l.Messages
		return nil
	})
	return n, err
}

// drainDiscarded plays the reader for records that are to be discarded.
func (t *Table) drainDiscarded(p Pair) error {
	i, ok := t.find(p)
	if !ok {
		return nil // deleted meanwhile
	}
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

// remake gives a damaged lane a new ring, whose sequence begins at 1 again. It
// stays quarantined until that is complete, so that it can be tried again.
func (t *Table) remake(p Pair) error {
	unlock, err := t.both(t.ends(p.Src, p.Dst))
	if err != nil {
		return err
	}
	defer unlock()
	return t.change(func() error {
		e, err := t.existing(p)
		if err != nil || e.quarantine.Load() != laneDamaged {
			return err
		}
		return budget(t.remakeLane(e))
	})
}

func (t *Table) remakeLane(e *laneEntry) error {
	begin := life{seq: 1}
	if e.isDurable() {
		folder, err := t.folderOf(e, e.gen.Load()+1)
		if err != nil {
			return err
		}
		begin.folder = folder
	}
	if err := t.removeFiles(e); err != nil {
		return err
	}
	lower(&t.st.bytes, e.bytes.Swap(0))
	size, err := t.laneRing(pairOf(e), e.size.Load())
	if err != nil {
		return err
	}
	if err := t.afford(pairOf(e), size, false); err != nil {
		return err
	}
	gen := e.gen.Load() + 1
	if e.flags.Load()&laneRemote != 0 {
		atomic.StoreUint64(&e.prod.epoch, t.newEpoch()) // its numbers begin anew
		atomic.StoreUint64(&e.cons.consumed, 0)
		atomic.StoreUint64(&e.cons.again, 0)
	}
	begin.epoch, begin.begin = e.life(0).epoch, e.life(0).begin
	seg, err := t.createGeneration(e, gen, size, begin)
	if err != nil {
		return err
	}
	seg.Close()
	e.gen.Store(gen)
	e.discard.Store(0)
	e.state.Store(laneLive)
	step("channel.remade")
	e.quarantine.Store(0)
	return nil
}

// Destroy removes the domain with everything in it. It refuses while any
// address is bound, and, unless force is set, while messages wait.
func (t *Table) Destroy(force bool) error {
	if a, held, err := t.locks.AnyBound(0); err != nil || held {
		return fmt.Errorf("destroy domain %d: %s: %w: %s", t.key, t.Format(addr.Addr(a)), errors.Join(ErrInUse, err), t.holder(addr.Addr(a)))
	}
	if !force {
		var waiting uint64
		var unknown error
		for _, l := range t.Lanes() {
			waiting += l.Messages
			unknown = errors.Join(unknown, l.Err)
		}
		if waiting > 0 || unknown != nil {
			return fmt.Errorf("destroy domain %d: %w: %w", t.key, ErrNotEmpty, errors.Join(fmt.Errorf("%d", waiting), unknown))
		}
	}
	return t.change(func() error {
		if a, held, err := t.locks.AnyBound(0); err != nil || held {
			return fmt.Errorf("destroy domain %d: %s: %w", t.key, t.Format(addr.Addr(a)), errors.Join(ErrInUse, err))
		}
		if err := t.removeDurable(); err != nil {
			return err
		}
		return removeDomain(t.dir)
	})
}

// removeDomain unlinks the table first: from then on nobody can join, and
// whoever comes next completes the work if it is cut off (Table.ensure).
func removeDomain(dir string) error {
	if err := removeFile(dir, "table"); err != nil {
		return err
	}
	if err := removeRest(dir); err != nil {
		return err
	}
	if err := removeFile(dir, "lock"); err != nil {
		return err
	}
	step("table.destroy")
	err := os.Remove(dir)
	if errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrNotExist) {
		return nil // somebody makes the domain anew already
	}
	return err
}

// removeRest unlinks what belongs to a domain that has no table any more.
func removeRest(dir string) error {
	entries, err := os.ReadDir(dir)
	for _, d := range entries {
		if name := d.Name(); name != "lock" && err == nil {
			err = removeFile(dir, name)
		}
	}
	return err
}

func removeFile(dir, name string) error {
	step("table.destroy")
	if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
