// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/status"

	"github.com/skybus-io/skybus/cluster"
)

// A final error ends the watch; another one only its stream.
type final struct{ error }

func (e final) Unwrap() error { return e.error }

func ends(err error) error {
	if err == nil {
		return nil
	}
	return final{err}
}

// A watch is a call of Watch. behind and the revision of its client apart, its goroutine alone uses it.
type watch struct {
	c      *Client
	prefix string
	life   life
	anew   <-chan struct{} // closed when the life is over
	behind chan struct{}   // etcd is further than what has been told
	told   int64           // everything up to this revision has been told
	f      func(cluster.Update) error
}

// nudge is how long a change that others know of may take to be told by itself.
const nudge = 10 * time.Millisecond

// Watch tells what changes. It goes on by itself when a server goes away, from where it was.
func (c *Client) Watch(ctx context.Context, prefix string, after uint64, f func(cluster.Update) error) error {
	outer := ctx
	ctx, stop := c.bound(ctx)
	defer stop()
	err := c.watch(ctx, prefix, after, f)
	switch {
	case c.ctx.Err() != nil || c.isClosed():
		return fmt.Errorf("etcd: watch %q: %w", prefix, cluster.ErrClosed)
	case outer.Err() != nil:
		return outer.Err()
	}
	return err
}

func (c *Client) watch(ctx context.Context, prefix string, after uint64, f func(cluster.Update) error) error {
	l, anew, err := c.reach(ctx)
	if err != nil {
		return err
	}
	w := &watch{c: c, prefix: prefix, life: l, anew: anew, behind: make(chan struct{}, 1), told: int64(after), f: f}
	c.mu.Lock()
	c.watches[w] = true
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.watches, w)
		c.mu.Unlock()
	}()
	if after == 0 {
		err = w.snapshot(ctx)
	} else {
		err = w.possible(ctx)
	}
	for err == nil {
		err = w.follow(ctx)
	}
	return err
}

// snapshot tells what there is.
func (w *watch) snapshot(ctx context.Context) error {
	snap, err := w.c.Get(ctx, cluster.Query{Key: w.prefix, Prefix: true})
	if err != nil {
		return err
	}
	if snap.Life != w.life.id {
		return w.over()
	}
	u := cluster.Update{Snapshot: true, Revision: snap.Revision, Life: snap.Life, Events: make([]cluster.Event, len(snap.KVs))}
	for i, kv := range snap.KVs {
		u.Events[i] = cluster.Event{KV: kv}
	}
	w.told = int64(snap.Revision)
	return w.f(u)
}

func (w *watch) over() error {
	return fmt.Errorf("etcd: watch %q: %w: it has begun anew", w.prefix, cluster.ErrCompacted)
}

// possible wants the revision to begin at to be one that has been.
func (w *watch) possible(ctx context.Context) error {
	snap, err := w.c.Get(ctx, cluster.Query{Key: w.c.lifeKey})
	if err == nil && uint64(w.told) > snap.Revision {
		err = fmt.Errorf("etcd: watch %q: %w: revision %d is yet to come, it is at %d", w.prefix, cluster.ErrCompacted, w.told, snap.Revision)
	}
	return err
}

// follow watches over one stream until that ends. nil: another one may be tried.
func (w *watch) follow(ctx context.Context) error {
	one, stop := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer stop()
	watcher := clientv3.NewWatcher(w.c.c) // a stream of its own: progress is that of a stream
	defer watcher.Close()
	err := w.read(one, watcher, w.begin(one, stop, watcher))
	var last final
	switch {
	case ctx.Err() != nil:
		return w.c.why(ctx, nil)
	case errors.As(err, &last):
		return last.error
	case errors.Is(err, errSilent):
		w.c.lines.cull(w.c.o.Patience / 2)
	}
	w.c.o.Logger.Debug("a watch of etcd has ended, and is made again", "prefix", w.prefix, "err", err)
	pause(ctx)
	return nil
}

