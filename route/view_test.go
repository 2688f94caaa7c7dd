// SPDX-License-Identifier: Apache-2.0

package route

import (
	"errors"
	"io/fs"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/shm"
)

func TestViewFollows(t *testing.T) {
	root := testutil.Dir(t)
	v := NewView(root, key)
	none := func() {
		t.Helper()
		if tab, err := v.Table(); tab != nil || !errors.Is(err, ErrNoTable) {
			t.Fatalf("got %+v, %v", tab, err)
		}
	}
	none()
	none()
	var last *Table
	for i := range 5 {
		check(t, Store(root, sample(t), shm.Keep))
		got, err := v.Table()
		check(t, err)
		if got == last || got.Generation != uint64(i+1) {
			t.Fatalf("generation %d, want %d", got.Generation, i+1)
		}
		if again, err := v.Table(); again != got || err != nil {
			t.Fatalf("read again, %v", err)
		}
		last = got
	}
	check(t, Remove(root, key))
	none()
	changed := sample(t)
	changed.Self = "another"
	check(t, Store(root, changed, shm.Keep))
	if got, err := v.Table(); err != nil || got.Self != "another" || got.Generation != 1 {
		t.Fatalf("got %+v, %v", got, err)
	}
}

// TestViewMissesNothing: however quickly one table follows another, also with
// the same generation, the view has the last one.
func TestViewMissesNothing(t *testing.T) {
	root := testutil.Dir(t)
	v := NewView(root, key)
	tab := sample(t)
	for i := range 300 {
		tab.Self = "s" + strconv.Itoa(i)
		if i%7 == 0 {
			_ = Remove(root, key) // there is none at first
		}
		check(t, Store(root, tab, shm.Keep))
		if got, err := v.Table(); err != nil || got.Self != tab.Self {
			t.Fatalf("%d: got %+v, %v", i, got, err)
		}
	}
}

// settle waits until the table's file is old enough for stat to tell.
func settle() { time.Sleep(settling + settling/2) }

// TestViewReadsNothingTwice: while stat says the same, the file is left alone.
func TestViewReadsNothingTwice(t *testing.T) {
	root := stored(t)
	settle()
	v := NewView(root, key)
	first, err := v.Table()
	check(t, err)
	if s := v.seen.Load(); !s.settled {
		t.Fatalf("not settled: %+v", s)
	}
	before := v.seen.Load()
	for range 10 {
		if got, err := v.Table(); got != first || err != nil {
			t.Fatalf("got %+v, %v", got, err)
		}
	}
	if v.seen.Load() != before {
		t.Error("the file was read again")
	}
	// the same bytes in another state of the file are read, and are the same table
	now := time.Now()
	check(t, os.Chtimes(tableFile(root), now, now))
	if got, err := v.Table(); got != first || err != nil || v.seen.Load() == before {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestViewOfNothingCostsAStat(t *testing.T) {
	v := NewView(testutil.Dir(t), key)
	n := testing.AllocsPerRun(100, func() {
		if _, err := v.Table(); err == nil {
			t.Error("there is a table")
		}
	})
	if n > 3 {
		t.Errorf("%v allocations", n)
	}
}

// TestViewOfDamage: what is damaged is not read again and again either, and a
// folder that cannot be read is not called damaged.
func TestViewOfDamage(t *testing.T) {
	root := stored(t)
	rewrite(t, root, false, func(b []byte) []byte { b[200]++; return b })
	settle()
	v := NewView(root, key)
	_, first := v.Table()
	_, second := v.Table()
	if !errors.Is(first, ErrDamaged) || first != second { //nolint:errorlint // the error itself
		t.Errorf("got %v, then %v", first, second)
	}
	check(t, os.Remove(tableFile(root)))
	check(t, os.Mkdir(tableFile(root), 0o700))
	if _, err := v.Table(); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder: %v", err)
	}
}

// TestReadersWhileAWriterReplaces: every table that anybody gets is a whole one,
// and none is older than one had before.
func TestReadersWhileAWriterReplaces(t *testing.T) {
	testutil.NoLeaks(t)
	root := testutil.Dir(t)
	table := func(n int) *Table {
		tab := sample(t)
		for i := range tab.Rules {
			tab.Rules[i].Desc = strconv.Itoa(n)
		}
		tab.Rules = tab.Rules[:1+n%len(tab.Rules)]
		return tab
	}
	check(t, Store(root, table(1), shm.Keep))
	shared := NewView(root, key)
	var over atomic.Bool
	var readers sync.WaitGroup
	for i := range 4 {
		get := shared.Table
		switch i {
		case 2:
			get = NewView(root, key).Table
		case 3:
			get = func() (*Table, error) { return Load(root, key) }
		}
		readers.Go(func() {
			for last := uint64(0); !over.Load(); {
				tab, err := get()
				if err != nil {
					t.Error(err)
					return
				}
				if want := table(int(tab.Generation)); tab.Generation < last || len(tab.Rules) != len(want.Rules) {
					t.Errorf("generation %d after %d, %d rules", tab.Generation, last, len(tab.Rules))
					return
				}
				last = tab.Generation
				for _, r := range tab.Rules {
					if m, ok := tab.Lookup(r.Prefix.Addr | 1); !ok || m.Desc != strconv.Itoa(int(last)) {
						t.Errorf("generation %d: got %+v, %v", last, m, ok)
						return
					}
				}
			}
		})
	}
	for n := 2; n <= 400; n++ {
		check(t, Store(root, table(n), shm.Keep))
		if n%100 == 0 {
			settle() // readers trust what stat says
		}
	}
	over.Store(true)
	readers.Wait()
	if got, err := shared.Table(); err != nil || got.Generation != 400 {
		t.Errorf("got %+v, %v", got, err)
	}
}

func BenchmarkView(b *testing.B) {
	root := stored(b)
	settle()
	v := NewView(root, key)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Table(); err != nil {
			b.Fatal(err)
		}
	}
}
