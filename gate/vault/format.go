// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/bits"
	"sync/atomic"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/internal/invariant"
	"github.com/skybus-io/skybus/internal/sys"
	"github.com/skybus-io/skybus/shm"
)

// The layout; docs/format/vault.md has it as tables. What is called At is an offset in bytes from
// the start of the file, in the header's body for those of the body, in the slot for those of the slot.
//
//	0         128     4096              | 64           | 4096   |
//	+---------+-------+-----------------+--------------+--------+------------------+
//	| header  | state | done, 24 each   | sent, 8 each | ring   | slots, 5184 each |
//	+---------+-------+-----------------+--------------+--------+------------------+
const (
	bodyAtHome    = 0
	bodyAtSlots   = 4
	bodyAtRing    = 8
	bodyAtSources = 12

	writtenAt   = 128
	lastAt      = 136
	idAt        = 144
	readyAt     = 152
	evictedAt   = 160
	forgottenAt = 168
	doneAt      = 4096

	doneSize   = 24
	cacheLine  = 64
	pageSize   = 4096
	slotChunk  = 64 // slots that get memory together
	maxSlots   = 1 << 20
	minRing    = 4096
	maxRing    = 1 << 30
	maxSources = 1 << 16

	unitSize    = 32 // of positions
	entryHead   = 32 // bytes before the packet
	ringPart    = 4  // an entry takes at most a quarter of the ring
	maxPosition = maxValue

	slotAtState    = 0
	slotAtID       = 8
	slotAtKey      = 16
	slotAtSum      = 48
	slotAtEpoch    = 56
	slotAtAccepted = 64
	slotAtCuts     = 128
	slotAtVersion  = 256
	slotAtTexts    = 320
	slotAtRefs     = 3072
	slotSize       = 5184

	cuts      = 4
	cutSize   = 32
	refs      = MaxReplay
	textsHead = 16
	textsSize = textsHead + MaxBinding + MaxIdentity + MaxGroups + MaxRemote

	lockBase = 1 << 33 // home's byte of the domain's lock file is so much above its address
)

var (
	_ = [1]struct{}{}[slotAtCuts+cuts*cutSize-slotAtVersion]
	_ = [1]struct{}{}[textsSize-1360]
	_ = [1]struct{}{}[slotAtRefs+8*refs+cacheLine-slotSize]
	_ [slotAtRefs - slotAtTexts - 2*textsSize]struct{}
)

var (
	magic      = shm.Magic([]byte("SKYVAULT"))
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	le         = binary.LittleEndian
)

// FileName returns the name of a home's vault in the folder of its domain.
func FileName(home addr.Addr) string { return fmt.Sprintf("gate-%08x.vault", uint32(home)) }

// limits are what a file was made for.
type limits struct {
	slots   int
	ring    int // bytes
	sources int
}

func (l limits) sentAt() int  { return roundUp(doneAt+doneSize*l.sources, cacheLine) }
func (l limits) ringAt() int  { return roundUp(l.sentAt()+8*l.slots, pageSize) }
func (l limits) slotsAt() int { return l.ringAt() + l.ring }
func (l limits) size() int64  { return int64(l.slotsAt()) + slotSize*int64(l.slots) }

func roundUp(n, to int) int { return (n + to - 1) / to * to }

// bodyOf returns the kind's part of the header.
func bodyOf(home addr.Addr, l limits) (body [shm.BodySize]byte) {
	le.PutUint32(body[bodyAtHome:], uint32(home))
	le.PutUint32(body[bodyAtSlots:], uint32(l.slots))
	le.PutUint32(body[bodyAtRing:], uint32(l.ring))
	le.PutUint32(body[bodyAtSources:], uint32(l.sources))
	return body
}

// An image is the bytes of a vault. What its methods read is checked by none of them but view.
type image struct {
	limits
	mem []byte
}

// view checks what a header says, and that the file is as large as that.
func view(mem []byte, body [shm.BodySize]byte, home addr.Addr) (m image, err error) {
	is := addr.Addr(le.Uint32(body[bodyAtHome:]))
	l := limits{
		slots: int(le.Uint32(body[bodyAtSlots:])), ring: int(le.Uint32(body[bodyAtRing:])),
		sources: int(le.Uint32(body[bodyAtSources:])),
	}
	switch {
	case is != home:
		return m, damaged("it is of home %v, want %v", is, home)
	case l.slots < slotChunk || l.slots > maxSlots || l.slots%slotChunk != 0:
		return m, damaged("%d slots, want a multiple of %d up to %d", l.slots, slotChunk, maxSlots)
	case l.ring < minRing || l.ring > maxRing || bits.OnesCount(uint(l.ring)) != 1:
		return m, damaged("a ring of %d bytes, want a power of two from %d to %d", l.ring, minRing, maxRing)
	case l.sources < 1 || l.sources > maxSources:
		return m, damaged("%d sources, want 1 to %d", l.sources, maxSources)
	case int64(len(mem)) != l.size():
		return m, damaged("its limits take %d bytes, the file has %d", l.size(), len(mem))
	case body != bodyOf(home, l):
		return m, damaged("the header's body does not end with zeros")
	}
	return image{limits: l, mem: mem}, nil
}

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrDamaged, fmt.Errorf(format, args...))
}

func (m *image) word(at int) *atomic.Uint64 { return shm.View[atomic.Uint64](m.mem, at) }

// value reads a sealed word of the state.
func (m *image) value(at int, k kind, name string) (uint64, error) {
	w := m.word(at).Load()
	v, ok := unseal(w, saltOf(k, 0, 0))
	if !ok {
		return 0, damaged("%s is %#016x, and not sealed so", name, w)
	}
	return v, nil
}

// slotAt returns the offset of a slot.
func (m *image) slotAt(i int) int { return m.slotsAt() + slotSize*i }

// store writes bytes word by word, with zeros up to the end of the last one.
func (m *image) store(at int, b []byte) {
	for len(b) >= 8 {
		sys.StoreRelease64(m.word(at), le.Uint64(b))
		at, b = at+8, b[8:]
	}
	if len(b) > 0 {
		var last [8]byte
		copy(last[:], b)
		sys.StoreRelease64(m.word(at), le.Uint64(last[:]))
	}
}

// load reads bytes word by word; len(b) is a multiple of 8.
func (m *image) load(b []byte, at int) {
	for i := 0; i < len(b); i += 8 {
		le.PutUint64(b[i:], m.word(at+i).Load())
	}
}

// step is a place where a process may die: before the store that its name tells.
func step(site string) {
	if invariant.Enabled {
		invariant.Step(site)
	}
}
