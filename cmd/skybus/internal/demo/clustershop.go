// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/cluster"
	"github.com/skybus-io/skybus/cluster/local"
	"github.com/skybus-io/skybus/names"
	"github.com/skybus-io/skybus/node"
)

// clusterName is what the cluster is called.
const clusterName = "demo"

// The addresses of the nodes in the cluster.
var (
	firstShopAddr  = addr.MustParse("0.0.1.1")
	secondShopAddr = addr.MustParse("0.0.2.1")
	regularAddr    = addr.MustParse("0.0.3.1")
)

// heldEvery is how often a shop looks whether the count has come.
const heldEvery = time.Millisecond

// globalNames are the names of the cluster, as a process sees them.
type globalNames struct {
	*cluster.Names
	daemon *local.Client
}

// dialNames connects to the daemon of the domain in a folder; it need not run yet. self is an
// address that the process binds, 0 for none.
func dialNames(folder string, self addr.Addr) (*globalNames, error) {
	c, err := local.Dial(folder, local.Options{Addr: self})
	if err != nil {
		return nil, err
	}
	n, err := cluster.NewNames(c, cluster.NamesConfig{Cluster: clusterName})
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return &globalNames{n, c}, nil
}

func (g *globalNames) close() error { return errors.Join(g.Close(), g.daemon.Close()) }

// A member is a node in the cluster.
type member struct {
	*node.Node
	names *globalNames
}

func joinCluster(d *skybus.Domain, at addr.Addr, services ...actor.Spec) (*member, error) {
	g, err := dialNames(d.Table().Folder(), at)
	if err != nil {
		return nil, err
	}
	n, err := startNode(d, at, g.Names, services...)
	if err != nil {
		return nil, errors.Join(err, g.close())
	}
	return &member{n, g}, nil
}

func (m *member) close() error {
	m.Close()
	return m.names.close()
}

// A handover is what a shop tells the next one that has its name.
type handover struct{ Counted, Astray, Last int64 }

// A movingShop is a shop whose name another one may get: it then hands its count over, and
// what still comes it passes on. An order that is repeated is answered, and not counted again.
type movingShop struct {
	shop
	held bool      // the count is on its way, from the shop before or to the next one: orders wait
	owns bool      // the name is its own
	next actor.PID // the shop that the count went to
}

// Handle takes orders, the count of the shop before, and changes of the name.
func (s *movingShop) Handle(c *actor.Context, m *actor.Message) error {
	switch v := m.Value.(type) {
	case node.NameChanged:
		return s.renamed(c, v.New)
	case *handover:
		if s.held { // else it comes a second time
			s.counted, s.astray, s.last, s.held = v.Counted, v.Astray, v.Last, false
		}
		return c.Reply(nil)
	case *order:
		for s.held {
			if err := c.Sleep(heldEvery); err != nil {
				return err
			}
		}
		if !s.next.IsZero() {
			return c.Redirect(s.next, v)
		}
		if v.Number <= s.last {
			return c.Reply(s.receipt())
		}
	}
	return s.shop.Handle(c, m)
}

// renamed hears who has the name. Nobody may have it for a while: that the engine does not hear
// of a process for long is no reason to hand anything over.
func (s *movingShop) renamed(c *actor.Context, owner actor.PID) error {
	if owner == c.Self() {
		s.owns = true
	}
	if !s.owns || owner == c.Self() || owner.IsZero() {
		return nil
	}
	s.owns, s.held = false, true
	for {
		_, err := c.Call(owner, &handover{s.counted, s.astray, s.last})
		if err == nil {
			break
		}
		if err := c.Sleep(heldEvery); err != nil {
			return err
		}
	}
	s.next, s.held = owner, false
	return nil
}

// tradeInCluster has a shop open until ctx ends, which asks for the cluster's name. With
// names.Replace it goes on with the count of the one that has the name.
func tradeInCluster(ctx context.Context, d *skybus.Domain, at addr.Addr, f names.Flags, between func(actor.Handler) actor.Handler) error {
	m, err := joinCluster(d, at, actor.Spec{Name: shopName, New: func() actor.Handler {
		return between(&movingShop{held: f&names.Replace != 0})
	}})
	if err != nil {
		return err
	}
	return errors.Join(m.trade(ctx, f), m.close())
}

func (m *member) trade(ctx context.Context, f names.Flags) error {
	shop, ok := m.Runtime().Lookup(shopName)
	if !ok {
		return fmt.Errorf("service %q: %w", shopName, actor.ErrNoService)
	}
	if _, err := m.Names(node.Cluster).Request(ctx, shopName, shop, f); err != nil {
		return fmt.Errorf("ask for the name %q: %w", shopName, err)
	}
	return m.follow(ctx, func(ch node.NameChanged) error { return m.Runtime().Send(ctx, shop, ch) })
}

// follow calls f for who has the shop's name, and for each change.
func (m *member) follow(ctx context.Context, f func(node.NameChanged) error) error {
	return m.Names(node.Cluster).Watch(ctx, shopName, func(ch node.NameChanged) error {
		if ch.Name != shopName {
			return nil
		}
		return f(ch)
	})
}
