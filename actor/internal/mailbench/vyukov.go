// SPDX-License-Identifier: Apache-2.0

package mailbench

import (
	"sync"
	"sync/atomic"
)

// A Vyukov is Dmitry Vyukov's linked queue for many producers and one consumer: a
// producer swaps the end for its node and links the one before to it. See
// https://www.1024cores.net/home/lock-free-algorithms/queues/non-intrusive-mpsc-node-based-queue
//
// A producer that stops between the two hides what others put behind its node; it
// is the one that wakes the reader when it goes on. So a reader may wake in vain,
// but never sleeps for ever.
type Vyukov struct {
	last  atomic.Pointer[node] // swapped by producers
	awake atomic.Bool          // set by producers, cleared by the reader
	nodes *sync.Pool
	stub  *node // the reader's: taken, and linked to the next one
}

type node struct {
	next atomic.Pointer[node] // stored by the producer of the next one
	msg  Message
}

func newNodes() *sync.Pool { return &sync.Pool{New: func() any { return new(node) }} }

// NewVyukov returns an empty queue whose nodes come from, and go back to, nodes.
func NewVyukov(nodes *sync.Pool) *Vyukov {
	v := &Vyukov{nodes: nodes, stub: new(node)}
	v.last.Store(v.stub)
	return v
}

// Put implements Mailbox.
func (v *Vyukov) Put(m Message) bool {
	n := v.nodes.Get().(*node)
	n.msg = m
	v.last.Swap(n).next.Store(n)
	return !v.awake.Load() && v.awake.CompareAndSwap(false, true)
}

// Take implements Mailbox.
func (v *Vyukov) Take() (Message, bool) {
	for {
		stub := v.stub
		if n := stub.next.Load(); n != nil {
			m := n.msg
			n.msg = Message{}
			v.stub = n
			stub.next.Store(nil) // nobody links it any more: its producer and the next one are done
			v.nodes.Put(stub)
			return m, true
		}
		// Once awake is cleared another reader may run: v.stub is its own then, and what stub.next
		// says counts only for whoever sets awake again.
		v.awake.Store(false)
		if stub.next.Load() == nil || !v.awake.CompareAndSwap(false, true) {
			return Message{}, false
		}
	}
}
