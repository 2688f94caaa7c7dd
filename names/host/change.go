// SPDX-License-Identifier: Apache-2.0

package host

import (
	"fmt"
	"slices"

	"github.com/skybus-io/skybus/names"
)

// Who calls what follows holds the lock of the names.

// errNoRoom means that the table has no block for a record; grow makes one that has.
type errNoRoom struct{ units uint32 }

func (errNoRoom) Error() string { return "the table has no room" }

// put gives a record other claims, which it gets from one store to the next; none: the name is
// gone. Errors: errNoRoom, names.ErrFull, ErrDamaged; then nothing was changed.
func (t *table) put(r *record, claims []names.Claim) error {
	if slices.Equal(r.claims, claims) {
		return nil
	}
	t.begin()
	defer t.end()
	if len(claims) > 0 {
		return t.replace(r, claims)
	}
	t.publish(r, r.next)
	t.free(r.unit, r.class)
	t.word(namesAt).Add(^uint64(0))
	t.word(liveAt).Add(-(uint64(1) << r.class))
	t.announce(hashOf(r.name))
	return nil
}

// replace is put for a name that is there afterwards.
func (t *table) replace(r *record, claims []names.Claim) error {
	changed := r.changed
	if o := r.owner(); o.Owner != claims[0].Owner || o.Life != claims[0].Life {
		changed = t.word(changesAt).Load() + 1
	}
	b := encode(r.name, claims, changed)
	live := t.word(liveAt).Load() + 1<<b[12]
	if r.unit != 0 {
		live -= 1 << r.class
	}
	if live > fullUnits && (r.unit == 0 || b[12] > r.class) {
		return errFull
	}
	unit, err := t.alloc(b[12])
	if err != nil {
		return err
	}
	next := r.next
	if r.unit == 0 {
		next = uint32(t.word(r.link).Load())
	}
	step("names.fill")
	t.fill(unit, next, b)
	t.publish(r, unit)
	if r.unit != 0 {
		t.free(r.unit, r.class)
	} else {
		t.word(namesAt).Add(1)
	}
	t.word(liveAt).Store(live)
	t.announce(hashOf(r.name))
	return nil
}

var errFull = fmt.Errorf("%w: the table of names has %d MiB at most", names.ErrFull, maxUnits*unitSize>>20)

// begin makes the count of mutations odd: whoever finds it so knows that its writer has died.
func (t *table) begin() {
	step("names.begin")
	t.word(mutationAt).Add(1)
}

func (t *table) end() {
	step("names.end")
	t.word(mutationAt).Add(1)
}

// fill writes a record into a free block.
func (t *table) fill(unit, next uint32, b []byte) {
	at := t.unitAt(unit)
	for i := 8; i < len(b); i += 8 {
		t.word(at + i).Store(le.Uint64(b[i:]))
	}
	t.word(at).Store(uint64(le.Uint32(b[4:]))<<32 | uint64(next))
}

// publish has the word that leads to r lead to unit instead. Its bucket's tag grows after that
// and before the old record's block is used again: a reader that was in it looks once more.
func (t *table) publish(r *record, unit uint32) {
	bucket := t.bucketAt(hashOf(r.name))
	step("names.publish")
	if r.link != bucket {
		w := t.word(r.link)
		w.Store(w.Load()&^wordMask | uint64(unit))
		unit = uint32(t.word(bucket).Load())
		step("names.tag")
	}
	w := t.word(bucket)
	w.Store((w.Load()+tagStep)&^wordMask | uint64(unit)) // pairs with the second load in read ("tag")
}

// announce tells the watchers that something of a hash has changed.
func (t *table) announce(hash uint32) {
	n := t.word(changesAt).Load() + 1
	step("names.journal")
	t.word(journalAt + 8*int(n%journalSize)).Store(n<<32 | uint64(hash))
	step("names.changes")
	t.word(changesAt).Store(n)
	t.bell().Ring()
}

