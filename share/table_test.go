// SPDX-License-Identifier: Apache-2.0

package share_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/share"
)

func TestVersionsOfATable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		table := share.NewFrom("t", "here", "one")
		first := table.Load()
		time.Sleep(time.Hour)
		if n := table.ReplaceFrom("there", "two"); n != 2 {
			t.Errorf("the second version has number %d", n)
		}
		check(t, first, "one", 1, begin, "here")
		check(t, table.Load(), "two", 2, begin.Add(time.Hour), "there")
		if n := table.Replace("three"); n != 3 || table.Get() != "three" {
			t.Errorf("the third version has number %d and is %q", n, table.Get())
		}
		check(t, table.Load(), "three", 3, begin.Add(time.Hour), "")
	})
}

func check(t *testing.T, v *share.Version[string], value string, number uint64, at time.Time, source string) {
	t.Helper()
	if v.Value() != value || v.Number() != number || !v.Time().Equal(at) || v.Source() != source {
		t.Errorf("got %q, number %d, of %v, from %q; want %q, %d, %v, %q",
			v.Value(), v.Number(), v.Time(), v.Source(), value, number, at, source)
	}
}

func TestUpdate(t *testing.T) {
	table := share.New("t", 10)
	n, err := table.Update(func(old int) (int, error) { return old + 5, nil })
	if n != 2 || err != nil || table.Get() != 15 {
		t.Errorf("got version %d, %v with %d", n, err, table.Get())
	}
	refusal := errors.New("no")
	n, err = table.Update(func(int) (int, error) { return 99, refusal })
	if n != 2 || !errors.Is(err, refusal) || table.Get() != 15 || table.Load().Number() != 2 {
		t.Errorf("a failed update gave version %d, %v and left %d", n, err, table.Get())
	}
}

func TestUpdateThatPanics(t *testing.T) {
	table := share.New("t", 1)
	func() {
		defer func() {
			if r := recover(); r != "boom" {
				t.Errorf("recovered %v, want what the function panicked with", r)
			}
		}()
		_, _ = table.Update(func(int) (int, error) { panic("boom") })
	}()
	if n := table.Replace(2); n != 2 { // and the table is not locked
		t.Errorf("the version after the panic has number %d", n)
	}
}

func TestUpdatesAreNotLost(t *testing.T) {
	testutil.NoLeaks(t)
	const writers, each = 8, 200
	table := share.New("t", 0)
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range each {
				_, _ = table.Update(func(old int) (int, error) { return old + 1, nil })
			}
		})
	}
	wg.Wait()
	if v := table.Load(); v.Value() != writers*each || v.Number() != writers*each+1 {
		t.Errorf("version %d is %d, want %d of %d", v.Number(), v.Value(), writers*each+1, writers*each)
	}
}

// world is a value whose parts tell whether they belong together.
type world struct {
	stamp uint64
	rows  []uint64
}

func newWorld(stamp uint64, size int) *world {
	w := &world{stamp: stamp, rows: make([]uint64, size)}
	for i := range w.rows {
		w.rows[i] = stamp
	}
	return w
}

// Readers, writers and watchers run together: what a reader sees is whole, never
// older than what it saw before, and stays as it was.
func TestReadersSeeWholeVersions(t *testing.T) {
	testutil.NoLeaks(t)
	const readers, writers, versions = 4, 3, 300
	rng := testutil.Rand(t)
	sizes := make([]int, writers*versions+2)
	for i := range sizes {
		sizes[i] = 1 + rng.IntN(200)
	}
	table := share.New("t", newWorld(1, sizes[1]))
	done := make(chan struct{})
	var reading, writing sync.WaitGroup
	for range readers {
		reading.Go(func() { readWorlds(t, table, sizes, done) })
	}
	for range writers {
		writing.Go(func() {
			for range versions {
				_, _ = table.Update(func(old *world) (*world, error) {
					return newWorld(old.stamp+1, sizes[old.stamp+1]), nil
				})
				runtime.Gosched()
			}
		})
	}
	writing.Wait()
	close(done)
	reading.Wait()
	if v := table.Load(); v.Number() != writers*versions+1 {
		t.Errorf("the last version is %d, want %d", v.Number(), writers*versions+1)
	}
}

func readWorlds(t *testing.T, table *share.Table[*world], sizes []int, done <-chan struct{}) {
	var kept []*share.Version[*world]
	last := uint64(0)
	for ended := false; !ended; {
		select {
		case <-done:
			ended = true
		default:
		}
		v := table.Load()
		if v.Number() < last {
			t.Errorf("saw version %d after %d", v.Number(), last)
			return
		}
		if v.Number() > last {
			kept = append(kept, v)
		}
		last = v.Number()
		runtime.Gosched()
	}
	for _, v := range kept {
		w := v.Value()
		if w.stamp != v.Number() || len(w.rows) != sizes[w.stamp] {
			t.Errorf("version %d is world %d with %d rows", v.Number(), w.stamp, len(w.rows))
		}
		for i, row := range w.rows {
			if row != w.stamp {
				t.Errorf("version %d has %d in row %d", v.Number(), row, i)
			}
		}
	}
}

func TestOldVersionsAreCollected(t *testing.T) {
	table := share.New("t", newWorld(1, 1000))
	stop := table.Watch(func(_, _ *share.Version[*world]) {})
	defer stop()
	collected := make(chan struct{})
	runtime.AddCleanup(table.Load(), func(struct{}) { close(collected) }, struct{}{})
	table.Replace(newWorld(2, 1000))
	for {
		runtime.GC()
		select {
		case <-collected:
			return
		default:
			runtime.Gosched() // go test ends one that never comes here
		}
	}
}

func TestReadingAllocatesNothing(t *testing.T) {
	table := share.New("t", map[string]int{"a": 1})
	if n := testing.AllocsPerRun(100, func() {
		if table.Get()["a"]+table.Load().Value()["a"] != 2 {
			t.Error("wrong value")
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := share.New("t", "a")
		v, err := table.Wait(t.Context(), 0)
		if err != nil || v.Number() != 1 {
			t.Fatalf("waiting for any version gave %v, %v", v, err)
		}
		go func() {
			for _, s := range []string{"b", "c"} {
				time.Sleep(time.Second)
				table.Replace(s)
			}
		}()
		begin := time.Now()
		v, err = table.Wait(t.Context(), 2)
		if err != nil || v.Value() != "c" || time.Since(begin) != 2*time.Second {
			t.Errorf("waiting for the third version gave %v, %v after %v", v, err, time.Since(begin))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if v, err := table.Wait(ctx, 3); v != nil || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("waiting in vain gave %v, %v", v, err)
		}
	})
}

func TestChanged(t *testing.T) {
	table := share.New("t", 0)
	changed := table.Changed()
	if table.Changed() != changed {
		t.Error("two callers wait for the next version at different channels")
	}
	select {
	case <-changed:
		t.Fatal("changed before there was a change")
	default:
	}
	table.Replace(1)
	<-changed
	select {
	case <-table.Changed():
		t.Error("changed again without a change")
	default:
	}
}
