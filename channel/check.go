// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/ring"
	"github.com/skybus-io/skybus/shm"
)

// A Violation is something in a domain that should not be.
type Violation struct {
	Where string // the lane, inbox or file
	What  string
	// Note marks what a crash may leave and the bus puts right by itself, at the
	// next change, attach or sweep.
	Note bool
}

// String writes the violation on one line.
func (v Violation) String() string {
	if v.Note {
		return v.Where + ": " + v.What + " (puts itself right)"
	}
	return v.Where + ": " + v.What
}

// Check looks at everything in the domain and reports every violation. It takes
// no lock and stops nobody: on a live domain it looks twice and reports what it
// saw both times.
func (t *Table) Check() []Violation {
	first := t.check()
	if len(first) == 0 {
		return nil
	}
	again := map[Violation]bool{} // a damaged table may yield more than a hundred thousand
	for _, v := range t.check() {
		again[v] = true
	}
	return slices.DeleteFunc(first, func(v Violation) bool { return !again[v] })
}

// A checker gathers what one look finds.
type checker struct {
	t     *Table
	found []Violation
	files map[string]bool     // names in the folder that nothing has claimed yet
	lanes map[string][]uint32 // likewise the lane segments: generations by the name without them
	links map[string]bool     // names in the folder that are links
	slots map[Pair]uint32     // {slot, destination} that are taken, by entry
}

func (c *checker) add(where, format string, args ...any) {
	c.found = append(c.found, Violation{Where: where, What: fmt.Sprintf(format, args...)})
}

func (c *checker) note(where, format string, args ...any) {
	c.found = append(c.found, Violation{Where: where, What: fmt.Sprintf(format, args...), Note: true})
}

func (t *Table) check() []Violation {
	c := &checker{t: t, files: map[string]bool{}, lanes: map[string][]uint32{}, links: map[string]bool{}, slots: map[Pair]uint32{}}
	c.list()
	c.table()
	seen := map[Pair]uint32{}
	for i := range t.laneCount() {
		c.entry(i, seen)
	}
	c.inboxes()
	c.leftovers()
	c.leftBehind()
	return c.found
}

func (c *checker) list() {
	entries, err := os.ReadDir(c.t.dir)
	if err != nil {
		c.add(c.t.dir, "cannot be listed: %v", err)
	}
	for _, d := range entries {
		if d.Type() == fs.ModeSymlink {
			c.links[d.Name()] = true
		}
		stem, gen, _ := strings.Cut(d.Name(), ".")
		if g, err := strconv.ParseUint(gen, 10, 32); err == nil && strings.HasPrefix(stem, "l-") {
			c.lanes[stem] = append(c.lanes[stem], uint32(g))
		} else {
			c.files[d.Name()] = true
		}
	}
	delete(c.files, "table")
	delete(c.files, "lock")
}

func (c *checker) table() {
	st := c.t.st
	if n := st.lanes.Load(); n > laneCap {
		c.add("table", "counts %d lanes, it has room for %d", n, laneCap)
	}
	if n := st.endpoints.Load(); n > endpointCap {
		c.add("table", "counts %d addresses, it has room for %d", n, endpointCap)
	}
	if m := st.mutation.Load(); m&1 == 1 {
		c.note("table", "change %d was cut off", m)
	}
	seen := map[uint32]bool{}
	for i := range c.t.endpointCount() {
		e := c.t.endpoint(i)
		where := "address " + c.t.Format(addr.Addr(e.addr))
		if s := e.state.Load(); s != endpointKnown {
			c.add(where, "entry %d has state %d", i, s)
		}
		if seen[e.addr] {
			c.add(where, "has two entries, one of them %d", i)
		}
		seen[e.addr] = true
	}
}

// entry checks one lane entry and everything it leads to.
func (c *checker) entry(i uint32, seen map[Pair]uint32) {
	e := c.t.lane(i)
	p := pairOf(e)
	where := "lane " + c.t.FormatPair(p)
	switch s := e.state.Load(); s {
	case laneFree:
		return
	case laneMaking, laneRemoving:
		c.note(where, "entry %d was being made or removed", i)
		c.claimFiles(e)
		return
	case laneTaking:
		c.note(where, "entry %d was being taken up", i)
		c.claimFiles(e)
		return
	case laneLive, laneIdle:
	default:
		c.add(where, "entry %d has state %d", i, s)
		return
	}
	if other, twice := seen[p]; twice {
		c.add(where, "has two entries, %d and %d", other, i)
	}
	seen[p] = i
	if p.Src.IsNone() || p.Dst.IsNone() || p.Src == p.Dst {
		c.add(where, "no lane can be between these two")
	}
	if e.quarantine.Load() == laneDamaged {
		c.add(where, "is quarantined: %s", text(e.reason[:]))
	}
	c.slot(where, e, i)
	c.segments(where, e)
}

func (c *checker) slot(where string, e *laneEntry, i uint32) {
	in, err := c.t.inbox(e.reader(), false)
	if err != nil {
		c.add(where, "its inbox cannot be opened: %v", err)
		return
	}
	slot := e.slot
	if e.reader() == relayAddr {
		slot = e.back
	}
	if n := in.page.slots.Load(); slot >= n {
		c.add(where, "has slot %d of an inbox that gave out %d", slot, n)
	}
	key := Pair{addr.Addr(slot), e.reader()}
	if other, twice := c.slots[key]; twice {
		c.add(where, "entries %d and %d share slot %d", other, i, slot)
	}
	c.slots[key] = i
}

