// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/names"
)

func TestWatchTellsWhatThereIsAndWhatChanges(t *testing.T) {
	testutil.NoLeaks(t)
	b := newBus(t)
	b.alive(t, 2)
	r, other := b.registry(t), b.registry(t)
	request(t, r, "game.b", owner(1, 1), 0, names.Owns)
	request(t, r, "game.a", owner(1, 2), names.AllowReplacement, names.Owns)
	request(t, r, "web", owner(1, 3), 0, names.Owns)
	l := watching(t, other, "game.")
	expect := []names.Change{{Name: "game.a", New: owner(1, 2)}, {Name: "game.b", New: owner(1, 1)}}
	then := func(c ...names.Change) {
		t.Helper()
		expect = append(expect, c...)
		eventually(t, "the change", func() bool { return len(l.get()) >= len(expect) })
		if got := l.get(); !slices.Equal(got, expect) {
			t.Fatalf("got %v, want %v", got, expect)
		}
	}
	then()
	request(t, r, "game.a", owner(2, 1), names.Replace, names.Owns)
	then(names.Change{Name: "game.a", Old: owner(1, 2), New: owner(2, 1)})
	request(t, r, "web.b", owner(2, 1), 0, names.Owns)
	request(t, r, "game.b", owner(2, 1), 0, names.Waits) // no change of an owner
	release(t, r, "game.b", owner(1, 1))
	then(names.Change{Name: "game.b", Old: owner(1, 1), New: owner(2, 1)})
	request(t, r, "game.c", owner(1, 9), 0, names.Owns)
	release(t, r, "game.b", owner(2, 1))
	then(names.Change{Name: "game.c", New: owner(1, 9)}, names.Change{Name: "game.b", Old: owner(2, 1)})
}

// An owner that dies is followed by the next in the queue that lives, in one change, however many look.
func TestWatchTellsOfADeathOnce(t *testing.T) {
	testutil.NoLeaks(t)
	b := newBus(t)
	b.alive(t, 4)
	r := b.registry(t)
	var logs []*log
	for range 3 {
		logs = append(logs, watching(t, b.registry(t), ""))
	}
	for i := range 3 {
		_, err := r.Request(t.Context(), "a", owner(i+1, i), 0)
		check(t, err)
	}
	request(t, r, "b", owner(2, 1), 0, names.Owns)
	request(t, r, "last", owner(4, 1), 0, names.Owns)
	for _, l := range logs {
		eventually(t, "the first names", func() bool { return len(l.get()) == 3 })
	}
	b.end(2)
	b.end(1)
	check(t, b.bind(1)) // by another process
	for _, l := range logs {
		eventually(t, "the changes", func() bool { return len(l.get()) >= 5 })
	}
	b.end(4)
	for i, l := range logs {
		eventually(t, "the last change", func() bool {
			all := l.get()
			return all[len(all)-1] == names.Change{Name: "last", Old: owner(4, 1)}
		})
		all := l.get()
		a, bb := ofName(all, "a"), ofName(all, "b")
		// 1 and 2 may be found dead one after the other
		if last := a[len(a)-1]; last.New != owner(3, 2) || len(a) > 3 || len(all) != len(a)+len(bb)+2 {
			t.Errorf("watch %d: %v", i, all)
		}
		if !slices.Equal(bb, []names.Change{{Name: "b", New: owner(2, 1)}, {Name: "b", Old: owner(2, 1)}}) {
			t.Errorf("watch %d: %v", i, bb)
		}
		for j := 1; j < len(a); j++ {
			if a[j].Old != a[j-1].New {
				t.Errorf("watch %d: the changes of a name do not follow each other: %v", i, a)
			}
		}
	}
	eventually(t, "a table without the dead", func() bool { list, err := r.Check(); return err == nil && len(list) == 0 })
}

func ofName(all []names.Change, name string) (list []names.Change) {
	for _, c := range all {
		if c.Name == name {
			list = append(list, c)
		}
	}
	return list
}

// Another process at the same address, with the same handle, is another owner.
func TestWatchTellsLivesApart(t *testing.T) {
	testutil.NoLeaks(t)
	b := newBus(t)
	b.alive(t, 1)
	r := b.registry(t)
	request(t, r, "a", owner(1, 1), 0, names.Owns)
	l := watching(t, b.registry(t), "")
	eventually(t, "the name", func() bool { return len(l.get()) == 1 })
	b.end(1)
	check(t, b.bind(1))
	request(t, r, "a", owner(1, 1), 0, names.Owns)
	eventually(t, "the change", func() bool { all := l.get(); return len(all) > 1 && all[len(all)-1].New == owner(1, 1) })
	once := []names.Change{{Name: "a", Old: owner(1, 1), New: owner(1, 1)}}
	twice := []names.Change{{Name: "a", Old: owner(1, 1)}, {Name: "a", New: owner(1, 1)}} // its death was seen before
	if got := l.get()[1:]; !slices.Equal(got, once) && !slices.Equal(got, twice) {
		t.Errorf("got %v", got)
	}
}

