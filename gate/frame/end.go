// SPDX-License-Identifier: Apache-2.0

package frame

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// An End says why the gate ends the connection: a REFUSED or a KICKED.
type End struct {
	Kind    Kind  // KindRefused or KindKicked
	Version uint8 // that the gate speaks; Append writes Version
	Code    Code
	Text    string // for people, UTF-8, at most MaxText bytes
}

// Error makes an *End an error.
func (e *End) Error() string {
	if e.Text == "" {
		return fmt.Sprintf("%v by the gate: %v", e.Kind, e.Code)
	}
	return fmt.Sprintf("%v by the gate: %v: %s", e.Kind, e.Code, e.Text)
}

// AppendEnd appends a REFUSED or KICKED. A text above MaxText is cut between two
// characters; one that is not UTF-8 is left out. A Kind that is neither counts as KindKicked.
func AppendEnd(dst []byte, e *End) []byte {
	kind := KindKicked
	if e.Kind == KindRefused {
		kind = KindRefused
	}
	dst = be.AppendUint16(append(dst, byte(kind), Version), uint16(e.Code))
	return append(dst, clip(e.Text, MaxText)...)
}

// ParseEnd reads a REFUSED or KICKED, of any version.
func ParseEnd(b []byte) (End, error) {
	k, err := KindOf(b)
	switch {
	case err != nil:
		return End{}, err
	case k != KindRefused && k != KindKicked:
		return End{}, malformed("packet", k.String(), "%v or %v", KindRefused, KindKicked)
	case len(b) < EndHead:
		return End{}, wrongSize(b, k, EndHead)
	case len(b) > EndHead+MaxText:
		return End{}, wrongSize(b, k, EndHead+MaxText)
	case !utf8.Valid(b[EndHead:]):
		return End{}, malformed(k.String(), "a text that is not UTF-8", "one that is")
	}
	return End{Kind: k, Version: b[atVersion], Code: Code(be.Uint16(b[atCode:])), Text: string(b[EndHead:])}, nil
}

// CodeOf returns the code with which a gate refuses a packet for which a function
// of this package had the error.
func CodeOf(err error) Code {
	switch {
	case errors.Is(err, ErrVersion):
		return CodeVersion
	case errors.Is(err, ErrTooLarge):
		return CodeTooLarge
	}
	return CodeMalformed
}
