// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrNoService means that the target is gone, or never was.
	ErrNoService = errors.New("no such service")
	// ErrStalePID means that the target was a service of a process that has ended; another
	// one has its address. It is an ErrNoService.
	ErrStalePID = fmt.Errorf("%w: its process has ended, and another has its address", ErrNoService)
	// ErrNoRoom is a Remote's: there is no room now.
	ErrNoRoom = errors.New("no room on the way to another process")
	// ErrStopped means that the service or the runtime that the caller belongs to ends.
	ErrStopped = errors.New("stopped")
	// ErrMailboxFull means that the target's mailbox is full and rejects.
	ErrMailboxFull = errors.New("mailbox is full")
	// ErrDropped means that the target's full mailbox dropped the message for newer ones.
	ErrDropped = errors.New("dropped from a full mailbox")
	// ErrNoReply means that a handler ended without an answer and kept none for later.
	ErrNoReply = errors.New("the handler ended without a reply")
	// ErrReplied means that a request was answered already, or was no request.
	ErrReplied = errors.New("nobody waits for a reply")
	// ErrCallCycle means that waiting would never end: see CycleError.
	ErrCallCycle = errors.New("a cycle of serial sections")
	// ErrNameTaken means that another service has the name.
	ErrNameTaken = errors.New("name is taken")
	// ErrNoRemote means that a PID is of another process and the runtime has no Remote.
	ErrNoRemote = errors.New("no way to other processes")
	// ErrGoexit means that a handler ended its goroutine, as testing's FailNow does.
	ErrGoexit = errors.New("the handler called runtime.Goexit")
	// ErrKilled is the reason of a service that was killed.
	ErrKilled = errors.New("killed")
	// ErrType means that a value is not of the type that was asked for.
	ErrType = errors.New("wrong type")
)

// A PanicError is what a handler has panicked with.
type PanicError struct {
	Value any
	Stack []byte // where, as runtime/debug.Stack has it
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Unwrap returns the value if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// A CycleError tells who waits for whom. It wraps ErrCallCycle.
type CycleError struct {
	Path []CycleStep // the first waits for the second and so on, the last for the first
}

// A CycleStep is a handler that waits.
type CycleStep struct {
	Service PID
	Name    string // if it has one
	Message string // type of the value that it handles
	For     string // what it waits for
	Where   string // function, file and line of the wait
}

func (e *CycleError) Error() string {
	var b strings.Builder
	b.WriteString(ErrCallCycle.Error())
	for i, s := range e.Path {
		if i > 0 {
			b.WriteString(";")
		}
		fmt.Fprintf(&b, " %s handles %s and waits for %s", s.who(), s.Message, s.For)
		if s.Where != "" {
			fmt.Fprintf(&b, " (%s)", s.Where)
		}
	}
	return b.String()
}

func (s *CycleStep) who() string {
	if s.Name != "" {
		return s.Service.String() + " " + s.Name
	}
	return s.Service.String()
}

// Unwrap returns ErrCallCycle.
func (e *CycleError) Unwrap() error { return ErrCallCycle }
