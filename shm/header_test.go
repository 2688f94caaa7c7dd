// SPDX-License-Identifier: Apache-2.0

package shm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

// headerErrors are all ways in which opening can fail because of the bytes.
var headerErrors = []error{ErrMagic, ErrLayout, ErrTruncated, ErrChecksum}

// wantOpenErr opens the bytes as a segment: that must fail with this error and none
// of the other kinds, and leave nothing mapped.
func wantOpenErr(t *testing.T, path string, data []byte, want error, what string, args ...any) {
	t.Helper()
	check(t, os.WriteFile(path, data, 0o600))
	before := Mapped()
	for _, readOnly := range []bool{false, true} {
		s, err := Open(path, testMagic, readOnly)
		if err == nil {
			s.Close()
		}
		for _, kind := range headerErrors {
			if wanted := errors.Is(want, kind); errors.Is(err, kind) != wanted {
				t.Fatalf(what+": got %v, want %v", append(args, err, want)...)
			}
		}
		if err == nil || !strings.Contains(err.Error(), path) {
			t.Fatalf(what+": the error does not name the file: %v", append(args, err)...)
		}
	}
	if n := Mapped(); n != before {
		t.Fatalf(what+": %d mappings are left", append(args, n-before)...)
	}
}

func TestHeaderWithOneBitFlipped(t *testing.T) {
	path, data := segmentFile(t)
	for i := range HeaderSize {
		want := ErrChecksum
		switch {
		case i < 8:
			want = ErrMagic
		case i < 12:
			want = ErrLayout
		}
		for bit := range 8 {
			bad := bytes.Clone(data)
			bad[i] ^= 1 << bit
			wantOpenErr(t, path, bad, want, "bit %d of byte %d", bit, i)
		}
	}
}

func TestSegmentCutOffAnywhere(t *testing.T) {
	path, data := segmentFile(t)
	for n := range testSize {
		wantOpenErr(t, path, data[:n], ErrTruncated, "%d bytes", n)
	}
	wantOpenErr(t, path, append(bytes.Clone(data), 0), ErrTruncated, "one byte more")
}

func TestSegmentOfAnotherKind(t *testing.T) {
	path, data := segmentFile(t)
	wantOpenErr(t, path, make([]byte, testSize), ErrMagic, "zeros")
	_, err := Open(path, Magic{'O', 'T', 'H', 'E', 'R'}, true)
	if !errors.Is(err, ErrMagic) {
		t.Errorf("another magic: %v", err)
	}
	check(t, os.WriteFile(path, data, 0o600))
	s, err := Open(path, testMagic, true)
	check(t, err)
	s.Close()
}

// A later layout may have another header altogether: nothing of it is judged
// but its number.
func TestSegmentOfAnotherLayout(t *testing.T) {
	path, data := segmentFile(t)
	for _, version := range []uint32{0, 2, 1 << 31} {
		bad := bytes.Clone(data)
		binary.LittleEndian.PutUint32(bad[8:], version)
		clear(bad[12:HeaderSize])
		wantOpenErr(t, path, bad, ErrLayout, "layout %d", version)
	}
}

func TestHeaderIsAsDocumented(t *testing.T) {
	path, data := segmentFile(t)
	le := binary.LittleEndian
	if !bytes.Equal(data[:8], testMagic[:]) || le.Uint32(data[8:]) != Layout ||
		le.Uint64(data[16:]) != testSize || le.Uint64(data[24:]) != 12345 || string(data[128:135]) != "content" {
		t.Errorf("the header is %x", data[:HeaderSize])
	}
	s, err := Open(path, testMagic, true)
	check(t, err)
	defer s.Close()
	if s.Created() != 12345 || s.Path() != path || len(s.Mem()) != testSize {
		t.Errorf("created %v, path %s, %d bytes", time.Unix(0, s.Created()), s.Path(), len(s.Mem()))
	}
	if body := s.Body(); body != [BodySize]byte{} {
		t.Errorf("body %x", body)
	}
}

func TestViewStaysInside(t *testing.T) {
	mem := make([]byte, 64)
	View[uint64](mem, 56)
	for _, off := range []int{-8, 57, 60, 64, 1} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("a view at %d of 64 bytes did not panic", off)
				}
			}()
			View[uint64](mem, off)
		}()
	}
}
