// SPDX-License-Identifier: Apache-2.0

package conn

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/skybus-io/skybus/actor"
)

const (
	maxDatagram  = 65507 // bytes that a UDP datagram has at most
	datagramCost = 64    // what one counts beside its bytes
)

// A PacketConn is a UDP socket of a service. Methods that have an actor.Context are for handlers of that: others get
// ErrNotOwner. The rest may be called by any goroutine.
type PacketConn struct {
	uc     *net.UDPConn
	keeper atomic.Pointer[keeper]
	in     datagrams
	out    datagrams
}

// datagrams wait in one direction.
type datagrams struct {
	line

	queue []Datagram
	bytes int // of queue
	limit int
	busy  bool // a goroutine sends
	err   error
	over  error
	stats struct{ done, dropped uint64 }
}

// A Datagram is what ReadFrom returns and WriteTo sends.
type Datagram struct {
	Data []byte
	Addr netip.AddrPort // the peer's
}

// ListenPacket opens a UDP socket at HOST:PORT for the handler's service; ":0" is a free port, for clients. Errors: the address, what
// the system says.
func ListenPacket(c *actor.Context, address string) (*PacketConn, error) {
	return Config{}.ListenPacket(c, address)
}

// ListenPacket is the function ListenPacket with a Config, of which the limits matter: what comes while
// ReadLimit bytes wait is dropped and counted (PacketStats).
func (g Config) ListenPacket(c *actor.Context, address string) (*PacketConn, error) {
	v, err := work(c, func(ctx context.Context) (any, error) {
		var lc net.ListenConfig
		return lc.ListenPacket(ctx, "udp", address)
	}, func(v any) { v.(net.PacketConn).Close() })
	if err != nil {
		return nil, fmt.Errorf("listen for datagrams at %q: %w", address, err)
	}
	g = g.filled()
	p := &PacketConn{uc: v.(*net.UDPConn)}
	p.in.limit, p.out.limit = g.ReadLimit, g.WriteLimit
	k, err := keepFor(c, p)
	if err != nil {
		p.uc.Close()
		return nil, fmt.Errorf("listen for datagrams at %q: %w", address, err)
	}
	p.keeper.Store(k)
	go p.fill()
	return p, nil
}

// fill reads the socket until it is closed.
func (p *PacketConn) fill() {
	buf := make([]byte, maxDatagram+1)
	for {
		size, from, err := p.uc.ReadFromUDPAddrPort(buf)
		if p.in.ends() {
			return
		}
		if err != nil { // of one that was sent, perhaps: the socket is sound
			p.in.failed(err)
			time.Sleep(time.Millisecond)
			continue
		}
		p.in.came(Datagram{Data: append([]byte(nil), buf[:size]...), Addr: netip.AddrPortFrom(from.Addr().Unmap(), from.Port())})
	}
}

func (d *datagrams) ends() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.over != nil
}

func (d *datagrams) failed(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err = err
}

// room reports whether one of size bytes may wait. With mu held, here and in push and shift.
func (d *datagrams) room(size int) bool {
	return len(d.queue) == 0 || d.bytes+size+datagramCost <= d.limit
}

func (d *datagrams) push(g Datagram) {
	d.queue = append(d.queue, g)
	d.bytes += len(g.Data) + datagramCost
}

func (d *datagrams) shift() Datagram {
	g := d.queue[0]
	d.queue[0] = Datagram{}
	if d.queue = d.queue[1:]; len(d.queue) == 0 {
		d.queue = nil
	}
	d.bytes -= len(g.Data) + datagramCost
	return g
}

// came keeps a datagram, or drops it: the newest goes, as in the kernel.
func (d *datagrams) came(g Datagram) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.room(len(g.Data)) {
		d.stats.dropped++
		return
	}
	d.stats.done++
	d.push(g)
	d.wake()
}

// ReadFrom returns the next datagram, and waits for it. Its bytes are the caller's. Handlers are served in the order in which they came. Errors: those of
// a wait.
func (p *PacketConn) ReadFrom(c *actor.Context) (g Datagram, err error) {
	d := &p.in
	err = p.do(c, d, &when{
		is: func() bool { return d.over != nil || len(d.queue) > 0 },
		do: func() {
			if d.over == nil {
				g = d.shift()
			}
		},
	})
	if err != nil {
		return Datagram{}, fmt.Errorf("read a datagram at %v: %w", p.LocalAddr(), err)
	}
	return g, nil
}

