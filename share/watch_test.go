// SPDX-License-Identifier: Apache-2.0

package share_test

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/share"
)

type notice struct{ old, current uint64 }

// Each watcher sees versions in order and without overlap, and all end with the
// last one, whatever the speed of writers and watchers.
func TestWatchersEndWithTheLastVersion(t *testing.T) {
	testutil.NoLeaks(t)
	const watchers, writers, versions = 5, 3, 200
	rng := testutil.Rand(t)
	table := share.New("t", 0)
	var told sync.WaitGroup
	for range watchers {
		told.Add(1)
		pause := rng.IntN(4)
		var busy atomic.Bool
		last := uint64(1)
		stop := table.Watch(func(old, current *share.Version[int]) {
			if !busy.CompareAndSwap(false, true) {
				t.Error("two calls at once")
			}
			if old.Number() != last || current.Number() <= last {
				t.Errorf("told of %d -> %d after %d", old.Number(), current.Number(), last)
			}
			last = current.Number()
			for range pause {
				runtime.Gosched()
			}
			busy.Store(false)
			if last == writers*versions+1 {
				told.Done()
			}
		})
		defer stop()
	}
	var writing sync.WaitGroup
	for range writers {
		writing.Go(func() {
			for i := range versions {
				table.Replace(i)
			}
		})
	}
	writing.Wait()
	told.Wait() // go test ends one that is never told
}

func TestWatchGathersWhileBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := share.New("t", 0)
		var got []notice
		free := make(chan struct{})
		defer table.Watch(func(old, current *share.Version[int]) {
			got = append(got, notice{old.Number(), current.Number()})
			<-free
		})()
		for range 3 { // the first call is still under way
			table.Replace(0)
			synctest.Wait()
		}
		close(free)
		synctest.Wait()
		if len(got) != 2 || got[0] != (notice{1, 2}) || got[1] != (notice{2, 4}) {
			t.Errorf("told of %v, want 1 -> 2 and 2 -> 4", got)
		}
	})
}

func TestWatcherMayWriteAndStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := share.New("t", 0)
		var got []notice
		var stop func()
		stop = table.Watch(func(old, current *share.Version[int]) {
			got = append(got, notice{old.Number(), current.Number()})
			if table.Replace(0) == 4 {
				stop()
			}
		})
		table.Replace(0)
		synctest.Wait()
		if len(got) != 2 || got[1] != (notice{2, 3}) {
			t.Errorf("told of %v, want 1 -> 2 and 2 -> 3", got)
		}
		stop()
	})
}

func TestStoppedWatcherIsNotCalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := share.New("t", 0)
		calls := 0
		stop := table.Watch(func(_, _ *share.Version[int]) { calls++ })
		other := 0
		defer table.Watch(func(_, _ *share.Version[int]) { other++ })()
		stop()
		table.Replace(1)
		synctest.Wait()
		if calls != 0 || other != 1 {
			t.Errorf("%d calls of the stopped watcher, %d of the other", calls, other)
		}
	})
}

func TestWatcherThatEndsItsGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := share.New("t", 0)
		var got []notice
		defer table.Watch(func(old, current *share.Version[int]) {
			got = append(got, notice{old.Number(), current.Number()})
			runtime.Goexit()
		})()
		for range 2 {
			table.Replace(0)
			synctest.Wait()
		}
		if len(got) != 2 || got[1] != (notice{2, 3}) {
			t.Errorf("told of %v, want 1 -> 2 and 2 -> 3", got)
		}
	})
}
