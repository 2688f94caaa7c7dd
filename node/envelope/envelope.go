// SPDX-License-Identifier: Apache-2.0

package envelope

import (
	"encoding/binary"
	"errors"
	"fmt"
)

var le = binary.LittleEndian

// Version is the version of the format that this package writes, and the only
// one that it reads.
const Version = 1

// Sizes in bytes.
const (
	HeadSize = 32  // of the fixed head
	MaxName  = 255 // of a receiver's name
	MaxHead  = HeadSize + typeSize + traceSize + leftSize + 1 + MaxName

	typeSize  = 4
	traceSize = 24
	leftSize  = 8
)

// The flags of the head.
const (
	flagTrace = 1 << iota
	flagLeft
	flagName
	flagAnswer
	flagsKnown = flagTrace | flagLeft | flagName | flagAnswer
)

// Offsets in the head.
const (
	atVersion  = 0
	atKind     = 1
	atFlags    = 2
	atEncoding = 4
	atUser     = 5
	atReserved = 6
	atTo       = 8
	atFrom     = 16
	atSession  = 24
)

// ErrFormat means that bytes, or the fields of an Envelope or a Report, break a
// rule of docs/format/envelope.md.
var ErrFormat = errors.New("no envelope")

// ErrOptional means that a record is of a kind that this version does not know, and that
// its reader may pass over: it is no fault of anybody.
var ErrOptional = errors.New("an optional kind of a later version")

// A Trace is what W3C Trace Context calls trace-id and parent-id. A zero ID is
// no trace.
type Trace struct {
	ID   [16]byte
	Span [8]byte
}

// An Envelope is one record of a lane. Its zero fields are those that are not
// there. It may be copied; one goroutine at a time may write to it.
type Envelope struct {
	Kind     Kind
	Encoding Encoding
	UserKind uint8  // what the program calls this sort of message
	Answer   bool   // reserved: the receiver has to answer if it cannot deliver
	Type     uint32 // id of the payload's type, for encodings that are Typed
	To       uint64 // handle of the receiver; 0 with a Name
	From     uint64 // handle of the sender
	Session  uint64
	Trace    Trace
	Left     int64  // microseconds that who asks still waits; 0: for ever
	Name     []byte // of the receiver, at most MaxName bytes
	Payload  []byte // what follows; of a kind with a Report, that comes first
}

// Append appends the record. Errors: those of AppendHead, and one for a payload
// that the kind or the encoding does not have; dst is returned as it was then.
// It allocates only if dst has no room, and keeps nothing.
func (e *Envelope) Append(dst []byte) ([]byte, error) {
	if err := e.checkPayload(HeadSize); err != nil {
		return dst, err
	}
	out, err := e.AppendHead(dst)
	if err != nil {
		return dst, err
	}
	return append(out, e.Payload...), nil
}

// AppendHead appends everything before the body, so that the caller can encode
// the body directly behind it; Payload is ignored. Errors wrap ErrFormat and
// name the field; dst is returned as it was then. It allocates only if dst has
// no room.
func (e *Envelope) AppendHead(dst []byte) ([]byte, error) {
	if err := e.check(); err != nil {
		return dst, err
	}
	flags := e.flags()
	dst = append(dst, Version, byte(e.Kind), byte(flags), byte(flags>>8), byte(e.Encoding), e.UserKind, 0, 0)
	dst = le.AppendUint64(dst, e.To)
	dst = le.AppendUint64(dst, e.From)
	dst = le.AppendUint64(dst, e.Session)
	if e.Encoding.Typed() {
		dst = le.AppendUint32(dst, e.Type)
	}
	if flags&flagTrace != 0 {
		dst = append(dst, e.Trace.ID[:]...)
		dst = append(dst, e.Trace.Span[:]...)
	}
	if flags&flagLeft != 0 {
		dst = le.AppendUint64(dst, uint64(e.Left))
	}
	if flags&flagName != 0 {
		dst = append(append(dst, byte(len(e.Name))), e.Name...)
	}
	return dst, nil
}

