// SPDX-License-Identifier: Apache-2.0

package entry

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/skybus-io/skybus/gate/client"
	"github.com/skybus-io/skybus/gate/frame"
)

// lingerTime is how long a client has to read why it is refused.
const lingerTime = time.Second

// welcome takes a connection from its first byte to where it is served. It returns nil when
// that has come to its end, or is another goroutine's.
func (g *guest) welcome(c net.Conn) error {
	e := newEarly(c)
	if g.trusted {
		if err := g.proxied(e); err != nil {
			return err
		}
	}
	accepted := g.port.cfg.Protocols
	for len(e.buf) == 0 || g.detect(e, accepted) == undecided {
		if err := e.more(readSize); err != nil {
			return err
		}
	}
	switch g.detect(e, accepted) {
	case isTLS:
		return g.secure(e)
	case isHTTP:
		return g.upgrade(e)
	case isPackets:
		return g.serve(c, e.buf, nil)
	}
	return &fault{BadProtocol, fmt.Errorf("it begins with %.16q", e.buf)}
}

func (g *guest) detect(e *early, accepted Protocols) kind {
	return detect(e.buf, accepted, g.port.web != nil)
}

// proxied takes the PROXY header that a connection of a trusted network begins with.
func (g *guest) proxied(e *early) error {
	for {
		p, n, err := frame.ParseProxy(e.buf)
		switch {
		case errors.Is(err, frame.ErrNoProxy) && g.port.cfg.ProxyOptional:
			return nil
		case err != nil:
			return &fault{BadProxy, err}
		case n > 0:
			err := g.takeProxy(p)
			e.drop(n)
			return err
		}
		if err := e.more(frame.MaxProxy + readSize); err != nil {
			return err
		}
	}
}

// takeProxy has the client's address for that of the connection. A header that names none, or
// one that is no TCP, is about the proxy's own connection.
func (g *guest) takeProxy(p frame.Proxy) error {
	if p.Local || p.Network != frame.TCP4 && p.Network != frame.TCP6 {
		return nil
	}
	remote := proxyAddr(p.Source)
	h := holder(remote.Addr())
	if !g.s.caps.hold(h) {
		return &fault{FullAddress, fmt.Errorf("as the proxy %v says", g.info.Remote)}
	}
	g.holder = h
	g.mu.Lock()
	defer g.mu.Unlock()
	g.info.Proxy, g.info.Remote, g.info.Local = g.info.Remote, remote, proxyAddr(p.Destination)
	return nil
}

func proxyAddr(a frame.ProxyAddr) netip.AddrPort {
	ip, _ := netip.AddrFromSlice(a.IP)
	return netip.AddrPortFrom(ip.Unmap(), a.Port)
}

// secure does the TLS handshake. What comes behind it begins in a fresh goroutine: the stack that
// the handshake needed is several times what a reader needs.
func (g *guest) secure(e *early) error {
	g.enter(phaseTLS)
	t, err := client.Secure(e.conn, e.buf, g.port.cfg.TLS)
	if err != nil {
		return &fault{NoTransport, err}
	}
	g.mu.Lock()
	g.inner = t.NetConn() // a pair of sockets, if the connection has no descriptor
	g.mu.Unlock()
	if err := t.Handshake(); err != nil {
		return as(BadTLS, err)
	}
	state := t.ConnectionState()
	g.info.TLS = tlsInfo(&state)
	go func() { g.done(g.secured(t)) }()
	return nil
}

// secured goes on inside of TLS.
func (g *guest) secured(t *client.TLS) error {
	g.enter(phaseFirst)
	e := newEarly(t)
	accepted := g.port.cfg.Protocols & secure >> 1 // TLS is TCP inside, WSS is WS
	for g.detect(e, accepted) == undecided {
		if err := e.more(readSize); err != nil {
			return as(BadTLS, err)
		}
	}
	switch g.detect(e, accepted) {
	case isHTTP:
		return g.upgrade(e)
	case isPackets:
		return g.serve(t, e.buf, nil)
	}
	return &fault{BadProtocol, fmt.Errorf("inside of TLS it begins with %.16q", e.buf)}
}

// upgrade takes a request of HTTP, which may be one to upgrade to WebSocket.
func (g *guest) upgrade(e *early) error {
	g.enter(phaseUpgrade)
	end, err := g.readHead(e)
	if errors.Is(err, errTooLong) {
		return g.reject(e.conn, reject(http.StatusRequestHeaderFieldsTooLarge, BadRequest, "more than %d bytes", g.port.cfg.WebSocket.HeaderBytes))
	} else if err != nil {
		return err
	}
	req, no := readRequest(e.buf[:end])
	if no != nil {
		return g.reject(e.conn, no)
	}
	up, no := g.port.cfg.WebSocket.judge(req)
	switch {
	case no == nil:
		go func() { g.done(g.upgraded(e.conn, up, e.buf[end:])) }()
		return nil
	case no.plain && g.port.web != nil:
		return g.hand(e)
	}
	return g.reject(e.conn, no)
}

// readHead reads a request up to its empty line, and returns where that ends.
func (g *guest) readHead(e *early) (end int, err error) {
	limit := g.port.cfg.WebSocket.HeaderBytes
	for seen := 0; ; {
		end = headEnd(e.buf, seen)
		if end > limit || end == 0 && len(e.buf) >= limit {
			return 0, errTooLong
		}
		if end > 0 {
			return end, nil
		}
		seen = len(e.buf)
		if err := e.more(limit); err != nil {
			return 0, err
		}
	}
}

// upgraded ends the handshake of WebSocket, and serves.
func (g *guest) upgraded(c net.Conn, up *upgrade, rest []byte) error {
	if _, err := c.Write(up.appendAnswer(nil)); err != nil {
		return err
	}
	g.info.Web = &up.web
	return g.serve(c, rest, up)
}

// hand gives a connection to the Handler.
func (g *guest) hand(e *early) error {
	g.enter(phaseWeb)
	g.s.count.http.Add(1)
	p := &prefixed{Conn: e.conn, first: e.buf}
	if !g.port.web.give(&webConn{Conn: p, prefixed: p, guest: g}) {
		return &fault{Stopped, ErrStopped}
	}
	return nil
}

// reject answers a request, and leaves the client a moment to read that: with bytes
// unread, a close would be a reset, which may overtake the answer.
func (g *guest) reject(c net.Conn, no *rejection) error {
	g.refuse(no.why, no)
	g.until.Store(int64(g.s.now() + lingerTime))
	if _, err := c.Write(no.appendAnswer(nil)); err == nil {
		if h, ok := c.(interface{ CloseWrite() error }); ok && h.CloseWrite() == nil {
			b := readBuffers.Get().(*[readSize]byte)
			defer readBuffers.Put(b)
			_, _ = io.CopyBuffer(writeOnly{}, readOnly{c}, b[:])
		}
	}
	g.end()
	return nil
}

// readOnly and writeOnly keep io.CopyBuffer to its buffer.
type (
	readOnly  struct{ io.Reader }
	writeOnly struct{}
)

func (writeOnly) Write(b []byte) (int, error) { return len(b), nil }
