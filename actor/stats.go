// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"sync/atomic"
	"time"
)

// counts are what has happened since New.
type counts struct {
	panics, failed, ended, restarts, overloads, undelivered atomic.Uint64
}

// Stats are a runtime's counters.
type Stats struct {
	Services                                                int // that there are
	Workers                                                 int // goroutines that run handlers
	Parked                                                  int // of them, without work
	Queued                                                  int // services that have something to do and wait for a worker
	Contexts                                                int // coroutines; those that wait are among them
	Timers                                                  int // pending
	Taken                                                   uint64
	Late                                                    uint64 // answers that nobody waited for any more
	Panics, Failed, Ended, Restarts, Overloads, Undelivered uint64
}

// Stats returns the counters.
func (rt *Runtime) Stats() Stats {
	st := Stats{
		Services: rt.services(), Contexts: rt.all.count(), Timers: rt.wheel.Pending(), Late: rt.late.Load(),
		Panics: rt.count.panics.Load(), Failed: rt.count.failed.Load(), Ended: rt.count.ended.Load(),
		Restarts: rt.count.restarts.Load(), Overloads: rt.count.overloads.Load(), Undelivered: rt.count.undelivered.Load(),
	}
	q := rt.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	st.Workers, st.Parked, st.Queued, st.Taken = q.workers, q.parked, q.n, q.taken
	return st
}

// Profile switches the measuring of handlers' times on or off, for all services. It
// costs two looks at the clock a message.
func (rt *Runtime) Profile(on bool) { rt.profile.Store(on) }

// Trace switches on or off that waits note when they began: Task.Since. It costs a look at
// the clock a wait. Those that wait already are as they were.
func (rt *Runtime) Trace(on bool) { rt.trace.Store(on) }

// ServiceInfo describes a service.
type ServiceInfo struct {
	PID     PID
	Name    string
	State   string // "running", "draining", "ending", "resting" (it restarts)
	Kind    string // "service", "group or pool"
	Waiting int    // messages in its mailbox
	Blocked int    // senders that wait for room there
	Handled uint64 // messages; those that are being handled among them
	Dropped uint64
	Time    time.Duration // in handlers, their waits among it, while Profile is on
}

// Services describes all services, groups and pools, in the order of their places.
func (rt *Runtime) Services() (list []ServiceInfo) {
	rt.table.each(func(s *service) bool {
		if s.kind != external {
			list = append(list, s.info())
		}
		return true
	})
	return list
}

// Info describes one.
func (rt *Runtime) Info(p PID) (ServiceInfo, bool) {
	s, _ := rt.local(p)
	if s == nil || s.kind == external {
		return ServiceInfo{}, false
	}
	return s.info(), true
}

func (s *service) info() ServiceInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := ServiceInfo{
		PID: s.pid(), Kind: "service", Waiting: s.box.n, Handled: s.taken, Time: time.Duration(s.spent.Load()),
		State: [...]string{"running", "draining", "ending", "resting", "ended"}[s.state],
	}
	if s.kind == many {
		i.Kind = "group or pool"
	}
	if e := s.extra; e != nil {
		i.Name, i.Blocked, i.Dropped = e.name, len(e.blocked), e.dropped
	}
	return i
}
