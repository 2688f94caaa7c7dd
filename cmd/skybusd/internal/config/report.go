// SPDX-License-Identifier: Apache-2.0

package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// maxErrors is how many errors of one file are reported; the rest is counted.
const maxErrors = 20

// Error is one thing that is wrong with a file.
type Error struct {
	// File is the name the file was read under.
	File string
	// Line counts from 1; 0 means the file as a whole.
	Line int
	// Field names the value at fault as in "peers.address", or is empty.
	Field string
	// Msg says what is wrong and what is expected.
	Msg string
}

// Error writes the error in the form that editors jump to.
func (e *Error) Error() string {
	text := e.File + ": "
	if e.Line > 0 {
		text = fmt.Sprintf("%s:%d: ", e.File, e.Line)
	}
	if e.Field != "" {
		text += e.Field + ": "
	}
	return text + e.Msg
}

// report collects what is wrong with one file.
type report struct {
	file string
	last int // the last line of the file
	errs []*Error
}

func (r *report) fail(line int, field, format string, args ...any) {
	// YAML has what is missing at the end in the line below it.
	line = min(line, r.last)
	r.errs = append(r.errs, &Error{r.file, line, field, fmt.Sprintf(format, args...)})
}

// err joins the first errors by their lines, and is nil if there are none.
// Values are not read in the order of their lines.
func (r *report) err() error {
	slices.SortStableFunc(r.errs, func(a, b *Error) int { return cmp.Compare(a.Line, b.Line) })
	var errs []error
	for _, e := range r.errs[:min(len(r.errs), maxErrors)] {
		errs = append(errs, e)
	}
	if more := len(r.errs) - len(errs); more > 0 {
		errs = append(errs, &Error{File: r.file, Msg: fmt.Sprintf("… and %d more", more)})
	}
	return errors.Join(errs...)
}
