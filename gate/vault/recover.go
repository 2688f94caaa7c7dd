// SPDX-License-Identifier: Apache-2.0

package vault

// A session is what a slot says, after all of it was checked.
type session struct {
	id       uint64
	state    State
	detail   uint64 // what stands behind the state
	epoch    uint32
	sent     uint64
	accepted uint64
	texts    Texts
	newest   uint64       // position of its newest packet; 0: none, or it is gone
	kept     int          // packets that are not gone
	keptSize int          // their bytes
	cuts     [cuts]Origin // source 0: none
}

// recover checks everything, drops the sessions that are damaged, and notes what a death has cut off.
func (v *Vault) recover() error {
	if err := v.readState(); err != nil {
		return err
	}
	var err error
	if v.done, err = v.readDone(); err != nil {
		return err
	}
	sound := newUnits(v.ring)
	ids := map[uint64]int{}
	newest := map[int]uint64{} // by slot
	for i := range v.ready {
		v.connect(i)
		s, used, err := v.examine(i, sound)
		if err == nil && used {
			err = v.checkID(s.id, i, ids)
		}
		switch {
		case err != nil:
			v.drop(i, &s, err)
		case used:
			v.slots[i].adopt(s.id, s.sent)
			newest[i] = s.newest
			v.keepCuts(i, &s)
		}
	}
	for i := v.ready - 1; i >= 0; i-- { // so that the first one is taken first
		if v.slots[i].id.Load() == 0 {
			v.free = append(v.free, i)
		}
	}
	v.markCut(newest)
	return nil
}

// readState reads the words of the state.
func (v *Vault) readState() error {
	var ready uint64
	for _, w := range []struct {
		to   *uint64
		at   int
		kind kind
		name string
	}{
		{&v.last, lastAt, kindLast, "last"}, // before written, as who only looks may see both grow
		{&v.written, writtenAt, kindWritten, "written"},
		{&v.id, idAt, kindID, "id"},
		{&ready, readyAt, kindReady, "ready"},
	} {
		var err error
		if *w.to, err = v.value(w.at, w.kind, w.name); err != nil {
			return err
		}
	}
	v.ready = int(ready)
	switch {
	case v.written < 1 || v.last >= v.written:
		return damaged("the newest entry is at %d, the next one comes to %d", v.last, v.written)
	case ready > uint64(v.limits.slots) || ready%slotChunk != 0:
		return damaged("%d slots have memory, want a multiple of %d up to %d", ready, slotChunk, v.limits.slots)
	}
	return nil
}

func (v *Vault) checkID(id uint64, i int, ids map[uint64]int) error {
	if id == 0 || id > v.id {
		return damaged("its id is %#x, the newest one is %#x", id, v.id)
	}
	if other, twice := ids[id]; twice {
		return damaged("slot %d has the id %#x, too", other, id)
	}
	ids[id] = i
	return nil
}

// drop frees a slot whose session is damaged, and reports it.
func (v *Vault) drop(i int, s *session, err error) {
	v.damage = append(v.damage, Damage{Slot: i, ID: s.id, Binding: s.texts.Binding, What: err.Error()})
	v.wipe(i)
}

// units is a set of entries that the ring holds: a bit for each unit of it.
type units []uint64

func newUnits(ring int) units { return make(units, (ring/unitSize+63)/64) }

func (u units) bit(pos uint64) (word *uint64, bit uint64) {
	n := pos % uint64(64*len(u))
	return &u[n/64], 1 << (n % 64)
}

// examine reads a slot that has memory, and checks it. sound has the entries that were checked before. With an error
// s has as much as can be told.
func (m *image) examine(i int, sound units) (s session, used bool, err error) {
	word := m.word(m.slotAt(i) + slotAtState).Load()
	if word == 0 {
		return s, false, nil
	}
	n, ok := unseal(word, stateSalt(i))
	if s.state, s.detail = State(n&(1<<stateBits-1)), n>>stateBits; ok && s.state == Free {
		return s, false, nil
	}
	id, _, whole := m.readFixed(i)
	if whole {
		s.id = id
		s.texts, _, err = m.readTexts(i, id)
	}
	switch {
	case !ok || s.state < Live || s.state > Ended:
		return s, false, damaged("its state is %#016x, and not sealed so", word)
	case !whole:
		return s, false, damaged("the checksum of its id and key does not match")
	case err != nil:
		return s, false, err
	}
	if err = m.readCounts(i, &s); err == nil {
		err = m.readCuts(i, &s)
	}
	if err == nil {
		err = m.checkPackets(i, &s, sound)
	}
	return s, err == nil, err
}

func (m *image) readCounts(i int, s *session) error {
	var epoch uint64
	for _, w := range []struct {
		to   *uint64
		at   int
		kind kind
		name string
	}{
		{&epoch, m.slotAt(i) + slotAtEpoch, kindEpoch, "epoch"},
		{&s.accepted, m.slotAt(i) + slotAtAccepted, kindAccepted, "accepted"},
		{&s.sent, m.sentAt() + 8*i, kindSent, "sent"}, // pairs with the store in Add ("sent")
	} {
		word := m.word(w.at).Load()
		var ok bool
		if *w.to, ok = unseal(word, saltOf(w.kind, s.id, 0)); !ok {
			return damaged("%s is %#016x, and not sealed so", w.name, word)
		}
	}
	s.epoch = uint32(epoch)
	if epoch != uint64(s.epoch) {
		return damaged("epoch is %d", epoch)
	}
	return nil
}

// checkPackets looks at all references of a session, and at the packets that they lead to.
func (m *image) checkPackets(i int, s *session, sound units) error {
	written, err := m.value(writtenAt, kindWritten, "written")
	if err != nil {
		return err
	}
	for n := s.sent; n > 0 && s.sent-n < refs; n-- {
		pos, gone, err := m.refOf(i, s.id, n)
		if err != nil {
			return err
		}
		if pos >= written {
			return damaged("packet %d is at position %d, the next one comes to %d", n, pos, written)
		}
		if gone || !m.holds(pos, written) {
			continue
		}
		if n == s.sent {
			s.newest = pos
		}
		word, bit := sound.bit(pos)
		_, data, err := m.entry(pos, *word&bit == 0)
		if now, _ := m.value(writtenAt, kindWritten, "written"); !m.holds(pos, now) {
			continue // it was written over meanwhile: only those who look on see that
		}
		if err != nil {
			return damaged("packet %d: %w", n, err)
		}
		*word |= bit
		s.kept++
		s.keptSize += len(data)
	}
	return nil
}
