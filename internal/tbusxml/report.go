// SPDX-License-Identifier: Apache-2.0

package tbusxml

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// How much is reported of one file; the rest is counted. A file made by a
// script that is wrong is wrong in each of its thousand channels.
const (
	maxErrors   = 20
	maxWarnings = 100
)

// Error is one thing that is wrong with a file.
type Error struct {
	// File is the name the file was read under.
	File string
	// Line counts from 1; 0 means the file as a whole.
	Line int
	// Element is the name of the element at fault, or empty.
	Element string
	// Msg says what is wrong and what is allowed.
	Msg string
}

// Error writes the error in the form that editors jump to.
func (e *Error) Error() string { return place(e.File, e.Line, e.Element) + e.Msg }

// Warning is something a file has that is not used.
type Warning struct {
	// File, Line, Element and Msg are as in Error.
	File    string
	Line    int
	Element string
	Msg     string
	// Count is how often it occurs; Line is where it first does.
	Count int
}

// String writes the warning in the form that editors jump to.
func (w Warning) String() string {
	text := place(w.File, w.Line, w.Element) + w.Msg
	if w.Count > 1 {
		text += fmt.Sprintf(" (%d times)", w.Count)
	}
	return text
}

func place(file string, line int, element string) string {
	var b strings.Builder
	b.WriteString(file)
	if line > 0 {
		fmt.Fprintf(&b, ":%d", line)
	}
	if element != "" {
		fmt.Fprintf(&b, ": <%s>", shorten(element))
	}
	b.WriteString(": ")
	return b.String()
}

// report collects what is wrong with one file. It holds no more than it shows,
// whatever the file.
type report struct {
	file     string
	errs     []*Error // the first maxErrors of the file by line
	failed   int      // how many errors there were
	warnings []Warning
	known    map[warningKey]int // index in warnings
	unlisted int                // warnings beyond maxWarnings
}

type warningKey struct{ element, msg string }

func newReport(file string) *report {
	return &report{file: file, known: make(map[warningKey]int)}
}

// fail adds an error. They do not come quite in the order of their lines, as
// some elements are read after those below them.
func (r *report) fail(line int, element, format string, args ...any) {
	r.failed++
	at, _ := slices.BinarySearchFunc(r.errs, line+1, func(err *Error, line int) int {
		return cmp.Compare(err.Line, line)
	})
	if at == maxErrors {
		return
	}
	if len(r.errs) == maxErrors {
		r.errs = r.errs[:maxErrors-1]
	}
	r.errs = slices.Insert(r.errs, at, &Error{r.file, line, element, fmt.Sprintf(format, args...)})
}

// warn adds a warning, or counts it if the same was said of the same element.
func (r *report) warn(line int, element, format string, args ...any) {
	msg := fmt.Sprintf(format, args...)
	key := warningKey{element, msg}
	if i, ok := r.known[key]; ok {
		w := &r.warnings[i]
		w.Line = min(w.Line, line)
		w.Count++
		return
	}
	if len(r.warnings) == maxWarnings {
		r.unlisted++
		return
	}
	r.known[key] = len(r.warnings)
	r.warnings = append(r.warnings, Warning{r.file, line, element, msg, 1})
}

// err joins the errors, and is nil if there are none.
func (r *report) err() error {
	var errs []error
	for _, e := range r.errs {
		errs = append(errs, e)
	}
	if more := r.failed - len(errs); more > 0 {
		errs = append(errs, &Error{File: r.file, Msg: fmt.Sprintf("… and %d more", more)})
	}
	return errors.Join(errs...)
}

// warned returns the warnings in the order of their lines.
func (r *report) warned() []Warning {
	slices.SortStableFunc(r.warnings, func(a, b Warning) int { return cmp.Compare(a.Line, b.Line) })
	if r.unlisted == 0 {
		return r.warnings
	}
	return append(r.warnings, Warning{File: r.file, Msg: "more warnings, not listed", Count: r.unlisted})
}
