// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/names"
	"github.com/skybus-io/skybus/shm"
)

func TestNameHasAnOwnerAndAQueue(t *testing.T) {
	b := newBus(t)
	b.alive(t, 3)
	r, other := b.registry(t), b.registry(t)
	if list := owners(t, r, "bank"); len(list) > 0 {
		t.Errorf("before anybody asks: %v", list)
	}
	request(t, r, "bank", owner(1, 10), 0, names.Owns)
	request(t, other, "bank", owner(2, 20), 0, names.Waits)
	request(t, r, "bank", owner(1, 11), 0, names.Waits)
	if _, err := r.Request(t.Context(), "bank", owner(3, 30), names.NoQueue); !errors.Is(err, names.ErrTaken) {
		t.Errorf("got %v", err)
	}
	if list := owners(t, other, "bank"); !slices.Equal(list, []names.Owner{owner(1, 10), owner(2, 20), owner(1, 11)}) {
		t.Errorf("the queue is %v", list)
	}
	release(t, other, "bank", owner(1, 10))
	release(t, r, "bank", owner(1, 11))
	want(t, r.Release(t.Context(), "bank", owner(1, 11)), names.ErrNotOwner)
	if list := owners(t, r, "bank"); !slices.Equal(list, []names.Owner{owner(2, 20)}) {
		t.Errorf("the queue is %v", list)
	}
	release(t, r, "bank", owner(2, 20))
	want(t, r.Release(t.Context(), "bank", owner(2, 20)), names.ErrNotOwner)
	if list := owners(t, r, "bank"); len(list) > 0 {
		t.Errorf("nobody has it: %v", list)
	}
	sound(t, r)
}

func TestDeadOwnersAreNobody(t *testing.T) {
	b := newBus(t)
	b.alive(t, 3)
	r := b.registry(t)
	for _, name := range []string{"a", "b"} {
		request(t, r, name, owner(1, 1), 0, names.Owns)
		request(t, r, name, owner(2, 2), 0, names.Waits)
		request(t, r, name, owner(3, 3), 0, names.Waits)
	}
	request(t, r, "alone", owner(1, 1), 0, names.Owns)
	b.end(1)
	b.end(2)
	if list, err := r.Check(); err != nil || len(list) != 2 || !list[0].Note || !list[1].Note {
		t.Errorf("a check finds %v, %v", list, err)
	}
	check(t, b.bind(1)) // another process, which has nothing of that
	if list := owners(t, r, "a"); !slices.Equal(list, []names.Owner{owner(3, 3)}) {
		t.Errorf("the queue is %v", list)
	}
	list, err := r.List(t.Context(), "")
	if err != nil || !slices.Equal(list, []names.Change{{Name: "a", New: owner(3, 3)}, {Name: "b", New: owner(3, 3)}}) {
		t.Errorf("there are %v, %v", list, err)
	}
	sound(t, r) // those that looked have taken the dead out
	request(t, r, "alone", owner(1, 1), 0, names.Owns)
}

