// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"

	"github.com/skybus-io/skybus/actor"
)

//go:generate go -C ../../.. run ./cmd/skybus gen --type Counter --out counter_rpc.go bench/peers/node

// A Counter is the object that is called by a stub.
type Counter interface {
	Add(ctx context.Context, n int64) (int64, error)
}

type counter struct{ sum int64 }

func newCounter() Counter { return &counter{} }

func (c *counter) Add(_ context.Context, n int64) (int64, error) {
	c.sum += n
	return c.sum, nil
}

// An addition is the same request without a stub: a pointer that goes there and back.
type addition struct{ n, sum int64 }

// Handle takes additions, beside the calls of methods.
func (c *counter) Handle(x *actor.Context, m *actor.Message) error {
	a := m.Value.(*addition)
	c.sum += a.n
	a.sum = c.sum
	return x.Reply(a)
}
