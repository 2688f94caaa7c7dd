// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"time"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/bench/internal/peer"
	"github.com/skybus-io/skybus/node"
	"github.com/skybus-io/skybus/node/codec"
)

// The two nodes, one a process.
var (
	here  = addr.MustParse("0.0.0.1")
	there = addr.MustParse("0.0.0.2")
)

const (
	domainKey    = 1
	serviceName  = "bench"           // of the service that is called, or sent to
	rootVariable = "NODE_BENCH_ROOT" // where the second process finds its host's domain
	patience     = 10 * time.Second  // until the other side is there
	pause        = 5 * time.Millisecond
)

// join binds an address and runs services there.
func (b *bench) join(root string, at addr.Addr, services []actor.Spec) (n *node.Node, leave func()) {
	peer.Must("register the struct", codec.Register[*order](codec.Default, "bench.order"))
	d := domain(root)
	n, err := node.Start(d, at, node.Config{Services: services, Wait: b.wait()})
	peer.Must("start the node", err)
	return n, func() {
		n.Close()
		peer.Must("close the domain", d.Close())
	}
}

// find returns a service of the other process, which may still be starting.
func find(n *node.Node, at addr.Addr, name string) actor.PID {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		p, err := n.Lookup(ctx, at, name)
		if err == nil {
			return p
		}
		if ctx.Err() != nil {
			peer.Must("find the other side's service", err)
		}
		time.Sleep(pause)
	}
}

// service starts one that has no name.
func service(n *node.Node, f func(c *actor.Context, m *actor.Message) error) actor.PID {
	p, err := n.Runtime().Start(context.Background(), actor.Spec{New: actor.Func(f)})
	peer.Must("start a service", err)
	return p
}

// tell sends a message to a service of this process.
func tell(n *node.Node, p actor.PID, v any) {
	peer.Must("send", n.Runtime().Send(context.Background(), p, v))
}
