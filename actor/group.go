// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"fmt"
	"slices"
	"sync"
)

// A Group sends each message to all of its members: one value, which nobody may write to any more.
// It has a PID, and may have a name. All methods may be called by any goroutine.
//
// A message goes to those that are members when it is sent: to one whose Join has
// returned, not to one whose Leave has. A member that ends leaves. Members that cannot take it
// (a full mailbox) are counted, and the sender hears of them as Undelivered.
// A group cannot be called, as there would be many answers: the caller gets an error.
type Group struct {
	rt  *Runtime
	s   *service
	pid PID

	mu      sync.RWMutex
	place   map[*service]int // in members
	members []*service
	far     []PID // of other processes
	closed  bool
}

// NewGroup makes a group without members.
func (rt *Runtime) NewGroup() (*Group, error) {
	g := &Group{rt: rt, place: map[*service]int{}}
	s, err := rt.pseudo(g.send)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.extra.group = g
	s.mu.Unlock()
	g.s, g.pid = s, s.pid()
	return g, nil
}

// pseudo makes something that has a PID and is no service: what is sent to it goes
// to post.
func (rt *Runtime) pseudo(post func(*worker, *Message) error) (*service, error) {
	s := &service{rt: rt, kind: many, weight: 1, extra: &extra{post: post}}
	if !rt.table.add(s) {
		return nil, fmt.Errorf("a group: there are too many services")
	}
	return s, nil
}

// dismiss ends a group or a pool.
func (rt *Runtime) dismiss(s *service) {
	s.mu.Lock()
	gone := s.state == dead
	s.state = dead
	name := s.extra.name
	s.mu.Unlock()
	if gone {
		return
	}
	rt.table.remove(s)
	if name != "" {
		rt.names.release(rt, name, s.pid())
	}
}

// PID returns the name of the group for senders.
func (g *Group) PID() PID { return g.pid }

// Join makes a service a member. One that is already stays one. One of another process gets a
// message of its own for each that is sent to the group, and stays a member when it has
// ended: package node joins services so that there is one message for all of a process.
// Errors: ErrNoService, ErrStopped (the group is closed).
func (g *Group) Join(p PID) error {
	s, here := g.rt.local(p)
	if !here {
		return g.joinFar(p)
	}
	if s == nil || s.kind != ordinary {
		return fmt.Errorf("join %v: %w", p, ErrNoService)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return fmt.Errorf("join: the group: %w", ErrStopped)
	}
	if _, is := g.place[s]; is {
		return nil
	}
	if !s.joined(g) {
		return fmt.Errorf("join %v: %w", p, ErrNoService)
	}
	g.place[s] = len(g.members)
	g.members = append(g.members, s)
	return nil
}

func (g *Group) joinFar(p PID) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return fmt.Errorf("join: the group: %w", ErrStopped)
	}
	if !slices.Contains(g.far, p) {
		g.far = append(slices.Clone(g.far), p) // sends go on with the list of before
	}
	return nil
}

func (g *Group) leaveFar(p PID) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.Index(g.far, p)
	if i >= 0 {
		g.far = slices.Delete(slices.Clone(g.far), i, i+1)
	}
	return i >= 0
}

// joined notes the group in the service, which leaves it when it ends.
func (s *service) joined(g *Group) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == dead {
		return false
	}
	s.rest().groups = append(s.extra.groups, g)
	return true
}

// Leave ends a membership, and reports whether there was one.
func (g *Group) Leave(p PID) bool {
	s, here := g.rt.local(p)
	if !here {
		return g.leaveFar(p)
	}
	if s == nil || !g.lost(s) {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.extra == nil {
		return true
	}
	for i, other := range s.extra.groups {
		if other == g {
			s.extra.groups = append(s.extra.groups[:i], s.extra.groups[i+1:]...)
			break
		}
	}
	return true
}

// lost takes s out.
func (g *Group) lost(s *service) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	i, ok := g.place[s]
	if !ok {
		return false
	}
	last := g.members[len(g.members)-1]
	g.members[i] = last
	g.place[last] = i
	g.members[len(g.members)-1] = nil
	g.members = g.members[:len(g.members)-1]
	delete(g.place, s)
	return true
}

// Members returns the PIDs of the members.
func (g *Group) Members() []PID {
	g.mu.RLock()
	defer g.mu.RUnlock()
	list := make([]PID, len(g.members), len(g.members)+len(g.far))
	for i, s := range g.members {
		list[i] = s.pid()
	}
	return append(list, g.far...)
}

// Len returns how many members there are.
func (g *Group) Len() int {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return len(g.members) + len(g.far)
}

// Close ends the group. Its members stay.
func (g *Group) Close() {
	g.mu.Lock()
	members := g.members
	g.members, g.far, g.closed = nil, nil, true
	clear(g.place)
	g.mu.Unlock()
	for _, s := range members {
		s.mu.Lock()
		for i, other := range s.rest().groups {
			if other == g {
				s.extra.groups = append(s.extra.groups[:i], s.extra.groups[i+1:]...)
				break
			}
		}
		s.mu.Unlock()
	}
	g.rt.dismiss(g.s)
}

// together is how many members are scheduled at once.
const together = 128

// send gives m to all members.
func (g *Group) send(_ *worker, m *Message) error {
	if m.IsCall() {
		return fmt.Errorf("%v is a group, and cannot be called: send to it, or use a pool", g.pid)
	}
	for _, s := range g.spread(m) {
		run, err := s.post(m)
		if err == errBlocked { //nolint:errorlint // it is never wrapped
			err = ErrMailboxFull // a group does not wait for one of many
		}
		if err != nil {
			g.rt.bounce(s.pid(), m, err)
		}
		if run {
			g.rt.queue.put(s)
		}
	}
	for _, p := range g.others() {
		err := g.rt.deliver(nil, p, m)
		if err == errBlocked { //nolint:errorlint // it is never wrapped
			err = ErrMailboxFull
		}
		if err != nil {
			g.rt.bounce(p, m, err)
		}
	}
	return nil
}

func (g *Group) others() []PID {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.far
}

// spread gives m to the members that just take it, and returns the others: for those
// the program's Events may be called, which may want to change the group.
func (g *Group) spread(m *Message) (others []*service) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	var list [together]*service
	n := 0
	for _, s := range g.members {
		run, ok := s.postQuick(m)
		if !ok {
			others = append(others, s)
		}
		if !run {
			continue
		}
		list[n] = s
		if n++; n == together {
			g.rt.queue.put(list[:n]...)
			n = 0
		}
	}
	if n > 0 {
		g.rt.queue.put(list[:n]...)
	}
	return others
}
