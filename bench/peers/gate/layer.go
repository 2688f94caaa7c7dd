// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"sync"

	"github.com/skybus-io/skybus/bench/internal/gateserver"
	"github.com/skybus-io/skybus/bench/internal/peer"
	"github.com/skybus-io/skybus/gate/client"
	"github.com/skybus-io/skybus/gate/entry"
	"github.com/skybus-io/skybus/gate/queue"
)

// layer is the connections of a gate with nothing behind them.
type layer struct {
	*gateserver.Server
	budget queue.Budget

	mu     sync.Mutex     // guards what follows, and keeps the packets of two orders apart
	all    []*client.Conn // in the order they came
	orders gateserver.Orders
}

func serveClients(s *gateserver.Server) {
	l := &layer{Server: s}
	set, err := client.Prepare(client.Options{Budget: &l.budget})
	peer.Must("prepare for clients", err)
	e, err := entry.New(entry.Options{Start: l.start, Client: set})
	peer.Must("make the entry", err)
	at, ports := listen()
	go func() { peer.Must("serve", e.Serve(at, ports)) }()
	s.Count = func() uint64 { return e.Stats().Accepted }
	s.Run(at.Addr())
	e.Close()
}

// A guest is a connection of the layer.
type guest struct {
	l     *layer
	c     *client.Conn
	in    *entry.Info
	known bool
}

func (l *layer) start(c *client.Conn, in *entry.Info) { c.Start(&guest{l: l, c: c, in: in}) }

// Handle does what the packets of one read say.
func (g *guest) Handle(packets [][]byte) error {
	if !g.known {
		g.known = true
		g.c.Authenticated()
		g.in.Authenticated()
		g.l.join(g.c)
	}
	for _, packet := range packets {
		g.l.packet(g.c, packet)
	}
	g.c.Flush()
	return nil
}

// Ended is when the load ends a connection.
func (g *guest) Ended(error) {
	g.l.leave(g.c)
	g.in.End()
}

func (l *layer) packet(c *client.Conn, packet []byte) {
	if l.Fans() && gateserver.IsOrder(packet) {
		l.broadcast(packet)
		return
	}
	p := queue.Borrow(&l.budget, packet)
	c.Send(p, queue.Must, 0)
	p.Release()
}

// broadcast queues all packets of an order for a client before it goes to the next one.
func (l *layer) broadcast(order []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var packets []*queue.Packet
	l.orders.Each(order, func(packet []byte) { packets = append(packets, queue.New(&l.budget, packet)) })
	for _, c := range l.all {
		for _, p := range packets {
			c.Send(p, queue.Must, 0)
		}
		c.Flush()
	}
}

func (l *layer) join(c *client.Conn) {
	if l.Fans() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.all = append(l.all, c)
	}
}

func (l *layer) leave(c *client.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = slices.DeleteFunc(l.all, func(other *client.Conn) bool { return other == c })
}