// A watch that is far behind, and one whose table grows meanwhile, sees how things are in the end.
func TestWatchThatIsSlow(t *testing.T) {
	testutil.NoLeaks(t)
	const n = 3 * journalSize
	b := newBus(t)
	b.alive(t, 1)
	r, other := b.registry(t), b.registry(t)
	request(t, r, "first", owner(1, 1), 0, names.Owns)
	ctx, cancel := context.WithCancel(context.Background())
	held, over := make(chan struct{}), make(chan error)
	seen := map[string]names.Owner{}
	go func() {
		over <- other.Watch(ctx, "", func(c names.Change) error {
			<-held
			if seen[c.Name] != c.Old {
				t.Errorf("%v, and it had %v", c, seen[c.Name])
			}
			if seen[c.Name] = c.New; c.New.IsZero() {
				delete(seen, c.Name)
			}
			if c.Name == "end" {
				cancel()
			}
			return nil
		})
	}()
	for i := range n {
		request(t, r, fmt.Sprint("name", i), owner(1, i+1), 0, names.Owns)
	}
	release(t, r, "first", owner(1, 1))
	close(held)
	eventually(t, "a look", func() bool { return len(other.turn) == 0 })
	for i := range n / 2 {
		release(t, r, fmt.Sprint("name", i), owner(1, i+1))
	}
	request(t, r, "end", owner(1, 1), 0, names.Owns)
	want(t, <-over, context.Canceled)
	if seen["name3000"] != owner(1, 3001) || seen["first"] != (names.Owner{}) || len(seen) < n/2 {
		t.Errorf("%d names in the end", len(seen))
	}
}

func TestWatchEnds(t *testing.T) {
	testutil.NoLeaks(t)
	b := newBus(t)
	b.alive(t, 1)
	r := b.registry(t)
	request(t, r, "a", owner(1, 1), 0, names.Owns)
	want(t, r.Watch(t.Context(), "", func(names.Change) error { return errRefused }), errRefused)
	over := make(chan error)
	begun := make(chan struct{})
	go func() {
		over <- r.Watch(context.Background(), "", func(names.Change) error { close(begun); return nil })
	}()
	<-begun
	r.Close()
	want(t, <-over, os.ErrClosed)
	// f may use the registry, and close it.
	r = b.registry(t)
	err := r.Watch(t.Context(), "", func(c names.Change) error {
		if _, err := r.Owners(context.Background(), c.Name); err != nil {
			return err
		}
		if _, err := r.Request(context.Background(), "b", owner(1, 1), 0); err != nil {
			return err
		}
		r.Close()
		return nil
	})
	want(t, err, os.ErrClosed)
}

// A table that is removed, and made anew, is another one: all names are gone, and then there are others.
func TestWatchFollowsAnotherTable(t *testing.T) {
	testutil.NoLeaks(t)
	b := newBus(t)
	b.alive(t, 1)
	r := b.registry(t)
	request(t, r, "a", owner(1, 1), 0, names.Owns)
	l := watching(t, b.registry(t), "")
	eventually(t, "the name", func() bool { return len(l.get()) == 1 })
	check(t, os.Remove(r.path))
	request(t, r, "b", owner(1, 1), 0, names.Owns)
	eventually(t, "the other name", func() bool {
		all := l.get()
		return len(all) == 3 && slices.Contains(all, names.Change{Name: "a", Old: owner(1, 1)}) && slices.Contains(all, names.Change{Name: "b", New: owner(1, 1)})
	})
}

// A writer that died in a change is put right by who watches.
func TestWatchTidiesUp(t *testing.T) {
	testutil.NoLeaks(t)
	b := newBus(t)
	b.alive(t, 1)
	r := b.registry(t)
	request(t, r, "a", owner(1, 1), 0, names.Owns)
	check(t, r.look(func(t *table) error { t.begin(); return nil }))
	if list, err := r.Check(); err != nil || len(list) != 1 || !list[0].Note {
		t.Errorf("a check finds %v, %v", list, err)
	}
	watching(t, b.registry(t), "")
	eventually(t, "a table that is whole", func() bool { list, err := r.Check(); return err == nil && len(list) == 0 })
	if !errors.Is(r.Release(t.Context(), "b", owner(1, 1)), names.ErrNotOwner) {
		t.Error("the table is not as it was")
	}
}