// claimFiles takes a lane's segments out of those that belong to nobody.
func (c *checker) claimFiles(e *laneEntry) []uint32 {
	stem := strings.TrimSuffix(laneName(pairOf(e), 0), ".0")
	gens := c.lanes[stem]
	delete(c.lanes, stem)
	slices.Sort(gens)
	return gens
}

// segments checks that a lane's generations are whole and follow each other.
func (c *checker) segments(where string, e *laneEntry) {
	gens := c.claimFiles(e)
	if e.state.Load() == laneIdle {
		for _, g := range gens {
			c.note(where, "was given back, but generation %d is there", g)
		}
		return
	}
	if e.quarantine.Load() == laneDamaged {
		return
	}
	next, bytes, last := uint64(0), uint64(0), false
	for _, g := range c.linked(where, e, gens) {
		if last {
			c.note(where, "generation %d is there, but nothing leads to it", g)
			continue
		}
		s, st, err := c.look(e, g)
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				c.add(where, "generation %d: %v", g, err)
			}
			return
		}
		if next != 0 && st.HeadSeq != next {
			c.add(where, "generation %d begins with sequence %d, the one before ends with %d", g, st.HeadSeq, next-1)
		}
		next, last = st.NextSeq, !st.Moved && !(st.Closed && c.t.exists(e, g+1))
		bytes += s + laneDataAt
		c.announced(where, e, st)
	}
	if !last {
		c.add(where, "its last generation is missing: there are %d, from %d on", gens, e.gen.Load())
	}
	if n := e.bytes.Load(); n != bytes {
		c.note(where, "accounts for %d bytes and has %d", n, bytes)
	}
}

// linked checks that the segments of a durable lane, and no others, are links, and
// returns the generations that have a file.
func (c *checker) linked(where string, e *laneEntry, gens []uint32) []uint32 {
	return slices.DeleteFunc(gens, func(g uint32) bool {
		link := c.links[laneName(pairOf(e), g)]
		switch {
		case link && !e.isDurable():
			c.add(where, "generation %d is a link, and the lane is not durable", g)
		case !link && e.isDurable():
			c.add(where, "generation %d is no link, and the lane is durable", g)
		case link && !c.t.exists(e, g):
			c.note(where, "generation %d is a link without a file", g)
			return true
		}
		return false
	})
}

// leftBehind looks for files of durable lanes that no lane has.
func (c *checker) leftBehind() {
	if c.t.durables.Dirs == nil {
		return
	}
	dirs, err := c.t.durables.Dirs()
	if err != nil {
		c.add("durable lanes", "their folders are not known: %v", err)
	}
	for _, dir := range dirs {
		lanes, err := c.t.filesIn(c.t.filesFolder(dir))
		if err != nil {
			c.add(dir, "cannot be listed: %v", err)
		}
		for _, l := range lanes {
			c.filesLeft(l)
		}
	}
}

func (c *checker) filesLeft(l leftBehind) {
	i, ok := c.t.find(l.pair)
	where := filepath.Join(l.folder, strings.TrimSuffix(laneName(l.pair, 0), ".0"))
	gens := append(l.passed, l.gens...)
	switch {
	case !ok:
		c.note(where, "generations %d were left behind: whoever opens the domain next takes them up", gens)
	case !c.t.lane(i).isDurable():
		c.add(where, "generations %d were left behind, and cannot be taken up: the lane was made in memory since", gens)
	default:
		for _, g := range gens {
			if file, err := c.t.segmentPath(c.t.lane(i), g); err != nil || filepath.Dir(file) != l.folder {
				c.add(where, "generation %d has no link in the domain", g)
			}
		}
	}
}

func (c *checker) look(e *laneEntry, gen uint32) (size uint64, st ring.State, err error) {
	s, err := c.t.openSegment(e, gen)
	if err != nil {
		return 0, st, err
	}
	defer c.t.pool.put(s.seg)
	st, err = ring.Look(s.ring)
	return s.ring.Size(), st, err
}

// announced notes a lane that has messages of which its reader was not told.
func (c *checker) announced(where string, e *laneEntry, st ring.State) {
	in, err := c.t.inbox(e.reader(), false)
	if err != nil || st.Records == 0 {
		return
	}
	slot := e.bit()
	if in.page.ready[slot/64].Load()>>(slot%64)&1 == 0 {
		c.note(where, "holds %d messages and its bit is not set", st.Records)
	}
}

func (c *checker) inboxes() {
	for name := range c.files {
		var a uint32
		if n, err := fmt.Sscanf(name, "i-%08x", &a); n != 1 || err != nil {
			continue
		}
		delete(c.files, name)
		if _, err := c.t.inbox(addr.Addr(a), false); err != nil {
			c.add("inbox of "+c.t.Format(addr.Addr(a)), "%v", err)
		}
	}
}

func (c *checker) leftovers() {
	report := c.add
	if c.t.st.mutation.Load()&1 == 1 {
		report = c.note // of a lane that was being made
	}
	for stem, gens := range c.lanes {
		report(c.t.path(stem), "generations %d belong to no lane", gens)
	}
	delete(c.files, DaemonSocket)
	delete(c.files, ClusterSocket)
	delete(c.files, NamesFile)
	for name := range c.files {
		if shm.IsTemporary(name) {
			c.note(c.t.path(name), "unfinished file")
		} else if !IsGateFile(name) {
			c.add(c.t.path(name), "belongs to nothing in the domain")
		}
	}
}
