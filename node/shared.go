// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/names"
)

// A SharedGroup is a group that nodes have in common: each of them makes one of the same name, for the services of its
// own that are members, and all find each other. What a node sends to it goes to each other node once, is
// encoded once for each, and is spread there.
//
// A message reaches the members of those nodes that the sender's knows by then: it learns of others when
// its scope's names change, and of the death of one as these do. What one service sends to it, each member gets in order. Any
// goroutine may use it.
type SharedGroup struct {
	n       *Node
	scope   Scope
	name    string
	own     *actor.Group // the members of this node
	all     *actor.Group // these, and the managers of the others
	manager actor.PID
}

// groupName is the name by which the part of a group that a node has is found.
func groupName(name, node string) string { return "group#" + name + "#" + node }

// SharedGroup makes this node's part of a group. It is found by others when it has returned. Close ends it. Errors: names.ErrTaken,
// the node has it already; of a name that is none; those of Names; ctx's. Not for handlers.
func (n *Node) SharedGroup(ctx context.Context, s Scope, name string) (*SharedGroup, error) {
	g := &SharedGroup{n: n, scope: s, name: name}
	if err := g.begin(ctx); err != nil {
		g.Close()
		return nil, fmt.Errorf("shared group %q: %w", name, err)
	}
	return g, nil
}

func (g *SharedGroup) begin(ctx context.Context) (err error) {
	if strings.Contains(g.name, "#") {
		return fmt.Errorf("name %q: want no #", g.name)
	}
	if err := names.Check(groupName(g.name, g.n.d.FormatAddr(g.n.Addr()))); err != nil {
		return err
	}
	if g.own, err = g.n.rt.NewGroup(); err != nil {
		return err
	}
	if g.all, err = g.n.rt.NewGroup(); err != nil {
		return err
	}
	g.manager, err = g.n.rt.Start(ctx, actor.Spec{New: func() actor.Handler { return &groupManager{g: g} }})
	return err
}

// PID returns whom to send to.
func (g *SharedGroup) PID() actor.PID { return g.all.PID() }

// Join makes a service of this node a member. Errors: those of actor.Group.Join.
func (g *SharedGroup) Join(p actor.PID) error {
	if !g.n.isMine(p) {
		return fmt.Errorf("shared group %q: %v: %w on this node: each node has its own join", g.name, p, actor.ErrNoService)
	}
	if err := g.own.Join(p); err != nil {
		return err
	}
	return g.all.Join(p)
}

// Leave ends a membership, and reports whether there was one.
func (g *SharedGroup) Leave(p actor.PID) bool {
	g.all.Leave(p)
	return g.own.Leave(p)
}

// Members returns the members of this node.
func (g *SharedGroup) Members() []actor.PID { return g.own.Members() }

// Nodes returns the other nodes that have a part of the group.
func (g *SharedGroup) Nodes() []addr.Addr {
	var list []addr.Addr
	for _, p := range g.all.Members() {
		if p.Node != g.n.Addr() {
			list = append(list, p.Node)
		}
	}
	slices.Sort(list)
	return list
}

// Close takes this node's part out of the group.
func (g *SharedGroup) Close() {
	if !g.manager.IsZero() {
		_ = g.n.rt.Kill(g.manager)
	}
	for _, part := range []*actor.Group{g.own, g.all} {
		if part != nil {
			part.Close()
		}
	}
}

// A groupManager is the service by which the others reach a node's members, and which keeps
// the list of the others.
type groupManager struct {
	g *SharedGroup
}

// Start takes the node's name, and finds the others.
func (m *groupManager) Start(c *actor.Context) error {
	g := m.g
	nm := g.n.Names(g.scope)
	if _, err := nm.RequestFrom(c, groupName(g.name, g.n.d.FormatAddr(g.n.Addr())), names.NoQueue); err != nil {
		return err
	}
	_, err := nm.WatchFrom(c, groupName(g.name, ""))
	return err
}

// Handle spreads what other nodes send.
func (m *groupManager) Handle(c *actor.Context, msg *actor.Message) error {
	if e, is := msg.Value.(NameChanged); is && msg.Kind == actor.KindNotice {
		m.changed(c, &e)
		return nil
	}
	if msg.IsCall() {
		return fmt.Errorf("shared group %q cannot be called: send to it", m.g.name)
	}
	return c.Redirect(m.g.own.PID(), msg.Value)
}

func (m *groupManager) changed(c *actor.Context, e *NameChanged) {
	g := m.g
	if !e.Old.IsZero() && e.Old.Node != g.n.Addr() {
		g.all.Leave(e.Old)
	}
	if e.New.IsZero() || e.New.Node == g.n.Addr() {
		return
	}
	if err := g.all.Join(e.New); err != nil { // it is closed
		c.Exit(nil)
	}
}
