// SPDX-License-Identifier: Apache-2.0

package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"time"

	"github.com/skybus-io/skybus/channel"
	"github.com/skybus-io/skybus/relay/link"
	"github.com/skybus-io/skybus/relay/wire"
)

const (
	readBuffer     = 256 << 10 // bytes
	maxConnections = 16        // to one host
	minBackoff     = 50 * time.Millisecond
	maxBackoff     = 2 * time.Second
)

// A conn is one numbered connection with another host: of a dialled one, over all
// its reconnections; of an accepted one, until it ends. The side that dials is the
// origin of the lanes that the connection carries.
type conn struct {
	d      *Daemon
	host   string // the other side; empty until an accepted one has said so
	number int
	of     int
	dials  bool

	touched bool // the pump's: its turn ends with a flush

	mu     sync.Mutex // guards all below, and the lanes' sources
	sess   *link.Session
	sock   *sock
	busy   bool // somebody writes
	out    link.Out
	timer  *time.Timer
	timed  int64
	lanes  map[*lane]bool // of a dialled one
	lent   []*lane        // they were ready while somebody wrote
	newest uint64         // incarnation of the other side
	state  string
	since  time.Time
	last   error // why it is not up
	sum    link.Stats
	ups    int
	addr   string
}

// States of a conn.
const (
	stateConnecting = "connecting"
	stateUp         = "up"
	stateRefused    = "refused"
)

// now is the clock of the sessions, in nanoseconds.
func (d *Daemon) now() int64 { return int64(time.Since(d.began)) + d.epoch }

// run gives the conn a session over s and serves it until it ends. peer is the
// name that the other side's certificate has, if any.
func (c *conn) run(s *sock, peer string) error {
	cfg := link.Config{
		Hello: c.d.hello(c.host, c.number, max(c.of, 1)), Direct: s.direct(), Answers: !c.dials,
		Payload: c.d.c.Limits.Frame, InFlight: c.d.c.Limits.InFlight, Handshake: int64(c.d.c.Limits.Handshake),
	}
	c.mu.Lock()
	c.sess, c.sock = link.New(&cfg, &host{c: c, peer: peer}, c.d.now()), s
	for l := range c.lanes {
		c.openLocked(l)
	}
	c.timer = time.AfterFunc(time.Hour, c.flush)
	c.timed = math.MaxInt64
	c.mu.Unlock()
	c.flush()
	err := c.read(s)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timer.Stop()
	for c.busy { // whoever writes refers to the lanes
		c.mu.Unlock()
		s.Close()
		time.Sleep(time.Millisecond)
		c.mu.Lock()
	}
	if over := c.sess.Err(); over != nil {
		err = over
	}
	if c.out.Reset(); c.sess.Err() != nil { // else the connection broke, and there is nobody to tell
		c.sess.Output(&c.out, c.d.now())
	}
	c.sess.Close()
	c.sum = addStats(c.sum, c.sess.Stats())
	c.sess, c.sock = nil, nil
	clear(c.lent)
	c.lent = c.lent[:0]
	for l := range c.lanes {
		l.stream = nil
	}
	c.mu.Unlock()
	c.lastWords(s) // nothing of a lane is among them
	c.mu.Lock()
	return err
}

// lastWords sends what the session has said in the end. Without mu.
func (c *conn) lastWords(s *sock) {
	if len(c.out.Segments) > 0 {
		_ = s.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		if s.writeAll(c.out.Segments) == nil {
			s.hangUp()
		}
	}
	s.Close()
}

// read feeds the session until the connection or the session ends.
func (c *conn) read(s *sock) error {
	buf := make([]byte, readBuffer)
	have := 0
	for {
		n, err := s.Read(buf[have:])
		if have += n; n > 0 {
			c.mu.Lock()
			used, ierr := c.sess.Input(buf[:have], c.d.now())
			c.note()
			c.mu.Unlock()
			have = copy(buf, buf[used:have])
			if ierr != nil {
				return ierr
			}
			c.flush()
		}
		if err != nil {
			return err
		}
	}
}

// note remembers that the connection has come up. With mu held.
func (c *conn) note() {
	if c.state != stateUp && c.sess.Up() {
		c.state, c.since, c.last = stateUp, time.Now(), nil
		c.ups++
		c.d.log.Info("link is up", "host", c.host, "connection", c.number, "address", c.sock.RemoteAddr().String(), "dialled", c.dials)
	}
}

