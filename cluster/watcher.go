// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/skybus-io/skybus/names"
)

// A watcher is one that is told of owners. It has a list of names to look at, each once: one that is
// slow costs no more than the names there are.
type watcher struct {
	prefix string
	wake   chan struct{} // full if there is something to look at

	dirty map[string]bool // guarded by cache.mu, as the list
	list  []string
}

// touch notes that a name may have another owner. cache.mu is held.
func (w *watcher) touch(name string) {
	if w.dirty[name] {
		return
	}
	w.dirty[name] = true
	w.list = append(w.list, name)
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// watch registers a watcher that is to look at all names there are.
func (c *cache) watch(prefix string) *watcher {
	w := &watcher{prefix: prefix, wake: make(chan struct{}, 1), dirty: map[string]bool{}}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(c.queues)) {
		if strings.HasPrefix(name, prefix) {
			w.touch(name)
		}
	}
	c.watchers[w] = true
	return w
}

func (c *cache) unwatch(w *watcher) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.watchers, w)
}

// take returns the names to look at, with their owners.
func (w *watcher) take(c *cache) (list []names.Change) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range w.list {
		list = append(list, names.Change{Name: name, New: c.queues[name].head()})
	}
	w.list = nil
	clear(w.dirty)
	return list
}

// Watch tells owners and their changes, as the copy learns of them. f may call the methods of n.
func (n *Names) Watch(ctx context.Context, prefix string, f func(names.Change) error) error {
	if err := n.first(ctx); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return err
	}
	w := n.cache.watch(prefix)
	defer n.cache.unwatch(w)
	told := map[string]names.Owner{}
	for {
		select {
		case <-w.wake:
		case <-ctx.Done():
			return ctx.Err()
		case <-n.ctx.Done():
			return n.why(n.ctx)
		}
		for _, ch := range w.take(n.cache) {
			if ch.Old = told[ch.Name]; ch.Old == ch.New {
				continue
			}
			if told[ch.Name] = ch.New; ch.New.IsZero() {
				delete(told, ch.Name)
			}
			if err := f(ch); err != nil {
				return err
			}
		}
	}
}
