// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"errors"
	"log/slog"
	"time"
)

// Events are called for what happens in a runtime, by the goroutine that it happens in:
// they must be quick, and must not wait for a service. nil ones are left out.
type Events struct {
	Panicked    func(Panicked)
	Failed      func(Failed)
	Ended       func(Down)
	Restarting  func(Restarting)
	Overloaded  func(Overloaded)
	Stuck       func(Stuck)
	Undelivered func(from PID, u Undelivered)
}

// Panicked is a panic in a handler.
type Panicked struct {
	Service PID
	Name    string
	Message string // type of the value at hand
	From    PID
	Trace   Trace // of the message; zero: none
	Err     *PanicError
}

// Failed is an error of a handler that no caller gets.
type Failed struct {
	Service PID
	Name    string
	Message string
	From    PID
	Trace   Trace
	Err     error
}

// Restarting says that a service is made anew.
type Restarting struct {
	Service PID
	Name    string
	Reason  error
	In      time.Duration
	GaveUp  int // it is not: there were so many restarts
}

// Overloaded says that a mailbox is deep: at 1024 messages, and at each doubling, and for one
// that fills and empties again and again once a second. Or that as many handlers of the service wait
// as may.
type Overloaded struct {
	Service  PID
	Name     string
	Depth    int // messages; 0: it is about Handlers
	Handlers int // that wait
}

// Stuck says that a handler has not come to an end, or to a wait, for long.
type Stuck struct {
	Service PID
	Name    string
	Message string
	From    PID
	Trace   Trace
	For     time.Duration
	Stack   string
}

// Log returns Events that write to log.
func Log(log *slog.Logger) Events {
	who := func(p PID, name string) string { return (&CycleStep{Service: p, Name: name}).who() }
	return Events{
		Panicked: func(e Panicked) {
			traced(log, e.Trace).Error("a handler panicked", "service", who(e.Service, e.Name), "message", e.Message, "from", e.From.String(), "error", e.Err.Error(), "stack", string(e.Err.Stack))
		},
		Failed: func(e Failed) {
			traced(log, e.Trace).Warn("a handler failed", "service", who(e.Service, e.Name), "message", e.Message, "from", e.From.String(), "error", e.Err.Error())
		},
		Ended: func(e Down) {
			if e.Reason != nil && !errors.Is(e.Reason, ErrStopped) {
				log.Warn("a service has ended", "service", who(e.Service, e.Name), "reason", e.Reason.Error())
			}
		},
		Restarting: func(e Restarting) {
			if e.GaveUp > 0 {
				log.Error("a service restarts no more", "service", who(e.Service, e.Name), "restarts", e.GaveUp, "reason", reasonText(e.Reason))
				return
			}
			log.Warn("a service restarts", "service", who(e.Service, e.Name), "in", e.In, "reason", reasonText(e.Reason))
		},
		Overloaded: func(e Overloaded) {
			if e.Handlers > 0 {
				log.Warn("as many handlers of a service wait as may: its messages wait", "service", who(e.Service, e.Name), "handlers", e.Handlers)
				return
			}
			log.Warn("a mailbox is deep", "service", who(e.Service, e.Name), "messages", e.Depth)
		},
		Stuck: func(e Stuck) {
			traced(log, e.Trace).Error("a handler is stuck", "service", who(e.Service, e.Name), "message", e.Message, "from", e.From.String(), "for", e.For, "stack", e.Stack)
		},
		Undelivered: func(from PID, u Undelivered) {
			log.Warn("a message was not handled", "from", from.String(), "to", u.To.String(), "message", (&Message{Value: u.Value}).what(), "error", u.Reason.Error())
		},
	}
}

// traced is a log that says which trace it is about, if there is one.
func traced(log *slog.Logger, t Trace) *slog.Logger {
	if t.IsZero() {
		return log
	}
	return log.With("trace", t.String())
}

func reasonText(err error) string {
	if err == nil {
		return "it has ended"
	}
	return err.Error()
}

func (rt *Runtime) panicked(s *service, m *Message, err *PanicError) {
	rt.count.panics.Add(1)
	if f := rt.cfg.Events.Panicked; f != nil {
		f(Panicked{Service: s.pid(), Name: s.name(), Message: m.what(), From: m.From, Trace: m.Trace(), Err: err})
	}
}

func (rt *Runtime) failed(s *service, m *Message, err error) {
	rt.count.failed.Add(1)
	if f := rt.cfg.Events.Failed; f != nil {
		f(Failed{Service: s.pid(), Name: s.name(), Message: m.what(), From: m.From, Trace: m.Trace(), Err: err})
	}
}

func (rt *Runtime) ended(d *Down) {
	rt.count.ended.Add(1)
	if f := rt.cfg.Events.Ended; f != nil {
		f(*d)
	}
}

func (rt *Runtime) restarts(s *service, reason error, in time.Duration) {
	rt.count.restarts.Add(1)
	if f := rt.cfg.Events.Restarting; f != nil {
		f(Restarting{Service: s.pid(), Name: s.name(), Reason: reason, In: in})
	}
}

func (rt *Runtime) gaveUp(s *service, reason error, n int) {
	if f := rt.cfg.Events.Restarting; f != nil {
		f(Restarting{Service: s.pid(), Name: s.name(), Reason: reason, GaveUp: n})
	}
}

func (rt *Runtime) overloaded(s *service, depth int) {
	rt.count.overloads.Add(1)
	if f := rt.cfg.Events.Overloaded; f != nil {
		f(Overloaded{Service: s.pid(), Name: s.name(), Depth: depth})
	}
}

func (rt *Runtime) tooMany(s *service, handlers int) {
	rt.count.overloads.Add(1)
	if f := rt.cfg.Events.Overloaded; f != nil {
		f(Overloaded{Service: s.pid(), Name: s.name(), Handlers: handlers})
	}
}

func (rt *Runtime) undelivered(from PID, u *Undelivered) {
	rt.count.undelivered.Add(1)
	if f := rt.cfg.Events.Undelivered; f != nil {
		f(from, *u)
	}
}
