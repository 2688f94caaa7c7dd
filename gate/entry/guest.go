// SPDX-License-Identifier: Apache-2.0

package entry

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skybus-io/skybus/gate/client"
)

// phase is how far a connection has come.
type phase uint32

const (
	phaseFirst phase = iota
	phaseTLS
	phaseUpgrade
	phaseAuth
	phaseServed
	phaseWeb // in the hands of the http.Server, which has limits of its own
)

// late is the reason for which a phase ends a connection.
var late = [...]Reason{
	phaseFirst: LateFirstByte, phaseTLS: LateTLS, phaseUpgrade: LateUpgrade, phaseAuth: LateAuth,
}

// A guest is a connection from its accept to its end. Its goroutine goes through the phases; the sweeper
// looks at it, and Close and the sweeper cut it.
type guest struct {
	s       *Server
	port    *port      // nil for Run
	holder  netip.Addr // its goroutine's
	trusted bool       // a PROXY header is expected
	info    Info       // its goroutine's; Remote changes under mu

	place place // guarded by the sweeper's lock
	phase atomic.Uint32
	until atomic.Int64 // when the phase has to be over, by the Server's clock; 0: no limit

	mu     sync.Mutex
	conn   net.Conn     // as accepted, until there is a client
	inner  net.Conn     // what TLS reads from, until there is a client; nil: no TLS
	client *client.Conn // once there is one; has the connection
	cause  error        // why it was cut; nil: it was not
	ended  bool
}

// enter begins a phase, and the time it has.
func (g *guest) enter(p phase) {
	limit := [...]time.Duration{
		phaseFirst: g.s.opt.FirstByte, phaseTLS: g.s.opt.TLS, phaseUpgrade: g.s.opt.Upgrade, phaseAuth: g.s.opt.Auth,
		phaseServed: -1, phaseWeb: -1,
	}[p]
	g.until.Store(0) // not the new phase with the old limit
	g.phase.Store(uint32(p))
	if limit > 0 {
		g.until.Store(int64(g.s.now() + limit))
	}
}

// check is the sweeper's look.
func (g *guest) check(now time.Duration) {
	p := phase(g.phase.Load())
	if until := g.until.Load(); until != 0 && int64(now) >= until && int(p) < len(late) {
		g.cut(late[p], nil)
		return
	}
	g.mu.Lock()
	c := g.client
	g.mu.Unlock()
	if c != nil {
		g.checkClient(c)
	}
}

// cut ends a connection at once, for a reason. The first one is counted.
func (g *guest) cut(why Reason, err error) {
	g.mu.Lock()
	if g.ended {
		g.mu.Unlock()
		return
	}
	first := g.cause == nil
	if first {
		g.cause = why
	}
	c, conn, inner, remote := g.client, g.conn, g.inner, g.info.Remote
	g.mu.Unlock()
	if first {
		g.s.refused(why, remote, err)
	}
	if c != nil {
		c.Kick(why)
	} else {
		reset(conn)
		closeIfAny(inner)
	}
}

func closeIfAny(c net.Conn) {
	if c != nil {
		_ = c.Close()
	}
}

// refuse counts why a connection is not served, which is ended in another way.
func (g *guest) refuse(why Reason, err error) {
	g.mu.Lock()
	first, remote := g.cause == nil, g.info.Remote
	if first {
		g.cause = why
	}
	g.mu.Unlock()
	if first {
		g.s.refused(why, remote, err)
	}
}

// run is the goroutine of a connection that was accepted.
func (g *guest) run(c net.Conn) { g.done(g.welcome(c)) }

// done ends a guest that could not be served. With nil it is served elsewhere, or
// has been.
func (g *guest) done(err error) {
	if err == nil {
		return
	}
	why := GoneEarly
	var f *fault
	if errors.As(err, &f) {
		why = f.why
	}
	g.cut(why, err)
	g.end()
}

// end is the end of a guest. Its connection has been closed, or is closed here.
func (g *guest) end() {
	g.mu.Lock()
	g.ended = true
	conn, inner := g.conn, g.inner
	g.mu.Unlock()
	closeIfAny(conn)
	closeIfAny(inner)
	g.s.sweep.remove(g)
	g.s.caps.leave(g.holder)
	g.s.guests.Done()
}

// A fault is an error with the reason it is counted for.
type fault struct {
	why Reason
	err error
}

func (f *fault) Error() string { return f.why.String() + ": " + f.err.Error() }
func (f *fault) Unwrap() error { return f.err }

// as gives an error its reason, unless the other side has merely gone.
func as(why Reason, err error) error {
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
		return err
	}
	return &fault{why, err}
}
