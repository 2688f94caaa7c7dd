// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"fmt"
	"sync/atomic"

	"github.com/skybus-io/skybus/internal/sys"
	"github.com/skybus-io/skybus/shm"
)

// KeySize is the size of a session's key in bytes.
const KeySize = 32

// A State is what a session is; the numbers are part of the format.
type State uint8

const (
	// Free is the state of a Slot whose session is no longer there.
	Free State = 1
	// Live means that the session has a connection, or had one when its gate died.
	Live State = 2
	// Away means that its client may come back.
	Away State = 3
	// Ended means that it is over, and its service not yet told so.
	Ended State = 4

	stateBits = 3
)

// String returns the state in one word.
func (s State) String() string {
	switch s {
	case Free:
		return "free"
	case Live:
		return "live"
	case Away:
		return "away"
	case Ended:
		return "ended"
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// A slot is the owner's side of a place for a session: a line of the cache, as Add visits thousands in a row.
type slot struct {
	id       atomic.Uint64 // of its session, 0: it is free; written by the owner
	count    uint64        // what sent says
	sent     *atomic.Uint64
	refs     *[refs]uint64 // read through the image
	sentSalt uint64
	refSalt  uint64 // that of packet 0
	v        *Vault
	index    int
}

// A Slot is a session in a vault. It is a value, comparable, and no longer good for anything when its session was freed: then what
// reads returns zeros, and what writes ErrFreed. Other sessions in the same place are never touched by it.
type Slot struct {
	s  *slot
	id uint64
}

// connect has the owner's side of a slot that has memory lead to it.
func (v *Vault) connect(i int) {
	s := &v.slots[i]
	s.v, s.index = v, i
	s.sent = v.word(v.sentAt() + 8*i)
	s.refs = shm.View[[refs]uint64](v.mem, v.slotAt(i)+slotAtRefs)
}

// adopt makes s the side of session id, which was given count packets.
func (s *slot) adopt(id, count uint64) Slot {
	s.count, s.sentSalt, s.refSalt = count, saltOf(kindSent, id, 0), saltOf(kindRef, id, 0)
	s.id.Store(id)
	return Slot{s, id}
}

// owned returns an error if the owner may not write the session any more.
func (s Slot) owned() error {
	switch {
	case s.s == nil || s.s.v.closed:
		return errClosed
	case s.s.id.Load() != s.id:
		return fmt.Errorf("session %x: %w", s.id, ErrFreed)
	}
	return nil
}

// at is the offset of a field of the session's slot.
func (s Slot) at(field int) int { return s.s.v.slotAt(s.s.index) + field }

// read calls f while the memory is there; false: the session or the memory is not.
func (s Slot) read(f func(v *Vault)) bool {
	if s.s == nil {
		return false
	}
	v := s.s.v
	v.mu.RLock()
	defer v.mu.RUnlock()
	if v.closed || s.s.id.Load() != s.id {
		return false
	}
	f(v)
	return true
}

// value reads a sealed word of the session; 0: it is another one's now.
func (s Slot) value(field int, salt uint64) (value uint64) {
	s.read(func(v *Vault) {
		if n, ok := unseal(v.word(s.at(field)).Load(), salt); ok {
			value = n
		}
	})
	return value
}

// ID returns the session's number, which is not 0. Any goroutine may call it.
func (s Slot) ID() uint64 { return s.id }

// Key returns the session's key. Any goroutine may call it.
func (s Slot) Key() (key [KeySize]byte) {
	s.read(func(v *Vault) {
		if id, k, ok := v.readFixed(s.s.index); ok && id == s.id {
			key = k
		}
	})
	return key
}

// Epoch returns the number of the session's present connection. Any goroutine may call it.
func (s Slot) Epoch() uint32 { return uint32(s.value(slotAtEpoch, saltOf(kindEpoch, s.id, 0))) }

// SetEpoch sets it. Errors: ErrFreed, os.ErrClosed.
func (s Slot) SetEpoch(n uint32) error {
	return s.set(slotAtEpoch, "vault.epoch", seal(uint64(n), saltOf(kindEpoch, s.id, 0)))
}

// set writes a word of the session.
func (s Slot) set(field int, site string, word uint64) error {
	if err := s.owned(); err != nil {
		return err
	}
	step(site)
	s.s.v.word(s.at(field)).Store(word)
	return nil
}

// State returns what the session is. Any goroutine may call it.
func (s Slot) State() State {
	state, _ := s.status()
	return state
}

func (s Slot) status() (State, uint64) {
	if s.s == nil {
		return Free, 0
	}
	n := s.value(slotAtState, stateSalt(s.s.index))
	if n == 0 || s.s.id.Load() != s.id {
		return Free, 0
	}
	return State(n & (1<<stateBits - 1)), n >> stateBits
}

// AwaySince returns when its client was last connected, in milliseconds since 1970; 0 unless it is Away. Any goroutine
// may call it.
func (s Slot) AwaySince() int64 {
	if state, n := s.status(); state == Away {
		return int64(n)
	}
	return 0
}

// Reason returns what End was told; 0 unless the session has ended. Any goroutine may call it.
func (s Slot) Reason() uint32 {
	if state, n := s.status(); state == Ended {
		return uint32(n)
	}
	return 0
}

func (s Slot) setState(state State, n uint64) error {
	if s.s == nil {
		return errClosed
	}
	return s.set(slotAtState, "vault.state", seal(n<<stateBits|uint64(state), stateSalt(s.s.index)))
}

// SetLive says that the client is there. Errors: ErrFreed, os.ErrClosed.
func (s Slot) SetLive() error { return s.setState(Live, 0) }

// SetAway says since when the client is not there, in milliseconds since 1970. Errors: ErrFreed, os.ErrClosed.
func (s Slot) SetAway(ms int64) error {
	return s.setState(Away, uint64(min(max(ms, 0), maxValue>>stateBits)))
}

// End says that the session is over, and why, in the caller's numbers. It stays in the vault until it is freed: if the process dies
// before it has told the session's service, the next one does. Errors: ErrFreed, os.ErrClosed.
func (s Slot) End(reason uint32) error { return s.setState(Ended, uint64(reason)) }

// Free takes the session out of the vault. Errors: ErrFreed, os.ErrClosed.
func (s Slot) Free() error {
	if err := s.owned(); err != nil {
		return err
	}
	s.s.id.Store(0)
	v := s.s.v
	v.wipe(s.s.index)
	delete(v.cut, s.s.index)
	v.free = append(v.free, s.s.index)
	return nil
}

// wipe makes a slot free in the file.
func (v *Vault) wipe(i int) {
	step("vault.free")
	v.word(v.slotAt(i) + slotAtState).Store(seal(uint64(Free), stateSalt(i)))
	step("vault.wipe")
	v.store(v.slotAt(i)+slotAtKey, make([]byte, KeySize))
}

// Accepted returns how many of its client's packets were passed on. Any goroutine may call it.
func (s Slot) Accepted() uint64 { return s.value(slotAtAccepted, saltOf(kindAccepted, s.id, 0)) }

// SetAccepted sets it, to at most 2^47 - 1. It is for the one goroutine that reads the session's connection: not the
// owner, and one at a time. Errors: ErrFreed, os.ErrClosed.
func (s Slot) SetAccepted(n uint64) error {
	if s.s == nil {
		return errClosed
	}
	v := s.s.v
	v.mu.RLock()
	defer v.mu.RUnlock()
	if v.closed {
		return errClosed
	}
	step("vault.accepted")
	w, salt := v.word(s.at(slotAtAccepted)), saltOf(kindAccepted, s.id, 0)
	for s.s.id.Load() == s.id {
		old := w.Load()
		if _, ok := unseal(old, salt); !ok {
			break // the place has another session by now
		}
		if w.CompareAndSwap(old, seal(min(n, maxValue), salt)) {
			return nil
		}
	}
	return fmt.Errorf("session %x: %w", s.id, ErrFreed)
}

// Sent returns how many numbered packets the session was ever given. Any goroutine may call it.
func (s Slot) Sent() (n uint64) {
	s.read(func(*Vault) {
		if sent, ok := unseal(s.s.sent.Load(), saltOf(kindSent, s.id, 0)); ok {
			n = sent
		}
	})
	return n
}

// Add gives the session a packet, and returns its number: how many it was ever given with this one. 0: the session was freed, or the
// vault closed, or ref comes from no Put.
func (s Slot) Add(ref Ref) (sent uint64) {
	l := s.s
	if l == nil || l.id.Load() != s.id || ref == 0 || l.v.closed {
		return 0
	}
	n := l.count + 1
	step("vault.ref")
	l.refs[n%refs] = seal(uint64(ref), l.refSalt+n*bFactor)
	step("vault.sent")
	sys.StoreRelease64(l.sent, seal(n, l.sentSalt)) // pairs with the loads of sent and refs in look ("sent")
	l.count = n
	return n
}
