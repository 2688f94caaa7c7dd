// SPDX-License-Identifier: Apache-2.0

package shm

import (
	"errors"
	"fmt"
	"hash/crc32"
	"structs"
	"unsafe"
)

// Layout is the version of all memory formats of this build. A process with
// another one refuses the domain and changes nothing.
//
//	1  2026-11  first
const Layout = 1

// HeaderSize is the size of a segment's header in bytes.
const HeaderSize = 128

// BodySize is the part of the header that each kind of segment fills itself.
const BodySize = 96

// A Magic opens a segment and names its kind.
type Magic [8]byte

// header is the immutable start of every segment.
type header struct {
	_       structs.HostLayout
	magic   Magic
	layout  uint32
	sum     uint32 // CRC-32C of the 128 bytes with this field 0
	size    uint64 // of the file, in bytes
	created int64  // Unix nanoseconds
	body    [BodySize]byte
}

var (
	_ = [1]struct{}{}[unsafe.Sizeof(header{})-HeaderSize]
	_ = [1]struct{}{}[unsafe.Offsetof(header{}.layout)-8]
	_ = [1]struct{}{}[unsafe.Offsetof(header{}.sum)-12]
	_ = [1]struct{}{}[unsafe.Offsetof(header{}.size)-16]
	_ = [1]struct{}{}[unsafe.Offsetof(header{}.created)-24]
	_ = [1]struct{}{}[unsafe.Offsetof(header{}.body)-32]
)

// Each way in which a segment can fail to open.
var (
	// ErrMagic means that the file is no segment of the wanted kind.
	ErrMagic = errors.New("not a segment of this kind")
	// ErrLayout means that the segment was made by a build with another memory layout.
	ErrLayout = errors.New("other layout version")
	// ErrTruncated means that the file is shorter than its header or than it says.
	ErrTruncated = errors.New("file is truncated")
	// ErrChecksum means that the header's bytes were changed.
	ErrChecksum = errors.New("header checksum does not match")
	// ErrTooLarge means that the file is larger than any segment of its kind.
	ErrTooLarge = errors.New("file is too large")
	// ErrNoSpace means that the file system has no room for the segment.
	ErrNoSpace = errors.New("no space for the segment")
	// ErrMappings means that the process may not map more segments.
	ErrMappings = errors.New("too many mappings in this process")
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// headerOf views the first bytes of a segment, of which there must be 128.
func headerOf(mem []byte) *header {
	return (*header)(unsafe.Pointer(unsafe.SliceData(mem[:HeaderSize])))
}

// sumOf computes the checksum over a private copy.
func sumOf(h header) uint32 {
	h.sum = 0
	return crc32.Checksum(unsafe.Slice((*byte)(unsafe.Pointer(&h)), HeaderSize), castagnoli)
}

// check judges a private copy of a header against what is wanted and what the
// file is.
func (h header) check(magic Magic, fileSize int64) error {
	switch {
	case h.magic != magic:
		return fmt.Errorf("%w: it starts with %q, want %q", ErrMagic, h.magic[:], magic[:])
	case h.layout != Layout:
		return fmt.Errorf("%w: it has %d, this build has %d", ErrLayout, h.layout, Layout)
	case h.sum != sumOf(h):
		return fmt.Errorf("%w: it says %#08x, the bytes give %#08x", ErrChecksum, h.sum, sumOf(h))
	case h.size != uint64(fileSize):
		return fmt.Errorf("%w: it says %d bytes, the file has %d", ErrTruncated, h.size, fileSize)
	}
	return nil
}

// View returns mem, from offset off, as a T. It panics if that reaches outside
// or is not aligned: offsets are constants of the formats.
func View[T any](mem []byte, off int) *T {
	var t T
	if off < 0 || off+int(unsafe.Sizeof(t)) > len(mem) || off%int(unsafe.Alignof(t)) != 0 {
		panic(fmt.Sprintf("shm: view of %d bytes at %d in %d", unsafe.Sizeof(t), off, len(mem)))
	}
	return (*T)(unsafe.Pointer(&mem[off]))
}
