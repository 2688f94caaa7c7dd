// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/bench/internal/peer"
	"github.com/skybus-io/skybus/node"
)

// echo is the service that is called: it answers with what it gets.
func (b *bench) echo() []actor.Spec {
	if b.kind != kindCall {
		return nil
	}
	return []actor.Spec{{Name: serviceName, New: actor.Func(func(c *actor.Context, m *actor.Message) error {
		return c.Reply(m.Value)
	})}}
}

// caller returns a function that calls p from a handler with a payload of its own, and checks the answer.
func (b *bench) caller(c *actor.Context, p actor.PID) func(n uint64) {
	payload := make([]byte, b.Size)
	return func(n uint64) {
		peer.Stamp(payload, n)
		v, err := c.Call(p, payload)
		peer.Must("call", err)
		answer, ok := v.([]byte)
		if !ok || len(answer) != len(payload) {
			peer.Die("the answer is a %T of other bytes", v)
		}
		peer.Check(answer, n)
	}
}

// ask makes calls one at a time.
func (b *bench) ask(n *node.Node, p actor.PID, h *peer.Histogram) (perSecond float64) {
	asker := service(n, func(c *actor.Context, _ *actor.Message) error {
		perSecond = peer.PingPong(b.Options, h, b.caller(c, p))
		return c.Reply(nil)
	})
	_, err := n.Runtime().Call(context.Background(), asker, nil)
	peer.Must("ask", err)
	return perSecond
}

// askAtOnce has as many services call as there are calls to be under way.
func (b *bench) askAtOnce(n *node.Node, p actor.PID) (perSecond float64) {
	t := peer.NewTally(b.Options)
	for i := range t.Callers() {
		tell(n, service(n, func(c *actor.Context, _ *actor.Message) error {
			t.Loop(i, b.caller(c, p))
			return nil
		}), nil)
	}
	return t.PerSecond()
}