// alloc takes a free block, or one that was never used, or a part of a larger free one.
func (t *table) alloc(class uint8) (uint32, error) {
	for c := class; c < classes; c++ {
		unit, err := t.pop(c)
		if err != nil {
			return 0, err
		}
		if unit == 0 && c == class {
			step("names.used")
			if unit = t.fresh(class); unit != 0 {
				return unit, nil
			}
			continue
		}
		for ; unit != 0 && c > class; c-- {
			t.free(unit+1<<(c-1), c-1)
		}
		if unit != 0 {
			return unit, nil
		}
	}
	return 0, errNoRoom{1 << class}
}

// fresh takes a block behind all that were ever used; 0: there is none.
func (t *table) fresh(class uint8) uint32 {
	used := t.word(usedAt).Load()
	if used == 0 || used > uint64(t.units) || uint64(t.units)-used < 1<<class {
		return 0
	}
	t.word(usedAt).Store(used + 1<<class)
	return uint32(used)
}

// pop takes the first free block of a class; 0: there is none.
func (t *table) pop(class uint8) (uint32, error) {
	head := t.word(freeAt + 8*int(class))
	unit := head.Load()
	if unit == 0 {
		return 0, nil
	}
	if unit >= uint64(t.units) || !t.isFree(uint32(unit), class) {
		return 0, damaged("free unit %d of class %d is none", unit, class)
	}
	step("names.pop")
	head.Store(t.word(t.unitAt(uint32(unit))).Load())
	return uint32(unit), nil
}

// isFree reports whether a block says that it is free.
func (t *table) isFree(unit uint32, class uint8) bool {
	return t.has(unit, class) && t.word(t.unitAt(unit)+8).Load() == freeWord(class)
}

func freeWord(class uint8) uint64 { return freeClaims<<48 | uint64(class)<<32 }

// free gives a block back, to which nothing leads.
func (t *table) free(unit uint32, class uint8) {
	head, at := t.word(freeAt+8*int(class)), t.unitAt(unit)
	t.word(at).Store(head.Load())
	t.word(at + 8).Store(freeWord(class))
	step("names.free")
	head.Store(uint64(unit))
}

// tidy puts right what a process has left that died while it made a change: blocks that nothing
// leads to are free again, readers that were in one look once more, and watchers look at everything.
func (t *table) tidy() error {
	taken, count, err := t.takenUnits()
	if err != nil {
		return err
	}
	if t.word(mutationAt).Load()&1 == 0 {
		t.begin()
	}
	for c := range classes {
		t.word(freeAt + 8*c).Store(0)
	}
	for i := range t.buckets {
		t.word(bucketsAt + 8*int(i)).Add(tagStep)
	}
	t.word(usedAt).Store(uint64(t.freeGaps(taken)))
	t.word(namesAt).Store(count)
	t.word(liveAt).Store(countTrue(taken) - 1) // but for unit 0
	step("names.tidy")
	t.word(movingAt).Store(0)
	t.word(changesAt).Add(journalSize + 1)
	t.end()
	t.bell().Ring()
	return nil
}

// takenUnits marks the units of all records, and counts those.
func (t *table) takenUnits() (taken []bool, count uint64, err error) {
	taken = make([]bool, t.units)
	taken[0] = true
	err = t.each(func(list []record) error {
		for _, r := range list {
			count++
			for i := range uint32(1) << r.class {
				if taken[r.unit+i] {
					return damaged("two records have unit %d", r.unit+i)
				}
				taken[r.unit+i] = true
			}
		}
		return nil
	})
	return taken, count, err
}

// freeGaps makes free blocks of what lies between the records, and returns where the last one ends.
func (t *table) freeGaps(taken []bool) (used uint32) {
	begin := uint32(0)
	for i, is := range taken {
		if !is {
			continue
		}
		for begin < uint32(i) {
			class := uint8(classes - 1)
			for begin+1<<class > uint32(i) {
				class--
			}
			t.free(begin, class)
			begin += 1 << class
		}
		begin = uint32(i) + 1
	}
	return begin
}
