// SPDX-License-Identifier: Apache-2.0

package frame

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

var be = binary.BigEndian

// A Framing says where a packet ends in a stream of bytes. Programs may bring
// their own: its methods are called by many goroutines at once and keep nothing.
// A framing that can carry any bytes says so by one more method, Binary() bool.
type Framing interface {
	// Split cuts the first packet out of b. It returns the packet, which lies in
	// b, and how many bytes of b it takes with its frame. n is 0 if more bytes are needed; a packet of
	// no bytes has n > 0. limit is how many bytes a packet may have, without its frame; one
	// below 0 is as 0. Errors wrap ErrTooLarge, as soon as the length is known, and
	// ErrMalformed; the stream cannot be read on then. Split allocates only for an
	// error, and looks at no byte behind the frame.
	Split(b []byte, limit int) (packet []byte, n int, err error)

	// Append appends the packet in its frame. Errors wrap ErrTooLarge if the frame
	// cannot say the length, and ErrMalformed if it cannot carry the bytes; dst is
	// returned as it was then.
	Append(dst, packet []byte) ([]byte, error)

	// Overhead returns how many bytes Append adds to a packet of n bytes.
	Overhead(n int) int
}

// Standard is one of the framings of this package. The zero value is Length2.
// It is a Framing; values can be compared.
type Standard uint8

// The framings.
const (
	Length2 Standard = iota // 2 bytes of length, big-endian; skynet's
	Length4                 // 4 bytes of length, big-endian
	Varint                  // the length as unsigned LEB128, in its shortest form alone
	Line                    // up to \n; a \r before it is cut. Carries no packet with a \n, and none that ends with \r
	Raw                     // no frame: what is there is a packet. Carries no boundaries, and no packet of 0 bytes
	standardEnd
)

var standardNames = [standardEnd]string{Length2: "2", Length4: "4", Varint: "varint", Line: "line", Raw: "raw"}

// Parse returns the framing that a configuration names: "2", "4", "varint",
// "line" or "raw". The error names them all.
func Parse(name string) (Framing, error) {
	if i := slices.Index(standardNames[:], name); i >= 0 {
		return Standard(i), nil
	}
	return nil, fmt.Errorf("framing %q: want one of %s", name, strings.Join(standardNames[:], ", "))
}

// Binary reports whether packets of any bytes come out of f as they went in, each
// by itself: what the protocol with resume needs. A framing of the program's own says so by a
// method Binary() bool; one without is not.
func Binary(f Framing) bool {
	b, ok := f.(interface{ Binary() bool })
	return ok && b.Binary()
}

// String returns the name that Parse takes.
func (s Standard) String() string {
	if s < standardEnd {
		return standardNames[s]
	}
	return fmt.Sprintf("framing %d", uint8(s))
}

// Binary reports whether s carries packets of any bytes.
func (s Standard) Binary() bool { return s <= Varint }

// Split cuts the first packet out of b; see Framing. A packet of Raw is what is
// there, up to limit bytes. Line looks again at the bytes of a line that was not whole.
func (s Standard) Split(b []byte, limit int) (packet []byte, n int, err error) {
	limit = max(limit, 0)
	switch s {
	case Length2:
		if len(b) < 2 {
			return nil, 0, nil
		}
		return cut(b, 2, uint64(be.Uint16(b)), limit)
	case Length4:
		if len(b) < 4 {
			return nil, 0, nil
		}
		return cut(b, 4, uint64(be.Uint32(b)), limit)
	case Varint:
		return splitVarint(b, limit)
	case Line:
		return splitLine(b, limit)
	case Raw:
		return splitRaw(b, limit)
	}
	return nil, 0, s.unknown()
}

// Append appends the packet in its frame; see Framing.
func (s Standard) Append(dst, packet []byte) ([]byte, error) {
	n := uint64(len(packet))
	switch s {
	case Length2:
		if n > 1<<16-1 {
			return dst, tooLarge(n, 1<<16-1)
		}
		dst = be.AppendUint16(dst, uint16(n))
	case Length4:
		if n > 1<<32-1 {
			return dst, fmt.Errorf("a packet of %d bytes: %w for 4 bytes of length", n, ErrTooLarge)
		}
		dst = be.AppendUint32(dst, uint32(n))
	case Varint:
		dst = binary.AppendUvarint(dst, n)
	case Line:
		return appendLine(dst, packet)
	case Raw:
	default:
		return dst, s.unknown()
	}
	return append(dst, packet...), nil
}

// Overhead returns how many bytes the frame of a packet of n bytes has.
func (s Standard) Overhead(n int) int {
	switch s {
	case Length2:
		return 2
	case Length4:
		return 4
	case Varint:
		return varintSize(n)
	case Line:
		return 1
	}
	return 0
}

func (s Standard) unknown() error {
	return fmt.Errorf("%w: %v, want one of %s", ErrMalformed, s, strings.Join(standardNames[:], ", "))
}

// cut returns the packet of length bytes behind a head.
func cut(b []byte, head int, length uint64, limit int) (packet []byte, n int, err error) {
	if length > uint64(limit) {
		return nil, 0, tooLarge(length, limit)
	}
	if uint64(len(b)-head) < length {
		return nil, 0, nil
	}
	n = head + int(length)
	return b[head:n:n], n, nil
}
