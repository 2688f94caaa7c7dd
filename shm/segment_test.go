// SPDX-License-Identifier: Apache-2.0

package shm

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/skybus-io/skybus/internal/testutil"
)

func names(t *testing.T, dir string) (list []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	check(t, err)
	for _, d := range entries {
		list = append(list, d.Name())
	}
	return list
}

func TestCreateGivesANameToWhatIsWhole(t *testing.T) {
	dir := testutil.Dir(t)
	path := filepath.Join(dir, "a")
	sp := spec(testSize)
	sp.Init = func([]byte) {
		if list := names(t, dir); len(list) != 1 || !IsTemporary(list[0]) {
			t.Errorf("while it is being made there are %q", list)
		}
	}
	s, err := Create(path, sp)
	check(t, err)
	defer s.Close()
	if list := names(t, dir); len(list) != 1 || list[0] != "a" {
		t.Errorf("there are %q", list)
	}
	var st syscall.Stat_t
	check(t, syscall.Stat(path, &st))
	if st.Mode&0o777 != 0o660 || st.Blocks*512 < testSize {
		t.Errorf("mode %o, %d bytes of memory", st.Mode, st.Blocks*512)
	}
}

func TestCreateDoesNotReplace(t *testing.T) {
	path, data := segmentFile(t)
	_, err := Create(path, spec(8192))
	if !errors.Is(err, fs.ErrExist) {
		t.Fatalf("got %v", err)
	}
	if now, _ := os.ReadFile(path); string(now) != string(data) {
		t.Error("the file was changed")
	}
	if list := names(t, filepath.Dir(path)); len(list) != 1 {
		t.Errorf("there are %q", list)
	}
}

func TestCreateOverWhatADeadMakerLeft(t *testing.T) {
	dir := testutil.Dir(t)
	check(t, os.WriteFile(filepath.Join(dir, ".tmp-a"), make([]byte, 99), 0o600))
	s, err := Create(filepath.Join(dir, "a"), spec(testSize))
	check(t, err)
	s.Close()
	if list := names(t, dir); len(list) != 1 {
		t.Errorf("there are %q", list)
	}
}

func TestCreateWithAnOwner(t *testing.T) {
	asRoot(t)
	dir := testutil.Dir(t)
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	check(t, MakeDir(filepath.Join(dir, "d"), Access{UID: 12, GID: 34}))
	sp := spec(testSize)
	sp.Access = Access{UID: -1, GID: 34}
	s, err := Create(filepath.Join(dir, "d", "a"), sp)
	check(t, err)
	s.Close()
	f, err := OpenLockFile(filepath.Join(dir, "d", "lock"), true, Access{UID: 12, GID: -1})
	check(t, err)
	f.Close()
	for name, want := range map[string][3]uint32{"d": {0o770, 12, 34}, "d/a": {0o660, 0, 34}, "d/lock": {0o660, 12, 0}} {
		var st syscall.Stat_t
		check(t, syscall.Stat(filepath.Join(dir, name), &st))
		if got := [3]uint32{st.Mode & 0o777, st.Uid, st.Gid}; got != want {
			t.Errorf("%s: mode, uid and gid %o, want %o", name, got, want)
		}
	}
}

func TestSegmentStaysMappedForItsLastHolder(t *testing.T) {
	path, _ := segmentFile(t)
	before := Mapped()
	s, err := Open(path, testMagic, false)
	check(t, err)
	if s.Acquire() != s {
		t.Error("Acquire returned another segment")
	}
	if !s.Named() {
		t.Error("the segment has its name no more")
	}
	s.Close()
	s.Mem()[HeaderSize]++ // must not fault
	if Mapped() != before+1 {
		t.Errorf("%d mappings, want %d", Mapped(), before+1)
	}
	check(t, os.Remove(path))
	if s.Named() {
		t.Error("an unlinked segment has its name")
	}
	check(t, os.WriteFile(path, nil, 0o600))
	if s.Named() {
		t.Error("another file has the segment's name")
	}
	s.Close()
	if Mapped() != before || s.Mem() != nil {
		t.Errorf("%d mappings, want %d", Mapped(), before)
	}
	s.Close() // once too often does no harm
	if Mapped() != before {
		t.Errorf("%d mappings after one Close too many", Mapped())
	}
}

func TestReadOnlySegmentSeesWhatIsWritten(t *testing.T) {
	path, _ := segmentFile(t)
	w, err := Open(path, testMagic, false)
	check(t, err)
	defer w.Close()
	r, err := Open(path, testMagic, true)
	check(t, err)
	defer r.Close()
	w.Mem()[1000] = 7
	if r.Mem()[1000] != 7 {
		t.Error("the other mapping does not show it")
	}
}

func TestTooManyMappings(t *testing.T) {
	path, _ := segmentFile(t)
	before := MaxMappings
	defer func() { MaxMappings = before }()
	MaxMappings = Mapped() + 1
	s, err := Open(path, testMagic, false)
	check(t, err)
	for _, try := range []func() (*Segment, error){
		func() (*Segment, error) { return Open(path, testMagic, false) },
		func() (*Segment, error) { return Create(path+"2", spec(testSize)) },
	} {
		if _, err := try(); !errors.Is(err, ErrMappings) {
			t.Errorf("got %v", err)
		}
	}
	if list := names(t, filepath.Dir(path)); len(list) != 1 {
		t.Errorf("there are %q", list)
	}
	s.Close()
	if s, err = Open(path, testMagic, false); err != nil {
		t.Fatalf("with one mapping less: %v", err)
	}
	s.Close()
}

func TestSegmentIsNoLink(t *testing.T) {
	path, _ := segmentFile(t)
	check(t, os.Symlink(path, path+"-link"))
	if _, err := Open(path+"-link", testMagic, false); err == nil {
		t.Error("a link was followed")
	}
}
