// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"fmt"
	"hash/crc32"
)

// An Origin says which packet of which message one is: the message's source and number, as actor.Message's Origin
// gives them, and the item of the message. Source 0 stands for a message that never comes again.
type Origin struct {
	Source, Number uint64
	Item           uint32
}

// A Ref is a packet in the vault. The zero Ref is none.
type Ref uint64

// Put copies a packet into the vault, for any number of sessions: it may be added to them until packets that were put later have taken
// its place in the ring. It does not allocate. Errors: ErrTooBig: it takes more than a quarter of the ring, with 32 bytes of head,
// or the ring has had 4 PiB, or the message's number is above 2^47 - 1; os.ErrClosed.
func (v *Vault) Put(o Origin, data []byte) (Ref, error) {
	if v.closed {
		return 0, errClosed
	}
	size := roundUp(entryHead+len(data), unitSize)
	switch {
	case o.Source != 0 && o.Number > maxValue:
		return 0, fmt.Errorf("%w: message number %d, want at most %d", ErrTooBig, o.Number, uint64(maxValue))
	case size > v.ring/ringPart:
		return 0, fmt.Errorf("%w: a packet of %d bytes, want at most %d for a ring of %d",
			ErrTooBig, len(data), v.ring/ringPart-entryHead, v.ring)
	}
	pos := v.written
	if rest := v.ring - v.offset(pos); size > rest {
		pos += uint64(rest / unitSize)
	}
	end := pos + uint64(size/unitSize)
	if end > maxPosition {
		return 0, fmt.Errorf("%w: its ring has had %d bytes", ErrTooBig, v.written*unitSize)
	}
	step("vault.written")
	v.written = end
	v.word(writtenAt).Store(seal(end, saltOf(kindWritten, 0, 0))) // what lies there now is gone, from here on
	v.fill(pos, o, data)
	step("vault.last")
	v.last = pos
	v.word(lastAt).Store(seal(pos, saltOf(kindLast, 0, 0)))
	return Ref(pos), nil
}

// offset returns where in the ring a position is.
func (m *image) offset(pos uint64) int { return int(pos * unitSize & uint64(m.ring-1)) }

// fill writes an entry.
func (m *image) fill(pos uint64, o Origin, data []byte) {
	at := m.ringAt() + m.offset(pos)
	e := m.mem[at : at+entryHead+len(data)]
	step("vault.head")
	le.PutUint32(e[4:], uint32(len(data)))
	le.PutUint64(e[8:], o.Source)
	le.PutUint64(e[16:], o.Number)
	le.PutUint32(e[24:], o.Item)
	le.PutUint32(e[28:], 0)
	step("vault.packet")
	half := len(data) / 2 // a death may come in between, too
	copy(e[entryHead:], data[:half])
	step("vault.packet.half")
	copy(e[entryHead+half:], data[half:])
	step("vault.sum")
	le.PutUint32(e, entrySum(pos, e))
}

// entrySum is the checksum of an entry, which goes on from its position as if that was the checksum of what
// came before.
func entrySum(pos uint64, e []byte) uint32 { return crc32.Update(uint32(pos), castagnoli, e[4:]) }

// holds reports whether the entry at pos is still there, if written is what the word of that name says.
func (m *image) holds(pos, written uint64) bool {
	return pos != 0 && pos < written && pos+uint64(m.ring/unitSize) >= written
}

// entry returns an entry that the ring holds: its origin and packet, in the ring's memory. It looks at the checksum only if
// full is set, but at the length always.
func (m *image) entry(pos uint64, full bool) (o Origin, data []byte, err error) {
	at := m.offset(pos)
	room := min(m.ring-at, m.ring/ringPart)
	e := m.mem[m.ringAt()+at:]
	n := int(le.Uint32(e[4:]))
	if room < entryHead || n > room-entryHead {
		return o, nil, damaged("the packet at position %d has %d bytes, and room for %d", pos, n, room-entryHead)
	}
	e = e[: entryHead+n : entryHead+n]
	if full {
		if is := entrySum(pos, e); is != le.Uint32(e) {
			return o, nil, damaged("the checksum of the packet at position %d is %#08x, the bytes give %#08x", pos, le.Uint32(e), is)
		}
	}
	return Origin{Source: le.Uint64(e[8:]), Number: le.Uint64(e[16:]), Item: le.Uint32(e[24:])}, e[entryHead:], nil
}
