// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/bench/internal/gateserver"
	"github.com/skybus-io/skybus/gate"
)

const (
	serviceName = "bench"
	everybody   = "all" // the group that all clients are in, where there are orders
)

// hello lets a client in: who has it is known to the service.
var hello = []byte("h")

// service is what clients are bound to: it returns packets, or does what they order.
type service struct {
	*gateserver.Server
	out    gate.Outbox
	orders gateserver.Orders
}

func spec(s *gateserver.Server) actor.Spec {
	one := &service{Server: s}
	return actor.Spec{Name: serviceName, New: actor.Func(one.handle)}
}

func (s *service) handle(c *actor.Context, m *actor.Message) error {
	switch v := m.Value.(type) {
	case *gate.Opened:
		if s.Fans() {
			s.out.Join(v.Client, everybody)
		}
		s.out.Send(v.Client, gate.Must, hello)
	case *gate.Packets:
		for _, packet := range v.Data {
			s.packet(v.Client, packet)
		}
	case *gate.Closed:
		s.out.Forget(v.Client)
	}
	return s.out.Flush(c)
}

func (s *service) packet(from gate.Client, packet []byte) {
	if !s.Fans() || !gateserver.IsOrder(packet) {
		s.out.Send(from, gate.Must, packet)
		return
	}
	s.orders.Each(packet, func(packet []byte) { s.out.ToGroup(everybody, gate.Must, packet) })
}
