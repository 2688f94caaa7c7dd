// SPDX-License-Identifier: Apache-2.0

package entry

import (
	"errors"
	"net"
	"slices"
	"time"

	"github.com/skybus-io/skybus/gate/client"
)

// errReturned is why a connection ends that is still there when Options.Accept has returned.
var errReturned = errors.New("gate: served to its end")

// serve makes a client of a connection, and has it served by a fresh goroutine: the stack that
// was needed so far would stay as large as it is. early are bytes that were read already.
func (g *guest) serve(c net.Conn, early []byte, up *upgrade) error {
	link := client.Link{Early: slices.Clone(early)} // not with what was before it
	if up != nil {
		link.WebSocket, link.Deflate, link.Text = true, up.deflate, g.port.cfg.WebSocket.Text
	}
	g.info.Transport = g.port.transport(g.info.TLS != nil, up != nil)
	if !g.info.Local.IsValid() {
		g.info.Local = addrPort(g.conn.LocalAddr())
	}
	conn, err := client.New(c, g.s.opt.Client, link)
	if err != nil {
		return &fault{NoTransport, err}
	}
	go g.host(conn)
	return nil
}

// host has the owner serve a client.
func (g *guest) host(c *client.Conn) {
	g.info.guest = g
	g.enter(phaseAuth)
	if why := g.attach(c); why != nil {
		c.Kick(why)
		g.end()
		return
	}
	g.s.count.ready.Add(1)
	if start := g.s.opt.Start; start != nil {
		start(c, &g.info)
		return
	}
	defer g.info.End()
	g.s.opt.Accept(c, &g.info)
}

// attach makes the guest one with a client, whose the connection is. An error is
// why it has been cut before.
func (g *guest) attach(c *client.Conn) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.client, g.conn, g.inner = c, nil, nil
	return g.cause
}

// admit ends the phase of authentication.
func (g *guest) admit() {
	g.mu.Lock()
	c := g.client
	g.mu.Unlock()
	if c != nil && g.s.sweep.admit(g) {
		g.enter(phaseServed)
		c.Authenticated()
	}
}

// checkClient looks at what the client does with its packets and with those for it.
func (g *guest) checkClient(c *client.Conn) {
	now, limit := client.Now(), g.s.opt.HalfPacket
	if since, ok := c.HalfSince(); ok && limit > 0 && time.Duration(now-since) >= limit {
		g.cut(LateHalfPacket, nil)
		return
	}
	if err := c.Overdue(now); err != nil {
		g.refuse(Overdue, err)
	}
	c.Tidy()
}

// transport returns the name for Info.Transport.
func (p *port) transport(inTLS, onWeb bool) string {
	name := "tcp"
	switch {
	case inTLS && onWeb:
		name = "wss"
	case inTLS:
		name = "tls"
	case onWeb:
		name = "ws"
	}
	switch {
	case p.name == "":
		return name
	case name == "tcp":
		return p.name
	}
	return p.name + "+" + name
}
