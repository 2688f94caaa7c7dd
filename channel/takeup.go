// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/internal/sys"
	"github.com/skybus-io/skybus/relay/wire"
	"github.com/skybus-io/skybus/ring"
	"github.com/skybus-io/skybus/shm"
)

// reasonDisk is that of a GAP where a durable lane's file was not whole; relay/link
// has the list of reasons.
const reasonDisk = 6

// TakeUp makes lanes of what durable lanes have left of an earlier life of the host,
// or of the domain: all messages that are whole, flagged redelivered. It costs a
// look at the folders where there is nothing to do. A lane that cannot be taken up does
// not keep others from it: its files stay as they are, and the error names them.
func (t *Table) TakeUp() error {
	if len(t.leftBehind(nil)) == 0 {
		return nil
	}
	var err error
	return errors.Join(t.change(func() error {
		err = t.takeUpAll()
		return nil
	}), err)
}

// takeUpAll is TakeUp under the change lock.
func (t *Table) takeUpAll() error {
	var errs []error
	for _, l := range t.leftBehind(&errs) {
		errs = append(errs, t.takeUp(l))
	}
	return errors.Join(errs...)
}

// A leftBehind is a pair that has files in folder and no lane.
type leftBehind struct {
	pair   Pair
	folder string
	gens   []uint32 // those that count, consecutive
	passed []uint32 // below them: consumed
}

// leftBehind looks through the folders of all durable lanes. What cannot be looked
// at is added to errs, if that is not nil.
func (t *Table) leftBehind(errs *[]error) (list []leftBehind) {
	if t.durables.Dirs == nil {
		return nil
	}
	dirs, err := t.durables.Dirs()
	for _, dir := range dirs {
		lanes, err2 := t.filesIn(t.filesFolder(dir))
		err = errors.Join(err, err2)
		for _, l := range lanes {
			if _, ok := t.find(l.pair); !ok && !slices.ContainsFunc(list, func(o leftBehind) bool { return o.pair == l.pair }) {
				list = append(list, l)
			}
		}
	}
	if errs != nil && err != nil {
		*errs = append(*errs, err)
	}
	return list
}

// filesIn lists the lanes that have files in a folder, which need not be there.
func (t *Table) filesIn(folder string) (list []leftBehind, err error) {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	at := map[Pair]int{}
	for _, d := range entries {
		p, gen, ok := parseLaneName(d.Name())
		if !ok {
			continue
		}
		i, seen := at[p]
		if !seen {
			i, at[p] = len(list), len(list)
			list = append(list, leftBehind{pair: p, folder: folder})
		}
		list[i].gens = append(list[i].gens, gen)
	}
	for i := range list {
		list[i].order()
	}
	return list, err
}

// order puts aside what lies below a hole: a generation that is missing was
// consumed.
func (l *leftBehind) order() {
	slices.Sort(l.gens)
	first := len(l.gens) - 1
	for first > 0 && l.gens[first-1] == l.gens[first]-1 {
		first--
	}
	l.passed, l.gens = l.gens[:first], l.gens[first:]
}

// parseLaneName is the inverse of laneName.
func parseLaneName(name string) (p Pair, gen uint32, ok bool) {
	stem, digits, _ := strings.Cut(strings.TrimPrefix(name, "l-"), ".")
	src, dst, _ := strings.Cut(stem, "-")
	a, err1 := strconv.ParseUint(src, 16, 32)
	b, err2 := strconv.ParseUint(dst, 16, 32)
	g, err3 := strconv.ParseUint(digits, 10, 32)
	p, gen = Pair{addr.Addr(a), addr.Addr(b)}, uint32(g)
	return p, gen, err1 == nil && err2 == nil && err3 == nil && gen > 0 && gen < math.MaxUint32 && name == laneName(p, gen)
}

// takeUpPair takes up what p has left in dir, if it has, for a lane that is about
// to be made. Under the change lock.
func (t *Table) takeUpPair(p Pair, dir string) error {
	lanes, err := t.filesIn(t.filesFolder(dir))
	for _, l := range lanes {
		if l.pair == p && err == nil {
			err = t.takeUp(l)
		}
	}
	return err
}

// A remnant is one generation that was left behind.
type remnant struct {
	segment
	is ring.Survival
}

