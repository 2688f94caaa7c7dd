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

// Named is a message for the service that has a name on another node when the message arrives,
// in whatever process that is then. It is sent to At of that node; the service gets Value.
type Named struct {
	Name  string
	Value any
}

// Addressee is for package actor, which so finds services of the own node.
func (n Named) Addressee() (name string, v any) { return n.Name, n.Value }

// At returns the PID of a node as such: what is sent to it is Named.
func At(a addr.Addr) actor.PID { return actor.PID{Node: a} }

// serviceName is what the service is called that each node has.
const serviceName = "skybus.node"

// findName asks a node's service who has a name there.
type findName struct{ Name string }

// foundName is its answer; Handle 0: nobody.
type foundName struct{ Handle uint64 }

func register(r *codec.Registry) error {
	return errors.Join(codec.Register[findName](r, "skybus.node.findName"), codec.Register[foundName](r, "skybus.node.foundName"), registerGroups(r))
}

// A nodeService is the service that a node has for others.
type nodeService struct {
	n      *Node
	groups groups
}

// serveNode starts it.
func (n *Node) serveNode() (err error) {
	n.self, err = n.rt.Spawn(n.ownSpec())
	return err
}

func (n *Node) ownSpec() actor.Spec {
	return actor.Spec{Name: serviceName, New: func() actor.Handler { return &nodeService{n, newGroups()} }}
}

// Handle answers other nodes.
func (s *nodeService) Handle(c *actor.Context, m *actor.Message) error {
	switch v := m.Value.(type) {
	case findName:
		p, _ := s.n.rt.Lookup(v.Name)
		return c.Reply(foundName{uint64(p.Handle)})
	case joinGroup:
		return s.groups.join(c, v, m.From.Node)
	case watchGroup:
		return s.groups.watch(c, v)
	case errand:
		return s.n.run(c, v)
	case actor.Down:
		s.groups.down(v)
		return nil
	}
	return fmt.Errorf("%T is nothing that a node answers", m.Value)
}

// Lookup returns who has a name on a node. Errors: actor.ErrNoService; those of a call; ctx's. Not for
// handlers: LookupFrom is.
func (n *Node) Lookup(ctx context.Context, at addr.Addr, name string) (actor.PID, error) {
	if at == n.Addr() {
		return n.local(name)
	}
	v, err := n.rt.Call(ctx, At(at), Named{serviceName, findName{name}})
	return n.found(at, name, v, err)
}

// LookupFrom is Lookup for a handler, whose service does other things meanwhile.
func (n *Node) LookupFrom(c *actor.Context, at addr.Addr, name string) (actor.PID, error) {
	if at == n.Addr() {
		return n.local(name)
	}
	v, err := c.Call(At(at), Named{serviceName, findName{name}})
	return n.found(at, name, v, err)
}

func (n *Node) local(name string) (actor.PID, error) {
	p, ok := n.rt.Lookup(name)
	if !ok {
		return p, fmt.Errorf("look up %q on %s: %w", name, n.d.FormatAddr(n.Addr()), actor.ErrNoService)
	}
	return p, nil
}

func (n *Node) found(at addr.Addr, name string, v any, err error) (actor.PID, error) {
	f, ok := v.(foundName)
	switch {
	case err != nil:
	case !ok:
		err = fmt.Errorf("%w: %T is no answer", ErrValue, v)
	case f.Handle == 0:
		err = actor.ErrNoService
	default:
		return actor.PID{Node: at, Handle: actor.Handle(f.Handle)}, nil
	}
	return actor.PID{}, fmt.Errorf("look up %q on %s: %w", name, n.d.FormatAddr(at), err)
}
