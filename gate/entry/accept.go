// SPDX-License-Identifier: Apache-2.0

package entry

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/skybus-io/skybus/internal/sys"
)

// How long the accept loop waits when the system has no room for a connection:
// doubled each time, and short again after a connection was accepted.
const (
	shortPause = 5 * time.Millisecond
	longPause  = 100 * time.Millisecond
)

// turnMost is how many connections are turned away before it is tried again
// whether there is room.
const turnMost = 1024

// abortedMost is how many accepts may fail at once for faults of the one connection
// before the loop pauses: clients that go away at once must not hold up the others.
const abortedMost = 256

// A port is a listener that a Server serves.
type port struct {
	s    *Server
	l    net.Listener
	cfg  Config
	raw  sys.RawConn // of l; nil if it has no descriptor
	name string      // of the transport, before what is spoken on it; "" for TCP
	web  *webServer  // nil: there is no Handler
	done chan struct{}
	once sync.Once
}

func newPort(s *Server, l net.Listener, cfg Config) *port {
	p := &port{s: s, l: l, cfg: cfg, done: make(chan struct{})}
	if sc, ok := l.(system); ok {
		p.raw, _ = sc.SyscallConn() // without, connections cannot be turned away, and wait
	}
	if name := l.Addr().Network(); name != "tcp" {
		p.name = name
	}
	return p
}

// close ends the accept loop.
func (p *port) close() {
	p.once.Do(func() {
		close(p.done)
		_ = p.l.Close()
	})
}

// run accepts until the port is closed, or its listener fails for good.
func (p *port) run() error {
	for pause, aborted := shortPause, 0; ; {
		c, err := p.l.Accept()
		switch {
		case err == nil:
			pause, aborted = shortPause, 0
			p.enter(c)
			continue
		case p.closed():
			return nil
		case sys.Aborted(err) && aborted < abortedMost:
			aborted++
			continue
		case sys.Exhausted(err):
			p.s.count.shortage.Add(1)
			p.turnAway()
		case !sys.Aborted(err) && !temporary(err):
			return fmt.Errorf("entry: accept at %v: %w", p.l.Addr(), err)
		}
		if !p.rest(pause) {
			return nil
		}
		pause = min(2*pause, longPause)
	}
}

func (p *port) closed() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// rest waits, and reports false if the port was closed meanwhile.
func (p *port) rest(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-p.done:
		return false
	case <-t.C:
		return true
	}
}

// temporary reports whether a listener of another package says that its fault will pass.
func temporary(err error) bool {
	var t interface{ Temporary() bool }
	return errors.As(err, &t) && t.Temporary()
}

// enter lets a connection in, or resets it, before anything is made for it.
func (p *port) enter(c net.Conn) {
	remote := addrPort(c.RemoteAddr())
	h := holder(remote.Addr())
	trusted := p.trusts(remote.Addr())
	if trusted {
		h = netip.Addr{}
	}
	if why, ok := p.s.caps.enter(h); !ok {
		p.s.refused(why, remote, nil)
		reset(c)
		return
	}
	p.s.count.accepted.Add(1)
	g := &guest{s: p.s, port: p, conn: c, holder: h, trusted: trusted, info: Info{Remote: remote}}
	if !p.s.begin(g) {
		p.s.refused(Stopped, remote, nil)
		p.s.caps.leave(h)
		reset(c)
		return
	}
	go g.run(c)
}

// trusts reports whether connections from a begin with a PROXY header.
func (p *port) trusts(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	for _, n := range p.cfg.Proxies {
		if n.Contains(a) {
			return true
		}
	}
	return false
}

// turnAway resets the connections that wait at the listener, by means of the
// descriptor that is kept for this. Without, they would wait for as long as there is none, and their clients
// would take that for a gate that does not answer.
func (p *port) turnAway() {
	if p.raw == nil {
		return
	}
	p.s.spare.lend(func() {
		for range turnMost {
			ok, err := sys.Turn(p.raw)
			if !ok || err != nil {
				return
			}
			p.s.refused(NoDescriptors, netip.AddrPort{}, nil)
		}
	})
}

// A spare is a descriptor in reserve.
type spare struct {
	mu sync.Mutex
	f  *os.File // nil: somebody else has it just now
}

// take opens the descriptor unless it is there.
func (r *spare) take() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.takeLocked()
}

func (r *spare) takeLocked() {
	if r.f == nil {
		r.f, _ = os.Open(os.DevNull) // if there is none now, the next time
	}
}

// lend gives the descriptor back to the system while f runs.
func (r *spare) lend(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.takeLocked()
	r.dropLocked()
	f()
	r.takeLocked()
}

func (r *spare) drop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dropLocked()
}

func (r *spare) dropLocked() {
	if r.f != nil {
		_ = r.f.Close()
		r.f = nil
	}
}

// reset closes a connection so that the system keeps nothing of it.
func reset(c net.Conn) {
	if l, ok := c.(interface{ SetLinger(sec int) error }); ok {
		_ = l.SetLinger(0)
	}
	_ = c.Close()
}

// addrPort returns the address of IP networks, the zero one of others.
func addrPort(a net.Addr) netip.AddrPort {
	if ip, ok := a.(interface{ AddrPort() netip.AddrPort }); ok {
		p := ip.AddrPort()
		return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
	}
	return netip.AddrPort{}
}
