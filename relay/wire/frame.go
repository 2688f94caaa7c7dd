// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Sizes in bytes.
const (
	HeaderSize   = 16
	MaxBody      = 64 << 10 // of a frame, behind its header
	MaxFrame     = HeaderSize + MaxBody
	MaxPayload   = 32 << 10 // of the records of one DATA or FRAG frame
	RecordHeader = 8        // of a record in a DATA frame
	dataHeader   = 16       // of a DATA frame's body
	fragHeader   = 28
	MaxText      = 255
	MaxMembers   = 16 // of a JOINED frame
)

// Version is the protocol's version that this package speaks, and the only one.
const Version = 1

// ErrProtocol means that the peer sent what no peer may send.
var ErrProtocol = errors.New("protocol error")

// A Type says what a frame is.
type Type uint8

// The types of frames.
const (
	TypeHello Type = iota + 1
	TypeRefuse
	TypeOpen
	TypeResume
	TypeData
	TypeFrag
	TypeAck
	TypeGap
	TypeClose
	TypeWant
	TypePing
	TypePong
	TypeBye
	TypeJoin
	TypeJoined
	typeEnd
)

var typeNames = [...]string{"0", "HELLO", "REFUSE", "OPEN", "RESUME", "DATA", "FRAG", "ACK", "GAP", "CLOSE", "WANT", "PING", "PONG", "BYE", "JOIN", "JOINED"}

// String returns the name that the page has.
func (t Type) String() string {
	if t < typeEnd {
		return typeNames[t]
	}
	return fmt.Sprintf("Type(%d)", uint8(t))
}

// FlagUnknown of a RESUME: the far side did not know the lane.
const FlagUnknown = 1

// FlagRedelivered of a record: its receiver may have handled it before.
const FlagRedelivered = 1

// ofStream tells which types belong to a stream, and so must name one.
var ofStream = [typeEnd]bool{
	TypeOpen: true, TypeResume: true, TypeData: true, TypeFrag: true, TypeAck: true, TypeGap: true, TypeClose: true, TypeWant: true,
}

// bodies has the least and the greatest length of each type's body.
var bodies = [typeEnd][2]int{
	TypeHello:  {27, 27 + 3*MaxText},
	TypeRefuse: {3, 3 + MaxText},
	TypeOpen:   {50, 50},
	TypeResume: {36, 36},
	TypeData:   {dataHeader + RecordHeader, MaxBody},
	TypeFrag:   {fragHeader + 1, fragHeader + MaxPayload},
	TypeAck:    {36, 36},
	TypeGap:    {27, 27 + MaxText},
	TypeClose:  {8, 8},
	TypeWant:   {12, 12},
	TypePing:   {8, 8},
	TypePong:   {8, 8},
	TypeBye:    {3, 3 + MaxText},
	TypeJoin:   {5, 5 + MaxText},
	TypeJoined: {4, 4 + MaxText + MaxMembers*(3+2*MaxText)},
}

// A Header is the beginning of each frame.
type Header struct {
	Length int // of the body, in bytes
	Type   Type
	Flags  uint8
	Stream uint32 // the number that the stream's origin gave it; 0 for none
}

// ParseHeader reads the first HeaderSize bytes of b.
func ParseHeader(b []byte) (Header, error) {
	_ = b[HeaderSize-1]
	n := binary.LittleEndian.Uint32(b)
	h := Header{Length: int(n), Type: Type(b[4]), Flags: b[5], Stream: binary.LittleEndian.Uint32(b[8:])}
	switch {
	case binary.LittleEndian.Uint32(b[12:]) != ^n:
		return h, protocolf("this is no relay: it sent % x", b[:HeaderSize])
	case h.Type == 0 || h.Type >= typeEnd:
		return h, protocolf("frame type %d is unknown", h.Type)
	case b[6] != 0 || b[7] != 0 || h.Flags != 0 && (h.Type != TypeResume || h.Flags != FlagUnknown):
		return h, protocolf("%v frame with flags %#x", h.Type, b[5:8])
	case n > MaxBody || int(n) < bodies[h.Type][0] || int(n) > bodies[h.Type][1]:
		return h, protocolf("%v frame of %d bytes, want %d to %d", h.Type, n, bodies[h.Type][0], bodies[h.Type][1])
	case ofStream[h.Type] && h.Stream == 0:
		return h, protocolf("%v frame of no stream", h.Type)
	case !ofStream[h.Type] && h.Stream != 0 && h.Type != TypeRefuse:
		return h, protocolf("%v frame of stream %d", h.Type, h.Stream)
	}
	return h, nil
}

// Begin appends a frame's header, to be completed by End.
func Begin(b []byte, t Type, flags uint8, stream uint32) []byte {
	b = append(b, 0, 0, 0, 0, byte(t), flags, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, stream)
	return append(b, 0, 0, 0, 0)
}

// End completes the frame whose header stands at b[at]; extra bytes of its body
// follow elsewhere.
func End(b []byte, at, extra int) []byte {
	n := uint32(len(b) - at - HeaderSize + extra)
	binary.LittleEndian.PutUint32(b[at:], n)
	binary.LittleEndian.PutUint32(b[at+12:], ^n)
	return b
}

func protocolf(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrProtocol, fmt.Sprintf(format, args...))
}

// A reader takes fields off a body whose least length was checked with its header.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if len(r.b) < n {
		r.bad = true
		return make([]byte, n)
	}
	f := r.b[:n]
	r.b = r.b[n:]
	return f
}

func (r *reader) u8() uint8   { return r.take(1)[0] }
func (r *reader) u16() uint16 { return binary.LittleEndian.Uint16(r.take(2)) }
func (r *reader) u32() uint32 { return binary.LittleEndian.Uint32(r.take(4)) }
func (r *reader) u64() uint64 { return binary.LittleEndian.Uint64(r.take(8)) }
func (r *reader) text() string {
	n := int(r.u8())
	return string(r.take(n))
}

// end returns an error unless everything was read and nothing was missing.
func (r *reader) end(t Type) error {
	if r.bad || len(r.b) != 0 {
		return protocolf("%v frame whose fields do not fill it", t)
	}
	return nil
}

func appendText(b []byte, s string) []byte {
	if len(s) > MaxText {
		s = s[:MaxText]
	}
	return append(append(b, byte(len(s))), s...)
}
