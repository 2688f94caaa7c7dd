// SPDX-License-Identifier: Apache-2.0

package local

import (
	"context"
	cryptorand "crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"path/filepath"
	"sync"
	"time"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/cluster"
)

// Backoff between attempts to connect: doubled each time, half of it by chance.
const (
	minBackoff = 20 * time.Millisecond
	maxBackoff = time.Second
)

// Options are those of a client. The zero Options are of use.
type Options struct {
	// Addr is an address that this process has bound, if any. When the process dies its
	// leases then end at once, and not with their TTL.
	Addr addr.Addr
	// Patience is how long the engine may be silent before the connection is given up, and
	// a new one is made; 3 s.
	Patience time.Duration
	Logger   *slog.Logger // nil: nothing is logged
}

// A Client is a cluster.Provider whose engine is in skybusd of this host, or in this process.
type Client struct {
	o     Options
	name  string
	where string
	dial  func(context.Context) (net.Conn, error)
	ctx   context.Context
	stop  context.CancelFunc
	done  sync.WaitGroup
	up    func() // at its end

	mu     sync.Mutex
	link   *link         // nil: there is none
	change chan struct{} // closed when link is another one
	life   uint64        // of the last link, as are term and host
	term   uint64
	host   string
	heard  time.Time // the last time, of links that were
	last   error     // why there is no link
	leases map[*lease]bool
	closed bool
}

var (
	_ cluster.Provider = (*Client)(nil)
	_ cluster.Adopter  = (*Client)(nil)
	_ cluster.Keeper   = (*lease)(nil)
)

// Dial returns a client of the engine that serves the domain in folder. It returns at once: a
// daemon that is not there yet is waited for by whoever asks something, and logged. The
// client makes goroutines, which Close ends. Errors: of a folder whose name is empty.
func Dial(folder string, o Options) (*Client, error) {
	if folder == "" {
		return nil, errors.New("cluster engine: want the domain's folder, got an empty name")
	}
	path := filepath.Join(folder, Socket)
	d := &net.Dialer{}
	return newClient(path, o, func(ctx context.Context) (net.Conn, error) { return d.DialContext(ctx, "unix", path) }, func() {}), nil
}

// Provider returns a client of an engine in this process. It must be closed before the engine is.
func (e *Engine) Provider(o Options) *Client {
	return inProcess(e.server(ServerConfig{Logger: o.Logger}), o)
}

func inProcess(s *Server, o Options) *Client {
	return newClient("this process", o, func(context.Context) (net.Conn, error) {
		here, there := net.Pipe()
		s.admit(there)
		return here, nil
	}, s.Close)
}

