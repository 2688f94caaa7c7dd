// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"context"
	"fmt"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/node"
)

// theLine is the one in buy that calls, for the user to see. A test compares them.
const theLine = "r, err := actor.Ask[*receipt](c, shop, o)"

// What the demonstration has its customer do. Inside a process any value may be sent.
type (
	visit struct {
		shop  actor.PID
		order *order
		times int
	}
	visited struct {
		receipts []*receipt
		took     []time.Duration
	}
	mailing struct {
		shop addr.Addr
		n    int64
	}
)

// A customer is the service that calls, in the demonstration's own process.
type customer struct {
	begun chan<- struct{} // told when a shop is at work; has room
}

// Handle does what it is told.
func (u customer) Handle(c *actor.Context, m *actor.Message) error {
	switch v := m.Value.(type) {
	case visit:
		return u.buy(c, v.shop, v.order, v.times)
	case mailing:
		return u.mail(c, v)
	case begun:
		u.begun <- struct{}{}
		return nil
	}
	return fmt.Errorf("a customer got a %T", m.Value)
}

// buy calls a shop, in whatever process and at whatever host it is.
func (customer) buy(c *actor.Context, shop actor.PID, o *order, times int) error {
	var all visited
	for range times {
		began := time.Now()
		r, err := actor.Ask[*receipt](c, shop, o)
		if err != nil {
			return err
		}
		all.receipts, all.took = append(all.receipts, r), append(all.took, time.Since(began))
	}
	return c.Reply(all)
}

// mail sends orders to whoever has the shop's name when they arrive.
func (customer) mail(c *actor.Context, v mailing) error {
	for i := range v.n {
		if err := c.Send(node.At(v.shop), node.Named{Name: shopName, Value: &order{Number: i + 1}}); err != nil {
			return err
		}
	}
	return c.Reply(nil)
}

// A household is the customer with its node.
type household struct {
	node  *node.Node
	pid   actor.PID
	begun chan struct{}
}

func newHousehold(ctx context.Context, d *skybus.Domain) (*household, error) {
	n, err := startNode(d, customerAddr, nil)
	if err != nil {
		return nil, err
	}
	h := &household{node: n, begun: make(chan struct{}, 1)}
	h.pid, err = n.Runtime().Start(ctx, actor.Spec{Name: "customer", New: func() actor.Handler { return customer{h.begun} }})
	if err != nil {
		n.Close()
		return nil, err
	}
	return h, nil
}

// visit has the customer call a shop so often, one call after the other, and waits for what it gets.
func (h *household) visit(ctx context.Context, shop actor.PID, o *order, times int) (visited, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return actor.AskRuntime[visited](ctx, h.node.Runtime(), h.pid, visit{shop, o, times})
}

// mail has the customer send n orders to the shop's name, without waiting for answers.
func (h *household) mail(ctx context.Context, shop addr.Addr, n int64) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err := h.node.Runtime().Call(ctx, h.pid, mailing{shop, n})
	return err
}

// find looks a shop up.
func (h *household) find(ctx context.Context, at addr.Addr) (actor.PID, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	return h.node.Lookup(ctx, at, shopName)
}
