// SPDX-License-Identifier: Apache-2.0

package frame

import (
	"encoding/binary"
	"fmt"
	"math/bits"
)

// le is for arithmetic on 8 bytes at a time: nothing of it is on the wire.
var le = binary.LittleEndian

// An Opcode says what a WebSocket frame is (RFC 6455, section 5.2).
type Opcode uint8

// The opcodes; all others are reserved.
const (
	OpContinuation Opcode = 0
	OpText         Opcode = 1
	OpBinary       Opcode = 2
	OpClose        Opcode = 8
	OpPing         Opcode = 9
	OpPong         Opcode = 10
)

// Sizes in bytes.
const (
	MaxWSHeader  = 14  // the longest header of a frame, with its key
	MaxWSControl = 125 // payload of a control frame
)

// Bits of the first two bytes.
const (
	bitFin    = 0x80
	bitRsv1   = 0x40
	bitsRsv23 = 0x30
	bitsOp    = 0x0f
	bitMask   = 0x80
	bitsLen   = 0x7f

	length16 = 126 // 2 bytes of length follow
	length64 = 127 // 8 do
)

// String returns what RFC 6455 calls the opcode.
func (o Opcode) String() string {
	switch o {
	case OpContinuation:
		return "continuation"
	case OpText:
		return "text"
	case OpBinary:
		return "binary"
	case OpClose:
		return "close"
	case OpPing:
		return "ping"
	case OpPong:
		return "pong"
	}
	return fmt.Sprintf("opcode %d", uint8(o))
}

// Control reports whether frames of o may stand between the frames of a message.
func (o Opcode) Control() bool { return o >= OpClose }

func (o Opcode) known() bool { return o <= OpBinary || o >= OpClose && o <= OpPong }

// A WSHeader is the head of a WebSocket frame.
type WSHeader struct {
	Fin    bool // the last frame of its message
	Rsv1   bool // the message is compressed (RFC 7692); in its first frame alone
	Masked bool // as all frames of a client are
	Opcode Opcode
	Key    [4]byte // of a masked frame
	Length uint64  // bytes of the payload; below 1<<63
}

// Who has sent a frame, and what was negotiated.
type rules uint8

const (
	mustMask rules = 1 << iota
	mustNotMask
	noRsv1
)

// ParseWSHeader reads the header at the beginning of b and returns how many bytes
// it has; n is 0 if more are needed. It checks all that RFC 6455 says of a header
// alone: reserved bits and opcodes, control frames that are whole and have at most 125
// bytes, lengths in their shortest form and below 1<<63. Whether Rsv1 and Masked are
// as they must be depends on what was negotiated and who has sent the frame:
// [WSReader] looks at that. Errors are *WSError, and come with the first byte that
// is wrong.
func ParseWSHeader(b []byte) (h WSHeader, n int, err error) { return parseHeader(b, 0) }

func parseHeader(b []byte, r rules) (h WSHeader, n int, err error) {
	if len(b) == 0 {
		return WSHeader{}, 0, nil
	}
	if err := checkFirst(b[0], r); err != nil {
		return WSHeader{}, 0, err
	}
	if len(b) == 1 {
		return WSHeader{}, 0, nil
	}
	if err := checkSecond(b[0], b[1], r); err != nil {
		return WSHeader{}, 0, err
	}
	h = WSHeader{Fin: b[0]&bitFin != 0, Rsv1: b[0]&bitRsv1 != 0, Masked: b[1]&bitMask != 0, Opcode: Opcode(b[0] & bitsOp)}
	h.Length = uint64(b[1] & bitsLen)
	n = 2
	if h.Length >= length16 {
		if h.Length, n, err = longLength(b, h.Length); n == 0 {
			return WSHeader{}, 0, err
		}
	}
	if h.Masked {
		if len(b) < n+4 {
			return WSHeader{}, 0, nil
		}
		h.Key = [4]byte(b[n:])
		n += 4
	}
	return h, n, nil
}

