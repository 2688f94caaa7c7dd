// SPDX-License-Identifier: Apache-2.0

package mailbench

import "sync/atomic"

// A Channel is the baseline: a buffered Go channel and a flag. Put waits while it is
// full, and its buffer is there from the start.
type Channel struct {
	messages chan Message
	awake    atomic.Bool // set by senders, cleared by the reader
}

// NewChannel returns an empty mailbox with room for capacity messages, at least 1.
func NewChannel(capacity int) *Channel { return &Channel{messages: make(chan Message, capacity)} }

// Put implements Mailbox.
func (c *Channel) Put(m Message) bool {
	c.messages <- m
	return !c.awake.Load() && c.awake.CompareAndSwap(false, true)
}

// Take implements Mailbox.
func (c *Channel) Take() (Message, bool) {
	for {
		select {
		case m := <-c.messages:
			return m, true
		default:
		}
		c.awake.Store(false)
		if len(c.messages) == 0 || !c.awake.CompareAndSwap(false, true) {
			return Message{}, false
		}
	}
}
