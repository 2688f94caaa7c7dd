// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"
)

var (
	// ErrSyntax says that a text is not of the form it should have.
	ErrSyntax = errors.New("addr: invalid syntax")

	// ErrRange says that a number in a text is larger, or smaller, than its
	// place allows.
	ErrRange = errors.New("addr: value out of range")
)

// ParseError is the error of every function here that reads text.
type ParseError struct {
	// Kind is what was read: "address", "prefix" or "template".
	Kind string
	// Text is the whole text that was read.
	Text string
	// Segment is the number of the segment at fault, from 1, or 0 when the
	// text as a whole is.
	Segment int
	// Reason says what is wrong and what is allowed.
	Reason string
	// Err is ErrSyntax or ErrRange.
	Err error
}

// Error writes the text that was read, the segment and the reason. A long text
// is shortened: it may come from anywhere.
func (e *ParseError) Error() string {
	where := ""
	if e.Segment > 0 {
		where = fmt.Sprintf("segment %d ", e.Segment)
	}
	return fmt.Sprintf("%s %s: %s%s", e.Kind, quote(e.Text), where, e.Reason)
}

// Unwrap returns Err.
func (e *ParseError) Unwrap() error { return e.Err }

// maxQuoted is how much of a refused text an error shows, in bytes. The longest
// useful one, an address of 32 segments, has 63.
const maxQuoted = 64

func quote(s string) string { return strconv.Quote(clip(s)) }

// clip shortens s to maxQuoted bytes without cutting through a character, if s
// is made of characters.
func clip(s string) string {
	if len(s) <= maxQuoted {
		return s
	}
	n := maxQuoted
	for n > maxQuoted-utf8.UTFMax && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
