// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/shm"
)

// smallSystem mounts a file system in memory that is soon full, until the end of
// the test.
func smallSystem(t *testing.T, bytes int) (root string) {
	t.Helper()
	root = t.TempDir()
	if err := syscall.Mount("tmpfs", root, "tmpfs", 0, fmt.Sprintf("size=%d", bytes)); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("mount a file system: %v", err)
		}
		t.Skipf("mounting a file system needs root: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(root, 0); err != nil {
			t.Errorf("unmount: %v", errors.Join(err, syscall.Unmount(root, 2))) // MNT_DETACH
		}
	})
	return root
}

// A ballast is a file that takes up a file system's room.
type ballast struct{ path string }

// leave makes the ballast so large that only so many pages are left.
func (b ballast) leave(t *testing.T, pages int) {
	t.Helper()
	b.drop(t)
	f := must(os.Create(b.path))(t)
	defer f.Close()
	if n := freePages(t, filepath.Dir(b.path)) - pages; n > 0 {
		check(t, syscall.Fallocate(int(f.Fd()), 0, 0, int64(n)*pageSize))
	}
}

func (b ballast) drop(t *testing.T) {
	t.Helper()
	if err := os.Remove(b.path); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
}

func freePages(t *testing.T, dir string) int {
	t.Helper()
	var st syscall.Statfs_t
	check(t, syscall.Statfs(dir, &st))
	return int(st.Bavail) * int(st.Bsize) / pageSize
}

// wantNoSpace wants what a user is told, and what stands behind it.
func wantNoSpace(t *testing.T, err error) {
	t.Helper()
	wantErr(t, err, ErrBudget)
	wantErr(t, err, shm.ErrNoSpace)
}

func wantNoTemporary(t *testing.T, table *Table) {
	t.Helper()
	for _, d := range must(os.ReadDir(table.dir))(t) {
		if shm.IsTemporary(d.Name()) {
			t.Errorf("%s is left behind", d.Name())
		}
	}
}

// The lanes of the tests that fill a file system come from here; nobody has it bound.
const filler = addr.Addr(100)

// fillWithLanes makes lanes from filler until there is no room, and returns how many.
func fillWithLanes(t *testing.T, table *Table) (n int) {
	t.Helper()
	for {
		s, err := table.NewSender(Pair{filler, filler + addr.Addr(n+1)})
		if err != nil {
			wantNoSpace(t, err)
			return n
		}
		check(t, s.Send(payload(n, 100)))
		s.Close()
		n++
	}
}

// exchange sends messages in rounds that fit in a small ring, and receives them.
func exchange(t *testing.T, s *Sender, to end, first, rounds int) (next int) {
	t.Helper()
	for range rounds {
		for k := first; k < first+8; k++ {
			check(t, s.Send(payload(k, 200)))
		}
		wantNumbers(t, to.all(), first, first+8)
		first += 8
	}
	return first
}

func TestFullFileSystem(t *testing.T) {
	root := smallSystem(t, 1<<20)
	table := reopenDomain(t, root, Config{AllowUnknown: true, Access: shm.Keep})
	to := bindReader(t, table, addrB)
	bind(t, table, addrA)
	s := newSender(t, table, addrA, addrB)
	k := exchange(t, s, to, 0, 1)

	made := fillWithLanes(t, table)
	if made < 20 {
		t.Errorf("only %d lanes were made in 1 MiB", made)
	}
	ballast{filepath.Join(root, "ballast")}.leave(t, 0)
	other := reopenDomain(t, root, Config{Access: shm.Keep}) // joining takes no room
	for range 3 {
		_, err := table.NewSender(Pair{filler, filler + addr.Addr(made+1)})
		wantNoSpace(t, err)
		_, err = other.Bind(addrC)
		wantNoSpace(t, err)
	}
	if bound := must(table.locks.Bound(uint32(addrC)))(t); bound {
		t.Error("the address of a Bind that failed stays bound")
	}
	k = exchange(t, s, to, k, 50)
	wantNoTemporary(t, table)
	wantClean(t, table)

	for i := range 4 { // free some
		check(t, other.Delete(Channel{A: filler, B: filler + addr.Addr(i+1)}, true))
	}
	again := newSender(t, table, filler, filler+1)
	check(t, again.Send(payload(0, 100)))
	must(other.Bind(addrC))(t).Close()
	exchange(t, s, to, k, 1)
	wantClean(t, table)
}

func TestGrowthInFullFileSystem(t *testing.T) {
	root := smallSystem(t, 1<<20)
	table := reopenDomain(t, root, Config{Access: shm.Keep})
	to := bindReader(t, table, addrB)
	bind(t, table, addrA)
	s := newSender(t, table, addrA, addrB)
	load := ballast{filepath.Join(root, "ballast")}
	for pages := range 4 { // the next generation wants more
		load.leave(t, pages)
		wantNoSpace(t, s.Send(payload(0, 20_000)))
		n := 0
		err := error(nil)
		for ; err == nil; n++ {
			err = s.Send(payload(n, 200))
		}
		wantErr(t, err, ErrFull) // it may not grow, so it is full
		wantNumbers(t, to.all(), 0, n-1)
		exchange(t, s, to, 0, 20)
		wantNoTemporary(t, table)
		wantClean(t, table)
	}
	load.drop(t)
	check(t, s.Send(payload(0, 20_000)))
	wantNumbers(t, to.all(), 0, 1)
	for k := range 400 {
		check(t, s.Send(payload(k, 200)))
	}
	wantNumbers(t, to.all(), 0, 400)
	wantClean(t, table)
}

// However many pages are left when a domain is made and used, each step works or
// says that there is no room, nothing is broken by it, and with room again
// everything works.
func TestEveryNumberOfFreePages(t *testing.T) {
	root := smallSystem(t, 1<<20)
	load := ballast{filepath.Join(root, "ballast")}
	for pages := range 24 {
		load.leave(t, pages)
		err := liveIn(t, root)
		load.drop(t)
		if err != nil {
			wantErr(t, err, shm.ErrNoSpace)
			err = liveIn(t, root)
		}
		if err != nil {
			t.Fatalf("%d pages were left, and with more it does not go on: %v", pages, err)
		}
		table := must(Open(root, testKey, Config{Access: shm.Keep}, false))(t)
		wantClean(t, table)
		err = table.Destroy(true)
		table.Close()
		check(t, err)
	}
	if list := must(os.ReadDir(root))(t); len(list) > 0 {
		t.Errorf("%v is left", list)
	}
}

// liveIn opens a domain, sends a small and a large message and receives both. It
// returns the first error that says there is no room.
func liveIn(t *testing.T, root string) error {
	t.Helper()
	table, err := Open(root, testKey, Config{AllowUnknown: true, Access: shm.Keep}, true)
	if err != nil {
		return err
	}
	defer table.Close()
	defer wantNoTemporary(t, table)
	to, err := table.Bind(addrB)
	if err != nil {
		return err
	}
	defer to.Close()
	s, err := table.NewSender(Pair{addrA, addrB})
	if err != nil {
		return err
	}
	defer s.Close()
	d := must(to.Drain())(t)
	defer d.Close()
	reader := end{to, d}
	check(t, s.Send(payload(0, 200)))
	errLarge := s.Send(payload(1, 20_000))
	want := 2
	if errLarge != nil {
		want = 1
	}
	wantNumbers(t, reader.all(), 0, want)
	if strings.Contains(fmt.Sprint(table.Check()), "quarantine") {
		t.Error("a lane is quarantined for want of room")
	}
	return errLarge
}
