// SPDX-License-Identifier: Apache-2.0

package conn

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skybus-io/skybus/actor"
)

const (
	keeperTick   = 100 * time.Millisecond // between two looks whether the owner drains
	keeperIdle   = 20                     // looks without anything to keep, after which a keeper ends
	leaveLook    = 5 * time.Millisecond   // between two looks what becomes of an owner that ends
	pollDraining = 2 * time.Millisecond   // between two looks of a handler whose keeper takes no calls any more
)

// A keeper is a service beside one that has connections, its owner. Handlers of the owner wait in
// calls to it, which any goroutine may answer. It closes what it keeps when the owner ends, restarts, or drains.
type keeper struct {
	rt      *actor.Runtime
	owner   actor.PID
	pid     actor.PID
	begin   sync.Once
	failed  error       // it could not be started
	guarded atomic.Bool // a handler of the owner tells of its restart: guard

	mu    sync.Mutex
	kept  map[kept]struct{}
	byID  map[uint64]*Conn
	gone  error // why it takes nothing more to keep
	drain bool  // the owner drains
	idle  int   // looks in which it had nothing
	guard *actor.Request
}

// kept is what a keeper closes.
type kept interface {
	// end closes it, of a reason. It must not wait.
	end(why error)
	// drain is called when its service drains. It must not wait.
	drain()
}

// keepers are those of all runtimes, by keeperKey.
var keepers sync.Map

type keeperKey struct {
	rt    *actor.Runtime
	owner actor.PID
}

// What a keeper is sent, beside *waiter and *job.
type (
	guards struct{} // a call that is answered when the owner drains: see guardOwner
	left   struct{} // the owner ends or restarts
)

// keep has the keeper of a service keep x, and returns it. Errors: the runtime is shut down.
func keep(rt *actor.Runtime, owner actor.PID, x kept) (*keeper, error) {
	key := keeperKey{rt, owner}
	for {
		v, ok := keepers.Load(key)
		if !ok {
			v, _ = keepers.LoadOrStore(key, &keeper{rt: rt, owner: owner, kept: map[kept]struct{}{}, byID: map[uint64]*Conn{}})
		}
		k := v.(*keeper)
		k.begin.Do(k.start)
		if k.failed != nil {
			keepers.CompareAndDelete(key, k)
			return nil, k.failed
		}
		if k.add(x) {
			return k, nil
		}
		keepers.CompareAndDelete(key, k)
	}
}

// keepFor is keep for a handler of the owner.
func keepFor(c *actor.Context, x kept) (*keeper, error) {
	k, err := keep(c.Runtime(), c.Self(), x)
	if err != nil {
		return nil, err
	}
	k.watched(c)
	return k, nil
}

// watched sees to it that a handler of the owner is there that notices its restart. c is of the owner.
func (k *keeper) watched(c *actor.Context) {
	if !k.guarded.Load() && !k.guarded.Swap(true) {
		c.Fork(k.guardOwner)
	}
}

// guardOwner is a handler of the owner that waits until that ends: a restart ends it, too, and nothing else
// would tell. Where the owner is to end in good order, the keeper answers.
func (k *keeper) guardOwner(c *actor.Context) {
	if _, err := c.Call(k.pid, guards{}); err != nil {
		keepers.CompareAndDelete(keeperKey{k.rt, k.owner}, k) // the next handler gets another one
		_ = k.rt.TrySend(k.pid, left{})                       // if that fails the keeper ends, or hears of the owner's end
	}
}

func (k *keeper) start() {
	pid, err := k.rt.Spawn(actor.Spec{New: k.handler, Mailbox: actor.Mailbox{Capacity: actor.Unbounded}})
	if err != nil {
		k.failed = fmt.Errorf("keep connections of %v: %w", k.owner, err)
	}
	k.pid = pid
}

// add takes x, unless the keeper has ended.
func (k *keeper) add(x kept) bool {
	k.mu.Lock()
	drains, gone := k.drain, k.gone != nil
	if !gone {
		k.kept[x] = struct{}{}
		if n, ok := x.(*Conn); ok {
			k.byID[n.id] = n
		}
	}
	k.mu.Unlock()
	if drains && !gone {
		x.drain()
	}
	return !gone
}

// remove forgets x.
func (k *keeper) remove(x kept) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.kept, x)
	if n, ok := x.(*Conn); ok {
		delete(k.byID, n.id)
	}
}

