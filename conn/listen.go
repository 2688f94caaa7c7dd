// SPDX-License-Identifier: Apache-2.0

package conn

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skybus-io/skybus/actor"
)

const (
	backlog  = 16 // connections that were accepted and that the service has not taken
	firstNap = 5 * time.Millisecond
	longNap  = time.Second // at most, between two accepts that fail
)

// A Listener accepts connections for a service. Its methods may be called by any goroutine.
type Listener struct {
	line

	cfg    Config
	ln     net.Listener
	keeper atomic.Pointer[keeper]
	ctx    context.Context // of handshakes
	cancel context.CancelFunc
	got    []net.Conn
	room   sync.Cond // of mu: the goroutine that accepts waits
	over   error
	stats  ListenerStats
}

// ListenerStats are what a listener has done.
type ListenerStats struct {
	Open     int    // connections now, those in a handshake among them
	Accepted uint64 // handed to the service
	Failed   uint64 // handshakes
	Errors   uint64 // of the system, as when there are no descriptors: it is asked again
	Last     error  // the last of both
}

// Listen accepts connections at an address (see ParseAddress; a port 0 is a free one, see Addr) for the
// handler's service. f runs as a handler of it for each, as Context.Fork has it, and may wait. When f returns the connection is closed, unless it
// was given away or kept (Keep). Errors: the address, what net.Listen says, a Config.TLS without a certificate.
func Listen(c *actor.Context, address string, f func(c *actor.Context, n *Conn)) (*Listener, error) {
	return Config{}.Listen(c, address, f)
}

// Listen is the function Listen with a Config.
func (g Config) Listen(c *actor.Context, address string, f func(c *actor.Context, n *Conn)) (*Listener, error) {
	network, at, err := ParseAddress(address)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	ln, err := work(c, func(ctx context.Context) (any, error) {
		var lc net.ListenConfig
		return lc.Listen(ctx, network, at)
	}, func(v any) { v.(net.Listener).Close() })
	if err != nil {
		return nil, fmt.Errorf("listen at %s: %w", address, err)
	}
	return g.Serve(c, ln.(net.Listener), f)
}

// Serve is Listen with a listener that the program has, and that nobody else uses from now on. With an error it is closed.
func Serve(c *actor.Context, ln net.Listener, f func(c *actor.Context, n *Conn)) (*Listener, error) {
	return Config{}.Serve(c, ln, f)
}

// Serve is the function Serve with a Config.
func (g Config) Serve(c *actor.Context, ln net.Listener, f func(c *actor.Context, n *Conn)) (*Listener, error) {
	l := &Listener{cfg: g.filled(), ln: ln}
	l.room.L = &l.mu
	l.ctx, l.cancel = context.WithCancel(context.Background())
	err := l.certified()
	if err == nil {
		var k *keeper
		k, err = keepFor(c, l)
		l.keeper.Store(k)
	}
	if err != nil {
		l.cancel()
		ln.Close()
		return nil, fmt.Errorf("listen at %v: %w", ln.Addr(), err)
	}
	c.Fork(func(c *actor.Context) { l.take(c, f) })
	go l.accept()
	return l, nil
}

// certified sees that there is something to show to clients.
func (l *Listener) certified() error {
	t := l.cfg.TLS
	if t == nil || len(t.Certificates) > 0 || t.GetCertificate != nil || t.GetConfigForClient != nil {
		return nil
	}
	return fmt.Errorf("TLS without a certificate: want Certificates, GetCertificate or GetConfigForClient")
}

// take has f run for each connection. It is a handler of the service.
func (l *Listener) take(c *actor.Context, f func(c *actor.Context, n *Conn)) {
	for {
		var nc net.Conn
		w := waiter{want: &when{func() bool { return len(l.got) > 0 || l.over != nil }, func() {
			if l.over == nil {
				nc, l.got = l.got[0], l.got[1:]
				l.stats.Accepted++
				l.room.Signal()
			}
		}}}
		if err := l.do(c, l.keeper.Load(), &w); err != nil || nc == nil {
			return
		}
		n, err := l.cfg.adopt(c, nc, l) // now: it is closed with the service if f does not come to run
		if err != nil {
			l.gone()
			return
		}
		c.Fork(func(c *actor.Context) { n.serve(c, f) })
	}
}

// serve runs f with an accepted connection.
func (n *Conn) serve(c *actor.Context, f func(c *actor.Context, n *Conn)) {
	defer func() {
		if n.Owner() == c.Self() && !n.stays.Load() {
			n.Close()
		}
	}()
	f(c, n)
}

// accept takes connections from the system until the listener is closed.
func (l *Listener) accept() {
	nap := firstNap
	for l.mayAccept() {
		nc, err := l.ln.Accept()
		switch {
		case err == nil:
			nap = firstNap
			l.opened(nc)
		case l.ended():
			return
		default: // one that was gone again, or no descriptors: the listener is sound
			l.failed(err)
			select {
			case <-time.After(nap):
			case <-l.ctx.Done():
			}
			nap = min(2*nap, longNap)
		}
	}
}

// mayAccept waits until the service has taken some, and counts one more. false: the listener is closed.
func (l *Listener) mayAccept() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.over == nil && (len(l.got) >= backlog || l.cfg.MaxConns > 0 && l.stats.Open >= l.cfg.MaxConns) {
		l.room.Wait()
	}
	return l.over == nil
}

// opened has a new connection shake hands, if it has to, and gives it to the service.
func (l *Listener) opened(nc net.Conn) {
	l.mu.Lock()
	l.stats.Open++
	l.mu.Unlock()
	if l.cfg.TLS == nil {
		l.push(nc)
		return
	}
	go func() {
		ctx, cancel := l.cfg.within(l.ctx)
		defer cancel()
		t, err := shake(ctx, tls.Server(nc, l.cfg.TLS))
		if err != nil {
			l.refused(err)
			return
		}
		l.push(t)
	}()
}

// push has the service take nc.
func (l *Listener) push(nc net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over != nil {
		l.stats.Open--
		nc.Close()
		return
	}
	l.got = append(l.got, nc)
	l.wake()
}

// refused counts a handshake that has failed.
func (l *Listener) refused(err error) {
	l.mu.Lock()
	l.stats.Failed++
	l.stats.Last = err
	l.mu.Unlock()
	l.gone()
}

// failed counts an error of the system.
func (l *Listener) failed(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stats.Errors++
	l.stats.Last = err
}

// gone counts a connection that was closed.
func (l *Listener) gone() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stats.Open--
	l.room.Signal()
}

func (l *Listener) ended() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.over != nil
}

// Addr returns where it listens.
func (l *Listener) Addr() net.Addr { return l.ln.Addr() }

// Stats returns the counters.
func (l *Listener) Stats() ListenerStats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stats
}

// Close ends the listening. Connections that its service has stay; those that it has not taken yet are
// closed. A second Close does nothing.
func (l *Listener) Close() { l.end(net.ErrClosed) }

func (l *Listener) drain() { l.end(errDrains) }

func (l *Listener) end(why error) {
	l.mu.Lock()
	if l.over != nil {
		l.mu.Unlock()
		return
	}
	l.over = why
	for _, nc := range l.got {
		nc.Close()
	}
	l.stats.Open -= len(l.got)
	l.got = nil
	l.wakeAll()
	l.room.Signal()
	l.mu.Unlock()
	l.cancel()
	l.ln.Close()
	if k := l.keeper.Load(); k != nil {
		k.remove(l)
	}
}
