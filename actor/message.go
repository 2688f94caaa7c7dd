// SPDX-License-Identifier: Apache-2.0

package actor

import "fmt"

// A Kind sorts messages, as skynet's protocol types do. Kinds from KindUser on mean
// what the program wants.
type Kind uint8

// The kinds that the runtime knows.
const (
	KindMessage Kind = iota // what Send and Call send
	KindText                // a command line for Command
	KindDown                // the value is a Down
	KindBounce              // the value is an Undelivered
	KindTick                // of Context.Tick: the value is what was given there
	KindNotice              // what the program subscribed to: names, tables

	kindSystem // from here to KindUser: no handler sees them
	KindReply  // to a Remote: the answer to Session
	KindError  // to a Remote: the same, and the value is an error
	kindExpired
	kindFork
	kindTimer
	kindStart
	kindStop
	kindExit
	kindRoom
	kindGiveUp   // a wait ends: the process is about to become another program
	kindSnapshot // a request for the handler's state

	KindUser Kind = 32
)

// A Message is what a handler gets. It is the handler's until that returns; the value
// is the receiver's for good, unless it was sent to many.
type Message struct {
	Value   any
	From    PID    // the sender; zero if it is no service
	Session uint64 // of a request; 0: nobody waits for an answer
	src     *source
	Kind    Kind
	trips   bool // src has a trip
	Again   bool // it may have been handled before: the process that had it, or the handler's, was killed
}

// IsCall reports whether somebody waits for a reply.
func (m *Message) IsCall() bool { return m.Session != 0 }

// Origin says which message from another process m is, while its handler runs: the number it has among those of
// one source. If it comes again (Again) it has the same two. ok is false for a message of this process, and for one that
// would not come again: Spec.ReleaseEarly, or released early because the lane was full.
func (m *Message) Origin() (source, number uint64, ok bool) {
	if m.src == nil || m.src.held == nil {
		return 0, 0, false
	}
	return m.src.held.Origin()
}

// Alone reports whether m brings nothing along: no trace, and no caller, of this process, that may give up.
func (m *Message) Alone() bool { return !m.trips }

// what describes the value for people, or what is to be done.
func (m *Message) what() string {
	switch m.Kind {
	case kindStart:
		return "Start"
	case kindExit:
		return "Stop"
	case kindFork:
		return "a fork"
	case kindTimer:
		return "a timer"
	}
	if m.Value == nil {
		return "nil"
	}
	return fmt.Sprintf("%T", m.Value)
}

// Down says that a service that was monitored, or linked, has ended.
type Down struct {
	Service PID
	Name    string // what it was called, if it had a name
	Reason  error  // nil: as it wanted
}

// Undelivered says that a message was not handled: its receiver ended before, or dropped it.
type Undelivered struct {
	To     PID
	Kind   Kind
	Value  any
	Reason error
}
