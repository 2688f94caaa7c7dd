// SPDX-License-Identifier: Apache-2.0

package vault

import "fmt"

// refOf returns the position of packet n of session id, of which it was given n at least. gone: another one's reference has
// taken its place, which only a death in Add leaves (V4).
func (m *image) refOf(i int, id, n uint64) (pos uint64, gone bool, err error) {
	word := m.word(m.slotAt(i) + slotAtRefs + 8*int(n%refs)).Load()
	if pos, ok := unseal(word, saltOf(kindRef, id, n)); ok {
		return pos, false, nil
	}
	if _, ok := unseal(word, saltOf(kindRef, id, n+refs)); ok {
		return 0, true, nil
	}
	return 0, false, damaged("the reference to packet %d is %#016x, and not sealed so", n, word)
}

// Newest returns where the session's newest packet came from; false: it was given none, or that is no
// longer in the vault.
func (s Slot) Newest() (o Origin, ok bool) {
	if s.owned() != nil || s.s.count == 0 {
		return o, false
	}
	v := s.s.v
	pos, _, err := v.refOf(s.s.index, s.id, s.s.count)
	if err != nil || !v.holds(pos, v.written) {
		return o, false
	}
	o, _, err = v.entry(pos, false)
	return o, err == nil
}

// Since appends to buf the packets that come after the first received ones, in their order, and returns that. They lie in the
// vault's memory: nobody may change them, and the next Put may. Errors: ErrTooOld: some are gone; ErrAhead:
// there are not so many; ErrDamaged; ErrFreed, os.ErrClosed. Then buf is returned as it was.
func (s Slot) Since(received uint64, buf [][]byte) ([][]byte, error) {
	if err := s.owned(); err != nil {
		return buf, err
	}
	if received > s.s.count {
		return buf, fmt.Errorf("session %x: %w: %d, of %d", s.id, ErrAhead, received, s.s.count)
	}
	list, err := s.since(received, buf)
	if err != nil {
		return buf, fmt.Errorf("session %x: %w", s.id, err)
	}
	return list, nil
}

// tooOld says which of the packets that were asked for are gone.
func tooOld(first, last, sent uint64, format string, args ...any) error {
	return fmt.Errorf("%w: %d to %d of %d: %w", ErrTooOld, first, last, sent, fmt.Errorf(format, args...))
}

func (s Slot) since(received uint64, buf [][]byte) ([][]byte, error) {
	v, sent, total := s.s.v, s.s.count, 0
	if sent-received > refs {
		return nil, tooOld(received+1, sent-refs, sent, "a session keeps %d", refs)
	}
	var positions [refs]uint64
	for n := sent; n > received; n-- { // from the newest on: so all that are gone are named
		pos, gone, err := v.refOf(s.s.index, s.id, n)
		if err != nil {
			return nil, err
		}
		if gone || !v.holds(pos, v.written) {
			return nil, tooOld(received+1, n, sent, "the vault has written over them")
		}
		_, data, err := v.entry(pos, true)
		if err != nil {
			return nil, err
		}
		if total += len(data); total > v.replay && n < sent {
			return nil, tooOld(received+1, n, sent, "a session gets %d bytes again", v.replay)
		}
		positions[n%refs] = pos
	}
	for n := received + 1; n <= sent; n++ {
		_, data, err := v.entry(positions[n%refs], false)
		if err != nil {
			return nil, err
		}
		buf = append(buf, data)
	}
	return buf, nil
}
