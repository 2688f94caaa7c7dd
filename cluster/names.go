// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/skybus-io/skybus/names"
)

// NamesConfig says which names. The zero NamesConfig is of use.
type NamesConfig struct {
	// Cluster names the cluster in the keys, 1 to 63 of a-z A-Z 0-9 . _ -; "default".
	Cluster string
	// TTL is how long the names of a process survive it when nobody sees it die, and how long it
	// may be cut off from the engine and keep them; 10 s.
	TTL time.Duration
	// Grace is how long names stay in the copy that an engine does not know any more which has
	// begun anew, or in which most of the hosts seem to die at once; TTL + 3 s. Their owners
	// have that long to say that they are there.
	Grace  time.Duration
	Logger *slog.Logger // nil: nothing is logged
}

func (c NamesConfig) withDefaults() NamesConfig {
	if c.Cluster == "" {
		c.Cluster = "default"
	}
	if c.TTL <= 0 {
		c.TTL = 10 * time.Second
	}
	if c.Grace <= 0 {
		c.Grace = c.TTL + 3*time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

const clusterBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

func (c *NamesConfig) check() error {
	if len(c.Cluster) > 63 || strings.Trim(c.Cluster, clusterBytes) != "" {
		return fmt.Errorf("cluster %q: want 1 to 63 of a-z A-Z 0-9 . _ -", c.Cluster)
	}
	if c.TTL < MinTTL || c.TTL > MaxTTL {
		return fmt.Errorf("TTL %v: want %v to %v", c.TTL, MinTTL, MaxTTL)
	}
	return nil
}

// staleAfter is how old the copy may be before it counts as stale.
const staleAfter = 3 * Heartbeat

// Names are the global names, as one process sees them: names.Registry over a Provider. Any goroutine
// may call its methods.
//
// Request and Release ask the engine, and wait for it as long as their context lets them. Owners, List
// and Watch use a copy that the engine keeps up to date, and wait only for the first one. What this
// process has asked for it gets again by itself after the engine was away: at its old place in the
// queue if the engine has come back empty, behind the others if it was the process that was
// given up.
type Names struct {
	p     Provider
	c     NamesConfig
	root  string
	cache *cache
	ctx   context.Context
	stop  context.CancelFunc
	done  sync.WaitGroup

	mu      sync.Mutex    // comes before cache.mu
	lease   Lease         // nil: there is none, or not all of mine is registered with it
	host    string        // of the daemon that has granted it, if it says so
	ready   chan struct{} // closed while lease is not nil
	mine    map[seat]*claim
	pending map[seat]int  // requests under way
	life    uint64        // that mine is registered in
	kick    chan struct{} // has the keeper look for what is amiss
}

var _ names.Registry = (*Names)(nil)

// NewNames returns the names that p's engine has. It makes two goroutines, which Close ends; p must
// be closed after it. Errors: of the configuration.
func NewNames(p Provider, c NamesConfig) (*Names, error) {
	c = c.withDefaults()
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("global names: %w", err)
	}
	n := &Names{
		p: p, c: c, root: NamesRoot(c.Cluster), ready: make(chan struct{}), mine: map[seat]*claim{}, pending: map[seat]int{},
		kick: make(chan struct{}, 1),
	}
	n.cache = newCache(n.root, c.Grace)
	n.ctx, n.stop = context.WithCancel(context.Background())
	n.done.Add(2)
	go n.follow()
	go n.keep()
	return n, nil
}

// NamesRoot returns what the keys of a cluster's names begin with.
func NamesRoot(cluster string) string { return "/skybus/" + cluster + "/names/" }

// Close gives all names up, if the engine answers soon, and ends the watches.
func (n *Names) Close() error {
	n.stop() // no lease is made any more
	n.done.Wait()
	return nil
}

// follow keeps the cache.
func (n *Names) follow() {
	defer n.done.Done()
	for n.ctx.Err() == nil {
		err := n.p.Watch(n.ctx, n.root, 0, func(u Update) error {
			n.take(u)
			return nil
		})
		if n.ctx.Err() != nil {
			return
		}
		if !errors.Is(err, ErrCompacted) {
			n.c.Logger.Warn("the watch of global names has ended", "err", err)
		}
		n.pause()
	}
}

// pause keeps a loop from spinning on an error that comes at once.
func (n *Names) pause() {
	select {
	case <-time.After(20 * time.Millisecond):
	case <-n.ctx.Done():
	}
}

func (n *Names) wake() {
	select {
	case n.kick <- struct{}{}:
	default:
	}
}

// Stale returns how long ago the engine was last heard, if that is longer than it should be; else 0.
// Names are then as they were that long ago.
func (n *Names) Stale() time.Duration {
	n.cache.mu.RLock()
	defer n.cache.mu.RUnlock()
	if age := time.Since(n.cache.heard); age > staleAfter {
		return age
	}
	return 0
}

// Owners returns a name's owner and its queue. Only while the engine has never answered it waits.
// Errors: ErrUnavailable with the context's.
func (n *Names) Owners(ctx context.Context, name string) ([]names.Owner, error) {
	if err := names.Check(name); err != nil {
		return nil, err
	}
	q, synced := n.cache.lookup(name)
	if !synced {
		if err := n.first(ctx); err != nil {
			return nil, err
		}
		q, _ = n.cache.lookup(name)
	}
	return q.owners(), nil
}

// first waits for the first snapshot.
func (n *Names) first(ctx context.Context) error {
	ctx, stop := n.bound(ctx)
	defer stop()
	if err := n.cache.wait(ctx); err != nil {
		return n.why(ctx)
	}
	return nil
}

// bound returns a context that also ends with n.
func (n *Names) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(n.ctx, func() { cancel(ErrClosed) })
	return ctx, func() {
		stop()
		cancel(context.Canceled)
	}
}

// why is what a call returns whose context is over.
func (n *Names) why(ctx context.Context) error {
	if n.ctx.Err() != nil {
		return fmt.Errorf("global names: %w", ErrClosed)
	}
	return fmt.Errorf("global names: %w: %w", ErrUnavailable, ctx.Err())
}

// List returns the names that begin with prefix and have an owner, sorted.
func (n *Names) List(ctx context.Context, prefix string) ([]names.Change, error) {
	if err := n.first(ctx); err != nil {
		return nil, err
	}
	n.cache.mu.RLock()
	var list []names.Change
	for name, q := range n.cache.queues {
		if strings.HasPrefix(name, prefix) {
			list = append(list, names.Change{Name: name, New: q.head()})
		}
	}
	n.cache.mu.RUnlock()
	slices.SortFunc(list, func(a, b names.Change) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}
