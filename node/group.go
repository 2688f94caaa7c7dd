// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/node/codec"
)

// A group that has members on other nodes has one member there for all of them, a shadow: a
// group of that node, to which the node's own service takes and from which it gives. So a
// message goes to each node once, and is encoded once.

// joinGroup asks a node's service to take a service of its own into the shadow of a group.
type joinGroup struct {
	Group  uint64 // handle, at the sender's
	Member uint64
	Asker  uint64 // the sender's node's service: when that ends, the shadow does
	Leave  bool
}

// joinedGroup is the answer.
type joinedGroup struct {
	Shadow  uint64
	Members int // of it
	Service uint64
}

func registerGroups(r *codec.Registry) error {
	return errors.Join(codec.Register[joinGroup](r, "skybus.node.joinGroup"), codec.Register[joinedGroup](r, "skybus.node.joinedGroup"))
}

// Join makes a service of any node a member of a group of this one. When the member ends it
// leaves, and when its process does. Errors: actor.ErrNoService, actor.ErrStopped, those of
// a call, ctx's. Not for handlers.
func (n *Node) Join(ctx context.Context, g *actor.Group, member actor.PID) error {
	if member.Node.IsNone() || member.Node == n.Addr() {
		return g.Join(member)
	}
	a, err := n.askGroup(ctx, g, member, false)
	if err != nil {
		return fmt.Errorf("join %v: %w", member, err)
	}
	shadow := actor.PID{Node: member.Node, Handle: actor.Handle(a.Shadow)}
	if err := g.Join(shadow); err != nil {
		return err
	}
	return n.rt.Send(ctx, n.self, watchGroup{g, shadow, actor.PID{Node: member.Node, Handle: actor.Handle(a.Service)}})
}

// Leave ends a membership. Errors: those of Join.
func (n *Node) Leave(ctx context.Context, g *actor.Group, member actor.PID) error {
	if member.Node.IsNone() || member.Node == n.Addr() {
		g.Leave(member)
		return nil
	}
	a, err := n.askGroup(ctx, g, member, true)
	if err != nil {
		return fmt.Errorf("leave %v: %w", member, err)
	}
	if a.Members == 0 {
		g.Leave(actor.PID{Node: member.Node, Handle: actor.Handle(a.Shadow)})
	}
	return nil
}

func (n *Node) askGroup(ctx context.Context, g *actor.Group, member actor.PID, leave bool) (joinedGroup, error) {
	v, err := n.rt.Call(ctx, At(member.Node), Named{serviceName, joinGroup{uint64(g.PID().Handle), uint64(member.Handle), uint64(n.self.Handle), leave}})
	a, ok := v.(joinedGroup)
	if err == nil && !ok {
		err = fmt.Errorf("%w: %T is no answer", ErrValue, v)
	}
	return a, err
}

// watchGroup has the node's service take a shadow out of a group when its process ends. It
// stays in the process.
type watchGroup struct {
	group   *actor.Group
	shadow  actor.PID // its member
	service actor.PID // of the other node
}

// A shadowKey is a group of another node.
type shadowKey struct {
	node  addr.Addr
	group uint64
}

// A groups is what the node's service keeps for groups.
type groups struct {
	shadows map[shadowKey]*actor.Group
	of      map[actor.PID][]watchGroup // by the other node's service
	watched map[actor.PID]bool         // services of other nodes
}

func newGroups() groups {
	return groups{shadows: map[shadowKey]*actor.Group{}, of: map[actor.PID][]watchGroup{}, watched: map[actor.PID]bool{}}
}

// join answers a joinGroup for a group of another node.
func (s *groups) join(c *actor.Context, q joinGroup, from addr.Addr) error {
	rt := c.Runtime()
	key := shadowKey{from, q.Group}
	g := s.shadows[key]
	member := actor.PID{Handle: actor.Handle(q.Member)}
	switch {
	case q.Leave && g == nil:
		return c.Reply(joinedGroup{})
	case q.Leave:
		g.Leave(member)
	default:
		if g == nil {
			var err error
			if g, err = rt.NewGroup(); err != nil {
				return err
			}
		}
		if err := g.Join(member); err != nil {
			if s.shadows[key] == nil {
				g.Close()
			}
			return err
		}
		s.shadows[key] = g
		if err := s.look(c, actor.PID{Node: from, Handle: actor.Handle(q.Asker)}); err != nil {
			return err
		}
	}
	a := joinedGroup{Shadow: uint64(g.PID().Handle), Members: g.Len(), Service: uint64(c.Self().Handle)}
	if a.Members == 0 {
		g.Close()
		delete(s.shadows, key)
	}
	return c.Reply(a)
}

// watch sees to it that a shadow leaves when its process ends.
func (s *groups) watch(c *actor.Context, w watchGroup) error {
	s.of[w.service] = append(s.of[w.service], w)
	return s.look(c, w.service)
}

// look monitors another node's service, once.
func (s *groups) look(c *actor.Context, service actor.PID) error {
	if s.watched[service] {
		return nil
	}
	_, err := c.Monitor(service)
	s.watched[service] = err == nil
	return err
}

// down takes out what an ended process had.
func (s *groups) down(d actor.Down) {
	for _, w := range s.of[d.Service] {
		w.group.Leave(w.shadow)
	}
	for key, g := range s.shadows {
		if key.node == d.Service.Node {
			g.Close()
			delete(s.shadows, key)
		}
	}
	delete(s.of, d.Service)
	delete(s.watched, d.Service)
}
