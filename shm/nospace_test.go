// SPDX-License-Identifier: Apache-2.0

package shm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/skybus-io/skybus/internal/testutil"
)

func init() { children["stranger"] = stranger }

// sealed computes the checksum anew, by the format's page and not by the code.
func sealed(header []byte) []byte {
	binary.LittleEndian.PutUint32(header[12:], 0)
	sum := crc32.Checksum(header[:HeaderSize], crc32.MakeTable(crc32.Castagnoli))
	binary.LittleEndian.PutUint32(header[12:], sum)
	return header
}

// A header that is whole may still be that of another size, kind or layout.
func TestSealedHeaderThatIsWrong(t *testing.T) {
	path, data := segmentFile(t)
	if !bytes.Equal(sealed(bytes.Clone(data)), data) {
		t.Fatal("the checksum is not CRC-32C of the header with its own field 0")
	}
	for _, size := range []uint64{0, HeaderSize, testSize - 1, testSize + 1, math.MaxInt64, math.MaxUint64} {
		bad := bytes.Clone(data)
		binary.LittleEndian.PutUint64(bad[16:], size)
		wantOpenErr(t, path, bad, ErrChecksum, "size %d", size)
		wantOpenErr(t, path, sealed(bad), ErrTruncated, "size %d, sealed", size)
	}
	bad := bytes.Clone(data)
	bad[7] = 1
	wantOpenErr(t, path, sealed(bad), ErrMagic, "another magic, sealed")
	bad = bytes.Clone(data)
	binary.LittleEndian.PutUint32(bad[8:], Layout+1)
	wantOpenErr(t, path, sealed(bad), ErrLayout, "the next layout, sealed")
	wantOpenErr(t, path, bad[:HeaderSize], ErrLayout, "the next layout, cut off")
}

func TestCreateWithoutSpace(t *testing.T) {
	dir, before := testutil.Dir(t), Mapped()
	s, err := Create(filepath.Join(dir, "a"), spec(1<<50))
	if err == nil {
		s.Close()
		t.Fatal("a segment of 1 PiB was made")
	}
	if !errors.Is(err, ErrNoSpace) && !errors.Is(err, syscall.EFBIG) { // some file systems have no files so large
		t.Errorf("got the error %v, want %v", err, ErrNoSpace)
	}
	if list := names(t, dir); len(list) > 0 || Mapped() != before {
		t.Errorf("left %q, and %d mappings", list, Mapped()-before)
	}
}

func TestModesWhateverTheUmask(t *testing.T) {
	for _, mask := range []int{0, 0o022, 0o077, 0o177} {
		dir := filepath.Join(testutil.Dir(t), "domain")
		makeUnder(t, dir, mask)
		for name, want := range map[string]fs.FileMode{"": fs.ModeDir | 0o770, "seg": 0o660, "lock": 0o660} {
			if st := must(os.Stat(filepath.Join(dir, name)))(t); st.Mode() != want {
				t.Errorf("umask %03o: %q has mode %v, want %v", mask, name, st.Mode(), want)
			}
		}
	}
}

// makeUnder makes a folder, a segment and a lock file while the process has a umask.
func makeUnder(t *testing.T, dir string, mask int) {
	t.Helper()
	defer syscall.Umask(syscall.Umask(mask))
	check(t, MakeDir(dir, Keep))
	check(t, MakeDir(dir, Keep)) // it is there already
	must(Create(filepath.Join(dir, "seg"), spec(testSize)))(t).Close()
	must(OpenLocks(filepath.Join(dir, "lock"), true, Keep))(t).Close()
}

// However a stranger is refused, it can tell that from other errors.
func TestRefusalIsAPermissionError(t *testing.T) {
	asRoot(t)
	top := testutil.Dir(t)
	check(t, os.Chmod(top, 0o755))
	dir := filepath.Join(top, "domain")
	makeUnder(t, dir, 0o022)
	for _, mode := range []fs.FileMode{0o770, 0o755} {
		check(t, os.Chmod(dir, mode))
		out := must(hurried(child("stranger", dir)).Output())(t)
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		if len(lines) != 4 {
			t.Fatalf("the stranger said %q", out)
		}
		for _, line := range lines {
			if !strings.HasPrefix(line, "true ") || !strings.Contains(line, "uid 65534 needs the right to ") {
				t.Errorf("folder of mode %v: %s", mode, line)
			}
		}
	}
}

// stranger drops its rights, tries everything in the folder args[0], and prints
// whether that is refused for want of them.
func stranger(args []string) error {
	if err := errors.Join(syscall.Setgroups(nil), syscall.Setgid(nobody), syscall.Setuid(nobody)); err != nil {
		return err
	}
	_, errOpen := Open(filepath.Join(args[0], "seg"), testMagic, false)
	_, errCreate := Create(filepath.Join(args[0], "fresh"), spec(testSize))
	_, errLock := OpenLocks(filepath.Join(args[0], "lock"), true, Keep)
	errDir := MakeDir(filepath.Join(args[0], "folder"), Keep)
	for _, err := range []error{errOpen, errCreate, errLock, errDir} {
		fmt.Println(errors.Is(err, fs.ErrPermission), err)
	}
	return nil
}
