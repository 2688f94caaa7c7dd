// SPDX-License-Identifier: Apache-2.0

package mailbench

import "sync"

// swapKeep is the number of messages that a slice of swap-drop may have room for
// when its reader goes to sleep.
const swapKeep = 16

// A Swap is two slices: senders append to one, the reader goes through the other,
// and when that is at its end it swaps them.
type Swap struct {
	mu    sync.Mutex
	awake bool
	keep  int // slices with room for more are dropped before the sleep; 0: none are
	in    []Message

	out []Message // the reader's
	pos int       // in out
}

// NewSwap returns an empty mailbox. When its reader goes to sleep it lets go of slices
// with room for more than keep messages; with 0 it keeps all.
func NewSwap(keep int) *Swap { return &Swap{keep: keep} }

// Put implements Mailbox.
func (s *Swap) Put(m Message) bool {
	s.mu.Lock()
	s.in = append(s.in, m)
	wake := !s.awake
	s.awake = true
	s.mu.Unlock()
	return wake
}

// Take implements Mailbox.
func (s *Swap) Take() (Message, bool) {
	if s.pos == len(s.out) && !s.swap() {
		return Message{}, false
	}
	m := s.out[s.pos]
	s.out[s.pos] = Message{}
	s.pos++
	return m, true
}

func (s *Swap) swap() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out, s.pos = s.out[:0], 0
	if len(s.in) > 0 {
		s.in, s.out = s.out, s.in
		return true
	}
	s.awake = false
	if s.keep > 0 && max(cap(s.in), cap(s.out)) > s.keep {
		s.in, s.out = nil, nil
	}
	return false
}
