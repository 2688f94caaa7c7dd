// SPDX-License-Identifier: Apache-2.0

package mailbench

// A Message is of the size and shape of the runtime's own: 56 bytes on a 64-bit
// machine, three of its words pointers.
type Message struct {
	Value   any
	From    PID
	Session uint64
	Caller  *int
	Kind    uint8
}

// A PID is a service of a node.
type PID struct {
	Node   uint32
	Handle uint64
}

// A Mailbox is a queue with many senders and one reader, which sleeps while there
// is nothing. A new one is asleep.
type Mailbox interface {
	// Put appends m. It returns true if the reader was asleep: it is awake from then on,
	// and it is for the caller to see that it runs. Put never refuses; that of the
	// channel waits while the channel is full. Any goroutine may call it.
	Put(m Message) (wake bool)

	// Take removes the oldest message. Without one it returns false, and the reader
	// sleeps from then on. One goroutine at a time may call it, and only while the
	// reader is awake.
	Take() (m Message, ok bool)
}

// A Design is one way to make mailboxes.
type Design struct {
	Name string

	// New returns a mailbox that is asleep. It can hold any number of messages, but for
	// the channel, which can hold capacity.
	New func(capacity int) Mailbox
}

// Designs returns the candidates, each with new pools, in the order in which the
// figures list them. What a design pools is shared by all mailboxes of one call.
func Designs() []Design {
	listed, linked := newListNodes(), newNodes()
	return []Design{
		{"list", func(int) Mailbox { return NewList(listed) }},
		{"queues", func(int) Mailbox { return new(Queues) }},
		{"swap", func(int) Mailbox { return NewSwap(0) }},
		{"swap-drop", func(int) Mailbox { return NewSwap(swapKeep) }},
		{"ring", func(int) Mailbox { return NewRing() }},
		{"ring-spin", func(int) Mailbox { return NewSpinRing() }},
		{"vyukov", func(int) Mailbox { return NewVyukov(linked) }},
		inline("inline-16", newSupply(chunkOf16)),
		inline("inline-32", newSupply(chunkOf32)),
		inline("inline-64", newSupply(chunkOf64)),
		inline("inline-32-free", newFreeList(chunkOf32)),
		quickInline("inline-32-quick", newSupply(chunkOf32)),
		spareInline("inline-32-spare", newSupply(chunkOf32)),
		{"channel", func(capacity int) Mailbox { return NewChannel(capacity) }},
	}
}

func inline(name string, s *supply) Design {
	return Design{name, func(int) Mailbox { return NewInline(s) }}
}

func quickInline(name string, s *supply) Design {
	return Design{name, func(int) Mailbox { return NewQuickInline(s) }}
}

func spareInline(name string, s *supply) Design {
	return Design{name, func(int) Mailbox { return NewSpareInline(s) }}
}
