// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"fmt"
	"slices"
	"strings"
	"sync"
)

// names are the services that have one.
type names struct {
	mu       sync.RWMutex
	byName   map[string]PID
	watchers []nameWatcher
	last     uint64
}

type nameWatcher struct {
	id     uint64
	by     PID
	prefix string
}

// NameChanged says that a name got another owner. It comes as KindNotice to those that
// watch, in the order of the changes.
type NameChanged struct {
	Name     string
	Old, New PID // zero: nobody
}

// checkName says what is wrong with a name.
func checkName(name string) error {
	switch {
	case name == "" || len(name) > 255:
		return fmt.Errorf("name %q: want 1 to 255 bytes", name)
	case strings.ContainsAny(name, " \t\r\n/:"):
		return fmt.Errorf("name %q: want no space, slash or colon", name)
	}
	return nil
}

// take gives name to s.
func (n *names) take(rt *Runtime, name string, s *service) error {
	if err := checkName(name); err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if owner, ok := n.byName[name]; ok {
		return fmt.Errorf("name %q: %w by %v", name, ErrNameTaken, owner)
	}
	if !s.call(name) {
		return fmt.Errorf("name %q: %v: %w", name, s.pid(), ErrNoService)
	}
	n.change(rt, NameChanged{Name: name, New: s.pid()})
	return nil
}

// call sets the service's name, unless it has ended or has one.
func (s *service) call(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == dead || s.extra != nil && s.extra.name != "" {
		return false
	}
	s.rest().name = name
	return true
}

// release takes name away from p.
func (n *names) release(rt *Runtime, name string, p PID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.byName[name] == p {
		n.change(rt, NameChanged{Name: name, Old: p})
	}
}

// change makes a change and tells of it. With mu held, so that all hear of all changes in
// one order.
func (n *names) change(rt *Runtime, e NameChanged) {
	if e.New.IsZero() {
		delete(n.byName, e.Name)
	} else {
		n.byName[e.Name] = e.New
	}
	n.watchers = slices.DeleteFunc(n.watchers, func(w nameWatcher) bool {
		return strings.HasPrefix(e.Name, w.prefix) && rt.deliver(nil, w.by, &Message{Kind: KindNotice, Value: e}) != nil // it is gone
	})
}

// Lookup returns the service that has the name, with or without a dot before it.
func (rt *Runtime) Lookup(name string) (PID, bool) {
	rt.names.mu.RLock()
	defer rt.names.mu.RUnlock()
	p, ok := rt.names.byName[name]
	if !ok {
		p, ok = rt.names.byName[strings.TrimPrefix(name, ".")]
	}
	return p, ok
}

// Names returns all names and their owners.
func (rt *Runtime) Names() map[string]PID {
	rt.names.mu.RLock()
	defer rt.names.mu.RUnlock()
	all := make(map[string]PID, len(rt.names.byName))
	for name, p := range rt.names.byName {
		all[name] = p
	}
	return all
}

// Register gives the handler's service a name. It has one at most, and loses it when it
// ends. Errors: ErrNameTaken.
func (c *Context) Register(name string) error {
	return c.rt.names.take(c.rt, name, c.mine())
}

// Register gives a service, a group or a pool a name.
func (rt *Runtime) Register(name string, p PID) error {
	s, _ := rt.local(p)
	if s == nil || s.kind == external {
		return fmt.Errorf("name %q: %v: %w", name, p, ErrNoService)
	}
	return rt.names.take(rt, name, s)
}

// WatchNames has the service get a NameChanged for each change of a name that begins with prefix, from
// now on; first for those that there are. stop ends that.
func (c *Context) WatchNames(prefix string) (stop func()) {
	n, rt, self := &c.rt.names, c.rt, c.Self()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.last++
	id := n.last
	n.watchers = append(n.watchers, nameWatcher{id: id, by: self, prefix: prefix})
	for name, p := range n.byName {
		if strings.HasPrefix(name, prefix) {
			_ = rt.deliver(nil, self, &Message{Kind: KindNotice, Value: NameChanged{Name: name, New: p}})
		}
	}
	return func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.watchers = slices.DeleteFunc(n.watchers, func(w nameWatcher) bool { return w.id == id })
	}
}
