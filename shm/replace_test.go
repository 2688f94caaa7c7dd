// SPDX-License-Identifier: Apache-2.0

package shm

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skybus-io/skybus/internal/testutil"
)

func TestReplace(t *testing.T) {
	path := filepath.Join(testutil.Dir(t), "segment")
	old := must(Replace(path, spec(testSize)))(t) // there is none yet
	defer old.Close()
	old.Mem()[HeaderSize] = 1
	sp := spec(2 * testSize)
	sp.Init = func(mem []byte) { mem[HeaderSize] = 2 }
	s := must(Replace(path, sp))(t)
	defer s.Close()
	if old.Named() || !s.Named() {
		t.Errorf("the old one has its name: %v, the new one: %v", old.Named(), s.Named())
	}
	if old.Mem()[HeaderSize] != 1 || len(old.Mem()) != testSize {
		t.Error("the old one was changed")
	}
	now := must(Open(path, testMagic, true))(t)
	defer now.Close()
	if now.Mem()[HeaderSize] != 2 || len(now.Mem()) != 2*testSize {
		t.Error("the name does not lead to the new one")
	}
	if list := names(t, filepath.Dir(path)); len(list) != 1 {
		t.Errorf("there are %q", list)
	}
}

// TestFailedReplaceChangesNothing: one that cannot be made leaves the old one its name.
func TestFailedReplaceChangesNothing(t *testing.T) {
	s := newSegment(t)
	before := MaxMappings
	defer func() { MaxMappings = before }()
	MaxMappings = Mapped()
	if _, err := Replace(s.Path(), spec(testSize)); !errors.Is(err, ErrMappings) {
		t.Errorf("got %v", err)
	}
	if !s.Named() {
		t.Error("the old one has its name no more")
	}
	if list := names(t, filepath.Dir(s.Path())); len(list) != 1 {
		t.Errorf("there are %q", list)
	}
	_, err := Replace(filepath.Join(s.Path()+"-missing", "segment"), spec(testSize))
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a folder: %v", err)
	}
}

// readFile is ReadFile of the file at path.
func readFile(t *testing.T, path string, magic Magic, limit int64) ([BodySize]byte, []byte, error) {
	t.Helper()
	f := must(os.Open(path))(t)
	defer f.Close()
	return ReadFile(f, magic, limit)
}

func TestReadFile(t *testing.T) {
	dir := testutil.Dir(t)
	path := filepath.Join(dir, "segment")
	sp := spec(testSize)
	sp.Body[0], sp.Body[BodySize-1] = 7, 9
	sp.Init = func(mem []byte) { copy(mem[HeaderSize:], "content") }
	s := must(Create(path, sp))(t)
	defer s.Close()
	before := Mapped()
	for _, limit := range []int64{testSize - HeaderSize, 1 << 40} {
		body, rest, err := readFile(t, path, testMagic, limit)
		if err != nil || body != sp.Body || !bytes.Equal(rest, s.Mem()[HeaderSize:]) {
			t.Errorf("limit %d: body %x, rest %.20q, %v", limit, body, rest, err)
		}
	}
	if Mapped() != before {
		t.Errorf("%d mappings, want %d", Mapped(), before)
	}
	_, rest, err := readFile(t, path, testMagic, testSize-HeaderSize-1)
	if rest != nil || !errors.Is(err, ErrTooLarge) || !strings.Contains(err.Error(), path) {
		t.Errorf("one byte too many: %v", err)
	}
	if _, _, err := readFile(t, path, Magic{'x'}, testSize); !errors.Is(err, ErrMagic) {
		t.Errorf("another kind: %v", err)
	}
	check(t, os.Truncate(path, testSize-1))
	if _, _, err := readFile(t, path, testMagic, testSize); !errors.Is(err, ErrTruncated) {
		t.Errorf("cut off: %v", err)
	}
	check(t, os.Truncate(path, HeaderSize-1))
	if _, _, err := readFile(t, path, testMagic, testSize); !errors.Is(err, ErrTruncated) {
		t.Errorf("less than a header: %v", err)
	}
}

// TestReadFileOfAHeaderAlone: what is only a header is a segment, too.
func TestReadFileOfAHeaderAlone(t *testing.T) {
	path := filepath.Join(testutil.Dir(t), "segment")
	must(Create(path, spec(HeaderSize)))(t).Close()
	if _, rest, err := readFile(t, path, testMagic, 0); err != nil || len(rest) != 0 {
		t.Errorf("got %d bytes, %v", len(rest), err)
	}
}