func checkFirst(first byte, r rules) error {
	op := Opcode(first & bitsOp)
	switch {
	case first&bitsRsv23 != 0:
		return protocolf("reserved bits %#x in the first byte, want 0", first&bitsRsv23)
	case !op.known():
		return protocolf("the reserved %v", op)
	case first&bitRsv1 != 0 && r&noRsv1 != 0:
		return protocolf("a compressed message, which was not negotiated")
	case first&bitRsv1 != 0 && op != OpText && op != OpBinary:
		return protocolf("the bit of compression in a %v frame, want it in the first frame of a message alone", op)
	case op.Control() && first&bitFin == 0:
		return protocolf("a %v frame in fragments, want it whole", op)
	}
	return nil
}

func checkSecond(first, second byte, r rules) error {
	masked := second&bitMask != 0
	switch op := Opcode(first & bitsOp); {
	case !masked && r&mustMask != 0:
		return protocolf("a frame of a client without a mask")
	case masked && r&mustNotMask != 0:
		return protocolf("a frame of a server with a mask")
	case op.Control() && second&bitsLen > MaxWSControl:
		return protocolf("a %v frame of more than %d bytes", op, MaxWSControl)
	}
	return nil
}

// longLength reads a length of 2 or 8 bytes and returns where it ends, 0 with
// an error or if it is not all there.
func longLength(b []byte, form uint64) (length uint64, n int, err error) {
	if form == length16 {
		if len(b) < 4 {
			return 0, 0, nil
		}
		if length = uint64(be.Uint16(b[2:])); length < length16 {
			return 0, 0, protocolf("%d as a length of 2 bytes, want its shortest form", length)
		}
		return length, 4, nil
	}
	if len(b) < 10 {
		return 0, 0, nil
	}
	switch length = be.Uint64(b[2:]); {
	case length>>63 != 0:
		return 0, 0, protocolf("the length %#x, want its top bit 0", length)
	case length < 1<<16:
		return 0, 0, protocolf("%d as a length of 8 bytes, want its shortest form", length)
	}
	return length, 10, nil
}

// AppendWSHeader appends the header of a frame that a server sends: one without a
// mask. length is that of the payload, which the caller appends or sends behind it.
func AppendWSHeader(dst []byte, fin, rsv1 bool, op Opcode, length int) []byte {
	return WSHeader{Fin: fin, Rsv1: rsv1, Opcode: op, Length: uint64(max(length, 0))}.Append(dst)
}

// Append appends the header as it is: nothing is checked.
func (h WSHeader) Append(dst []byte) []byte {
	first, second := byte(h.Opcode)&bitsOp, byte(0)
	if h.Fin {
		first |= bitFin
	}
	if h.Rsv1 {
		first |= bitRsv1
	}
	if h.Masked {
		second = bitMask
	}
	switch {
	case h.Length < length16:
		dst = append(dst, first, second|byte(h.Length))
	case h.Length < 1<<16:
		dst = append(dst, first, second|length16, byte(h.Length>>8), byte(h.Length))
	default:
		dst = be.AppendUint64(append(dst, first, second|length64), h.Length)
	}
	if h.Masked {
		dst = append(dst, h.Key[:]...)
	}
	return dst
}

// AppendWSFrame appends a whole frame: the header h with the length of the payload, then the
// payload, masked in dst if h.Masked. The payload stays as it is.
func AppendWSFrame(dst []byte, h WSHeader, payload []byte) []byte {
	h.Length = uint64(len(payload))
	dst = h.Append(dst)
	at := len(dst)
	dst = append(dst, payload...)
	if h.Masked {
		Unmask(h.Key, 0, dst[at:])
	}
	return dst
}

// Unmask masks b in place, or takes the mask away: both are the same. offset is
// that of b in the payload of its frame.
func Unmask(key [4]byte, offset int, b []byte) {
	k := uint64(le.Uint32(key[:]))
	k = bits.RotateLeft64(k|k<<32, -8*(offset&3))
	for len(b) >= 32 {
		c := b[:32:32]
		le.PutUint64(c[0:8], le.Uint64(c[0:8])^k)
		le.PutUint64(c[8:16], le.Uint64(c[8:16])^k)
		le.PutUint64(c[16:24], le.Uint64(c[16:24])^k)
		le.PutUint64(c[24:32], le.Uint64(c[24:32])^k)
		b = b[32:]
	}
	for len(b) >= 8 {
		le.PutUint64(b, le.Uint64(b)^k)
		b = b[8:]
	}
	for i := range b {
		b[i] ^= byte(k >> (8 * i))
	}
}
