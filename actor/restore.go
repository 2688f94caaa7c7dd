// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"errors"
	"fmt"
)

// A hot restart replaces the program of a process, and its services go on: package node does it. The runtime of the old program is paused
// (Pause), says what there is (State), and ends with its program, or goes on (Resume). That of the new
// program begins with it (Restore). docs/design/restart.md tells what is carried, and what is not.

// A Carrier is a handler whose service goes on after a hot restart: with its PID, name, groups, those that watch it
// and those that it watches. Its Spec has a Type, or a Name, by which the new program knows what to make it of.
// Timers, watches of names and what Fork was given do not go on: Restore starts them again. A service whose
// handler is no Carrier ends with its program, without a Stop, and for ErrNotCarried; unless Spec.Stateless is set.
type Carrier interface {
	// Snapshot returns what Restore needs, when the service has nothing to do. It must not wait: that is ErrStopped. If the
	// restart fails later the service goes on with the handler as it is. An error ends the restart.
	Snapshot(c *Context) ([]byte, error)
	// Restore is called in the new program in place of Start, on a handler from Spec.New. The bytes are
	// the handler's. An error ends the service, as one of Start does. It may not rely on other services' Restore having run.
	Restore(c *Context, snapshot []byte) error
}

var (
	// ErrRestarting is what waits of handlers, and calls of goroutines, end with that do not end in time before a
	// hot restart. It is an ErrStopped.
	ErrRestarting = fmt.Errorf("%w: the process is about to become another program", ErrStopped)
	// ErrNotCarried is the reason of a service that a hot restart has ended, and the answer of requests that
	// such a one, or one that did not take them up again, has kept for later.
	ErrNotCarried = errors.New("not carried over a hot restart")
)

// A State is what a Runtime hands on to that of another program in the same process. It is plain data.
type State struct {
	Life     uint32
	Used     uint32 // places in the table that were ever given away
	Reuse    []uint16
	Services []CarriedService
	Groups   []CarriedGroup
}

// A CarriedService is one of a State.
type CarriedService struct {
	Handle   Handle
	Name     string
	Type     string // of its Spec, or the Spec's Name
	Snapshot []byte
	Bare     bool   // it begins with Start, and has no snapshot
	Ended    string // why it is not carried; "": it is
	Sessions uint32 // upper halves of the numbers of its requests were below that
	Watchers []CarriedWatcher
	Deferred []RequestID
}

// A CarriedWatcher is a service of the same runtime that watches another one.
type CarriedWatcher struct {
	By   Handle
	Link bool
}

// A CarriedGroup is a group of a State. Far are its members of other processes.
type CarriedGroup struct {
	Handle  Handle
	Name    string
	Members []Handle
	Far     []PID
}

// A RequestID names a request that a service has kept for later (Context.Later) over a hot restart. It is
// comparable and plain data: what Snapshot writes of a Request.
type RequestID struct {
	From    PID
	Session uint64
}

// ID returns what Context.Resume makes the Request of again.
func (r Request) ID() RequestID { return RequestID{r.from, r.session} }

// Resume returns a request that the service has kept for later before a hot restart. Those that Restore has not asked for when
// it returns are answered: ErrNotCarried. Errors: the service owes no such answer, or has asked for it already.
func (c *Context) Resume(id RequestID) (Request, error) {
	s := c.mine()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.extra != nil {
		if taken, owed := s.extra.deferred[id]; owed && !taken {
			s.extra.deferred[id] = true
			return Request{rt: c.rt, from: id.From, session: id.Session, s: s}, nil
		}
	}
	return Request{}, fmt.Errorf("resume request %d of %v: %w", id.Session, id.From, ErrReplied)
}

// owe notes that s owes the answer, if the caller is elsewhere: one that is here waits, and no restart begins.
func (r *Request) owe(s *service) {
	if n := r.from.Node; r.session == 0 || n.IsNone() || n == r.rt.cfg.Node {
		return
	}
	r.s = s
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.rest()
	if e.deferred == nil {
		e.deferred = map[RequestID]bool{}
	}
	e.deferred[r.ID()] = true
}

// paid takes that back.
func (r *Request) paid() {
	if r.s == nil {
		return
	}
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	if r.s.extra != nil {
		delete(r.s.extra.deferred, r.ID())
	}
}

// Monitors returns the watches that the service had before a hot restart, for Restore: they go on, and this is how they can be
// stopped. Each is returned once; afterwards there are none.
func (c *Context) Monitors() []*Monitor { return c.rt.pause.monitorsOf(c.mine().handle) }

// AddMonitor notes a watch over a service elsewhere that goes on after a hot restart, for Context.Monitors. A Remote
// calls it before the services begin.
func (rt *Runtime) AddMonitor(by Handle, target PID, stop func()) {
	rt.pause.addMonitor(by, &Monitor{rt: rt, target: target, stop: stop})
}

// Group returns the group that has p, if one has: after a hot restart those that made it find it so.
func (rt *Runtime) Group(p PID) (*Group, bool) {
	s, _ := rt.local(p)
	if s == nil || s.kind != many {
		return nil, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.extra.group, s.extra.group != nil
}
