// SPDX-License-Identifier: Apache-2.0

// Package services measures services in one process: actors, whatever a project calls them. A way to have such
// services is a Runtime, a few functions; the cases are written here once and drive every Runtime alike:
//
//	ask               one service asks another and waits for the answer, one request at a time
//	fanin-goroutines  goroutines send to one service
//	fanin-services    services send to one service
//	broadcast         one value to every member of a group, the next when all have had it
//	spawn             services are started, handle a message each, and idle
//	flood             services that get a message now and then, without and with a pair that floods
//	blocked           the same, without and with handlers that block
//
// All keep the same rules:
//
//   - A message is a pointer, numbered by its sender. The receiver checks the number: one that is lost, doubled or
//     swapped fails the run.
//   - A fifth of the duration is warm-up. Allocations and processor time are those of the span that is measured.
//   - One process measures one case once: see Main.
package services

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// A Message is what services send, by pointer. Whoever has received it may write to it.
type Message struct {
	Kind uint32
	From uint32 // who has sent it, where a case needs that
	N    uint64 // its number
	At   int64  // when it was sent, as clock says
}

// A Context is what a handler sends with. It belongs to the call of the handler.
type Context interface {
	// Send hands m to service to, for good. It may wait for room in that service's mailbox.
	Send(to int, m *Message)
}

// A Handler handles one message in service self, which handles one at a time.
type Handler func(c Context, self int, m *Message)

// Services are running services, numbered from 0.
type Services interface {
	// Context is for goroutines outside, any number of them at a time.
	Context

	// Broadcast hands m to all services. Nobody writes to it before all have handled it. One
	// goroutine at a time calls it.
	Broadcast(m *Message)

	// Stop ends the services, which have nothing left to handle. It returns the first error that a
	// Send or Broadcast has met.
	Stop() error
}

// A Runtime is one way to have services in a process.
type Runtime interface {
	// Start starts n services that handle their messages by handle, and returns when all can be sent to. A
	// mailbox has room for 1,024 messages, or more; where there are 10,000 services, for one.
	Start(n int, handle Handler) (Services, error)

	// Ask starts a service that answers every request with the message itself, passed through
	// Answer, and one that asks it. That one calls a.Loop with its way to ask; where nobody waits and the
	// reply is a message too, it calls a.Next by itself. Ask ends both when a is over, then returns.
	Ask(a *Asks) error
}

// started is what clock counts from.
var started = time.Now()

// clock returns nanoseconds since the process began.
func clock() int64 { return int64(time.Since(started)) }

// verdict is the first mistake that services find. Any goroutine may use it.
type verdict struct {
	wrong atomic.Bool
	mu    sync.Mutex
	err   error
}

func (v *verdict) fail(format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.err == nil {
		v.err = fmt.Errorf(format, args...)
	}
	v.wrong.Store(true)
}

func (v *verdict) get() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.err
}

// await waits for done, but not forever: a runtime that loses a message would never end.
func await(done <-chan struct{}, patience time.Duration, what string) error {
	limit := time.NewTimer(patience)
	defer limit.Stop()
	select {
	case <-done:
		return nil
	case <-limit.C:
		return fmt.Errorf("after %v still waiting for %s", patience, what)
	}
}

// awaitGroup is await for a WaitGroup.
func awaitGroup(group *sync.WaitGroup, patience time.Duration, what string) error {
	done := make(chan struct{})
	go func() {
		group.Wait()
		close(done)
	}()
	return await(done, patience, what)
}
