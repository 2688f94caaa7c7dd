// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"math"
	"slices"
	"sync"
	"testing"

	"github.com/skybus-io/skybus/internal/testutil"
)

// However places are given away and back, no handle comes twice, and each finds its
// service while that is there.
func TestTableGivesEachHandleOnce(t *testing.T) {
	rng := testutil.Rand(t)
	tab := table{life: 7}
	seen := map[Handle]bool{}
	var live []*service
	for range 50_000 {
		if len(live) == 0 || rng.IntN(100) < 52 {
			s := new(service)
			if !tab.add(s) {
				t.Fatal("the table is full")
			}
			if seen[s.handle] || s.handle == 0 {
				t.Fatalf("handle %x comes twice, or is nobody's", s.handle)
			}
			seen[s.handle] = true
			live = append(live, s)
			continue
		}
		i := rng.IntN(len(live))
		s := live[i]
		tab.remove(s)
		if tab.find(s.handle) != nil {
			t.Fatalf("%x is found, though it is gone", s.handle)
		}
		live = slices.Delete(live, i, i+1)
	}
	for _, s := range live {
		if tab.find(s.handle) != s {
			t.Errorf("%x is not found", s.handle)
		}
		delete(seen, s.handle)
	}
	for h := range seen {
		if tab.find(h) != nil {
			t.Errorf("%x is found, though it is gone", h)
		}
	}
	all := 0
	tab.each(func(*service) bool { all++; return true })
	if all != len(live) || tab.count() != len(live) {
		t.Errorf("%d and %d services, want %d", all, tab.count(), len(live))
	}
}

// A place whose generations are used up is never used again.
func TestTablePlaceWearsOut(t *testing.T) {
	tab := table{life: 5}
	first := new(service)
	tab.add(first)
	for range 1 << reuseBits {
		s := new(service)
		tab.remove(first)
		if tab.add(s); s.handle.Life() != 5 {
			t.Fatalf("%x is of another life", s.handle)
		}
		if s.handle.index() != first.handle.index() {
			if got := first.handle >> indexBits; got != 5<<reuseBits|(1<<reuseBits-1) {
				t.Errorf("the place was given up at %x", first.handle)
			}
			return
		}
		first = s
	}
	t.Error("the place never wears out")
}

func TestTableHasManyPages(t *testing.T) {
	var tab table
	const n = 3*pageSize + 5
	list := make([]*service, n)
	for i := range list {
		list[i] = new(service)
		tab.add(list[i])
	}
	for _, s := range list {
		if tab.find(s.handle) != s {
			t.Fatalf("%x is not found", s.handle)
		}
	}
	for _, h := range []Handle{0, n + 1, maxIndex, maxIndex + 2, 1 << 40, math.MaxUint64} {
		if s := tab.find(h); s != nil {
			t.Errorf("%x is found", h)
		}
	}
}

func TestTableOfManyGoroutines(t *testing.T) {
	var tab table
	var seen sync.Map
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for range 5000 {
				s := new(service)
				tab.add(s)
				if _, twice := seen.LoadOrStore(s.handle, true); twice || tab.find(s.handle) != s {
					t.Errorf("%x comes twice, or is not found", s.handle)
				}
				tab.remove(s)
			}
		})
	}
	wait.Wait()
	if tab.count() != 0 {
		t.Errorf("%d are left", tab.count())
	}
}