// flush writes what the session has to say, unless somebody does so already, who
// then sees to it. It does not wait for the socket: what that does not take at
// once a goroutine of its own writes.
func (c *conn) flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.giveBack()
	for c.sess != nil {
		now := c.d.now()
		next, err := c.sess.Tick(now) // also while somebody writes: to a peer that is gone that takes long
		if err != nil {
			c.sock.Close() // read returns, and run ends
			return
		}
		if c.busy {
			return
		}
		if !c.sess.Pending(now) {
			c.arm(next, now)
			return
		}
		c.sess.Output(&c.out, now)
		if len(c.out.Segments) == 0 {
			c.arm(next, now)
			return
		}
		c.busy = true
		s := c.sock
		c.mu.Unlock()
		rest, more, err := s.try(c.out.Segments)
		c.mu.Lock()
		if err == nil && more {
			go c.writeRest(s, rest)
			return
		}
		if c.busy = false; err != nil {
			s.Close()
			return
		}
	}
}

// giveBack has the pump look after the lanes again that it has lent. With mu held.
func (c *conn) giveBack() {
	if len(c.lent) > 0 && !c.busy {
		for _, l := range c.lent {
			c.d.again(l)
		}
		clear(c.lent)
		c.lent = c.lent[:0]
	}
}

func (c *conn) writeRest(s *sock, rest [][]byte) {
	err := s.writeAll(rest)
	c.mu.Lock()
	c.busy = false
	c.mu.Unlock()
	if err != nil {
		s.Close()
		return
	}
	c.flush()
}

// arm sets the timer to when the session wants to be asked. With mu held.
func (c *conn) arm(next, now int64) {
	if next != c.timed {
		c.timed = next
		c.timer.Reset(time.Duration(max(next-now, 0)))
	}
}

// openLocked begins the stream of a lane if there is a session. With mu held.
func (c *conn) openLocked(l *lane) {
	if c.sess != nil {
		l.stream = c.sess.Open(l.source, l.Src, l.Dst, l.rule.Priority, releaseOf(l.rule.Release))
		l.stream.Owner = l
		l.retry = time.Time{}
	}
}

// dial keeps the connection up until ctx ends.
func (c *conn) dial(ctx context.Context) {
	defer c.d.done.Done()
	backoff := minBackoff
	for ctx.Err() == nil {
		ups := c.ups
		err := c.dialOnce(ctx)
		if ctx.Err() != nil {
			return
		}
		if c.ups > ups {
			backoff = minBackoff
		}
		c.failed(err)
		// A refusal is no reason to wait for longer: in a cluster the other side may hear of this host any moment.
		wait := backoff/2 + rand.N(backoff)
		backoff = min(2*backoff, maxBackoff)
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

func (c *conn) dialOnce(ctx context.Context) error {
	dialer := net.Dialer{Timeout: c.d.c.Limits.Handshake}
	nc, err := dialer.DialContext(ctx, "tcp", c.addr)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { c.leave(nc) })
	defer stop()
	s, err := newSock(nc.(*net.TCPConn))
	if err != nil {
		return errors.Join(err, nc.Close())
	}
	peer := ""
	if t := c.d.c.TLS; t != nil {
		s, peer, err = c.d.handshake(s, func(nc net.Conn) *tls.Conn { return tls.Client(nc, t.Client(c.host)) })
		if err != nil {
			return err
		}
	}
	return c.run(s, peer)
}

// leave ends the connection in good order: the daemon stops.
func (c *conn) leave(nc net.Conn) {
	c.mu.Lock()
	if c.sess != nil {
		c.sess.End(wire.Notice{Code: wire.CodeStopping, Text: "host " + c.d.c.Host})
	}
	c.mu.Unlock()
	_ = nc.SetReadDeadline(time.Now()) // read returns, and run says the last words
}

// handshake makes TLS of s, or ends it.
func (d *Daemon) handshake(s *sock, wrap func(net.Conn) *tls.Conn) (*sock, string, error) {
	sec, tc := s.secure(wrap)
	_ = s.SetDeadline(time.Now().Add(d.c.Limits.Handshake))
	err := tc.Handshake()
	peer := ""
	if err == nil {
		peer, err = d.c.TLS.PeerName(tc.ConnectionState())
	}
	if err != nil {
		return nil, "", errors.Join(fmt.Errorf("TLS: %w", err), s.Close())
	}
	sec.gather.keep()
	return sec, peer, s.SetDeadline(time.Time{})
}

// failed notes why the connection is not up, and tells the log when that is news.
func (c *conn) failed(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	state := stateConnecting
	if errors.As(err, new(*link.RefusedError)) {
		state = stateRefused
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = errors.New("the other side has closed it")
	}
	if news := c.last == nil || c.last.Error() != err.Error() || c.state != state; news {
		c.d.log.Warn("link is down", "host", c.host, "connection", c.number, "address", c.addr, "state", state, "error", err.Error())
	}
	c.state, c.last = state, err
}

// accept serves what comes in until the listener is closed.
func (d *Daemon) accept(ctx context.Context, ln net.Listener) {
	defer d.done.Done()
	for {
		nc, err := ln.Accept()
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			d.log.Warn("a connection could not be accepted", "error", err.Error())
			select { // no descriptors, mostly
			case <-ctx.Done():
				return
			case <-time.After(100 * time.Millisecond):
			}
			continue
		}
		if d.guests.Add(1) > int64(d.c.Limits.Accepted) {
			d.guests.Add(-1)
			d.refused(nc.RemoteAddr().String(), "", fmt.Errorf("there are %d connections, the most", d.c.Limits.Accepted))
			nc.Close()
			continue
		}
		d.done.Add(1)
		go d.serve(ctx, nc.(*net.TCPConn))
	}
}

