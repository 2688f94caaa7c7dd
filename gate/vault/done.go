// SPDX-License-Identifier: Apache-2.0

package vault

import "fmt"

const (
	partBits   = 23 // of part's value: items; above them the lower bits of the message's number
	maxParts   = 1<<partBits - 1
	numberMask = 1<<(valueBits-partBits) - 1
)

// A doneTable is the owner's copy of the table done.
type doneTable struct {
	entries []doneEntry
	index   map[uint64]int // by source
	used    int
	clock   uint64 // grows with each use of an entry
}

type doneEntry struct {
	source, number uint64
	part           uint64 // 0: there is none; else the value and 1
	touched        uint64
}

// parts returns how many items of a message are done.
func (e *doneEntry) parts(number uint64) int {
	if e.part == 0 || (e.part-1)>>partBits != number&numberMask {
		return 0
	}
	return int((e.part - 1) & maxParts)
}

// covers reports whether an item is done.
func (e *doneEntry) covers(o Origin) bool {
	return o.Number <= e.number || e.parts(o.Number) > int(o.Item)
}

func (t *doneTable) find(source uint64) *doneEntry {
	i, ok := t.index[source]
	if !ok {
		return nil
	}
	t.clock++
	t.entries[i].touched = t.clock
	return &t.entries[i]
}

// Done returns the number of the last message of a source that is done; 0: none is known.
func (v *Vault) Done(source uint64) (number uint64) {
	if e := v.done.find(source); e != nil {
		return e.number
	}
	return 0
}

// Part returns how many items of a message are done, of which Done says that it is not.
func (v *Vault) Part(source, number uint64) (items int) {
	if e := v.done.find(source); e != nil {
		return e.parts(number)
	}
	return 0
}

// SetPart says that so many items of a message are done: the first ones, at most 8,388,607 of them. Errors: ErrTooBig,
// os.ErrClosed. A source of 0 is nobody: nothing is noted.
func (v *Vault) SetPart(source, number uint64, items int) error {
	if items < 0 || items > maxParts {
		return fmt.Errorf("%w: %d items of a message, want at most %d", ErrTooBig, items, maxParts)
	}
	i, err := v.sourceAt(source, number)
	if err != nil || i < 0 {
		return err
	}
	value := number&numberMask<<partBits | uint64(items)
	step("vault.part")
	v.word(doneAt + doneSize*i + 16).Store(seal(value, saltOf(kindPart, source, 0)))
	v.done.entries[i].part = value + 1
	v.settle(source)
	return nil
}

// SetDone says that a message is done. Its number is at most 2^47 - 1. Errors: ErrTooBig, os.ErrClosed. A source of 0 is nobody: nothing is
// noted.
func (v *Vault) SetDone(source, number uint64) error {
	i, err := v.sourceAt(source, number)
	if err != nil || i < 0 {
		return err
	}
	step("vault.number")
	v.word(doneAt + doneSize*i + 8).Store(seal(number, saltOf(kindNumber, source, 0)))
	v.done.entries[i].number = number
	v.settle(source)
	return nil
}

// sourceAt returns the entry of a source, which it makes; -1: the source is nobody.
func (v *Vault) sourceAt(source, number uint64) (i int, err error) {
	switch {
	case v.closed:
		return 0, errClosed
	case number > maxValue:
		return 0, fmt.Errorf("%w: message number %d, want at most %d", ErrTooBig, number, uint64(maxValue))
	case source == 0:
		return -1, nil
	}
	if i, ok := v.done.index[source]; ok {
		v.done.clock++
		v.done.entries[i].touched = v.done.clock
		return i, nil
	}
	if i = v.done.used; i < len(v.done.entries) {
		v.done.used++
	} else {
		i = v.evict()
	}
	step("vault.source")
	v.word(doneAt + doneSize*i).Store(source)
	v.done.clock++
	v.done.entries[i] = doneEntry{source: source, touched: v.done.clock}
	v.done.index[source] = i
	return i, nil
}

// evict makes the entry that was not touched for the longest time one of nobody's messages.
func (v *Vault) evict() (oldest int) {
	for i := range v.done.entries {
		if v.done.entries[i].touched < v.done.entries[oldest].touched {
			oldest = i
		}
	}
	at := doneAt + doneSize*oldest
	step("vault.evict.number")
	v.word(at + 8).Store(0)
	step("vault.evict.part")
	v.word(at + 16).Store(0)
	v.word(evictedAt).Add(1)
	delete(v.done.index, v.done.entries[oldest].source)
	return oldest
}

// readDone reads the table.
func (m *image) readDone() (t doneTable, err error) {
	t = doneTable{entries: make([]doneEntry, m.sources), index: make(map[uint64]int, m.sources)}
	for i := range t.entries {
		e := &t.entries[i]
		if err := m.readSource(i, e); err != nil {
			return t, damaged("source %d: %w", i, err)
		}
		if e.source == 0 {
			continue
		}
		if other, twice := t.index[e.source]; twice {
			return t, damaged("sources %d and %d are both %#x", other, i, e.source)
		}
		if i != t.used {
			return t, damaged("source %d is in use, %d is not", i, t.used)
		}
		t.index[e.source] = i
		t.used++
	}
	return t, nil
}

func (m *image) readSource(i int, e *doneEntry) error {
	at := doneAt + doneSize*i
	source, number, part := m.word(at).Load(), m.word(at+8).Load(), m.word(at+16).Load()
	if source == 0 && (number != 0 || part != 0) {
		return fmt.Errorf("it is free and has the words %#016x and %#016x", number, part)
	}
	var ok bool
	if e.source = source; number != 0 {
		if e.number, ok = unseal(number, saltOf(kindNumber, source, 0)); !ok {
			return fmt.Errorf("number is %#016x, and not sealed so", number)
		}
	}
	if part != 0 {
		if e.part, ok = unseal(part, saltOf(kindPart, source, 0)); !ok {
			return fmt.Errorf("part is %#016x, and not sealed so", part)
		}
		e.part++
	}
	return nil
}
