// SPDX-License-Identifier: Apache-2.0

package mailbench

import "sync"

// freeMax is how many chunks a free list keeps: 2 MiB of chunks of 32 messages.
const freeMax = 1024

// A chunk is a part of a mailbox's list.
type chunk struct {
	next  *chunk
	slots []Message // the room behind it
}

// The sizes of chunks. Each is one allocation: slots refers to what comes behind the
// chunk in the same one.

func chunkOf16() *chunk {
	c := new(struct {
		chunk
		room [16]Message
	})
	c.slots = c.room[:]
	return &c.chunk
}

func chunkOf32() *chunk {
	c := new(struct {
		chunk
		room [32]Message
	})
	c.slots = c.room[:]
	return &c.chunk
}

func chunkOf64() *chunk {
	c := new(struct {
		chunk
		room [64]Message
	})
	c.slots = c.room[:]
	return &c.chunk
}

// A supply is where the mailboxes of one runtime get their chunks: a sync.Pool, which
// has a part for each processor and is emptied by two garbage collections, or
// a list under a mutex, which keeps what it has. Any goroutine may use it.
type supply struct {
	pool *sync.Pool // nil: the list below
	make func() *chunk

	mu    sync.Mutex
	free  *chunk
	count int
}

func newSupply(newChunk func() *chunk) *supply {
	return &supply{pool: &sync.Pool{New: func() any { return newChunk() }}}
}

func newFreeList(newChunk func() *chunk) *supply { return &supply{make: newChunk} }

// get returns a chunk without messages and without a next one.
func (s *supply) get() *chunk {
	if s.pool != nil {
		return s.pool.Get().(*chunk)
	}
	s.mu.Lock()
	c := s.free
	if c != nil {
		s.free, c.next = c.next, nil
		s.count--
	}
	s.mu.Unlock()
	if c == nil {
		c = s.make()
	}
	return c
}

// put takes back a chunk that is as get returned it.
func (s *supply) put(c *chunk) {
	if s.pool != nil {
		s.pool.Put(c)
		return
	}
	s.mu.Lock()
	if s.count < freeMax {
		c.next, s.free = s.free, c
		s.count++
	}
	s.mu.Unlock()
}