// WriteTo sends b, which is the caller's again afterwards. It waits while Config.WriteLimit bytes are queued, and not for the socket: what that does
// not take is counted. Errors: more than 65,507 bytes; those of a wait.
func (p *PacketConn) WriteTo(c *actor.Context, b []byte, to netip.AddrPort) error {
	d := &p.out
	err := p.sendable(b, to)
	if err == nil {
		err = p.do(c, d, &when{
			is: func() bool { return d.over != nil || d.room(len(b)) },
			do: func() {
				if d.over != nil {
					return
				}
				d.push(Datagram{Data: append([]byte(nil), b...), Addr: to})
				if !d.busy {
					d.busy = true
					go p.flush()
				}
			},
		})
	}
	if err != nil {
		return fmt.Errorf("write a datagram to %v: %w", to, err)
	}
	return nil
}

func (p *PacketConn) sendable(b []byte, to netip.AddrPort) error {
	switch {
	case len(b) > maxDatagram:
		return fmt.Errorf("%d bytes: %w of %d", len(b), ErrTooLong, maxDatagram)
	case !to.IsValid():
		return fmt.Errorf("no address")
	}
	return nil
}

// do is line.do for a handler of the owner. The error is also why the socket is closed.
func (p *PacketConn) do(c *actor.Context, d *datagrams, w *when) error {
	k := p.keeper.Load()
	if k.owner != c.Self() {
		return fmt.Errorf("%w: %v", ErrNotOwner, k.owner)
	}
	var over error
	take := w.do
	w.do = func() {
		over = d.over
		take()
	}
	if err := d.do(c, k, &waiter{want: w}); err != nil {
		return err
	}
	return over
}

// flush sends what is queued.
func (p *PacketConn) flush() {
	for {
		g, ok := p.out.next()
		if !ok {
			return
		}
		_, err := p.uc.WriteToUDPAddrPort(g.Data, g.Addr)
		p.out.sent(err)
	}
}

// next takes what is to be sent; not ok: there is nothing, and flush ends.
func (d *datagrams) next() (g Datagram, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.queue) == 0 || d.over != nil {
		d.busy = false
		return g, false
	}
	g = d.shift()
	d.wake()
	return g, true
}

func (d *datagrams) sent(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil {
		d.stats.dropped++
		d.err = err
		return
	}
	d.stats.done++
}

// LocalAddr returns where it listens.
func (p *PacketConn) LocalAddr() netip.AddrPort {
	return p.uc.LocalAddr().(*net.UDPAddr).AddrPort()
}

// SetReadDeadline has ReadFrom end with os.ErrDeadlineExceeded at t where it waits; the zero time: never.
func (p *PacketConn) SetReadDeadline(t time.Time) { p.in.setDeadline(t) }

// PacketStats are datagrams since the socket was opened.
type PacketStats struct {
	Read, Dropped   uint64 // that have come: queued for handlers, and thrown away because ReadLimit was reached
	Written, Failed uint64 // that were to go: sent, and refused by the system
	Last            error  // the last error of the system
}

// Stats returns the counters. What the kernel has dropped before is not among them.
func (p *PacketConn) Stats() (s PacketStats) {
	p.in.mu.Lock()
	s.Read, s.Dropped, s.Last = p.in.stats.done, p.in.stats.dropped, p.in.err
	p.in.mu.Unlock()
	p.out.mu.Lock()
	defer p.out.mu.Unlock()
	s.Written, s.Failed = p.out.stats.done, p.out.stats.dropped
	if p.out.err != nil {
		s.Last = p.out.err
	}
	return s
}

// Close closes the socket: whoever waits gets net.ErrClosed, and what is queued is dropped. A second Close does nothing.
func (p *PacketConn) Close() { p.end(net.ErrClosed) }

// drain has ReadFrom end: who waits for datagrams waits for ever. Those to be sent still are.
func (p *PacketConn) drain() { p.in.finish(errDrains) }

func (p *PacketConn) end(why error) {
	p.in.finish(why)
	p.out.finish(why)
	p.uc.Close()
	if k := p.keeper.Load(); k != nil {
		k.remove(p)
	}
}

// finish ends all waits, and those to come, of the first reason.
func (d *datagrams) finish(why error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over == nil {
		d.over = why
	}
	d.stopTimer()
	d.wakeAll()
}
