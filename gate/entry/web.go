// SPDX-License-Identifier: Apache-2.0

package entry

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/skybus-io/skybus/gate/client"
)

// How long connections of a Handler may take.
const (
	webIdle = 30 * time.Second // between two requests
	webBody = 60 * time.Second // for a request with its body
)

// A webServer hands connections to an http.Handler. A listener of its own for the
// http.Server: one to which connections are given that have been accepted long since.
type webServer struct {
	port *port
	http http.Server
	addr net.Addr

	conns chan net.Conn
	ended chan struct{}
	once  sync.Once
	done  chan struct{} // the http.Server has no goroutine left that accepts
}

func newWebServer(p *port) *webServer {
	w := &webServer{
		port: p, addr: p.l.Addr(),
		conns: make(chan net.Conn), ended: make(chan struct{}), done: make(chan struct{}),
	}
	w.http = http.Server{
		Handler:           http.HandlerFunc(w.serve),
		ReadHeaderTimeout: max(p.s.opt.Upgrade, 0),
		ReadTimeout:       webBody,
		IdleTimeout:       webIdle,
		MaxHeaderBytes:    p.cfg.WebSocket.HeaderBytes,
		ErrorLog:          slog.NewLogLogger(p.s.opt.Log.Handler(), slog.LevelDebug),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, webKey{}, c)
		},
	}
	go func() {
		defer close(w.done)
		_ = w.http.Serve(w) // until it is closed
	}()
	return w
}

// webKey is under which a request's context has its *webConn.
type webKey struct{}

// Accept, Close and Addr make it the listener of its http.Server.
func (w *webServer) Accept() (net.Conn, error) {
	select {
	case c := <-w.conns:
		return c, nil
	case <-w.ended:
		return nil, net.ErrClosed
	}
}

// Close ends Accept.
func (w *webServer) Close() error {
	w.once.Do(func() { close(w.ended) })
	return nil
}

// Addr returns the address of the port.
func (w *webServer) Addr() net.Addr { return w.addr }

// give has the http.Server take a connection. false: it has ended.
func (w *webServer) give(c net.Conn) bool {
	select {
	case w.conns <- c:
		return true
	case <-w.ended:
		return false
	}
}

// drain lets requests that are being answered come to their end.
func (w *webServer) drain(ctx context.Context) { _ = w.http.Shutdown(ctx) }

// close ends everything, and waits for the goroutine that accepts.
func (w *webServer) close() {
	_ = w.http.Close()
	<-w.done
}

// serve answers a request. One that asks for WebSocket on a connection that was used for others
// before goes the way of those that come first.
func (w *webServer) serve(rw http.ResponseWriter, r *http.Request) {
	c := r.Context().Value(webKey{}).(*webConn)
	r.TLS = c.tlsState()
	if !wantsUpgrade(r) || w.port.cfg.WebSocket.judgePlace(r) != nil {
		w.port.cfg.Handler.ServeHTTP(rw, r)
		return
	}
	up, no := w.port.cfg.WebSocket.judge(r)
	if no != nil {
		w.port.s.refused(no.why, c.guest.info.Remote, no)
		rw.Header().Set("Sec-Websocket-Version", "13")
		http.Error(rw, no.text, no.status)
		return
	}
	c.hijack(rw, up)
}

// A webConn is a guest's connection in the hands of the http.Server.
type webConn struct {
	net.Conn // the prefixed
	prefixed *prefixed
	guest    *guest
	once     sync.Once // the end of the guest; not here any more once it is hijacked
}

// Close ends the guest.
func (c *webConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(c.guest.end)
	return err
}

// RemoteAddr returns whom a proxy names, if it came through one.
func (c *webConn) RemoteAddr() net.Addr {
	if c.guest.info.Proxy.IsValid() {
		return net.TCPAddrFromAddrPort(c.guest.info.Remote)
	}
	return c.Conn.RemoteAddr()
}

// tlsState returns what a handler finds in Request.TLS.
func (c *webConn) tlsState() *tls.ConnectionState {
	t, ok := c.prefixed.Conn.(*client.TLS)
	if !ok {
		return nil
	}
	state := t.ConnectionState()
	return &state
}

// hijack takes the connection back from the http.Server and upgrades it.
func (c *webConn) hijack(rw http.ResponseWriter, up *upgrade) {
	_, buf, err := http.NewResponseController(rw).Hijack()
	if err != nil {
		http.Error(rw, err.Error(), http.StatusInternalServerError)
		return
	}
	rest, _ := buf.Reader.Peek(buf.Reader.Buffered()) // it is there
	rest = append(slices.Clip(rest), c.prefixed.first...)
	g := c.guest
	c.once.Do(func() { // from here the guest ends by itself
		g.enter(phaseUpgrade)
		go func() { g.done(g.upgraded(c.prefixed.Conn, up, rest)) }()
	})
}
