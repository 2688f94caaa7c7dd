// SPDX-License-Identifier: Apache-2.0

package actor

import "sync"

// Full says what becomes of a message for a mailbox that is full.
type Full uint8

// What a full mailbox does. What the runtime itself sends, such as replies, is always taken.
const (
	Block      Full = iota // the sender waits until half of the mailbox is free
	Reject                 // the sender gets ErrMailboxFull
	DropOldest             // the oldest message is dropped; its sender hears of it
)

// A Mailbox is how many messages may wait for a service, and what happens beyond.
type Mailbox struct {
	Capacity int  // messages; 0: DefaultCapacity; Unbounded: no limit
	Full     Full // at the capacity
}

// Capacities.
const (
	DefaultCapacity = 1 << 16
	Unbounded       = -1
)

func (m Mailbox) limit() int {
	switch {
	case m.Capacity == 0:
		return DefaultCapacity
	case m.Capacity < 0:
		return int(^uint(0) >> 1)
	}
	return m.Capacity
}

// chunkSize is how many messages a chunk has: docs/design/mailbox.md.
const chunkSize = 36

// A chunk is a piece of a mailbox.
type chunk struct {
	next  *chunk
	at, n int // of m: read from at, written to n
	m     [chunkSize]Message
}

var chunks = sync.Pool{New: func() any { return new(chunk) }}

// free gives an empty chunk back. What was in it is forgotten at once: that is cheaper
// than message by message.
func (k *chunk) free() {
	clear(k.m[:k.n])
	k.next, k.at, k.n = nil, 0, 0
	chunks.Put(k)
}

// shift takes the first message out; the chunk has one.
func (k *chunk) shift(m *Message) {
	*m = k.m[k.at]
	k.at++
}

// A box holds the messages of a service that nobody has taken yet: the first of
// an empty one in place, so that an almost idle service has no chunk.
type box struct {
	head, tail *chunk
	n          int
	fill       int // of the tail: its n may be older
	one        Message
	has        bool // one is a message, and the oldest
}

func (b *box) put(m *Message) {
	b.n++
	if b.n == 1 {
		b.one, b.has = *m, true
		return
	}
	if b.tail == nil || b.fill == chunkSize {
		b.extend()
	}
	b.tail.m[b.fill] = *m
	b.fill++
}

func (b *box) extend() {
	k := chunks.Get().(*chunk)
	if b.tail == nil {
		b.head = k
	} else {
		b.tail.next, b.tail.n = k, chunkSize
	}
	b.tail, b.fill = k, 0
}

// atOnce is how many chunks are taken from a box at once.
const atOnce = 4

// take takes the oldest message, and with it the chunks that follow, to be read
// without the lock.
func (b *box) take(m *Message) *chunk {
	b.n--
	if b.tail == nil { // it is the only one
		*m = b.one
		b.one, b.has = Message{}, false
		return nil
	}
	b.tail.n = b.fill
	if b.has {
		*m = b.one
		b.one, b.has = Message{}, false
	} else {
		b.head.shift(m)
		if b.trim(nil, b.head); b.head == nil {
			return nil
		}
	}
	first := b.head
	last := first
	b.n -= last.n - last.at
	for i := 1; i < atOnce && last.next != nil; i++ {
		last = last.next
		b.n -= last.n - last.at
	}
	if b.head = last.next; b.head == nil {
		b.tail = nil
	}
	last.next = nil
	return first
}

// drop takes the oldest message that a user has sent, if there is one.
func (b *box) drop(m *Message) bool {
	if b.has && !b.one.system() {
		*m = b.one
		b.one, b.has = Message{}, false
		b.n--
		return true
	}
	if b.tail != nil {
		b.tail.n = b.fill
	}
	var before *chunk
	for k := b.head; k != nil; before, k = k, k.next {
		for i := k.at; i < k.n; i++ {
			if k.m[i].system() {
				continue
			}
			*m = k.m[i]
			copy(k.m[k.at+1:i+1], k.m[k.at:i])
			k.at++
			b.n--
			b.trim(before, k)
			return true
		}
	}
	return false
}

// trim gives k, which follows before, back if it is empty.
func (b *box) trim(before, k *chunk) {
	if k.at < k.n {
		return
	}
	if before == nil {
		b.head = k.next
	} else {
		before.next = k.next
	}
	if k.next == nil {
		if b.tail = before; before != nil {
			b.fill = before.n
		}
	}
	k.free()
}

// system reports whether the runtime has made the message: it is never refused.
func (m *Message) system() bool {
	return m.Kind > kindSystem && m.Kind < KindUser || m.Kind == KindDown || m.Kind == KindBounce || m.Kind == KindTick || m.Kind == KindNotice
}
