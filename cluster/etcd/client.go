// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/skybus-io/skybus/cluster"
)

// Options say where etcd is. Cluster and Endpoints must be given.
type Options struct {
	Cluster   string      // the cluster's name, which the life key has
	Endpoints []string    // HOST:PORT of the servers
	TLS       *tls.Config // nil: without
	// User and Password are for an etcd that wants them.
	User, Password string
	// Patience is how long a server may be silent before another one is asked; 3 s.
	Patience time.Duration
	Logger   *slog.Logger // nil: nothing is logged
}

func (o Options) withDefaults() Options {
	if o.Patience <= 0 {
		o.Patience = 3 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// A Client is a cluster.Provider. Any goroutine may call its methods.
type Client struct {
	o       Options
	lifeKey string
	lines   *lines
	ctx     context.Context
	stop    context.CancelFunc
	done    sync.WaitGroup
	look    chan struct{} // wants a beat now
	survey  chan struct{} // wants the members' versions

	mu       sync.Mutex
	c        *clientv3.Client // nil until it could be made
	urls     []string         // of the servers
	life     life
	another  chan struct{}   // closed when the life is another one
	heard    time.Time       // when etcd has answered last
	revision uint64          // that it had then, or later
	last     error           // why it does not, an ErrUnavailable; nil: it does
	change   chan struct{}   // closed when heard, last or life change
	members  map[uint64]bool // by number: whether what it says of progress is true
	surveyed time.Time       // when one was asked last
	watches  map[*watch]bool
	leases   map[*lease]bool
	closed   bool
}

var (
	_ cluster.Provider = (*Client)(nil)
	_ cluster.Adopter  = (*Client)(nil)
	_ cluster.Keeper   = (*lease)(nil)
)

// Dial returns a client. It does not wait for etcd. Errors: options that make no sense. It makes goroutines, and wants a
// Close.
func Dial(o Options) (*Client, error) {
	o = o.withDefaults()
	if o.Cluster == "" || strings.ContainsAny(o.Cluster, "/ ") {
		return nil, fmt.Errorf("etcd: cluster %q: want a name without slashes and spaces", o.Cluster)
	}
	c := &Client{
		o: o, lifeKey: "/skybus/" + o.Cluster + "/life", lines: newLines(), look: make(chan struct{}, 1), survey: make(chan struct{}, 1),
		another: make(chan struct{}), change: make(chan struct{}), members: map[uint64]bool{}, watches: map[*watch]bool{}, leases: map[*lease]bool{},
		heard: time.Now(), last: fmt.Errorf("%w: it has not answered yet", cluster.ErrUnavailable),
	}
	var err error
	if c.urls, err = checkEndpoints(o.Endpoints, o.TLS); err != nil {
		return nil, err
	}
	c.ctx, c.stop = context.WithCancel(context.Background())
	c.done.Go(c.pulse)
	c.done.Go(c.surveys)
	return c, nil
}

// Close gives the leases back if etcd is there, and ends what waits.
func (c *Client) Close() error {
	c.mu.Lock()
	again := c.closed
	c.closed = true
	reached := c.last == nil
	var leases []*lease
	for l := range c.leases {
		leases = append(leases, l)
	}
	c.mu.Unlock()
	if again {
		return nil
	}
	if reached && len(leases) > 0 {
		ctx, stop := context.WithTimeout(c.ctx, cluster.Heartbeat)
		for _, l := range leases {
			if !l.kept.Load() {
				_, _ = c.c.Revoke(ctx, clientv3.LeaseID(l.id)) // else it expires
			}
		}
		stop()
	}
	c.stop()
	c.done.Wait()
	if made := c.etcd(); made != nil {
		_ = made.Close() // it has no more than that its context is over
	}
	return nil
}

// SetEndpoints has the client ask other servers of the same etcd cluster from now on. Errors: endpoints that Dial
// refuses; then nothing is changed.
func (c *Client) SetEndpoints(endpoints []string) error {
	urls, err := checkEndpoints(endpoints, c.o.TLS)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.urls = urls
	if c.c != nil {
		c.c.SetEndpoints(urls...)
	}
	return nil
}

// servers are the URLs of the servers that are asked now.
func (c *Client) servers() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.urls
}

// bound returns a context that is over when the caller's is, or the client is closed.
func (c *Client) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(c.ctx, func() { cancel(cluster.ErrClosed) })
	return ctx, func() {
		stop()
		cancel(context.Canceled)
	}
}

// why is the error of a call whose context is over; last is that of its last attempt, nil if there is none.
func (c *Client) why(ctx context.Context, last error) error {
	if c.ctx.Err() != nil || c.isClosed() {
		return fmt.Errorf("etcd: %w", cluster.ErrClosed)
	}
	if last == nil || status.Code(last) == codes.Canceled || errors.Is(last, context.Canceled) {
		c.mu.Lock()
		last = c.last
		c.mu.Unlock()
	} else {
		last = explain(last)
	}
	if last == nil {
		last = cluster.ErrUnavailable
	}
	return fmt.Errorf("etcd: %w: %w", ctx.Err(), last)
}

func (c *Client) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// note takes down that etcd has answered, or why it has not.
func (c *Client) note(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	was := c.last
	if c.last = err; err == nil {
		c.heard = time.Now()
	}
	close(c.change)
	c.change = make(chan struct{})
	switch {
	case was != nil && err == nil:
		c.o.Logger.Info("etcd answers", "endpoints", c.urls)
	case was == nil && err != nil && c.ctx.Err() == nil:
		c.o.Logger.Warn("etcd does not answer", "endpoints", c.urls, "err", err)
	}
}

// saw takes down a revision that etcd has had in a life. A watch that has not told so much asks how far it is: others
// may wait for it.
func (c *Client) saw(l life, revision int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.life != l || uint64(revision) <= c.revision {
		return
	}
	c.revision = uint64(revision)
	for w := range c.watches {
		kick(w.behind)
	}
}

// kick wakes whoever waits for ch, now or next.
func kick(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
