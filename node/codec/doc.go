// SPDX-License-Identifier: Apache-2.0

// Package codec turns values into bytes and back, for messages that leave the
// process. It speaks CBOR (RFC 8949), and knows by name the Go types that a
// program registers:
//
//	type Order struct {
//		Player string
//		Items  []Item
//		Extra  any
//	}
//
//	err := codec.Register[*Order](codec.Default, "shop.Order")
//	...
//	data, encoding, typ, err := codec.Default.Append(nil, &Order{Player: "ann"})
//	v, err := codec.Default.Decode(data, encoding, typ) // a *Order
//
// # What becomes what
//
//	value                           encoding  arrives as
//	nil                             None      nil
//	[]byte                          Raw       []byte, never nil
//	string                          Text      string
//	of a registered type            CBOR      exactly that type
//	of a type that a Format knows   Proto ..  what the Format makes of it
//	bool, integers, floats          CBOR      bool; int64, or uint64 above that; float64
//	time.Time                       CBOR      time.Time: nanoseconds and offset, no name of a zone
//	slices and arrays of these      CBOR      []any; of bytes []byte
//	maps from strings to these      CBOR      map[string]any
//
// The last four rows are also what becomes of values in fields of type any; nil
// slices and maps are nil there. A registered type in such a field, at any
// depth, arrives as itself. A string is sent as it is, be it UTF-8 or not. A
// zero time.Time arrives as nil where it lies in a slice or map in a field of
// type any.
//
// Not sent, with an error at the sender that names the path: values of struct or
// pointer types that are not registered (but structs that are part of a
// registered type need no registration), chan, func, unsafe.Pointer, complex
// numbers, errors, interfaces with methods, pointers to pointers, and values
// that contain themselves.
//
// # Structs of two versions
//
// Fields go by name; the tags cbor:"name,omitempty,omitzero,keyasint" and
// json:"..." of github.com/fxamacker/cbor apply, and "-" keeps a field at home.
//
//	the receiver's struct            then
//	lacks a field                    what was sent of it is skipped
//	has a field more                 it is zero
//	has a wider or narrower number   it is taken if the value fits; else an error names type and field
//	has another type for a field     an error
//	has the fields in another order  that is no difference
//	has a pointer for a value        it is taken; and the other way round, nil as zero
//	has any for a type               it is taken as the table above has it: registered types only travel in fields of type any
//
// A name stands for one type for good: what is incompatible gets a new name.
//
// # Limits
//
// [Limits] hold for both directions. Bytes are not trusted: the whole input is
// checked before anything is made of it, and it may unfold to no more memory
// than 256 times its length and a mebibyte. Of CBOR the decoder takes lengths
// that are definite, no big numbers, and ignores tags that it does not know.
package codec