// takeUp makes a lane of what was left behind. Under the change lock.
func (t *Table) takeUp(l leftBehind) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("take up %s: %w", filepath.Join(l.folder, laneName(l.pair, l.gens[0])), err)
		}
	}()
	if p := l.pair; p.Src.IsNone() || p.Dst.IsNone() || p.Src == p.Dst || !t.cfg.Template.Contains(max(p.Src, p.Dst)) {
		return fmt.Errorf("%w: template %s has no such lane", ErrNoRoute, t.cfg.Template)
	}
	d, ruled, err := t.durability(l.pair)
	if err != nil {
		return err
	}
	kept, whole, err := t.survey(&l)
	if err != nil {
		return err
	}
	defer closeAll(kept)
	if !ruled {
		d.Sync = bodyOf[laneBody](kept[0].seg.Body()).durable == onDiskSync
	}
	e, i, err := t.takeUpEntry(&l, &d, kept)
	if err != nil {
		return err
	}
	if err := t.goOn(e, &l, kept, whole && d.Sync); err != nil {
		t.dropEntry(e, i)
		return err
	}
	t.takenUp(e, i, kept)
	return nil
}

// survey opens the generations that go on with each other: kept is at least one,
// if there is no error, and the caller's to close. whole reports whether they are
// all, and end as the producer left them.
func (t *Table) survey(l *leftBehind) (kept []remnant, whole bool, err error) {
	var sums summer
	all := true
	for i, gen := range l.gens {
		k, err := t.openRemnant(l, gen, &sums)
		if err != nil && i == 0 {
			return nil, false, err
		}
		if err == nil && k.is.Head > 0 { // what lies below was consumed
			closeAll(kept)
			kept = kept[:0]
		}
		if n := len(kept); err == nil && n > 0 && bodyOf[laneBody](k.seg.Body()).firstSeq != kept[n-1].is.NextSeq {
			k.seg.Close()
			err = fmt.Errorf("%w: generation %d does not go on with %d", ErrDamaged, gen, gen-1)
		}
		if all = err == nil; !all {
			break // nor does what lies behind it
		}
		kept = append(kept, k)
	}
	last := &kept[len(kept)-1]
	last.is.Settle(last.ring, bodyOf[laneBody](last.seg.Body()).firstSeq, sums.whole)
	return kept, all && last.is.Orderly, nil
}

func closeAll(list []remnant) {
	for _, k := range list {
		k.seg.Close()
	}
}

// openRemnant maps a generation of a lane that has no entry, and looks how much of
// it is whole.
func (t *Table) openRemnant(l *leftBehind, gen uint32, sums *summer) (k remnant, err error) {
	path := filepath.Join(l.folder, laneName(l.pair, gen))
	if err := readThrough(path); err != nil {
		return k, err
	}
	seg, err := shm.Open(path, magicLane, false)
	if err != nil {
		return k, budget(damage(err))
	}
	e := laneEntry{src: uint32(l.pair.Src), dst: uint32(l.pair.Dst)}
	k.segment, err = t.checkSegment(&e, gen, seg)
	if body := bodyOf[laneBody](seg.Body()); err == nil && (body.durable == inMemory || body.durable > onDiskSync || body.firstSeq == 0) {
		err = fmt.Errorf("%w: %s says durable %d, first sequence %d", ErrDamaged, path, body.durable, body.firstSeq)
	}
	if err == nil {
		k.is, err = ring.Survey(k.ring, sums.whole)
	}
	if err != nil {
		seg.Close()
		err = fmt.Errorf("%s: %w", path, damage(err))
	}
	return k, err
}

// readThrough reads a file: a disk that cannot do that is an error here, and the
// death of a process that has it mapped.
func readThrough(path string) error {
	f, err := sys.Open(path, os.O_RDONLY, 0)
	if err != nil {
		return shm.Explain(err, path)
	}
	defer f.Close()
	_, err = io.Copy(io.Discard, f)
	return err
}

