// SPDX-License-Identifier: Apache-2.0

package etcdtest

import (
	"net"
	"sync"
	"testing"
	"time"
)

// A Proxy carries TCP connections to a server, until it is told to cut, to stall or to delay them. Any goroutine may
// call its methods.
type Proxy struct {
	ln net.Listener
	to string
	wg sync.WaitGroup

	mu      sync.Mutex
	conns   map[net.Conn]bool
	refuse  bool
	down    bool          // the server is stopped
	delay   time.Duration // of what is read at once, in each direction
	stalled chan struct{} // closed when bytes pass again; nil: they do
	closed  bool
}

// NewProxy starts one.
func NewProxy(t testing.TB, to string) *Proxy {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{ln: ln, to: to, conns: map[net.Conn]bool{}}
	p.wg.Go(p.accept)
	return p
}

// Addr is where it listens.
func (p *Proxy) Addr() string { return p.ln.Addr().String() }

// Cut ends all connections, and new ones at once, until Mend.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = true
	p.dropLocked()
}

func (p *Proxy) dropLocked() {
	for c := range p.conns {
		_ = c.Close()
	}
}

// serves says whether the server runs. One that ends takes its connections along, as if it were killed.
func (p *Proxy) serves(yes bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = !yes
	if p.down {
		p.dropLocked()
	}
}

// Delay has bytes come later, in each direction, until Mend.
func (p *Proxy) Delay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// Stall lets connections be, and no byte pass, until Mend.
func (p *Proxy) Stall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stalled == nil {
		p.stalled = make(chan struct{})
	}
}

// Mend has everything pass again.
func (p *Proxy) Mend() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse, p.delay = false, 0
	if p.stalled != nil {
		close(p.stalled)
		p.stalled = nil
	}
}

// Close ends the proxy.
func (p *Proxy) Close() {
	_ = p.ln.Close()
	p.Mend()
	p.mu.Lock()
	p.closed = true
	p.dropLocked()
	p.mu.Unlock()
	p.wg.Wait()
}

func (p *Proxy) accept() {
	for {
		c, err := p.ln.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.serve(c) })
	}
}

func (p *Proxy) serve(c net.Conn) {
	defer c.Close()
	d, err := net.DialTimeout("tcp", p.to, 5*time.Second)
	if err != nil {
		return
	}
	defer d.Close()
	p.mu.Lock()
	if p.refuse || p.down || p.closed {
		p.mu.Unlock()
		return
	}
	p.conns[c], p.conns[d] = true, true
	p.mu.Unlock()
	var one sync.WaitGroup
	one.Go(func() { p.carry(c, d) })
	p.carry(d, c)
	one.Wait()
	p.mu.Lock()
	delete(p.conns, c)
	delete(p.conns, d)
	p.mu.Unlock()
}

// carry copies one direction, and ends both.
func (p *Proxy) carry(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		p.mu.Lock()
		stalled, delay := p.stalled, p.delay
		p.mu.Unlock()
		time.Sleep(delay)
		if stalled != nil {
			<-stalled
		}
		if n > 0 {
			if _, werr := to.Write(b[:n]); werr != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
