// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// contexts are all that a runtime has.
type contexts struct {
	mu    sync.Mutex
	last  uint64 // number of the newest
	byNum map[uint64]*Context
}

func (a *contexts) add(c *Context) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.byNum == nil {
		a.byNum = map[uint64]*Context{}
	}
	a.last++
	c.number = a.last
	a.byNum[c.number] = c
}

func (a *contexts) remove(c *Context) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.byNum, c.number)
}

// find returns the context with a number, or nil.
func (a *contexts) find(number uint64) *Context {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.byNum[number]
}

func (a *contexts) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.byNum)
}

func (a *contexts) list() []*Context {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := make([]*Context, 0, len(a.byNum))
	for _, c := range a.byNum {
		list = append(list, c)
	}
	return list
}

// A Task is a handler that waits for something.
type Task struct {
	Service PID
	Name    string
	Message string // type of the value that it handles
	From    PID
	Session uint64    // of the request
	Trace   Trace     // of the message; zero: none
	Waits   string    // for what; "" while it runs
	Of      PID       // of whom
	Since   time.Time // when it began to wait; zero without Config.Trace
	Stack   string    // empty unless asked for
}

// Tasks describes the handlers that wait, of service p, or of all if p is zero. With stacks it stops the
// world for a moment.
func (rt *Runtime) Tasks(p PID, withStacks bool) []Task {
	var all map[uint64]string
	if withStacks {
		all = stacks()
	}
	var list []Task
	for _, c := range rt.all.list() {
		t, ok := c.task()
		if !ok || !p.IsZero() && t.Service.Handle != p.Handle {
			continue
		}
		t.Stack = all[c.goroutine]
		list = append(list, t)
	}
	slices.SortFunc(list, func(a, b Task) int {
		return cmp.Or(cmp.Compare(a.Service.Handle, b.Service.Handle), a.Since.Compare(b.Since))
	})
	return list
}

// task returns what c waits for; not ok: it does not wait.
func (c *Context) task() (t Task, ok bool) {
	c.inspect.Lock()
	defer c.inspect.Unlock()
	c.looked.Store(true)
	defer c.looked.Store(false)
	if c.waiting.Load() == 0 {
		return t, false
	}
	t = c.handles()
	t.Waits, t.Of, t.Since = c.why.String(), c.why.of, c.since
	return t, true
}

// peek returns what c handles, if it has handled so many messages before, as a while
// ago.
func (c *Context) peek(turns uint64) (t Task, same bool) {
	c.inspect.Lock()
	defer c.inspect.Unlock()
	c.looked.Store(true)
	defer c.looked.Store(false)
	if c.turns.Load() != turns || c.of.Load() == 0 {
		return t, false
	}
	return c.handles(), true
}

// handles describes the message at hand. Whoever runs c looks at looked after it has
// changed turns or waiting, and waits for inspect then: msg and why stay as they are
// while both are held.
func (c *Context) handles() Task {
	t := Task{Service: PID{Node: c.rt.cfg.Node, Handle: Handle(c.of.Load())}, Message: c.msg.what(), From: c.msg.From, Session: c.msg.Session, Trace: c.trip.Load().traced()}
	if s := c.rt.table.find(t.Service.Handle); s != nil {
		t.Name = s.name()
	}
	return t
}
