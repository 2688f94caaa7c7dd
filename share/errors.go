// SPDX-License-Identifier: Apache-2.0

package share

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

var (
	// ErrNotFound says that there is no table of a name, or nothing at a path.
	ErrNotFound = errors.New("share: not found")

	// ErrExists says that a registry has a table of the name already.
	ErrExists = errors.New("share: name is taken")

	// ErrType says that what was found is not of the type that was asked for, or
	// that a value is none that a tree can hold.
	ErrType = errors.New("share: wrong type")

	// ErrName says that a name cannot be given to a table.
	ErrName = errors.New("share: invalid name")
)

// A PathError is the error of everything here that looks into a tree.
type PathError struct {
	// Table is the name of the table, or empty when there is none.
	Table string
	// Path is where in the tree, its elements joined by dots; empty is the root.
	Path string
	// Reason says what was found there and what was expected.
	Reason string
	// Err is ErrNotFound or ErrType.
	Err error
}

// Error writes the table, the path and the reason. A long path is shortened.
func (e *PathError) Error() string {
	table := "tree"
	if e.Table != "" {
		table = "table " + quote(e.Table)
	}
	if e.Path == "" {
		return fmt.Sprintf("%s: the root: %s", table, e.Reason)
	}
	return fmt.Sprintf("%s: %s: %s", table, quote(e.Path), e.Reason)
}

// Unwrap returns Err.
func (e *PathError) Unwrap() error { return e.Err }

// maxQuoted is how much of a text an error shows, in bytes.
const maxQuoted = 200

// quote puts s in quotes, shortened without cutting through a character.
func quote(s string) string {
	if len(s) <= maxQuoted {
		return strconv.Quote(s)
	}
	n := maxQuoted
	for n > maxQuoted-utf8.UTFMax && !utf8.RuneStart(s[n]) {
		n--
	}
	return strconv.Quote(s[:n] + "…")
}

// pathError copies path, so that callers need not let it escape.
func pathError(path []string, err error, format string, args ...any) *PathError {
	return &PathError{Path: strings.Join(path, "."), Reason: fmt.Sprintf(format, args...), Err: err}
}