func (e *Envelope) flags() (flags uint16) {
	if e.Trace.ID != [16]byte{} {
		flags |= flagTrace
	}
	if e.Left != 0 {
		flags |= flagLeft
	}
	if len(e.Name) > 0 {
		flags |= flagName
	}
	if e.Answer {
		flags |= flagAnswer
	}
	return flags
}

// Parse reads a record into e, all fields of which it sets. Name and Payload lie
// in b and are good as long as b is. Errors: ErrOptional; all others wrap ErrFormat
// and name the offset. e is of no use then. It does not allocate, except for an error.
func (e *Envelope) Parse(b []byte) error {
	if len(b) < HeadSize {
		return formatf(len(b), "the end of the record", "a head of %d bytes", HeadSize)
	}
	if b[atVersion] != Version {
		return formatf(atVersion, fmt.Sprintf("version %d", b[atVersion]), "version %d", Version)
	}
	if k := Kind(b[atKind]); k >= Optional && !k.known() {
		return ErrOptional
	}
	flags := le.Uint16(b[atFlags:])
	if unknown := flags &^ flagsKnown; unknown != 0 {
		return formatf(atFlags, fmt.Sprintf("flags %#x", flags), "none but %#x: %#x is reserved", flagsKnown, unknown)
	}
	if v := le.Uint16(b[atReserved:]); v != 0 {
		return formatf(atReserved, fmt.Sprintf("%#x in a reserved field", v), "0")
	}
	*e = Envelope{
		Kind: Kind(b[atKind]), Encoding: Encoding(b[atEncoding]), UserKind: b[atUser], Answer: flags&flagAnswer != 0,
		To: le.Uint64(b[atTo:]), From: le.Uint64(b[atFrom:]), Session: le.Uint64(b[atSession:]),
	}
	at, err := e.parseOptional(b, flags)
	if err == nil {
		err = e.check()
	}
	if err == nil {
		e.Payload = b[at:len(b):len(b)]
		err = e.checkPayload(at)
	}
	return err
}

// parseOptional reads the fields between head and body and returns where the body begins.
func (e *Envelope) parseOptional(b []byte, flags uint16) (at int, err error) {
	at = HeadSize
	if e.Encoding.Typed() {
		if len(b)-at < typeSize {
			return at, short(b, at, "a type of 4 bytes")
		}
		e.Type = le.Uint32(b[at:])
		at += typeSize
	}
	if flags&flagTrace != 0 {
		if len(b)-at < traceSize {
			return at, short(b, at, "a trace of 24 bytes")
		}
		copy(e.Trace.ID[:], b[at:])
		copy(e.Trace.Span[:], b[at+len(e.Trace.ID):])
		if e.Trace.ID == [16]byte{} {
			return at, formatf(at, "a trace id of zeros", "another one, or no flag %d", flagTrace)
		}
		at += traceSize
	}
	if flags&flagLeft != 0 {
		if len(b)-at < leftSize {
			return at, short(b, at, "a time left of 8 bytes")
		}
		e.Left = int64(le.Uint64(b[at:]))
		if e.Left <= 0 {
			return at, formatf(at, fmt.Sprintf("%d microseconds left", e.Left), "more than 0")
		}
		at += leftSize
	}
	if flags&flagName != 0 {
		return e.parseName(b, at)
	}
	return at, nil
}

func (e *Envelope) parseName(b []byte, at int) (int, error) {
	if at >= len(b) {
		return at, short(b, at, "the length of a name")
	}
	n := int(b[at])
	switch at++; {
	case n == 0:
		return at, formatf(at-1, "an empty name", "1 to %d bytes, or no flag %d", MaxName, flagName)
	case len(b)-at < n:
		return at, short(b, at, fmt.Sprintf("a name of %d bytes", n))
	}
	e.Name = b[at : at+n : at+n]
	return at + n, nil
}

func short(b []byte, at int, want string) error {
	return formatf(at, fmt.Sprintf("%d bytes before the end of the record", len(b)-at), "%s", want)
}

func formatf(at int, found, want string, args ...any) error {
	return fmt.Errorf("%w: offset %d: found %s, want %s", ErrFormat, at, found, fmt.Sprintf(want, args...))
}
