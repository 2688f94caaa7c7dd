// SPDX-License-Identifier: Apache-2.0

package conn

import (
	"context"
	"errors"
	"sync"

	"github.com/skybus-io/skybus/actor"
)

// A job is something that takes long, and that a handler waits for.
type job struct {
	ctx    context.Context
	cancel context.CancelFunc
	run    func(ctx context.Context) (any, error)
	undo   func(v any) // of a result that nobody takes

	mu    sync.Mutex
	over  bool // nobody waits any more
	value any
	err   error
}

// work runs a function in a goroutine while the handler waits. When the handler waits no more the function's
// context is over, and undo gets what it still makes. Errors: those of keeper.wait, run's.
func work(c *actor.Context, run func(ctx context.Context) (any, error), undo func(v any)) (any, error) {
	j := &job{run: run, undo: undo}
	j.ctx, j.cancel = context.WithCancel(context.Background())
	defer j.cancel()
	k, err := keepFor(c, j)
	if err != nil {
		return nil, err
	}
	defer k.remove(j)
	if _, err := k.call(c, j); err != nil {
		j.giveUp()
		if errors.Is(err, actor.ErrNoService) {
			err = actor.ErrStopped
		}
		return nil, err
	}
	return j.value, j.err
}

func (j *job) do(req actor.Request) {
	v, err := j.run(j.ctx)
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.over {
		if err == nil {
			j.undo(v)
		}
		return
	}
	j.value, j.err = v, err
	req.Reply(nil)
}

// giveUp is called when nobody waits for the result any more. It may be there.
func (j *job) giveUp() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.over = true
	if j.value != nil {
		j.undo(j.value)
	}
}

func (j *job) end(error) { j.cancel() }
func (j *job) drain()    {}
