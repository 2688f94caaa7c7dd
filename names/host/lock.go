// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"fmt"
	"time"

	"github.com/skybus-io/skybus/internal/sys"
)

// enter takes the lock of the names, until ctx is over.
func (r *Registry) enter(ctx context.Context) error {
	select {
	case r.turn <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-r.done:
		return errClosed
	}
	for pause := 20 * time.Microsecond; ; pause = min(2*pause, 2*time.Millisecond) {
		ok, err := r.tryKernel()
		if ok {
			return nil
		}
		if err == nil {
			err = r.pause(ctx, pause)
		}
		if err != nil {
			<-r.turn
			return err
		}
	}
}

// tryEnter is enter that waits for nobody.
func (r *Registry) tryEnter() bool {
	select {
	case r.turn <- struct{}{}:
	default:
		return false
	}
	ok, _ := r.tryKernel()
	if !ok {
		<-r.turn
	}
	return ok
}

// tryKernel takes the lock among processes, if it is free.
func (r *Registry) tryKernel() (bool, error) {
	ok, err := sys.TryLock(r.file, lockAt)
	if err != nil || !ok {
		return false, wrap(err)
	}
	current, err := sys.SameFile(r.file, r.lock)
	if err == nil && !current {
		err = ErrGone
	}
	if err != nil {
		_ = sys.Unlock(r.file, lockAt)
	}
	return err == nil, wrap(err)
}

func wrap(err error) error {
	if err != nil {
		return fmt.Errorf("names: %w", err)
	}
	return nil
}

func (r *Registry) pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-r.done:
		return errClosed
	}
}

func (r *Registry) leave() {
	_ = sys.Unlock(r.file, lockAt) // it fails only for a closed file
	<-r.turn
}
