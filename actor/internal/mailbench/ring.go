// SPDX-License-Identifier: Apache-2.0

package mailbench

import "sync"

// ringSize is the number of slots that a ring begins with, as in skynet.
const ringSize = 64

// ring is skynet's mailbox (skynet-src/skynet_mq.c): a ring that doubles when it is
// full and never shrinks. Ring and SpinRing are the same under two locks.
type ring struct {
	awake bool
	head  int // of the oldest
	tail  int // behind the newest; where head is, the ring is empty
	slots []Message
}

func newRing() ring { return ring{slots: make([]Message, ringSize)} }

func (r *ring) growLocked() {
	slots := make([]Message, 2*len(r.slots))
	n := copy(slots, r.slots[r.head:])
	n += copy(slots[n:], r.slots[:r.head])
	r.slots, r.head, r.tail = slots, 0, n
}

// A Ring is a growing ring under a mutex.
type Ring struct {
	mu sync.Mutex
	ring
}

// NewRing returns an empty ring.
func NewRing() *Ring { return &Ring{ring: newRing()} }

// Put implements Mailbox.
func (r *Ring) Put(m Message) bool {
	r.mu.Lock()
	r.slots[r.tail] = m
	r.tail = (r.tail + 1) & (len(r.slots) - 1)
	if r.tail == r.head {
		r.growLocked()
	}
	wake := !r.awake
	r.awake = true
	r.mu.Unlock()
	return wake
}

// Take implements Mailbox.
func (r *Ring) Take() (m Message, ok bool) {
	r.mu.Lock()
	if ok = r.head != r.tail; ok {
		m = r.slots[r.head]
		r.slots[r.head] = Message{}
		r.head = (r.head + 1) & (len(r.slots) - 1)
	} else {
		r.awake = false
	}
	r.mu.Unlock()
	return m, ok
}

// A SpinRing is a growing ring under a spin lock, which is what skynet has.
type SpinRing struct {
	mu spinLock
	ring
}

// NewSpinRing returns an empty ring.
func NewSpinRing() *SpinRing { return &SpinRing{ring: newRing()} }

// Put implements Mailbox.
func (r *SpinRing) Put(m Message) bool {
	r.mu.Lock()
	r.slots[r.tail] = m
	r.tail = (r.tail + 1) & (len(r.slots) - 1)
	if r.tail == r.head {
		r.growLocked()
	}
	wake := !r.awake
	r.awake = true
	r.mu.Unlock()
	return wake
}

// Take implements Mailbox.
func (r *SpinRing) Take() (m Message, ok bool) {
	r.mu.Lock()
	if ok = r.head != r.tail; ok {
		m = r.slots[r.head]
		r.slots[r.head] = Message{}
		r.head = (r.head + 1) & (len(r.slots) - 1)
	} else {
		r.awake = false
	}
	r.mu.Unlock()
	return m, ok
}