// handler makes the keeper's.
func (k *keeper) handler() actor.Handler {
	m := new(actor.Mux)
	m.OnStart(func(c *actor.Context) error {
		if _, err := c.Monitor(k.owner); err != nil {
			return err
		}
		c.Every(keeperTick, k.look)
		c.Fork(func(c *actor.Context) { _ = c.Wait("the end of " + k.owner.String()) }) // else it would be the first to end in a Shutdown
		return nil
	})
	m.OnStop(func(*actor.Context, error) { k.close(errOwnerEnded) })
	actor.On(m, func(c *actor.Context, w *waiter) error {
		req, err := c.Later()
		if err == nil {
			w.lie(req)
		}
		return err
	})
	actor.On(m, func(c *actor.Context, j *job) error {
		req, err := c.Later()
		if err == nil {
			go j.do(req)
		}
		return err
	})
	actor.On(m, k.onGuard)
	actor.On(m, func(c *actor.Context, _ left) error {
		c.Every(leaveLook, k.leaving)
		return nil
	})
	actor.On(m, func(c *actor.Context, _ actor.Down) error {
		c.Exit(nil)
		return nil
	})
	return m
}

func (k *keeper) onGuard(c *actor.Context, _ guards) error {
	req, err := c.Later()
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.drain || k.gone != nil {
		req.Reply(nil)
	} else {
		k.guard = &req
	}
	return nil
}

// look sees whether the owner drains, and whether the keeper has anything to keep.
func (k *keeper) look(c *actor.Context) {
	i, ok := k.rt.Info(k.owner)
	switch {
	case !ok:
		c.Exit(nil)
	case i.State == "draining":
		k.drains()
	case k.rests():
		c.Exit(nil)
	}
}

// leaving sees what becomes of an owner that ends: while its Stop runs it may still write.
func (k *keeper) leaving(c *actor.Context) {
	if i, ok := k.rt.Info(k.owner); !ok || i.State != "ending" {
		c.Exit(nil)
	}
}

// drains has what is kept come to an end, once.
func (k *keeper) drains() {
	k.mu.Lock()
	if k.drain {
		k.mu.Unlock()
		return
	}
	k.drain = true
	all := slices.Collect(maps.Keys(k.kept))
	k.answerGuard()
	k.mu.Unlock()
	for _, x := range all {
		x.drain()
	}
}

// rests reports whether the keeper has had nothing for a while; then it takes nothing more.
func (k *keeper) rests() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.idle++; len(k.kept) > 0 {
		k.idle = 0
	}
	if k.idle < keeperIdle {
		return false
	}
	k.gone = errOwnerEnded
	k.answerGuard()
	return true
}

// answerGuard ends the wait of guardOwner. With mu held.
func (k *keeper) answerGuard() {
	if k.guard != nil {
		k.guard.Reply(nil)
		k.guard = nil
	}
}

// close closes all that is kept. Nothing is taken any more.
func (k *keeper) close(why error) {
	keepers.CompareAndDelete(keeperKey{k.rt, k.owner}, k)
	k.mu.Lock()
	k.gone = why
	all := k.kept
	k.kept, k.byID = nil, nil
	k.answerGuard()
	k.mu.Unlock()
	for x := range all {
		x.end(why)
	}
}

// wait suspends the handler until w is woken. Errors: ErrStopped, the cause of the handler's Ctx.
func (k *keeper) wait(c *actor.Context, w *waiter) error {
	_, err := k.call(c, w)
	if errors.Is(err, actor.ErrNoService) { // all services are shut down, and the owner still has something to do
		if err = c.Sleep(pollDraining); err == nil && c.Cancelable() && c.Ctx().Err() != nil {
			err = context.Cause(c.Ctx())
		}
	}
	return err
}

// call sends the keeper v and waits for the answer, until the handler's Ctx is over.
func (k *keeper) call(c *actor.Context, v any) (answer any, err error) {
	if c.Cancelable() {
		answer, err = c.CallContext(c.Ctx(), k.pid, v)
	} else {
		answer, err = c.Call(k.pid, v)
	}
	return answer, plain(err)
}

// plain takes the keeper out of an error: nobody has heard of it.
func plain(err error) error {
	for _, known := range []error{actor.ErrRestarting, actor.ErrStopped, actor.ErrGivenUp, context.DeadlineExceeded, context.Canceled, actor.ErrNoService} {
		if errors.Is(err, known) {
			return known
		}
	}
	return err
}