func newClient(where string, o Options, dial func(context.Context) (net.Conn, error), up func()) *Client {
	if o.Patience <= 0 {
		o.Patience = 3 * cluster.Heartbeat
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	c := &Client{
		o: o, name: cryptorand.Text(), where: where, dial: dial, up: up, heard: time.Now(),
		change: make(chan struct{}), leases: map[*lease]bool{},
	}
	c.ctx, c.stop = context.WithCancel(context.Background())
	c.done.Add(1)
	go c.run()
	return c
}

// run keeps a connection.
func (c *Client) run() {
	defer c.done.Done()
	backoff, said := minBackoff, false
	for c.ctx.Err() == nil {
		began, err := c.live()
		if began {
			backoff, said = minBackoff, false
		}
		if c.ctx.Err() != nil {
			return
		}
		if !said {
			c.o.Logger.Warn("waiting for the cluster engine", "at", c.where, "err", err)
			said = true
		}
		select {
		case <-time.After(backoff/2 + rand.N(backoff)):
		case <-c.ctx.Done():
		}
		backoff = min(2*backoff, maxBackoff)
	}
}

// live makes a connection and stays with it to its end; it says whether it came about.
func (c *Client) live() (began bool, err error) {
	defer func() {
		c.mu.Lock()
		c.last = err
		c.mu.Unlock()
	}()
	ctx, stop := context.WithTimeout(c.ctx, c.o.Patience)
	conn, err := c.dial(ctx)
	stop()
	if err != nil {
		return false, err
	}
	unblock := context.AfterFunc(c.ctx, func() { conn.Close() })
	defer unblock()
	l, r, err := greet(conn, frame{Op: opHello, Version: version, Client: c.name, Addr: uint32(c.o.Addr)}, c.o.Patience)
	if err != nil {
		conn.Close()
		return false, err
	}
	c.use(l)
	c.done.Add(1)
	go func() {
		defer c.done.Done()
		l.ping(c.ctx, c.o.Patience)
	}()
	l.read(r, c.o.Patience)
	c.drop(l)
	return true, l.reason()
}

// use puts a link in force. In another life of the engine, or another term of a replica, the leases are
// lost; else they are renewed at once, as they may be new to who answers.
func (c *Client) use(l *link) {
	c.mu.Lock()
	var lost []*lease
	again := c.life != 0
	anew := again && (c.life != l.life || c.term != l.term)
	for le := range c.leases {
		if anew {
			lost = append(lost, le)
			continue
		}
		select {
		case le.again <- struct{}{}:
		default:
		}
	}
	c.link, c.life, c.term, c.host, c.last = l, l.life, l.term, l.host, nil
	close(c.change)
	c.change = make(chan struct{})
	c.mu.Unlock()
	for _, le := range lost {
		le.lose()
	}
	switch {
	case len(lost) > 0:
		c.o.Logger.Warn("the cluster engine has begun anew, or has lost the leases", "at", c.where)
	case again:
		c.o.Logger.Info("the cluster engine is back", "at", c.where)
	}
}

func (c *Client) drop(l *link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.link, c.heard = nil, time.Now().Add(-l.age())
	close(c.change)
	c.change = make(chan struct{})
}

// connected waits for a link. Errors: ErrClosed; ErrUnavailable with the context's error.
func (c *Client) connected(ctx context.Context) (*link, error) {
	for {
		c.mu.Lock()
		l, change, closed, last := c.link, c.change, c.closed, c.last
		c.mu.Unlock()
		switch {
		case closed:
			return nil, fmt.Errorf("cluster engine: %w", cluster.ErrClosed)
		case ctx.Err() != nil:
			return nil, c.unavailable(ctx, last)
		case l != nil:
			return l, nil
		}
		select {
		case <-change:
		case <-ctx.Done():
		case <-c.ctx.Done():
		}
	}
}

func (c *Client) unavailable(ctx context.Context, last error) error {
	if last != nil {
		return fmt.Errorf("%w: %s: %w: %w", cluster.ErrUnavailable, c.where, ctx.Err(), last)
	}
	return fmt.Errorf("%w: %s: %w", cluster.ErrUnavailable, c.where, ctx.Err())
}

// call asks the engine. A request that may be done twice is asked again when the connection
// breaks.
func (c *Client) call(ctx context.Context, q frame, again bool) (*frame, error) {
	for {
		l, err := c.connected(ctx)
		if err != nil {
			return nil, err
		}
		a, err := l.ask(ctx, q, c.o.Patience)
		switch {
		case err == nil && a.Code == codeUnavailable && again:
			c.rest(ctx)
		case err == nil:
			return a, a.failure()
		case errors.Is(err, errBroken) && again:
		case errors.Is(err, errBroken):
			return nil, fmt.Errorf("%w: %w; the batch may have been done", cluster.ErrUnavailable, err)
		case ctx.Err() != nil:
			return nil, c.unavailable(ctx, nil)
		default:
			return nil, err // the request is no frame
		}
	}
}

// rest waits a moment before a replica is asked again that does not reach its engine.
func (c *Client) rest(ctx context.Context) {
	select {
	case <-time.After(cluster.Heartbeat / 20):
	case <-ctx.Done():
	case <-c.ctx.Done():
	}
}

// goodbye is what ends all leases but those that are kept. With mu held.
func (c *Client) goodbye() (list []frame) {
	kept := false
	for le := range c.leases {
		if le.kept.Load() {
			kept = true
			continue
		}
		list = append(list, frame{Op: opRevoke, Lease: uint64(le.id)})
	}
	if !kept {
		return []frame{{Op: opLeave}} // also what was granted when nobody waited any more
	}
	return list
}

// Close revokes the leases, if the engine answers, and ends what waits.
func (c *Client) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	l, bye := c.link, c.goodbye()
	c.mu.Unlock()
	if l != nil {
		ctx, stop := context.WithTimeout(c.ctx, c.o.Patience)
		for _, q := range bye {
			_, _ = l.ask(ctx, q, c.o.Patience) // else they expire
		}
		stop()
	}
	c.mu.Lock()
	c.closed = true
	var leases []*lease
	for le := range c.leases {
		leases = append(leases, le)
	}
	c.mu.Unlock()
	c.stop()
	for _, le := range leases {
		le.lose()
	}
	c.done.Wait()
	c.up()
	return nil
}
