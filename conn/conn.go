// SPDX-License-Identifier: Apache-2.0

package conn

import (
	"crypto/tls"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/internal/sys"
)

// A Conn is a connection that belongs to a service. Methods that have an actor.Context are for
// handlers of that service: others get ErrNotOwner. The rest may be called by any goroutine.
type Conn struct {
	id     uint64
	nc     net.Conn
	raw    sys.RawConn // for writes that never wait; nil: there is none, as with TLS
	from   *Listener   // that has accepted it; nil: it was dialled, or adopted
	stays  atomic.Bool // see Keep
	keeper atomic.Pointer[keeper]
	rd     reader
	wr     writer
	over   ending
}

// ending is for those that wait for the end of a connection.
type ending struct {
	line

	closed bool
	why    error // nil: its service has closed it
	shut   bool  // and the socket is closed
}

// ids are given to connections, once each in a process.
var ids atomic.Uint64

func newConn(g Config, nc net.Conn, from *Listener) *Conn {
	n := &Conn{id: ids.Add(1), nc: nc, from: from}
	n.rd.limit, n.wr.limit = g.ReadLimit, g.WriteLimit
	n.rd.room.L = &n.rd.mu
	switch s := nc.(type) {
	case *net.TCPConn:
		n.raw, _ = s.SyscallConn()
	case *net.UnixConn:
		n.raw, _ = s.SyscallConn()
	}
	return n
}

// ID returns the connection's number, which no other one of this process gets.
func (n *Conn) ID() uint64 { return n.id }

// Find returns the connection of the handler's service that has a number: for answers that come
// back with that alone, as from whoever gets a Chunk.
func Find(c *actor.Context, id uint64) (*Conn, bool) {
	v, ok := keepers.Load(keeperKey{c.Runtime(), c.Self()})
	if !ok {
		return nil, false
	}
	k := v.(*keeper)
	k.mu.Lock()
	defer k.mu.Unlock()
	n, ok := k.byID[id]
	return n, ok
}

// NetConn returns what is below: a *tls.Conn tells of the peer's certificate. It must not be read, written
// or closed.
func (n *Conn) NetConn() net.Conn { return n.nc }

// LocalAddr and RemoteAddr are the socket's.
func (n *Conn) LocalAddr() net.Addr { return n.nc.LocalAddr() }

// RemoteAddr is the peer's.
func (n *Conn) RemoteAddr() net.Addr { return n.nc.RemoteAddr() }

// Owner returns the service that the connection belongs to.
func (n *Conn) Owner() actor.PID { return n.keeper.Load().owner }

// String is the number and the peer.
func (n *Conn) String() string {
	at := n.nc.RemoteAddr()
	if at == nil || at.String() == "" { // a Unix socket's peer has no name
		return fmt.Sprintf("connection %d", n.id)
	}
	return fmt.Sprintf("connection %d with %v", n.id, at)
}

// mine returns the keeper, if the handler is of the owner.
func (n *Conn) mine(c *actor.Context) (*keeper, error) {
	k := n.keeper.Load()
	if self := c.Self(); k.owner != self {
		return nil, fmt.Errorf("%w: %v", ErrNotOwner, k.owner)
	}
	k.watched(c)
	return k, nil
}

// failed says what was to be done.
func (n *Conn) failed(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %v: %w", what, n, err)
}

// Err returns why nothing comes any more, io.EOF or what the socket says, even if there are bytes that were not read yet; nil while
// something may come. A service sees so, before it asks, that a peer has gone.
func (n *Conn) Err() error {
	n.rd.mu.Lock()
	defer n.rd.mu.Unlock()
	if n.rd.over != nil {
		return n.rd.over
	}
	return n.rd.err
}

// Keep has a connection that was accepted stay open when the function given to Listen returns: until
// Close, or the end of its service.
func (n *Conn) Keep() { n.stays.Store(true) }

// Give gives the connection to another service of this process: to gets a message whose value is the *Conn. What has
// come and was not read is to's to read, what was written before is sent before. Deadlines are taken away.
// It waits while to's mailbox is full. If to ends before it handles the message the connection is closed.
// Errors: ErrBusy, those of Context.Send; then the connection stays here.
func (n *Conn) Give(c *actor.Context, to actor.PID) error {
	k, err := n.mine(c)
	if err == nil {
		err = n.give(c, k, to)
	}
	return n.failed(fmt.Sprintf("give %v", to), err)
}

