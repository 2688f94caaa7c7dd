// SPDX-License-Identifier: Apache-2.0

package vault

// Exactly once: what a session has of an item that was cut off by a death (V8, V9).

func (m *image) cutAt(i, c int) int { return m.slotAt(i) + slotAtCuts + cutSize*c }

func (m *image) readCuts(i int, s *session) error {
	for c := range s.cuts {
		at := m.cutAt(i, c)
		word := m.word(at + 8).Load()
		if word == 0 {
			continue
		}
		source := m.word(at).Load()
		number, ok := unseal(word, saltOf(kindCutNumber, s.id, source))
		item, whole := unseal(m.word(at+16).Load(), saltOf(kindCutItem, s.id, source))
		if !ok || !whole || source == 0 || item > 1<<32-1 {
			return damaged("cut %d is not sealed", c)
		}
		s.cuts[c] = Origin{Source: source, Number: number, Item: uint32(item)}
	}
	return nil
}

// keepCuts notes the cuts of a session, and clears those whose items are done.
func (v *Vault) keepCuts(i int, s *session) {
	for c, o := range s.cuts {
		if o.Source == 0 {
			continue
		}
		if e := v.done.find(o.Source); e != nil && e.covers(o) {
			v.clearCut(i, c)
			continue
		}
		v.note(i, c, o)
	}
}

func (v *Vault) note(i, c int, o Origin) {
	list := v.cut[i]
	if list == nil {
		list = &[cuts]Origin{}
		v.cut[i] = list
	}
	list[c] = o
	v.cutOff[o.Source] = struct{}{}
}

func (v *Vault) clearCut(i, c int) {
	step("vault.cut.clear")
	v.word(v.cutAt(i, c) + 8).Store(0)
}

// markCut gives the sessions that have the newest entry a cut of it, if its item is not done.
func (v *Vault) markCut(newest map[int]uint64) {
	if !v.holds(v.last, v.written) {
		return
	}
	o, _, err := v.entry(v.last, true)
	if err != nil || o.Source == 0 { // damaged: then no session has it that is still there
		return
	}
	if e := v.done.find(o.Source); e != nil && e.covers(o) {
		return
	}
	for i := range v.ready {
		if newest[i] == v.last && !v.hasCut(i, o) {
			v.mark(i, o)
		}
	}
}

func (v *Vault) hasCut(i int, o Origin) bool {
	list := v.cut[i]
	if list == nil {
		return false
	}
	for _, is := range list {
		if is == o {
			return true
		}
	}
	return false
}

// mark writes a cut: in the place of one of its source, else of none, else of the first.
func (v *Vault) mark(i int, o Origin) {
	place, list := -1, v.cut[i]
	for c := range cuts {
		switch {
		case list != nil && list[c].Source == o.Source:
			place = c
		case place < 0 && (list == nil || list[c].Source == 0):
			place = c
		}
	}
	if place < 0 {
		place = 0
		v.word(forgottenAt).Add(1)
	}
	id, at := v.slots[i].id.Load(), v.cutAt(i, place)
	v.clearCut(i, place)
	step("vault.cut.source")
	v.word(at).Store(o.Source)
	step("vault.cut.item")
	v.word(at + 16).Store(seal(uint64(o.Item), saltOf(kindCutItem, id, o.Source)))
	step("vault.cut.number")
	v.word(at + 8).Store(seal(o.Number&maxValue, saltOf(kindCutNumber, id, o.Source)))
	v.note(i, place, o)
}

// settle clears the cuts of a source whose items are done by now.
func (v *Vault) settle(source uint64) {
	if _, some := v.cutOff[source]; !some {
		return
	}
	e, left := v.done.find(source), false
	for i, list := range v.cut {
		for c, o := range list {
			switch {
			case o.Source != source:
			case e.covers(o):
				v.clearCut(i, c)
				list[c] = Origin{}
			default:
				left = true
			}
		}
		if *list == ([cuts]Origin{}) {
			delete(v.cut, i)
		}
	}
	if !left {
		delete(v.cutOff, source)
	}
}

// Has reports whether the session has a packet already, though its message comes again: what was cut off by a death, or
// its newest one. It is to be asked for messages that come again, and only for them: before Put is called for the item, or after.
func (s Slot) Has(o Origin) bool {
	if s.owned() != nil || o.Source == 0 {
		return false
	}
	if len(s.s.v.cut) > 0 && s.s.v.hasCut(s.s.index, o) {
		return true
	}
	newest, ok := s.Newest()
	return ok && newest == o
}
