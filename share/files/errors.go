// SPDX-License-Identifier: Apache-2.0

package files

import (
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"
)

var (
	// ErrFormat says that a file's extension stands for no format known here.
	ErrFormat = errors.New("files: unknown format")

	// ErrTooLarge says that a file is larger than allowed, or would be with its
	// aliases written out.
	ErrTooLarge = errors.New("files: too large")

	// ErrChanging says that a file was written to each time it was read.
	ErrChanging = errors.New("files: changes while it is read")

	// ErrSyntax says that a file is not of its format, or has what is refused in
	// any format: a key twice, more than one document, too deep a nesting.
	ErrSyntax = errors.New("files: invalid content")

	// ErrValue says that a file is well formed and does not fit the type of the
	// table, or was refused by its validation.
	ErrValue = errors.New("files: invalid value")

	// ErrOption says that an option has a value that cannot be.
	ErrOption = errors.New("files: invalid option")
)

// An Error is the error of everything here that reads a file.
type Error struct {
	// Path is the file.
	Path string
	// Line is where in it, from 1; 0 when that is not known.
	Line int
	// Reason says what is wrong and what was expected.
	Reason string
	// Err is one of the errors above, or what the operating system, a decoder or
	// the validation said, which wraps one.
	Err error
}

// Error writes the file, the line and the reason. A long reason is shortened: a
// file may come from anywhere.
func (e *Error) Error() string {
	if e.Line > 0 {
		return fmt.Sprintf("%s: line %d: %s", e.Path, e.Line, clip(e.Reason))
	}
	return fmt.Sprintf("%s: %s", e.Path, clip(e.Reason))
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

const (
	maxReason = 500 // bytes of a reason that an error shows
	maxQuoted = 100 // and of a text in it
)

func clip(s string) string { return cut(s, maxReason) }

func quote(s string) string { return strconv.Quote(cut(s, maxQuoted)) }

// cut shortens s to most bytes without cutting through a character.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	n := most
	for n > most-utf8.UTFMax && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

// A fault is what is wrong with the content of a file, before the file is named.
type fault struct {
	line   int
	reason string
	kind   error // ErrSyntax, ErrValue or ErrTooLarge
	cause  error // of a decoder or the validation; may be nil
}

func (f *fault) in(path string) *Error {
	err := f.kind
	if f.cause != nil {
		err = fmt.Errorf("%w: %w", f.kind, f.cause)
	}
	return &Error{Path: path, Line: f.line, Reason: f.reason, Err: err}
}

func syntax(line int, format string, args ...any) *fault {
	return &fault{line: line, reason: fmt.Sprintf(format, args...), kind: ErrSyntax}
}

// caused is a fault that has nothing to say beside err.
func caused(kind error, line int, err error) *fault {
	return &fault{line: line, reason: err.Error(), kind: kind, cause: err}
}
