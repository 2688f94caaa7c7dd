// SPDX-License-Identifier: Apache-2.0

package relay

import (
	"net"
	"sync"

	"github.com/skybus-io/skybus/internal/sys"
)

// A gatherer is what TLS writes to. It joins the records of one batch, which TLS writes
// each by itself, and from the end of the handshake it never waits for the socket: TLS
// holds a lock meanwhile that everybody who writes needs, and some of what it writes it writes by
// itself (answers to updates of keys, alerts) while it reads.
type gatherer struct {
	net.Conn
	raw sys.RawConn // the same

	mu       sync.Mutex // guards the following
	keeps    bool       // the handshake is over
	begun    bool       // a batch is being encrypted
	draining bool       // somebody writes, and goes on until buf is empty
	buf      []byte     // encrypted and not written
	one      [1][]byte  // buf, as Writev wants it
}

// keep ends the handshake's way of writing.
func (g *gatherer) keep() {
	g.mu.Lock()
	g.keeps = true
	g.mu.Unlock()
}

func (g *gatherer) begin() {
	g.mu.Lock()
	g.begun = true
	g.mu.Unlock()
}

func (g *gatherer) end() {
	g.mu.Lock()
	g.begun = false
	g.mu.Unlock()
}

// Write keeps p. Outside of a batch it is written as far as the socket takes it; what that does
// not take goes with the next batch, of which there is one a second (PING).
func (g *gatherer) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.keeps {
		return g.Conn.Write(p)
	}
	g.buf = append(g.buf, p...)
	if g.begun || g.draining {
		return len(p), nil
	}
	return len(p), g.pushLocked()
}

// push writes what the socket takes, and reports whether there is more.
func (g *gatherer) push() (more bool, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	err = g.pushLocked()
	return len(g.buf) > 0, err
}

func (g *gatherer) pushLocked() error {
	g.one[0] = g.buf
	n, err := sys.Writev(g.raw, g.one[:])
	g.buf = g.buf[:copy(g.buf, g.buf[n:])]
	return err
}

// drain writes all there is, and waits for that.
func (g *gatherer) drain() (err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.draining = true
	for len(g.buf) > 0 && err == nil {
		out := g.buf
		g.buf = nil
		g.mu.Unlock()
		_, err = g.Conn.Write(out)
		g.mu.Lock()
		if len(g.buf) == 0 {
			g.buf = out[:0]
		}
	}
	g.draining = false
	return err
}
