// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"syscall"
	"testing"

	"github.com/skybus-io/skybus/shm"
)

// smallSystem mounts a file system in memory that is soon full, until the end of the test.
func smallSystem(t *testing.T, bytes int) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", bytes)); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("mount a file system: %v", err)
		}
		t.Skipf("mounting a file system needs root: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmount: %v", errors.Join(err, syscall.Unmount(dir, 2))) // MNT_DETACH
		}
	})
	makeLock(t, dir)
	return dir
}

// Without room there is no vault, and nothing is left of it.
func TestNoSpaceForTheVault(t *testing.T) {
	dir, before := smallSystem(t, 1<<20), shm.Mapped()
	_, err := Open(dir, home, Config{Ring: 2 << 20}, shm.Keep)
	want(t, err, shm.ErrNoSpace)
	list, err := os.ReadDir(dir)
	if err != nil || len(list) != 1 || shm.Mapped() != before {
		t.Errorf("left are %v and %d mappings, %v", list, shm.Mapped()-before, err)
	}
	open(t, dir, Config{Ring: 1 << 18})
}

// Without room for more slots there is no session, all others are as they were, and packets go on.
func TestNoSpaceForSessions(t *testing.T) {
	dir := smallSystem(t, 1<<20)
	v := open(t, dir, Config{Ring: 1 << 17, Sessions: 4096})
	n := 0
	for ; ; n++ {
		_, err := v.Begin(Session{Texts: texts(n)})
		if errors.Is(err, shm.ErrNoSpace) {
			break
		}
		check(t, err)
	}
	if n == 0 || n%slotChunk != 0 || n == 4096 {
		t.Fatalf("there are %d sessions", n)
	}
	for i, s := range sessions(v) {
		if !reflect.DeepEqual(s.Texts(), texts(i)) {
			t.Errorf("session %d has %+v", i, s.Texts())
		}
	}
	for i := range 5000 { // the ring has its memory
		ref := put(t, v, Origin{}, packet(i, 100))
		sessions(v)[i%n].Add(ref)
	}
	check(t, sessions(v)[7].Free())
	begin(t, v, n)
	v.Close()
	v = open(t, dir, Config{Ring: 1 << 17, Sessions: 4096}) // on a file system that is full
	sound(t, v)
	if len(sessions(v)) != n {
		t.Errorf("%d sessions, want %d", len(sessions(v)), n)
	}
}
