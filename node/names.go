// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/names"
)

// A Scope says who knows a name.
type Scope uint8

const (
	// Host is for all processes of the domain on this host.
	Host Scope = iota + 1
	// Cluster is for the processes of all hosts: Config.Cluster.
	Cluster
)

// String returns "host" or "cluster".
func (s Scope) String() string {
	switch s {
	case Host:
		return "host"
	case Cluster:
		return "cluster"
	}
	return fmt.Sprintf("scope(%d)", uint8(s))
}

// ErrNoCluster means that the node has no names of many hosts: its Config.Cluster is nil.
var ErrNoCluster = errors.New("the node is in no cluster: Config.Cluster is nil")

// NameChanged says that a name got another owner, in the order of the changes. It comes as
// actor.KindNotice to services that watch.
type NameChanged struct {
	Scope    Scope
	Name     string
	Old, New actor.PID // zero: nobody
}

// Names are the names that a host or a cluster knows, for the services of a node. Any goroutine may
// use them. Functions that end in From are for handlers, whose service does other things meanwhile; the
// others may wait, and would stop it. Errors of all: those of the registry (package names, names/host), which
// errors.Is finds; ErrNoCluster; ctx's cause.
type Names struct {
	n     *Node
	scope Scope
}

// Names returns the names of a scope. What is wrong with it, the first call tells.
func (n *Node) Names(s Scope) Names { return Names{n, s} }

func (nm Names) registry() (names.Registry, error) {
	switch {
	case nm.scope == Host:
		return nm.n.d.Names()
	case nm.scope != Cluster:
		return nil, fmt.Errorf("%v: want Host or Cluster", nm.scope)
	case nm.n.cfg.Cluster == nil:
		return nil, ErrNoCluster
	}
	return nm.n.cfg.Cluster, nil
}

// failed says what was not done.
func (nm Names) failed(what, name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s name %q: %w", what, nm.scope, name, err)
}

// Request asks for a name for p, a service of this node: it has it (names.Owns) or waits for it (names.Waits),
// until it is released, replaced, or ends. Errors: names.ErrTaken, names.ErrFull, actor.ErrNoService.
func (nm Names) Request(ctx context.Context, name string, p actor.PID, f names.Flags) (names.Standing, error) {
	s, err := nm.request(ctx, name, p, f)
	return s, nm.failed("request", name, err)
}

func (nm Names) request(ctx context.Context, name string, p actor.PID, f names.Flags) (names.Standing, error) {
	r, err := nm.registry()
	if err != nil {
		return 0, err
	}
	if !nm.n.isMine(p) {
		return 0, fmt.Errorf("%v: %w on this node", p, actor.ErrNoService)
	}
	h := heldName{nm.scope, name, p.Handle}
	nm.n.holdings.add(h) // first: from now on its end releases the name
	s, err := r.Request(ctx, name, nm.n.owner(p.Handle), f)
	if errors.Is(err, names.ErrTaken) {
		nm.n.holdings.remove(h)
	}
	if err == nil && !nm.n.isMine(p) { // it ended meanwhile, and may have passed the name by
		nm.n.giveUp(context.WithoutCancel(ctx), h)
		return 0, fmt.Errorf("%v: %w on this node", p, actor.ErrNoService)
	}
	return s, err
}

// Release gives up the name of p, or its place in the queue. Errors: names.ErrNotOwner.
func (nm Names) Release(ctx context.Context, name string, p actor.PID) error {
	r, err := nm.registry()
	if err == nil {
		err = r.Release(ctx, name, nm.n.owner(p.Handle))
		if err == nil || errors.Is(err, names.ErrNotOwner) {
			nm.n.holdings.remove(heldName{nm.scope, name, p.Handle})
		}
	}
	return nm.failed("release", name, err)
}

// Lookup returns who has a name. Errors: actor.ErrNoService, nobody has it.
func (nm Names) Lookup(ctx context.Context, name string) (actor.PID, error) {
	list, err := nm.Owners(ctx, name)
	switch {
	case err != nil:
		return actor.PID{}, err
	case len(list) == 0:
		return actor.PID{}, nm.failed("look up", name, actor.ErrNoService)
	}
	return list[0], nil
}

// Owners returns who has a name, and then who waits for it, in their order; none: nobody has it.
func (nm Names) Owners(ctx context.Context, name string) ([]actor.PID, error) {
	var all []names.Owner
	r, err := nm.registry()
	if err == nil {
		all, err = r.Owners(ctx, name)
	}
	if err != nil {
		return nil, nm.failed("look up", name, err)
	}
	list := make([]actor.PID, len(all))
	for i, o := range all {
		list[i] = pidOf(o)
	}
	return list, nil
}

// List returns the names that begin with prefix, sorted, each with who has it as New.
func (nm Names) List(ctx context.Context, prefix string) ([]NameChanged, error) {
	var all []names.Change
	r, err := nm.registry()
	if err == nil {
		all, err = r.List(ctx, prefix)
	}
	if err != nil {
		return nil, nm.failed("list", prefix, err)
	}
	list := make([]NameChanged, len(all))
	for i, c := range all {
		list[i] = nm.changed(c)
	}
	return list, nil
}

// Watch calls f for each name that begins with prefix, and then for each change, until ctx or the node is over. f runs in
// the caller's goroutine. Errors: f's.
func (nm Names) Watch(ctx context.Context, prefix string, f func(NameChanged) error) error {
	r, err := nm.registry()
	if err != nil {
		return nm.failed("watch", prefix, err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(nm.n.ctx, func() { cancel(errClosed) })
	defer stop()
	return r.Watch(ctx, prefix, func(c names.Change) error { return f(nm.changed(c)) })
}

func (nm Names) changed(c names.Change) NameChanged {
	return NameChanged{nm.scope, c.Name, pidOf(c.Old), pidOf(c.New)}
}

func pidOf(o names.Owner) actor.PID { return actor.PID{Node: o.Addr, Handle: actor.Handle(o.Handle)} }

// owner is what a registry knows a service of this node by.
func (n *Node) owner(h actor.Handle) names.Owner {
	return names.Owner{Addr: n.Addr(), Handle: uint64(h)}
}

// isMine reports whether p is a service of this node.
func (n *Node) isMine(p actor.PID) bool {
	if p.Handle == 0 || !p.Node.IsNone() && p.Node != n.Addr() {
		return false
	}
	_, there := n.rt.Info(p)
	return there
}
