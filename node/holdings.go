// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/names"
)

// A heldName is a name that a service has or waits for, as far as its node knows.
type heldName struct {
	scope  Scope
	name   string
	handle actor.Handle
}

// heldNames are what the services of a node lose when they end: names, and watches of names.
type heldNames struct {
	mu      sync.Mutex
	names   map[actor.Handle]map[heldName]bool
	watches map[actor.Handle]map[uint64]context.CancelFunc
	last    uint64 // number of the last watch
}

func (s *heldNames) add(h heldName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.names == nil {
		s.names = map[actor.Handle]map[heldName]bool{}
	}
	if s.names[h.handle] == nil {
		s.names[h.handle] = map[heldName]bool{}
	}
	s.names[h.handle][h] = true
}

func (s *heldNames) remove(h heldName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if delete(s.names[h.handle], h); len(s.names[h.handle]) == 0 {
		delete(s.names, h.handle)
	}
}

func (s *heldNames) watch(of actor.Handle, stop context.CancelFunc) (id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.watches == nil {
		s.watches = map[actor.Handle]map[uint64]context.CancelFunc{}
	}
	if s.watches[of] == nil {
		s.watches[of] = map[uint64]context.CancelFunc{}
	}
	s.last++
	s.watches[of][s.last] = stop
	return s.last
}

// unwatch ends a watch.
func (s *heldNames) unwatch(of actor.Handle, id uint64) {
	s.mu.Lock()
	stop := s.watches[of][id]
	if delete(s.watches[of], id); len(s.watches[of]) == 0 {
		delete(s.watches, of)
	}
	s.mu.Unlock()
	if stop != nil {
		stop()
	}
}

// of returns what a service has.
func (s *heldNames) of(h actor.Handle) (list []heldName, watches []context.CancelFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.names[h])), slices.Collect(maps.Values(s.watches[h]))
}

// all returns the names of all services.
func (s *heldNames) all() (list []heldName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.names {
		list = slices.AppendSeq(list, maps.Keys(m))
	}
	return list
}

// ended returns what is called when a service ends: its names are released, and then is what the
// program wants.
func (n *Node) ended(then func(actor.Down)) func(actor.Down) {
	return func(d actor.Down) {
		list, watches := n.holdings.of(d.Service.Handle)
		for _, stop := range watches {
			stop()
		}
		if len(list) > 0 {
			n.done.Go(func() {
				for _, h := range list {
					n.giveUp(n.ctx, h)
				}
			})
		}
		if then != nil {
			then(d)
		}
	}
}

// giveUp releases a name. One that cannot be released now is tried again when the node ends.
func (n *Node) giveUp(ctx context.Context, h heldName) {
	err := n.Names(h.scope).Release(ctx, h.name, actor.PID{Handle: h.handle})
	if err != nil && ctx.Err() == nil && !errors.Is(err, names.ErrNotOwner) && !errors.Is(err, skybus.ErrClosed) {
		n.cfg.Log.Error("a name of a service that has ended was not released", "service", actor.PID{Handle: h.handle}, "err", err)
	}
}

// releaseNames releases what is left when no service is. It waits for Config.Patience at most: a cluster
// may not answer, and then finds out by itself.
func (n *Node) releaseNames() {
	ctx, cancel := context.WithTimeout(context.Background(), n.cfg.Patience)
	defer cancel()
	for _, h := range n.holdings.all() {
		n.giveUp(ctx, h)
	}
}

// adoptNames finds, after a hot restart, the names of this node: the registries know them still. Those of services
// that do not go on are released.
func (n *Node) adoptNames() {
	for _, scope := range []Scope{Host, Cluster} {
		nm := n.Names(scope)
		list, err := nm.List(n.ctx, "")
		if errors.Is(err, ErrNoCluster) {
			continue
		}
		for _, c := range list {
			var owners []actor.PID
			if owners, err = nm.Owners(n.ctx, c.Name); err != nil {
				break
			}
			n.adopt(scope, c.Name, owners)
		}
		if err != nil && n.ctx.Err() == nil {
			n.cfg.Log.Error("after a restart the names of services that have ended may stay until the node ends", "scope", scope, "err", err)
		}
	}
}

func (n *Node) adopt(scope Scope, name string, owners []actor.PID) {
	for _, p := range owners {
		if p.Node != n.Addr() {
			continue
		}
		h := heldName{scope, name, p.Handle}
		n.holdings.add(h) // first: its end releases it from now on
		if !n.isMine(p) {
			n.giveUp(n.ctx, h)
		}
	}
}
