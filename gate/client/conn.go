// SPDX-License-Identifier: Apache-2.0

package client

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skybus-io/skybus/gate/frame"
	"github.com/skybus-io/skybus/gate/queue"
	"github.com/skybus-io/skybus/gate/sock"
)

// A Link says what runs over a stream.
type Link struct {
	WebSocket bool   // the upgrade is done
	Text      bool   // WebSocket: text messages are sent; default binary. Both are received
	Deflate   bool   // WebSocket: permessage-deflate was negotiated, without context takeover in both directions
	Early     []byte // bytes of the stream that were read already; the Conn's from then on
}

// state is how far a connection has come.
type state uint8

const (
	open    state = iota
	closing       // nothing is queued or handed over any more, what is queued goes out
	ended         // nothing goes out any more
	away          // ended here, and given to somebody else
)

// A Conn is the connection of a client. Any goroutine may call its methods, at any time, but for those that
// say otherwise.
type Conn struct {
	set  *Setup
	sock *sock.Conn
	tls  *TLS       // nil: none
	ws   *webSocket // nil: packets are framed

	// Of the goroutine that reads.
	handler Handler // nil: packets are thrown away
	behind  *[]byte // what has come behind the packet that the handler has, before Authenticated
	rate    *limiter

	tidied uint32 // of Tidy

	known                       atomic.Bool  // Authenticated was called
	half                        atomic.Int64 // Now when half a packet came; 0: none
	packetsIn, bytesIn, batches atomic.Uint64

	// mu guards what follows. Nothing waits below it, and no function of the program is called.
	mu       sync.Mutex
	q        queue.Queue
	state    state
	serving  bool // Serve was called, or a goroutine reads for CloseAfterFlush
	alone    bool // the latter
	flushing bool // the flusher exists: nobody else writes
	shut     bool // closing: all is written, and the direction to the client ended
	eof      bool // the client has closed its side
	err      error
	done     chan struct{} // nil until somebody asks
	low      chan struct{} // closed when the queue is below the low mark; nil: nobody waits
	limit    *time.Timer   // of closing
	owner    any
}

// New makes a Conn of c, and takes it over: also if there is an error, when it is
// closed. c is a *TLS whose handshake is done, a *sock.Conn, a net.Conn with a descriptor (TCP, Unix), or any other
// net.Conn, which is joined to a pair of sockets by two goroutines. Deadlines of c are taken away.
func New(c net.Conn, s *Setup, l Link) (*Conn, error) {
	conn := &Conn{set: s}
	if t, ok := c.(*TLS); ok {
		conn.tls, conn.sock = t, t.stream.sock
	} else {
		var err error
		if conn.sock, err = sock.Of(c); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	if err := conn.prepare(l); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return conn, nil
}

func (c *Conn) prepare(l Link) error {
	if err := c.sock.SetDeadline(time.Time{}); err != nil {
		return err
	}
	if d := c.set.opt.UserTimeout; d > 0 {
		if err := c.sock.SetUserTimeout(d); err != nil {
			return err
		}
	}
	if c.tls != nil {
		c.tls.stream.own(c.Flush)
	}
	c.sock.SetRest(l.Early)
	c.q.Init(c.choose(l), &c.set.opt.Marks)
	if c.set.opt.Rate != (Rate{}) {
		c.rate = newLimiter(c.set.opt.Rate, Now())
	}
	return nil
}

// choose returns the form of packets to the client.
func (c *Conn) choose(l Link) *queue.Form {
	if !l.WebSocket {
		return c.set.plain
	}
	c.ws = &webSocket{text: l.Text, reader: frame.WSReader{Deflate: l.Deflate}}
	return webForm(l.Text, l.Deflate)
}

// link returns what New has been given, without bytes.
func (c *Conn) link() Link {
	if c.ws == nil {
		return Link{}
	}
	return Link{WebSocket: true, Text: c.ws.text, Deflate: c.ws.reader.Deflate}
}

// Authenticated says that the client is known: packets up to MaxPacket may come from now on, and
// all of one read at once.
func (c *Conn) Authenticated() { c.known.Store(true) }

// Setup returns that of New.
func (c *Conn) Setup() *Setup { return c.set }

// SetOwner keeps a value with the connection: what it belongs to.
func (c *Conn) SetOwner(v any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.owner = v
}

// Owner returns what SetOwner was given, nil before.
func (c *Conn) Owner() any {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.owner
}

// LocalAddr returns the address at this end.
func (c *Conn) LocalAddr() net.Addr { return c.sock.LocalAddr() }

// RemoteAddr returns the address at the client's end.
func (c *Conn) RemoteAddr() net.Addr { return c.sock.RemoteAddr() }

// Now returns the time that this package uses: nanoseconds since the program began, above 0.
func Now() int64 { return int64(time.Since(start)) + 1 }

var start = time.Now()
