// SPDX-License-Identifier: Apache-2.0

package queue

import (
	"fmt"
	"time"
)

// Defaults of Marks.
const (
	DefaultSoft  = 64 << 10
	DefaultLow   = 32 << 10
	DefaultHard  = 1 << 20
	DefaultSlow  = 30 * time.Second
	DefaultStall = 10 * time.Second
)

// Marks say when a client is slow, and what is done. Bytes are those on the wire. The zero value of
// each field is its default.
type Marks struct {
	Soft   int           // above it the client is slow; default 64 KB
	Low    int           // below it, it is not any more; default half of Soft
	Hard   int           // what a queue holds at most; default 1 MB, at least Soft
	Policy Policy        // what is done with a packet that would lead above Hard; default Kick
	Slow   time.Duration // slow for so long: Overdue. Default 30 s; negative: never
	Stall  time.Duration // so long without a byte taken: Overdue. Default 10 s; negative: never
}

// WithDefaults returns m with its defaults, or what is wrong with it.
func (m Marks) WithDefaults() (Marks, error) {
	if m.Soft == 0 {
		m.Soft = DefaultSoft
	}
	if m.Low == 0 {
		m.Low = m.Soft / 2
	}
	if m.Hard == 0 {
		m.Hard = max(DefaultHard, m.Soft)
	}
	if m.Slow == 0 {
		m.Slow = DefaultSlow
	}
	if m.Stall == 0 {
		m.Stall = DefaultStall
	}
	if m.Low < 0 || m.Low > m.Soft || m.Soft > m.Hard {
		return m, fmt.Errorf("marks low %d, soft %d, hard %d: want 0 <= low <= soft <= hard", m.Low, m.Soft, m.Hard)
	}
	if m.Policy > DropOld {
		return m, fmt.Errorf("marks: %v, want kick, drop-new or drop-old", m.Policy)
	}
	return m, nil
}

// A Policy is what is done with a packet that would lead a queue above its hard limit.
type Policy uint8

// The policies.
const (
	KickClient Policy = iota // the client is to be kicked
	DropNew                  // the packet is dropped
	DropOld                  // what waits longest is dropped, as much as is needed; the packet too if that is not enough
)

// String returns the name in configurations: kick, drop-new, drop-old.
func (p Policy) String() string {
	switch p {
	case KickClient:
		return "kick"
	case DropNew:
		return "drop-new"
	case DropOld:
		return "drop-old"
	}
	return fmt.Sprintf("policy %d", uint8(p))
}

// ParsePolicy returns the policy of that name.
func ParsePolicy(name string) (Policy, error) {
	for p := KickClient; p <= DropOld; p++ {
		if p.String() == name {
			return p, nil
		}
	}
	return 0, fmt.Errorf("policy %q: want kick, drop-new or drop-old", name)
}

// A Kind is how much a packet matters.
type Kind uint8

// The kinds.
const (
	Must      Kind = iota // it arrives, unless the hard limit is reached
	Droppable             // it is dropped while the client is slow, and instead of leading above the hard limit
	Newest                // it takes the place of the packet of its key that waits, unless that is partly written
	Control               // it belongs to the protocol: as Must, and policies do not hold for it
)

// String returns the name in lists: must, droppable, newest, control.
func (k Kind) String() string {
	switch k {
	case Must:
		return "must"
	case Droppable:
		return "droppable"
	case Newest:
		return "newest"
	case Control:
		return "control"
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// A Verdict is what Push has done.
type Verdict uint8

// The verdicts.
const (
	Queued   Verdict = iota // it waits
	Replaced                // it waits, in the place of an older one
	Dropped                 // it was not queued
	Kick                    // it was not queued, and the client is to be kicked
	Refused                 // it was not queued: the form cannot carry it. The error says why
	Closed                  // it was not queued: the connection ends. A Queue does not say that, connections do
)

// String returns the verdict in a word.
func (v Verdict) String() string {
	switch v {
	case Queued:
		return "queued"
	case Replaced:
		return "replaced"
	case Dropped:
		return "dropped"
	case Kick:
		return "kick"
	case Refused:
		return "refused"
	case Closed:
		return "closed"
	}
	return fmt.Sprintf("verdict %d", uint8(v))
}

// An Edge is a change between slow and not slow.
type Edge uint8

// The edges.
const (
	NoEdge Edge = iota
	Over        // the queue went above the soft mark
	Under       // it went below the low mark
)
