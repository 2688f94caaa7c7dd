// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"fmt"
	"hash/crc32"

	"github.com/skybus-io/skybus/shm"
)

// A Session is what a new one begins with.
type Session struct {
	Key   [KeySize]byte // what its client proves to know when it comes back
	Epoch uint32
	Texts
}

// Begin adds a session, live, with an id that no other one of the home has or ever had. Errors: ErrFull, ErrTooBig,
// shm.ErrNoSpace; then there is none.
func (v *Vault) Begin(b Session) (Slot, error) {
	if v.closed {
		return Slot{}, errClosed
	}
	text, err := b.encode()
	if err != nil {
		return Slot{}, err
	}
	if v.id >= maxValue {
		return Slot{}, fmt.Errorf("%w: it has no more ids", ErrFull)
	}
	if len(v.free) == 0 {
		if err := v.more(); err != nil {
			return Slot{}, err
		}
	}
	i := v.free[len(v.free)-1]
	v.free = v.free[:len(v.free)-1]
	step("vault.id")
	v.id++
	v.word(idAt).Store(seal(v.id, saltOf(kindID, 0, 0)))
	v.begin(i, &b, text)
	step("vault.live")
	v.word(v.slotAt(i) + slotAtState).Store(seal(uint64(Live), stateSalt(i)))
	return v.slots[i].adopt(v.id, 0), nil
}

// begin writes session v.id to a free slot, which stays free.
func (v *Vault) begin(i int, b *Session, text []byte) {
	at := v.slotAt(i)
	for c := range cuts {
		v.word(v.cutAt(i, c) + 8).Store(0)
	}
	step("vault.key")
	v.store(at+slotAtID, fixed(v.id, b.Key))
	step("vault.texts")
	v.putTexts(i, v.id, 0, text)
	step("vault.counts")
	v.word(v.sentAt() + 8*i).Store(seal(0, saltOf(kindSent, v.id, 0)))
	v.word(at + slotAtAccepted).Store(seal(0, saltOf(kindAccepted, v.id, 0)))
	v.word(at + slotAtEpoch).Store(seal(uint64(b.Epoch), saltOf(kindEpoch, v.id, 0)))
}

// fixed returns what of a session never changes, with its sum.
func fixed(id uint64, key [KeySize]byte) []byte {
	b := le.AppendUint64(make([]byte, 0, slotAtEpoch-slotAtID), id)
	b = append(b, key[:]...)
	return le.AppendUint64(b, uint64(crc32.Checksum(b, castagnoli)))
}

// readFixed reads that; false: it is not whole.
func (m *image) readFixed(i int) (id uint64, key [KeySize]byte, ok bool) {
	var b [slotAtEpoch - slotAtID]byte
	m.load(b[:], m.slotAt(i)+slotAtID)
	id = le.Uint64(b[:])
	copy(key[:], b[8:])
	return id, key, le.Uint64(b[slotAtSum-slotAtID:]) == uint64(crc32.Checksum(b[:slotAtSum-slotAtID], castagnoli))
}

// stateSalt is that of a slot's state, which is there before there is a session.
func stateSalt(i int) uint64 { return saltOf(kindState, uint64(i), 0) }

// more gives the next slots memory.
func (v *Vault) more() error {
	if v.ready == v.limits.slots {
		return fmt.Errorf("%w: it has its limit of %d sessions", ErrFull, v.limits.slots)
	}
	if v.file != nil {
		if err := shm.Allocate(v.file, int64(v.slotAt(v.ready)), slotChunk*slotSize); err != nil {
			return err
		}
	}
	step("vault.ready")
	v.ready += slotChunk
	v.word(readyAt).Store(seal(uint64(v.ready), saltOf(kindReady, 0, 0)))
	for i := v.ready - 1; i >= v.ready-slotChunk; i-- {
		v.connect(i)
		v.free = append(v.free, i)
	}
	return nil
}
