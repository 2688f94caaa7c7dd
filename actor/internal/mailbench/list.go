// SPDX-License-Identifier: Apache-2.0

package mailbench

import "sync"

// A List is a linked list under a mutex with a node for each message.
type List struct {
	mu    sync.Mutex
	awake bool
	first *listNode
	last  *listNode
	nodes *sync.Pool
}

type listNode struct {
	next *listNode
	msg  Message
}

func newListNodes() *sync.Pool { return &sync.Pool{New: func() any { return new(listNode) }} }

// NewList returns an empty list whose nodes come from, and go back to, nodes.
func NewList(nodes *sync.Pool) *List { return &List{nodes: nodes} }

// Put implements Mailbox.
func (l *List) Put(m Message) bool {
	n := l.nodes.Get().(*listNode)
	n.msg = m
	l.mu.Lock()
	if l.first == nil {
		l.first = n
	} else {
		l.last.next = n
	}
	l.last = n
	wake := !l.awake
	l.awake = true
	l.mu.Unlock()
	return wake
}

// Take implements Mailbox.
func (l *List) Take() (Message, bool) {
	l.mu.Lock()
	n := l.first
	if n == nil {
		l.awake = false
		l.mu.Unlock()
		return Message{}, false
	}
	l.first = n.next
	l.mu.Unlock()
	m := n.msg
	*n = listNode{}
	l.nodes.Put(n)
	return m, true
}