// serve serves one connection from another host.
func (d *Daemon) serve(ctx context.Context, nc *net.TCPConn) {
	defer d.done.Done()
	defer d.guests.Add(-1)
	c := &conn{d: d, state: stateConnecting, addr: nc.RemoteAddr().String()}
	stop := context.AfterFunc(ctx, func() { c.leave(nc) })
	defer stop()
	s, err := newSock(nc)
	peer := ""
	if t := d.c.TLS; err == nil && t != nil {
		s, peer, err = d.handshake(s, func(nc net.Conn) *tls.Conn { return tls.Server(nc, t.Server) })
	}
	if err == nil {
		err = c.run(s, peer)
	}
	nc.Close()
	d.removeGuest(c)
	switch {
	case ctx.Err() != nil:
	case errors.Is(err, link.ErrAnswered):
		d.log.Info("a host has asked where the cluster is", "host", c.host, "address", c.addr)
	case c.state == stateUp:
		if errors.Is(err, io.EOF) || errors.Is(err, os.ErrDeadlineExceeded) {
			err = errors.New("the other side has closed it")
		}
		d.log.Info("link from a host is down", "host", c.host, "connection", c.number, "address", c.addr, "error", err.Error())
	default:
		d.refused(c.addr, c.host, err)
	}
}

// refused tells of a connection that was not let in, at most ten times a second.
func (d *Daemon) refused(address, host string, err error) {
	d.refusals.Add(1)
	if d.tell.take(time.Now()) {
		d.log.Warn("a connection was refused", "address", address, "host", host, "error", err.Error(), "refused", d.refusals.Load())
	}
}

// A bucket lets a number of things happen in a second.
type bucket struct {
	mu   sync.Mutex
	rate float64
	have float64
	at   time.Time
}

func (b *bucket) take(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.at.IsZero() {
		b.have = min(b.rate, b.have+b.rate*now.Sub(b.at).Seconds())
	}
	if b.at = now; b.have < 1 {
		return false
	}
	b.have--
	return true
}

func newBucket(rate int) *bucket { return &bucket{rate: float64(rate), have: float64(rate)} }

func addStats(a, b link.Stats) link.Stats {
	a.SentMessages += b.SentMessages
	a.SentBytes += b.SentBytes
	a.ReceivedMessages += b.ReceivedMessages
	a.ReceivedBytes += b.ReceivedBytes
	a.Resent += b.Resent
	a.Duplicates += b.Duplicates
	a.Stale += b.Stale
	a.Stalls += b.Stalls
	a.GapsSent += b.GapsSent
	a.GapsReceived += b.GapsReceived
	a.RTT, a.InFlight, a.Streams, a.Inbound = b.RTT, b.InFlight, b.Streams, b.Inbound
	return a
}

var _ link.Source = (*channel.Source)(nil)
