// SPDX-License-Identifier: Apache-2.0

package local

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/skybus-io/skybus/cluster"
)

// Small batches on claims that come while others are on their way wait for each other and go to the engine as one: what a
// batch costs there hardly depends on its size. They are put together only if none looks at or writes what another one
// writes, so each does what it would have done alone. Only claims: candidates of an election must not have a create
// revision in common.
const (
	smallOps   = 4    // changes, and compares, that a small batch has at most
	smallBytes = 1024 // keys and values
)

// A trip is a batch on its way to the engine, that somebody waits for.
type trip struct {
	b     cluster.Batch
	h     *hostLease // that its leases stand for; nil: it has none
	small bool       // may go with others
	done  chan struct{}
	rev   uint64
	err   error
}

// A ferry takes batches to the engine.
type ferry struct {
	mu      sync.Mutex
	away    int     // how many crossings there are
	waiting []*trip // in order
}

// crossings is how many batches are on their way, of those that go together one.
func (f *ferry) crossings() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.away
}

// carry takes a batch to the engine and returns what that says of it.
func (r *Replica) carry(ctx context.Context, b cluster.Batch, h *hostLease) (rev uint64, err error) {
	t := &trip{b: b, h: h, small: r.isSmall(&b), done: make(chan struct{})}
	f := &r.ferry
	f.mu.Lock()
	f.waiting = append(f.waiting, t)
	if f.away < r.o.Commits {
		f.away++
		r.done.Go(r.cross)
	}
	f.mu.Unlock()
	select {
	case <-t.done:
		return t.rev, t.err
	case <-ctx.Done():
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	i := slices.Index(f.waiting, t)
	if i < 0 {
		return 0, unavailable("it has not answered; the batch may have been done", ctx.Err(), nil)
	}
	f.waiting = slices.Delete(f.waiting, i, i+1)
	return 0, unavailable("batches before it wait for the engine; it was not done", ctx.Err(), nil)
}

// cross takes batches to the engine until none waits.
func (r *Replica) cross() {
	for {
		list := r.ferry.board()
		if len(list) == 0 {
			return
		}
		ctx, stop := context.WithTimeout(r.ctx, 3*r.o.Patience)
		rev, err := r.p.Commit(ctx, together(list))
		stop()
		if len(list) > 1 && err != nil && !errors.Is(err, cluster.ErrUnavailable) && !errors.Is(err, cluster.ErrLeaseLost) {
			r.ferry.back(list)
			continue
		}
		for _, t := range list {
			t.rev, t.err = rev, err
			close(t.done)
		}
	}
}

// board takes the first batch that waits, and those that may go with it. If there is none, there is one crossing less.
func (f *ferry) board() (list []*trip) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.waiting) == 0 {
		f.away--
		return nil
	}
	load := cargo{written: map[string]bool{}}
	rest := f.waiting[:0]
	for i, t := range f.waiting {
		if i == 0 || t.small && list[0].small && t.h == list[0].h && load.takes(&t.b) {
			load.add(&t.b)
			list = append(list, t)
		} else {
			rest = append(rest, t)
		}
	}
	clear(f.waiting[len(rest):])
	f.waiting = rest
	return list
}

// back has batches, of which one cannot be done, each go alone.
func (f *ferry) back(list []*trip) {
	for _, t := range list {
		t.small = false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiting = append(list, f.waiting...)
}

// together makes one batch of many.
func together(list []*trip) cluster.Batch {
	b := list[0].b
	if len(list) == 1 {
		return b
	}
	b.If, b.Do = slices.Clone(b.If), slices.Clone(b.Do)
	for _, t := range list[1:] {
		b.If, b.Do = append(b.If, t.b.If...), append(b.Do, t.b.Do...)
	}
	return b
}

// isSmall reports whether a batch may go with others.
func (r *Replica) isSmall(b *cluster.Batch) bool {
	if len(b.Do) > smallOps || len(b.If) > smallOps {
		return false
	}
	size := 0
	for i := range b.Do {
		if _, ok := nameOf(r.names(), b.Do[i].Key); !ok {
			return false
		}
		size += len(b.Do[i].Key) + len(b.Do[i].Value)
	}
	for i := range b.If {
		size += len(b.If[i].Key)
	}
	return size <= smallBytes
}

// A cargo is what batches look at and write that go together.
type cargo struct {
	compares []cluster.Compare
	written  map[string]bool
}

// takes reports whether a batch fits in, and has nothing to do with what is there.
func (c *cargo) takes(b *cluster.Batch) bool {
	if len(c.compares)+len(b.If) > cluster.MaxOps || len(c.written)+len(b.Do) > cluster.MaxOps {
		return false
	}
	for i := range b.Do {
		key := b.Do[i].Key
		if c.written[key] || slices.ContainsFunc(c.compares, func(q cluster.Compare) bool { return looksAt(&q, key) }) {
			return false
		}
	}
	for i := range b.If {
		for key := range c.written {
			if looksAt(&b.If[i], key) {
				return false
			}
		}
	}
	return true
}

func (c *cargo) add(b *cluster.Batch) {
	c.compares = append(c.compares, b.If...)
	for i := range b.Do {
		c.written[b.Do[i].Key] = true
	}
}

// looksAt reports whether a compare is about a key.
func looksAt(q *cluster.Compare, key string) bool {
	return key == q.Key || q.Prefix && strings.HasPrefix(key, q.Key)
}
