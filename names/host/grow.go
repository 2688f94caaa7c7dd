// SPDX-License-Identifier: Apache-2.0

package host

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/skybus-io/skybus/shm"
)

// makeTries is how often the unfinished file may be taken away: whoever tidies up in the domain does
// that.
const makeTries = 5

// make gives the file's name to a table of list, whose changes go on with the number given.
func (r *Registry) make(units uint32, list []record, changes uint64) (*table, error) {
	var t *table
	spec := shm.Spec{
		Magic: magic, Size: sizeOf(units), Body: bodyOf(r.key, units), Access: r.access, Now: time.Now().UnixNano(),
		Init: func(mem []byte) {
			if v, err := view(mem, bodyOf(r.key, units), r.key); err == nil {
				t = v
				t.write(list, changes)
			}
		},
	}
	for tries := 1; ; tries++ {
		seg, err := shm.Replace(r.path, spec)
		if err == nil {
			t.seg, t.mem = seg, seg.Mem()
			return t, nil
		}
		if !errors.Is(err, fs.ErrNotExist) || tries == makeTries {
			return nil, fmt.Errorf("make the table of names: %w", err)
		}
	}
}

// write fills a table that nobody else has yet, and that has room.
func (t *table) write(list []record, changes uint64) {
	t.word(usedAt).Store(1)
	t.word(changesAt).Store(changes)
	t.word(namesAt).Store(uint64(len(list)))
	for i := range list {
		l := &list[i]
		b := encode(l.name, l.claims, l.changed)
		bucket := t.word(t.bucketAt(hashOf(l.name)))
		unit := t.fresh(b[12])
		t.word(liveAt).Add(1 << b[12])
		t.fill(unit, uint32(bucket.Load()), b)
		bucket.Store(uint64(unit))
	}
}

// unitsFor returns the size of a table in which live units are at most five eighths, or else the
// largest.
func unitsFor(live uint64) (units uint32) {
	for units = minUnits; units < maxUnits && 5*uint64(units) < 8*live; {
		units *= 2
	}
	return units
}

// grow makes a table with room for more units, in the place of t. Dead owners do not
// come along. With the lock held; with r.mu for reading. Errors: shm.ErrNoSpace, ErrDamaged.
func (r *Registry) grow(t *table, more uint32) (*table, error) {
	changes := t.word(changesAt).Load()
	list, live, err := r.survivors(t, changes)
	if err != nil {
		return nil, err
	}
	if live > fullUnits { // it counts wrong
		return nil, damaged("%d of its units are in use, want at most %d", live, fullUnits)
	}
	units := unitsFor(live + uint64(more) + 1)
	step("names.moving")
	t.word(movingAt).Store(1) // from now on whoever reads looks where the name leads
	larger, err := r.make(units, list, changes)
	if err != nil {
		t.word(movingAt).Store(0)
		return nil, err
	}
	step("names.moved")
	t.bell().Ring()
	return larger, nil
}

// survivors returns the records of t with those claims that are alive, and the units they take.
func (r *Registry) survivors(t *table, changes uint64) (list []record, units uint64, err error) {
	alive := r.census()
	err = t.each(func(bucket []record) error {
		for i := range bucket {
			l := &bucket[i]
			before := l.owner()
			if l.claims, err = alive.living(l.claims); err != nil {
				return err
			}
			if len(l.claims) == 0 {
				continue
			}
			if l.owner() != before {
				l.changed = changes
			}
			list = append(list, *l)
			units += 1 << classFor(recordSize(len(l.name), len(l.claims)))
		}
		return nil
	})
	return list, units, err
}
