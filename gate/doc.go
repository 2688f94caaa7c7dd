// SPDX-License-Identifier: Apache-2.0

// Package gate stands between clients, which are connections that come and go, and services, which are PIDs that
// stay: packets of clients become messages, messages become packets.
//
// A gate process:
//
//	d, err := skybus.Open(1000, skybus.Options{})
//	g, err := gate.Start(d, addr.MustParse("0.0.1.1"), gate.Config{
//		Auth:   func(ctx context.Context, h *gate.Hello) (*gate.Grant, error) { ... },
//		Resume: &gate.Resume{},
//	})
//	l, err := net.Listen("tcp", ":7000")
//	err = g.Serve(l, entry.Config{})
//
// A service, in any process, which has nothing but this package's types:
//
//	actor.On(m, func(c *actor.Context, p *gate.Packets) error {
//		for _, data := range p.Data {
//			out.Send(p.Client, gate.Must, data)
//		}
//		return out.Flush(c)
//	})
//
// # Sessions
//
// The address of the gate's node is the home of the sessions that begin there, and a session is named by its [Client]: home and
// number. What services send goes to the name "gate" at the home, never to a handle: while no process has the home it waits in the lanes,
// and who has the home next gets it. docs/design/gate.md says how that works, docs/guide/gate.md how it is used, docs/format/gate.md what clients
// send and get.
//
// # What a bound service gets
//
//	message    when
//	*Opened    first of all
//	*Packets   what the client sends: what one read of its connection has brought, in order
//	*Slow      its queue went above the soft mark, or is below the low mark again
//	*Away      the connection is lost; the client may come back (only with Config.Resume)
//	*Resumed   it is back
//	*Closed    last of all: the session has ended
//
// They come one after the other in the order of what has happened, from one goroutine at a time. After Outbox.Bind the new service gets what
// comes after; nothing is sent to both.
//
// # What a service sends
//
// An [Outbox] collects, and Flush sends one [Deliver] to each home. Each client gets the packets of one service in the order in
// which that has put them in; those of several services in the order in which their messages reach the home. Packets that are [Must] arrive exactly
// once, with Config.Resume also when connections or the gate's process die, unless the session ends.
//
// Floor 8.
package gate