// takeUpEntry makes the lane's entry, which nobody sees as a lane yet.
func (t *Table) takeUpEntry(l *leftBehind, d *Durability, kept []remnant) (*laneEntry, uint32, error) {
	remote, err := t.isRemote(l.pair.Dst)
	if err != nil {
		return nil, 0, err
	}
	size := uint64(firstRing)
	for _, k := range kept {
		size += uint64(len(k.seg.Mem()))
	}
	if err := t.afford(l.pair, size, true); err != nil {
		return nil, 0, err
	}
	flags := d.flags()
	if remote {
		flags |= laneRemote
	} else if _, err := t.know(l.pair.Dst); err != nil {
		return nil, 0, err
	}
	slot, back, err := t.takeSlots(l.pair, flags)
	if err != nil {
		return nil, 0, err
	}
	i, err := t.freeEntry()
	if err != nil {
		return nil, 0, err
	}
	e := t.lane(i)
	*e = laneEntry{src: uint32(l.pair.Src), dst: uint32(l.pair.Dst), slot: slot, back: back, created: time.Now().UnixNano()}
	e.flags.Store(flags)
	e.gen.Store(kept[0].gen)
	step("takeup.entry")
	e.state.Store(laneTaking)
	return e, i, nil
}

// dropEntry gives an entry back that did not become a lane.
func (t *Table) dropEntry(e *laneEntry, i uint32) {
	_ = t.removeLinks(e) // the next change that finds one cut off knows them
	lower(&t.st.bytes, e.bytes.Swap(0))
	e.state.Store(laneFree)
	if i < t.laneCount() {
		t.st.freed.Add(1)
	}
}

// goOn ends what was kept and makes the generation that goes on. Each step leaves
// files that are taken up with the same result.
func (t *Table) goOn(e *laneEntry, l *leftBehind, kept []remnant, whole bool) error {
	first, last := kept[0], kept[len(kept)-1]
	gen, next := last.gen+1, last.is.NextSeq
	t.st.epochs.Store(max(t.st.epochs.Load(), bodyOf[laneBody](last.seg.Body()).epoch)) // the clock may have gone back
	epoch := t.newEpoch()
	atomic.StoreUint64(&e.prod.epoch, epoch)
	atomic.StoreUint64(&e.cons.again, next-1)
	atomic.StoreUint64(&e.cons.consumed, first.is.HeadSeq-1)
	for _, g := range slices.Concat(l.passed, l.gens) {
		if g < first.gen || g > gen {
			step("takeup.remove")
			if err := os.Remove(filepath.Join(l.folder, laneName(l.pair, g))); err != nil {
				return err
			}
		}
	}
	begin := life{epoch: epoch, seq: next, folder: l.folder, replace: true}
	if !whole {
		begin.gap = wire.GapRecord(&wire.Gap{Epoch: epoch, From: next, Reason: reasonDisk,
			Text: "the host went down; what was sent after this may not have been on disk"})
	}
	for _, k := range kept {
		if err := relink(k.seg.Path(), t.lanePath(e, k.gen)); err != nil {
			return err
		}
	}
	seg, err := t.createGeneration(e, gen, firstRing, begin)
	if err != nil {
		return err
	}
	seg.Close()
	for _, k := range kept {
		k.is.Seal(k.ring)
		if err := syncPath(k.seg.Path()); err != nil {
			return err
		}
	}
	return nil
}

// takenUp makes the entry a lane and tells its reader.
func (t *Table) takenUp(e *laneEntry, i uint32, kept []remnant) {
	for _, k := range kept {
		e.bytes.Add(uint64(len(k.seg.Mem())))
		t.st.bytes.Add(uint64(len(k.seg.Mem())))
	}
	if i >= t.laneCount() { // before it is live: what is not counted is removed with its files
		step("takeup.count")
		t.st.lanes.Store(i + 1)
	}
	step("takeup.live")
	e.state.Store(laneLive)
	step("takeup.index")
	t.st.epoch.Add(1) // indexes may have passed it
	if in, err := t.inbox(e.reader(), false); err == nil {
		rung := uint32(0)
		in.page.announce(e.bit(), &rung)
	}
}

// removeLinks removes the links of a lane that was being taken up; its files stay.
func (t *Table) removeLinks(e *laneEntry) error {
	stem := strings.TrimSuffix(laneName(pairOf(e), 0), "0")
	entries, err := os.ReadDir(t.dir)
	for _, d := range entries {
		if strings.HasPrefix(d.Name(), stem) && d.Type() == fs.ModeSymlink {
			step("takeup.unlink")
			err = errors.Join(err, os.Remove(t.path(d.Name())))
		}
	}
	return err
}
