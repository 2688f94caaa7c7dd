// SPDX-License-Identifier: Apache-2.0

package frame

import (
	"errors"
	"fmt"
)

// What is wrong with bytes, or with a packet that shall be written.
var (
	// ErrTooLarge means that a packet is above its limit. The error is a
	// *TooLargeError, or a *WSError of code CloseTooBig.
	ErrTooLarge = errors.New("too large")

	// ErrMalformed means that a rule of the format is broken.
	ErrMalformed = errors.New("malformed")
)

// A TooLargeError says by how much a packet is above its limit. It wraps
// ErrTooLarge.
type TooLargeError struct {
	Length  uint64 // bytes of the packet, as declared
	AtLeast bool   // the length is not known yet, but not below Length
	Limit   int    // bytes
}

// Error names the length and the limit.
func (e *TooLargeError) Error() string {
	least := ""
	if e.AtLeast {
		least = "at least "
	}
	return fmt.Sprintf("a packet of %s%d bytes is too large, want at most %d", least, e.Length, e.Limit)
}

// Unwrap returns ErrTooLarge.
func (*TooLargeError) Unwrap() error { return ErrTooLarge }

func tooLarge(length uint64, limit int) error {
	return &TooLargeError{Length: length, Limit: limit}
}

func tooLargeAtLeast(length uint64, limit int) error {
	return &TooLargeError{Length: length, AtLeast: true, Limit: limit}
}

// malformed says what was found in what, and what was expected.
func malformed(what, found, want string, args ...any) error {
	return fmt.Errorf("%w %s: found %s, want %s", ErrMalformed, what, found, fmt.Sprintf(want, args...))
}
