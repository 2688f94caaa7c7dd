// SPDX-License-Identifier: Apache-2.0

package shm

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Whoever takes over a descriptor has the lock of one address and no other; nobody finds it free meanwhile, and nobody can change
// the table from the side that gives it.
func TestHandOver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	open := func() *Locks {
		l, err := OpenLocks(path, true, Keep)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(l.Close)
		return l
	}
	before, after, third := open(), open(), open()
	for _, a := range []uint32{5, 6, 1<<32 - 1} {
		if ok, err := before.TryBind(a); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	if _, _, ok := before.HandOver(7); ok {
		t.Error("an address that is not bound was handed over")
	}
	f, release, ok := before.HandOver(5)
	if !ok {
		t.Fatal("not handed over")
	}
	if before.change.TryLock() {
		t.Error("the table can be changed")
	}
	release()
	for what, g := range map[string]*os.File{"another description of the file": third.file, "another file": otherFile(t)} {
		if err := after.Adopt(5, g); err == nil || !strings.Contains(err.Error(), "address 5") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := after.Adopt(7, f); err == nil {
		t.Error("an address that nobody has was taken over")
	}
	if err := after.Adopt(5, f); err != nil {
		t.Fatal(err)
	}
	for a, want := range map[uint32]bool{5: true, 6: false, 1<<32 - 1: false} {
		if held, err := third.Bound(a); held != want || err != nil {
			t.Errorf("address %d is bound: %v, %v, want %v", a, held, err, want)
		}
	}
	if ok, _ := after.TryBind(5); ok {
		t.Error("it is bound twice")
	}
	if g, release, ok := after.HandOver(5); !ok || g != f {
		t.Error("it is not handed over again")
	} else {
		release()
	}
	after.Unbind(5)
	if held, err := third.Bound(5); held || err != nil {
		t.Errorf("it is bound after Unbind: %v", err)
	}
}

func otherFile(t *testing.T) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "other"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}
