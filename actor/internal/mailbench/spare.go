// SPDX-License-Identifier: Apache-2.0

package mailbench

import "sync"

// A SpareInline is an Inline that keeps the chunk it emptied last until it sleeps, so
// that a mailbox that is never quite empty works on two chunks in turn and asks the
// supply for none.
type SpareInline struct {
	mu    sync.Mutex
	awake bool
	full  bool  // one has a message; without it there are no chunks
	fill  int32 // messages in the last chunk
	count int32 // messages in all chunks
	first *chunk
	last  *chunk
	spare *chunk // empty
	one   Message

	left   int32  // the reader's: messages in taken
	pos    int32  // in the first of them
	taken  *chunk // with nothing left it is the one that was emptied last, or nil
	supply *supply
}

// NewSpareInline returns an empty mailbox whose chunks come from, and go back to, s.
func NewSpareInline(s *supply) *SpareInline { return &SpareInline{supply: s} }

// Put implements Mailbox.
func (b *SpareInline) Put(m Message) bool {
	b.mu.Lock()
	slot := &b.one
	if b.full {
		slot = b.slotLocked()
	}
	*slot = m
	wake := !b.awake
	b.full, b.awake = true, true
	b.mu.Unlock()
	return wake
}

// slotLocked returns the place of the next message in the chunks.
func (b *SpareInline) slotLocked() *Message {
	c := b.last
	if c == nil || int(b.fill) == len(c.slots) {
		c = b.emptyLocked()
		if b.last == nil {
			b.first = c
		} else {
			b.last.next = c
		}
		b.last, b.fill = c, 0
	}
	b.count++
	b.fill++
	return &c.slots[b.fill-1]
}

func (b *SpareInline) emptyLocked() *chunk {
	c := b.spare
	if c == nil {
		return b.supply.get()
	}
	b.spare = nil
	return c
}

// Take implements Mailbox.
func (b *SpareInline) Take() (Message, bool) {
	if b.left > 0 {
		return b.takeOwn(), true
	}
	b.mu.Lock()
	if !b.full {
		b.awake = false // from the unlock on nothing of the mailbox is this reader's
		emptied, spare := b.taken, b.spare
		b.taken, b.spare = nil, nil
		b.mu.Unlock()
		if emptied != nil {
			b.supply.put(emptied)
		}
		if spare != nil {
			b.supply.put(spare)
		}
		return Message{}, false
	}
	m := b.one
	b.full, b.one = false, Message{}
	if b.first != nil {
		b.ownLocked()
	}
	b.mu.Unlock()
	return m, true
}

// ownLocked makes the chunks, of which there is one at least, the reader's, and the
// one that it has emptied the senders'.
func (b *SpareInline) ownLocked() {
	b.spare = b.taken // they have used the one before, as there are chunks
	b.taken, b.left, b.pos = b.first, b.count, 0
	b.first, b.last, b.count = nil, nil, 0
}

func (b *SpareInline) takeOwn() Message {
	c := b.taken
	if int(b.pos) == len(c.slots) {
		b.taken, b.pos, c.next = c.next, 0, nil
		b.supply.put(c)
		c = b.taken
	}
	m := c.slots[b.pos]
	c.slots[b.pos] = Message{}
	b.pos++
	b.left--
	return m
}
