// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/names"
	"github.com/skybus-io/skybus/node"
	"github.com/skybus-io/skybus/node/codec"
)

// shopName is what the service is called in each process that has one.
const shopName = "shop"

// The addresses of the nodes: the customer is in this process, one shop in a second one, the
// other at the far host.
var (
	customerAddr = addr.MustParse("0.0.1.1")
	shopAddr     = addr.MustParse("0.0.1.2")
	farShopAddr  = addr.MustParse("0.0.2.1")
)

// An order is what a customer sends to a shop.
type order struct {
	Number int64         // from 1; 0: of those that are not counted
	Work   time.Duration // that it takes; if it is long the shop says when it begins
}

// A receipt is a shop's answer.
type receipt struct {
	PID     int   // of its process
	Counted int64 // numbered orders so far
	Astray  int64 // of them those that did not follow the one before
}

// begun tells the customer that a shop is at work.
type begun struct{}

// goods are the types that travel between nodes: both ends know them by the same names.
func goods() (*codec.Registry, error) {
	r := codec.NewRegistry(codec.Limits{})
	return r, errors.Join(codec.Register[*order](r, "demo.order"), codec.Register[*receipt](r, "demo.receipt"), codec.Register[begun](r, "demo.begun"),
		codec.Register[*handover](r, "demo.handover"))
}

// startNode joins services of this process to the bus; cluster has the names of all hosts, nil: there are none.
func startNode(d *skybus.Domain, at addr.Addr, cluster names.Registry, services ...actor.Spec) (*node.Node, error) {
	r, err := goods()
	if err != nil {
		return nil, err
	}
	return node.Start(d, at, node.Config{Services: services, Codec: r, Cluster: cluster, Log: slog.New(slog.DiscardHandler)})
}

// A shop is the service that is called. Its fields need no lock: its handlers run one at a time.
type shop struct {
	counted, astray int64 // see receipt
	last            int64 // number of the last one that was counted
}

// Handle takes an order, and answers if it is a call.
func (s *shop) Handle(c *actor.Context, m *actor.Message) error {
	o, ok := m.Value.(*order)
	if !ok {
		return fmt.Errorf("a shop takes orders, and this is a %T", m.Value)
	}
	if o.Work > 0 {
		if err := errors.Join(c.Send(m.From, begun{}), c.Sleep(o.Work)); err != nil {
			return err
		}
	}
	if o.Number > 0 {
		if o.Number != s.last+1 {
			s.astray++
		}
		s.last = o.Number
		s.counted++
	}
	if !m.IsCall() {
		return nil
	}
	return c.Reply(s.receipt())
}

func (s *shop) receipt() *receipt {
	return &receipt{PID: os.Getpid(), Counted: s.counted, Astray: s.astray}
}

// trade has a shop open until ctx ends.
func trade(ctx context.Context, d *skybus.Domain, at addr.Addr, between func(actor.Handler) actor.Handler) error {
	n, err := startNode(d, at, nil, actor.Spec{Name: shopName, New: func() actor.Handler { return between(&shop{}) }})
	if err != nil {
		return err
	}
	<-ctx.Done()
	n.Close()
	return ctx.Err()
}