func TestRequestsThatAreRefused(t *testing.T) {
	b := newBus(t)
	b.alive(t, 1)
	r := b.registry(t)
	for _, name := range []string{"", "a b", "a/b", "a:b", strings.Repeat("x", 256)} {
		if _, err := r.Request(t.Context(), name, owner(1, 1), 0); err == nil {
			t.Errorf("the name %q was given", name)
		}
	}
	_, err := r.Request(t.Context(), "a", owner(2, 1), 0)
	want(t, err, ErrNotBound)
	_, err = r.Request(t.Context(), "a", names.Owner{Handle: 1}, 0)
	want(t, err, ErrNotBound)
	if _, err = r.Request(t.Context(), "a", owner(1, 1), 8); err == nil || !strings.Contains(err.Error(), "0x8") {
		t.Errorf("flags that there are not: %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errRefused)
	_, err = r.Request(ctx, "a", owner(1, 1), 0)
	want(t, err, errRefused)
	_, err = r.Owners(ctx, "a")
	want(t, err, errRefused)
	_, err = r.List(ctx, "a")
	want(t, err, errRefused)
	for i := range names.MaxQueue {
		_, err = r.Request(t.Context(), "full", owner(1, i+1), 0)
		check(t, err)
	}
	_, err = r.Request(t.Context(), "full", owner(1, 1000), 0)
	want(t, err, names.ErrFull)
	sound(t, r)
}

var errRefused = errors.New("refused")

// Longest names and queues fit, and come back as they were.
func TestLargestRecord(t *testing.T) {
	b := newBus(t)
	b.alive(t, 1)
	r := b.registry(t)
	name := strings.Repeat("n", names.MaxName)
	var all []names.Owner
	for i := range names.MaxQueue {
		o := owner(1, i+1)
		_, err := r.Request(t.Context(), name, o, names.AllowReplacement)
		check(t, err)
		all = append(all, o)
	}
	if list := owners(t, b.registry(t), name); !slices.Equal(list, all) {
		t.Errorf("%d owners came back, of %d", len(list), len(all))
	}
	sound(t, r)
}

// A hundred thousand names: the table grows, others follow it, and what is given back is used again.
func TestManyNames(t *testing.T) {
	const n = 100_000
	b := newBus(t)
	b.alive(t, 2)
	r, other := b.registry(t), b.registry(t)
	request(t, other, "first", owner(2, 1), 0, names.Owns)
	name := func(i int) string { return fmt.Sprintf("service.%d.of.some.length", i) }
	for i := range n {
		if _, err := r.Request(t.Context(), name(i), owner(1, i+1), 0); err != nil {
			t.Fatal(err)
		}
	}
	for i := 0; i < n; i += 997 {
		if list := owners(t, other, name(i)); !slices.Equal(list, []names.Owner{owner(1, i+1)}) {
			t.Fatalf("%s has %v", name(i), list)
		}
	}
	list, err := other.List(t.Context(), "service.")
	if err != nil || len(list) != n {
		t.Errorf("%d names, %v", len(list), err)
	}
	sound(t, r)
	for i := range n {
		check(t, other.Release(t.Context(), name(i), owner(1, i+1)))
	}
	if list := owners(t, r, "first"); len(list) != 1 {
		t.Error("the first name is gone")
	}
	sound(t, other)
	size := func() int64 {
		st, err := os.Stat(r.path)
		check(t, err)
		return st.Size()
	}
	before := size()
	for i := range 20_000 {
		o := owner(1, i+1)
		request(t, r, "x", o, 0, names.Owns)
		release(t, r, "x", o)
	}
	if after := size(); after != before {
		t.Errorf("the file has %d bytes, and had %d before names came and went", after, before)
	}
	t.Logf("%d bytes for %d names", before, n)
}

// When the table is as large as it gets, requests say so, and the others go on.
func TestFullTable(t *testing.T) {
	if testing.Short() {
		t.Skip("it writes 64 MiB")
	}
	b := newBus(t)
	b.alive(t, 1)
	r := b.registry(t)
	var list []record
	claims := make([]names.Claim, names.MaxQueue)
	for i := range claims {
		claims[i] = names.Claim{Owner: owner(1, i+1), Life: 1}
	}
	each := uint64(1) << classFor(recordSize(names.MaxName, names.MaxQueue))
	for i := range fullUnits / each {
		list = append(list, record{name: fmt.Sprintf("%0*d", names.MaxName, i), claims: claims})
	}
	large, err := r.make(maxUnits, list, 0)
	check(t, err)
	large.close()
	for i := 0; err == nil; i++ {
		if i > maxUnits {
			t.Fatal("a table without an end")
		}
		_, err = r.Request(t.Context(), fmt.Sprintf("%0*d", names.MaxName-1, i), owner(1, 1), 0)
	}
	want(t, err, names.ErrFull)
	if owns := owners(t, r, list[0].name); len(owns) != names.MaxQueue {
		t.Errorf("the first name has %d owners", len(owns))
	}
	release(t, r, list[0].name, owner(1, 1))
	sound(t, r)
}

// Goroutines and registries that ask for the same names at once: one gets each.
func TestOneOwnerOfMany(t *testing.T) {
	testutil.NoLeaks(t)
	b := newBus(t)
	b.alive(t, 4)
	var work sync.WaitGroup
	won := make([][]int, 50)
	var mu sync.Mutex
	for i := range 4 {
		r := b.registry(t)
		work.Go(func() {
			for n := range won {
				_, err := r.Request(context.Background(), fmt.Sprint("n", n), owner(i+1, 1), names.NoQueue)
				if err == nil {
					mu.Lock()
					won[n] = append(won[n], i)
					mu.Unlock()
				} else if !errors.Is(err, names.ErrTaken) {
					t.Error(err)
				}
			}
		})
	}
	work.Wait()
	for n, list := range won {
		if len(list) != 1 {
			t.Errorf("name %d has the owners %v", n, list)
		}
	}
	sound(t, b.registry(t))
}

func TestClosedRegistry(t *testing.T) {
	b := newBus(t)
	b.alive(t, 1)
	r := b.registry(t)
	request(t, r, "a", owner(1, 1), 0, names.Owns)
	r.Close()
	r.Close()
	_, err := r.Request(t.Context(), "a", owner(1, 1), 0)
	want(t, err, os.ErrClosed)
	want(t, r.Release(t.Context(), "a", owner(1, 1)), os.ErrClosed)
	_, err = r.Owners(t.Context(), "a")
	want(t, err, os.ErrClosed)
	_, err = r.List(t.Context(), "")
	want(t, err, os.ErrClosed)
	want(t, r.Watch(t.Context(), "", func(names.Change) error { return nil }), os.ErrClosed)
	_, err = r.Check()
	want(t, err, os.ErrClosed)
	if list := owners(t, b.registry(t), "a"); len(list) != 1 {
		t.Error("the name went with the registry, and its owner lives")
	}
}

// A lock that a stopped process holds makes others wait, until they give up.
func TestHeldLock(t *testing.T) {
	b := newBus(t)
	b.alive(t, 1)
	r, holder := b.registry(t), b.registry(t)
	request(t, r, "a", owner(1, 1), 0, names.Owns)
	check(t, holder.enter(t.Context()))
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error)
	go func() {
		_, err := r.Request(ctx, "b", owner(1, 1), 0)
		failed <- err
	}()
	if list := owners(t, r, "a"); len(list) != 1 {
		t.Error("a reader did not find the name")
	}
	cancel()
	want(t, <-failed, context.Canceled)
	go func() {
		_, err := r.Request(context.Background(), "b", owner(1, 1), 0)
		failed <- err
	}()
	r.Close()
	want(t, <-failed, os.ErrClosed)
	holder.leave()
}

func TestDestroyedDomain(t *testing.T) {
	b := newBus(t)
	b.alive(t, 1)
	r := b.registry(t)
	check(t, os.Rename(filepath.Join(b.dir, "lock"), filepath.Join(b.dir, "old")))
	_, err := r.Request(t.Context(), "a", owner(1, 1), 0)
	want(t, err, ErrGone)
	_, err = Open(filepath.Join(b.dir, "nowhere"), key, b.binds)
	want(t, err, os.ErrNotExist)
}

func TestFilesThatAreNoTable(t *testing.T) {
	for what, spoil := range map[string]func(path string) error{
		"empty":         func(path string) error { return os.WriteFile(path, nil, 0o600) },
		"truncated":     func(path string) error { return os.Truncate(path, 5000) },
		"of another":    func(path string) error { return overwrite(path, 32, []byte{1}) },
		"without magic": func(path string) error { return overwrite(path, 0, []byte("X")) },
	} {
		t.Run(what, func(t *testing.T) {
			b := newBus(t)
			b.alive(t, 1)
			r := b.registry(t)
			request(t, r, "a", owner(1, 1), 0, names.Owns)
			r.Close()
			check(t, spoil(r.path))
			r = b.registry(t)
			_, err := r.Owners(t.Context(), "a")
			want(t, err, ErrDamaged)
			_, err = r.Request(t.Context(), "a", owner(1, 1), 0)
			want(t, err, ErrDamaged)
			want(t, r.Watch(t.Context(), "", func(names.Change) error { return nil }), ErrDamaged)
			if list, err := r.Check(); err != nil || len(list) != 1 || list[0].Note {
				t.Errorf("a check finds %v, %v", list, err)
			}
		})
	}
}

func overwrite(path string, at int64, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteAt(b, at)
	return err
}

// A build with another layout leaves the table alone.
func TestOtherLayout(t *testing.T) {
	b := newBus(t)
	b.alive(t, 1)
	r := b.registry(t)
	request(t, r, "a", owner(1, 1), 0, names.Owns)
	r.Close()
	check(t, overwrite(r.path, 8, []byte{9}))
	_, err := b.registry(t).Request(t.Context(), "b", owner(1, 1), 0)
	want(t, err, shm.ErrLayout)
}
