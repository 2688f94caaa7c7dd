// SPDX-License-Identifier: Apache-2.0

package host

import (
	"errors"
	"fmt"
	"slices"
)

// A Violation is something in the table that should not be.
type Violation struct {
	What string
	// Note marks what a death may leave, and whoever changes or watches the names puts right.
	Note bool
}

// Check looks at the whole table and reports every violation. It takes no lock and stops nobody: it looks
// twice, and reports what it saw both times. Errors: os.ErrClosed.
func (r *Registry) Check() ([]Violation, error) {
	first, err := r.check()
	if err != nil || len(first) == 0 {
		return nil, err
	}
	again, err := r.check()
	both := map[Violation]bool{}
	for _, v := range again {
		both[v] = true
	}
	return slices.DeleteFunc(first, func(v Violation) bool { return !both[v] }), err
}

func (r *Registry) check() (list []Violation, err error) {
	err = r.look(func(t *table) error {
		if t != nil {
			list = t.check()
			list = append(list, r.checkLives(t)...)
		}
		return nil
	})
	if err != nil && !errors.Is(err, errClosed) {
		return []Violation{{What: err.Error()}}, nil
	}
	return list, err
}

// check looks at everything but who is alive.
func (t *table) check() (list []Violation) {
	cut := t.word(mutationAt).Load()&1 == 1
	add := func(note bool, format string, args ...any) {
		list = append(list, Violation{fmt.Sprintf(format, args...), note})
	}
	if cut {
		add(true, "a change was cut off")
	}
	if t.moving() {
		add(true, "a move to a larger table was cut off")
	}
	taken, count, err := t.takenUnits()
	if err != nil {
		add(false, "%v", err)
		return list
	}
	if said := t.word(namesAt).Load(); said != count {
		add(cut, "it counts %d names and has %d", said, count)
	}
	if said, live := t.word(liveAt).Load(), countTrue(taken)-1; said != live {
		add(cut, "it counts %d units of records and has %d", said, live)
	}
	used := t.word(usedAt).Load()
	if used == 0 || used > uint64(t.units) || slices.Contains(taken[min(used, uint64(t.units)):], true) {
		add(cut, "it says that %d of %d units were used", used, t.units)
	}
	for c := range uint8(classes) {
		if err := t.checkFree(c, taken); err != nil {
			add(cut, "%v", err)
		}
	}
	return list
}

func countTrue(list []bool) (n uint64) {
	for _, is := range list {
		if is {
			n++
		}
	}
	return n
}

// checkFree looks at the free blocks of a class, and marks them.
func (t *table) checkFree(class uint8, taken []bool) error {
	for unit := t.word(freeAt + 8*int(class)).Load(); unit != 0; unit = t.word(t.unitAt(uint32(unit))).Load() {
		if unit >= uint64(t.units) || !t.isFree(uint32(unit), class) {
			return fmt.Errorf("free unit %d of class %d is none", unit, class)
		}
		for i := range uint64(1) << class {
			if taken[unit+i] {
				return fmt.Errorf("free unit %d is in use", unit+i)
			}
			taken[unit+i] = true
		}
	}
	return nil
}

// checkLives looks for processes that have names and are dead.
func (r *Registry) checkLives(t *table) (list []Violation) {
	alive, dead := r.census(), map[lifeKey]int{}
	err := t.each(func(bucket []record) error {
		for _, rec := range bucket {
			for i := range rec.claims {
				c := &rec.claims[i]
				is, err := alive.alive(c)
				if err != nil {
					return err
				}
				if !is {
					dead[lifeKey{c.Addr, c.Life}]++
				}
			}
		}
		return nil
	})
	for who, n := range dead {
		list = append(list, Violation{fmt.Sprintf("process %d at %v has ended and is in %d queues of names", who.life, who.addr, n), true})
	}
	if err != nil && !errors.Is(err, ErrDamaged) { // that was reported
		list = append(list, Violation{err.Error(), false})
	}
	return list
}
