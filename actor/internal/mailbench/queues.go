// SPDX-License-Identifier: Apache-2.0

package mailbench

import "sync"

const (
	queueSize   = 64 // messages of one queue
	queuesSpare = 2  // empty queues that a container keeps
)

// A Queues is a container of queues of fixed size. Senders fill one of them; it is
// handed over when it is full, or as it is when the reader has nothing else to do.
// The reader works on the one that it was given without a lock.
type Queues struct {
	mu      sync.Mutex
	awake   bool
	spares  int
	filling *queue
	first   *queue // full ones, oldest first
	last    *queue
	spare   *queue

	reading *queue // the reader's
}

type queue struct {
	next       *queue
	head, tail int
	slots      [queueSize]Message
}

// Put implements Mailbox.
func (c *Queues) Put(m Message) bool {
	c.mu.Lock()
	if c.filling == nil {
		c.filling = c.empty()
	}
	q := c.filling
	q.slots[q.tail] = m
	if q.tail++; q.tail == queueSize {
		c.handOver(q)
	}
	wake := !c.awake
	c.awake = true
	c.mu.Unlock()
	return wake
}

// Take implements Mailbox.
func (c *Queues) Take() (Message, bool) {
	q := c.reading
	if q == nil || q.head == q.tail {
		if q = c.exchange(q); q == nil {
			return Message{}, false
		}
	}
	m := q.slots[q.head]
	q.slots[q.head] = Message{}
	q.head++
	return m, true
}

// exchange gives back the queue that the reader has emptied, if there is one, and
// returns the next one, or puts the reader to sleep.
func (c *Queues) exchange(done *queue) *queue {
	c.mu.Lock()
	defer c.mu.Unlock()
	if done != nil && c.spares < queuesSpare {
		done.head, done.tail, done.next = 0, 0, c.spare
		c.spare = done
		c.spares++
	}
	q := c.first
	switch {
	case q != nil:
		c.first, q.next = q.next, nil
	case c.filling != nil:
		q, c.filling = c.filling, nil
	default:
		c.awake = false
	}
	c.reading = q
	return q
}

func (c *Queues) handOver(q *queue) {
	if c.first == nil {
		c.first = q
	} else {
		c.last.next = q
	}
	c.last, c.filling = q, nil
}

func (c *Queues) empty() *queue {
	q := c.spare
	if q == nil {
		return new(queue)
	}
	c.spare, q.next = q.next, nil
	c.spares--
	return q
}
