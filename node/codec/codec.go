// SPDX-License-Identifier: Apache-2.0

package codec

import (
	"errors"
	"fmt"
)

// An Encoding says what bytes are written in. The numbers are those of the
// envelope (docs/format/envelope.md).
type Encoding uint8

// The encodings.
const (
	None  Encoding = iota // nil; there are no bytes
	Raw                   // bytes as they are
	Text                  // a string
	CBOR                  // RFC 8949
	Proto                 // a protobuf message: package codec/protobuf
)

var encodingNames = [...]string{"none", "raw", "text", "CBOR", "protobuf"}

// String returns the name that the format's page has.
func (e Encoding) String() string {
	if int(e) < len(encodingNames) {
		return encodingNames[e]
	}
	return fmt.Sprintf("encoding %d", uint8(e))
}

var (
	// ErrType means that a value's type cannot be sent, or not without registration.
	ErrType = errors.New("type cannot be sent")
	// ErrUnknownType means that nobody here has registered the type of what came.
	ErrUnknownType = errors.New("type is not known")
	// ErrTooLarge means that a limit of the Registry is exceeded.
	ErrTooLarge = errors.New("too large")
	// ErrCycle means that a value contains itself.
	ErrCycle = errors.New("value contains itself")
	// ErrData means that bytes are not what their encoding or type demands.
	ErrData = errors.New("cannot be decoded")
	// ErrRegistered means that a name, a type or an id is taken.
	ErrRegistered = errors.New("already registered")
)

// Limits bound what is sent and taken. The zero value of a field is its default.
// Both sides should have the same: what one of them sends the other refuses
// otherwise.
type Limits struct {
	// MaxSize is the greatest length of an encoded value in bytes; 16 MiB.
	MaxSize int
	// MaxDepth is how deep slices, maps, and structs may be nested; 64. A
	// registered type in a field of type any counts as one more. It is raised to 4
	// and lowered to 1024.
	MaxDepth int
	// MaxElements is how many elements of slices, entries of maps and fields of
	// structs a value may have in all; 1 << 20. It is raised to 16 and lowered
	// to 1 << 30.
	MaxElements int
}

func (l Limits) withDefaults() Limits {
	set := func(v *int, def, least, most int) {
		if *v == 0 {
			*v = def
		}
		*v = min(max(*v, least), most)
	}
	set(&l.MaxSize, 16<<20, 1, 1<<30)
	set(&l.MaxDepth, 64, 4, 1024)
	set(&l.MaxElements, 1<<20, 16, 1<<30)
	return l
}

// ID returns the number that stands for a type's name in an envelope: its 32-bit
// FNV-1a, or 1 where that is 0.
// Algorithm: G. Fowler, L. Noll, K.-P. Vo, draft-eastlake-fnv.
func ID(name string) uint32 {
	h := uint32(2166136261)
	for i := range len(name) {
		h = (h ^ uint32(name[i])) * 16777619
	}
	return max(h, 1)
}

// A Format brings a further encoding to a Registry. Its methods are called by
// many goroutines at once.
type Format interface {
	// Encoding is the number of the encoding, from Proto on.
	Encoding() Encoding
	// Append encodes v behind dst if v is of a type of the format; ok tells that.
	// typ, not 0, is what Decode will get. It keeps nothing of dst.
	Append(dst []byte, v any) (out []byte, typ uint32, ok bool, err error)
	// Decode returns a value that shares nothing with data, or an error that wraps
	// ErrUnknownType or ErrData.
	Decode(data []byte, typ uint32) (any, error)
}
