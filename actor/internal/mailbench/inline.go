// SPDX-License-Identifier: Apache-2.0

package mailbench

import "sync"

// box has room for one message in itself, and chunks for those behind it. The
// reader takes all there are at once: the one in the box is handled right away,
// the chunks become its own. Put and Take are written out in Inline and QuickInline,
// as a call that passes a message on costs as much as half a lock.
type box struct {
	awake bool
	full  bool  // one has a message; without it there are no chunks
	fill  int32 // messages in the last chunk
	first *chunk
	last  *chunk
	one   Message

	pos    int32 // the reader's: in taken
	end    int32 // messages in the last of the taken chunks
	taken  *chunk
	supply *supply
}

// slotLocked returns the place of the next message in the chunks.
func (b *box) slotLocked() *Message {
	c := b.last
	if c == nil || int(b.fill) == len(c.slots) {
		c = b.supply.get()
		if b.last == nil {
			b.first = c
		} else {
			b.last.next = c
		}
		b.last, b.fill = c, 0
	}
	b.fill++
	return &c.slots[b.fill-1]
}

// ownLocked makes the chunks, of which there is one at least, the reader's.
func (b *box) ownLocked() {
	b.taken, b.pos, b.end = b.first, 0, b.fill
	b.first, b.last = nil, nil
}

// takeOwn returns the next message of the reader's chunks, of which there is one at
// least. It needs no lock.
func (b *box) takeOwn() Message {
	c := b.taken
	m := c.slots[b.pos]
	c.slots[b.pos] = Message{}
	b.pos++
	if c.next == nil && b.pos == b.end || int(b.pos) == len(c.slots) {
		b.taken, b.pos, c.next = c.next, 0, nil
		b.supply.put(c)
	}
	return m
}

// An Inline is a box under a mutex.
type Inline struct {
	mu sync.Mutex
	box
}

// NewInline returns an empty mailbox whose chunks come from, and go back to, s.
func NewInline(s *supply) *Inline { return &Inline{box: box{supply: s}} }

// Put implements Mailbox.
func (b *Inline) Put(m Message) bool {
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

// Take implements Mailbox.
func (b *Inline) Take() (Message, bool) {
	if b.taken != nil {
		return b.takeOwn(), true
	}
	b.mu.Lock()
	if !b.full {
		b.awake = false
		b.mu.Unlock()
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

// A QuickInline is a box under a quickLock.
type QuickInline struct {
	mu quickLock
	box
}

// NewQuickInline returns an empty mailbox whose chunks come from, and go back to, s.
func NewQuickInline(s *supply) *QuickInline { return &QuickInline{box: box{supply: s}} }

// Put implements Mailbox.
func (b *QuickInline) Put(m Message) bool {
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

// Take implements Mailbox.
func (b *QuickInline) Take() (Message, bool) {
	if b.taken != nil {
		return b.takeOwn(), true
	}
	b.mu.Lock()
	if !b.full {
		b.awake = false
		b.mu.Unlock()
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