func (n *Conn) give(c *actor.Context, k *keeper, to actor.PID) error {
	if self := c.Self(); to.Node.IsNone() {
		to.Node = self.Node // as the owner knows itself
	} else if to.Node != self.Node {
		return fmt.Errorf("%w: it is in another process", actor.ErrNoRemote)
	}
	if i, ok := c.Runtime().Info(to); !ok || i.Kind != "service" {
		return actor.ErrNoService
	}
	if n.isClosed() {
		return net.ErrClosed
	}
	if !n.rd.empty() || !n.wr.empty() || !n.over.empty() {
		return ErrBusy
	}
	n.rd.setDeadline(time.Time{})
	n.wr.setDeadline(time.Time{})
	next, err := keep(c.Runtime(), to, n)
	if err != nil {
		return err
	}
	n.keeper.Store(next)
	k.remove(n)
	if err = c.Send(to, n); err != nil {
		next.remove(n)
		if k.add(n) {
			n.keeper.Store(k)
		} else {
			n.end(errOwnerEnded)
		}
	}
	return err
}

// SetReadDeadline has reads that wait end with os.ErrDeadlineExceeded at t; the zero time: none.
// What they wait for stays.
func (n *Conn) SetReadDeadline(t time.Time) { n.rd.setDeadline(t) }

// SetWriteDeadline does that for Write, Flush and CloseWrite. What is queued is sent nevertheless.
func (n *Conn) SetWriteDeadline(t time.Time) { n.wr.setDeadline(t) }

// SetDeadline is both.
func (n *Conn) SetDeadline(t time.Time) {
	n.SetReadDeadline(t)
	n.SetWriteDeadline(t)
}

// Close closes the connection: whoever waits for it gets net.ErrClosed. What was written before is
// still sent in the background, for Linger at most; if the peer is still sending then its system
// may throw away what it has not read yet: where that matters call CloseWrite, and read until
// io.EOF. A second Close does nothing.
func (n *Conn) Close() { n.end(nil) }

// Abort closes the connection at once: what was written and not sent is lost, and a TCP peer gets a reset.
func (n *Conn) Abort() {
	below := n.nc
	if t, ok := below.(*tls.Conn); ok {
		below = t.NetConn() // without a goodbye
	}
	if s, ok := below.(*net.TCPConn); ok {
		_ = s.SetLinger(0) // it may be closed already
	}
	below.Close()
	n.wr.mu.Lock()
	n.wr.queue, n.wr.abort = nil, true
	n.wr.mu.Unlock()
	n.end(nil)
	n.shut()
}

// WaitClosed waits until the connection is closed, by whomever. Errors: that it has ended with its service; those of a wait.
func (n *Conn) WaitClosed(c *actor.Context) error {
	k, err := n.mine(c)
	if err != nil {
		return n.failed("wait for the end of", err)
	}
	var why error
	w := waiter{want: &when{func() bool { return n.over.closed }, func() { why = n.over.why }}}
	if err := n.over.do(c, k, &w); err != nil {
		return n.failed("wait for the end of", err)
	}
	return why
}

func (n *Conn) isClosed() bool {
	n.over.mu.Lock()
	defer n.over.mu.Unlock()
	return n.over.closed
}

// end is Close, of a reason. It is called by whoever comes first, and does not wait.
func (n *Conn) end(why error) {
	n.over.mu.Lock()
	first := !n.over.closed
	if first {
		n.over.closed, n.over.why = true, why
		n.over.stopTimer()
		n.over.wakeAll()
	}
	n.over.mu.Unlock()
	if !first {
		return
	}
	reason := why
	if reason == nil {
		reason = net.ErrClosed
	}
	n.rd.finish(reason)
	_ = n.nc.SetReadDeadline(time.Unix(1, 0)) // fill ends, also where the socket has to stay a while
	if n.finishWrites(reason) {
		_ = n.nc.SetWriteDeadline(time.Now().Add(Linger))
	} else {
		n.shut()
	}
	if k := n.keeper.Load(); k != nil {
		k.remove(n)
	}
}

// shut closes the socket, once. TLS says goodbye to its peer, for which it may have to wait.
func (n *Conn) shut() {
	n.over.mu.Lock()
	first := !n.over.shut
	n.over.shut = true
	n.over.mu.Unlock()
	if !first {
		return
	}
	if n.raw != nil {
		n.nc.Close()
	} else {
		go n.nc.Close()
	}
	if n.from != nil {
		n.from.gone()
	}
}

// drain has reads end that have nothing to go on with, if the peer has dialled.
func (n *Conn) drain() {
	if n.from != nil {
		n.rd.mu.Lock()
		defer n.rd.mu.Unlock()
		n.rd.drains = true
		n.rd.wakeAll()
	}
}

// Stats are what a connection has done and has to do, in bytes.
type Stats struct {
	Read, Written    uint64 // from and to the socket
	Buffered, Queued int    // read and not taken; written and not sent
}

// Stats returns the counters.
func (n *Conn) Stats() (s Stats) {
	n.rd.mu.Lock()
	s.Read, s.Buffered = n.rd.count, n.rd.have()
	n.rd.mu.Unlock()
	n.wr.mu.Lock()
	s.Written, s.Queued = n.wr.count, n.wr.queued()
	n.wr.mu.Unlock()
	return s
}