// begin asks for a watch. That waits for the server: after Patience the stream is given up.
func (w *watch) begin(ctx context.Context, stop func(), watcher clientv3.Watcher) clientv3.WatchChan {
	defer time.AfterFunc(w.c.o.Patience, stop).Stop()
	// Not from the next revision on: one that is yet to come has no progress.
	options := []clientv3.OpOption{clientv3.WithRev(w.told), clientv3.WithCreatedNotify()}
	if w.prefix == "" {
		return watcher.Watch(ctx, "\x00", append(options, clientv3.WithFromKey())...)
	}
	return watcher.Watch(ctx, w.prefix, append(options, clientv3.WithPrefix())...)
}

// read tells what a stream brings. While it brings nothing, and when others have seen later revisions, it is asked how
// far it is: the answer comes behind all events up to that revision.
func (w *watch) read(ctx context.Context, watcher clientv3.Watcher, ch clientv3.WatchChan) error {
	t := time.NewTicker(cluster.Heartbeat)
	defer t.Stop()
	soon := time.After(nudge) // nil: it is not behind
	var asked time.Time       // since when nothing has come; zero: nothing was asked
	ask := func() error {
		if asked.IsZero() {
			asked = time.Now()
		}
		one, stop := context.WithTimeout(ctx, w.c.o.Patience)
		defer stop()
		return watcher.RequestProgress(one)
	}
	for {
		var err error
		select {
		case r, ok := <-ch:
			if !ok {
				return errSilent
			}
			asked = time.Time{}
			if err = w.tell(&r); soon == nil && w.lags(r.Header.MemberId) {
				soon = time.After(nudge)
			}
		case <-w.behind:
			if soon == nil {
				soon = time.After(nudge)
			}
		case <-soon:
			if soon = nil; w.told < w.c.latest() {
				err = ask()
			}
		case <-t.C:
			if !asked.IsZero() && time.Since(asked) > w.c.o.Patience {
				return errSilent
			}
			err = ask()
		case <-w.anew:
			return ends(w.over())
		case <-ctx.Done():
			return errSilent
		}
		if err != nil {
			return err
		}
	}
}

// lags reports whether asking the server again would tell more.
func (w *watch) lags(member uint64) bool { return w.told < w.c.latest() && w.c.trusts(member) }

// latest is the latest revision of etcd that this client has seen.
func (c *Client) latest() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return int64(c.revision)
}

// tell hands on one answer of a stream.
func (w *watch) tell(r *clientv3.WatchResponse) error {
	switch err := r.Err(); {
	case r.CompactRevision != 0:
		return ends(fmt.Errorf("etcd: watch %q: %w: it goes back to revision %d only", w.prefix, cluster.ErrCompacted, r.CompactRevision))
	case err != nil && strings.Contains(err.Error(), status.Convert(rpctypes.ErrGRPCPermissionDenied).Message()): // it comes as text
		return ends(fmt.Errorf("etcd: watch %q: %w", w.prefix, explain(err)))
	case err != nil:
		return err
	case r.Created:
		return nil
	case !r.IsProgressNotify() && len(r.Events) == 0:
		return nil
	}
	u, before := cluster.Update{Life: w.life.id}, w.told
	for _, ev := range r.Events {
		w.told = max(w.told, ev.Kv.ModRevision)
		if ev.Kv.ModRevision <= before || string(ev.Kv.Key) == w.c.lifeKey {
			continue
		}
		if ev.Type == clientv3.EventTypeDelete {
			u.Events = append(u.Events, cluster.Event{KV: cluster.KV{Key: string(ev.Kv.Key), Modified: uint64(ev.Kv.ModRevision)}, Deleted: true})
			continue
		}
		u.Events = append(u.Events, cluster.Event{KV: pair(ev.Kv)})
	}
	if r.IsProgressNotify() && w.c.trusts(r.Header.MemberId) {
		w.told = max(w.told, r.Header.Revision)
	}
	u.Revision = uint64(w.told)
	return ends(w.f(u))
}
