// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/names"
)

// An errand is something that may wait, and that a handler has the node's service see to. It stays
// in the process.
type errand struct {
	do func(ctx context.Context) (any, error)
}

// An outcome is the answer.
type outcome struct {
	v   any
	err error
}

// run has a goroutine do the errand and answer.
func (n *Node) run(c *actor.Context, e errand) error {
	r, err := c.Later()
	if err != nil {
		return err
	}
	n.done.Go(func() {
		v, err := e.do(n.ctx)
		r.Reply(outcome{v, err})
	})
	return nil
}

// await does what may wait for a handler: others of its service run meanwhile.
func await[T any](n *Node, c *actor.Context, do func(ctx context.Context) (T, error)) (v T, err error) {
	a, err := c.Call(n.self, errand{func(ctx context.Context) (any, error) { return do(ctx) }})
	if err != nil {
		return v, fmt.Errorf("names: %w", err)
	}
	o, ok := a.(outcome)
	if !ok {
		return v, fmt.Errorf("names: %w: %T is no answer", ErrValue, a)
	}
	v, _ = o.v.(T)
	return v, o.err
}

// RequestFrom is Request for the handler's service.
func (nm Names) RequestFrom(c *actor.Context, name string, f names.Flags) (names.Standing, error) {
	self := c.Self()
	return await(nm.n, c, func(ctx context.Context) (names.Standing, error) { return nm.Request(ctx, name, self, f) })
}

// ReleaseFrom is Release for the handler's service.
func (nm Names) ReleaseFrom(c *actor.Context, name string) error {
	self := c.Self()
	_, err := await(nm.n, c, func(ctx context.Context) (struct{}, error) { return struct{}{}, nm.Release(ctx, name, self) })
	return err
}

// LookupFrom is Lookup for a handler.
func (nm Names) LookupFrom(c *actor.Context, name string) (actor.PID, error) {
	return await(nm.n, c, func(ctx context.Context) (actor.PID, error) { return nm.Lookup(ctx, name) })
}

// OwnersFrom is Owners for a handler.
func (nm Names) OwnersFrom(c *actor.Context, name string) ([]actor.PID, error) {
	return await(nm.n, c, func(ctx context.Context) ([]actor.PID, error) { return nm.Owners(ctx, name) })
}

// ListFrom is List for a handler.
func (nm Names) ListFrom(c *actor.Context, prefix string) ([]NameChanged, error) {
	return await(nm.n, c, func(ctx context.Context) ([]NameChanged, error) { return nm.List(ctx, prefix) })
}

// WatchFrom has the handler's service get a NameChanged (actor.KindNotice) for each name that begins with
// prefix, and then for each change, until stop is called or the service ends. A watch that cannot go on is
// logged. stop does not wait, and what is under way still comes. After a hot restart services watch anew.
func (nm Names) WatchFrom(c *actor.Context, prefix string) (stop func(), err error) {
	if _, err := nm.registry(); err != nil {
		return nil, nm.failed("watch", prefix, err)
	}
	n, self := nm.n, c.Self()
	ctx, cancel := context.WithCancel(n.ctx)
	id := n.holdings.watch(self.Handle, cancel)
	n.done.Go(func() {
		defer n.holdings.unwatch(self.Handle, id)
		err := nm.Watch(ctx, prefix, func(e NameChanged) error {
			return n.rt.Deliver(self, actor.Message{Kind: actor.KindNotice, Value: e})
		})
		if ctx.Err() == nil && !errors.Is(err, actor.ErrNoService) {
			n.cfg.Log.Error("a watch of names has ended", "service", self, "err", nm.failed("watch", prefix, err))
		}
	})
	return cancel, nil
}
