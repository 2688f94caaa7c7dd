// SPDX-License-Identifier: Apache-2.0

package console

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode"
	"unicode/utf8"
)

// The last lines of answers.
const (
	statusOK    = "OK"
	statusError = "ERROR"
)

// errCut is what a command gets that writes more than there may be.
var errCut = errors.New("the output is too long")

// An output holds what a command writes, up to max bytes.
type output struct {
	max  int
	data []byte
	cut  bool
}

func (o *output) Write(p []byte) (int, error) {
	n := min(len(p), o.max-len(o.data))
	o.data = append(o.data, p[:n]...)
	if n < len(p) {
		o.cut = true
		return n, errCut
	}
	return n, nil
}

// room reports whether n more bytes are not too many.
func (o *output) room(n int) bool { return n <= o.max-len(o.data) }

// printf writes; that it is too much, the answer says.
func (o *output) printf(format string, args ...any) { fmt.Fprintf(o, format, args...) }

// answer is what the connection sends for a command: its output and how it ended.
func (o *output) answer(name string, err error, end string) []byte {
	var b []byte
	if text := strings.TrimSuffix(string(o.data), "\n"); text != "" {
		for line := range strings.SplitSeq(text, "\n") {
			line = clean(strings.TrimSuffix(line, "\r"), true)
			if isStatus(strings.TrimLeft(line, " ")) {
				b = append(b, ' ')
			}
			b = append(b, line...)
			b = append(b, end...)
		}
	}
	if o.cut && (err == nil || errors.Is(err, errCut)) {
		err = fmt.Errorf("%w: the rest of more than %d bytes is left out", errCut, o.max)
	}
	return append(b, status(name, err)+end...)
}

// isStatus reports whether a line ends an answer.
func isStatus(line string) bool {
	return line == statusOK || line == statusError || strings.HasPrefix(line, statusError+" ")
}

// longestError is how much of an error is told, in bytes.
const longestError = 8 << 10

// status is the last line of an answer.
func status(name string, err error) string {
	if err == nil {
		return statusOK
	}
	text := err.Error()
	if name != "" {
		text = name + ": " + text
	}
	if len(text) > longestError {
		text = strings.ToValidUTF8(text[:longestError], "") + "..."
	}
	text = strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "; ")
	return statusError + " " + clean(text, false)
}

// clean writes what cannot be printed as in Go strings: it could drive the terminal. tabs
// may stay.
func clean(s string, tabs bool) string {
	bad := func(r rune) bool { return !unicode.IsPrint(r) && (r != '\t' || !tabs) || r == utf8.RuneError }
	if !strings.ContainsFunc(s, bad) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if bad(r) {
			quoted := strconv.Quote(s[i : i+n])
			b.WriteString(quoted[1 : len(quoted)-1])
		} else {
			b.WriteString(s[i : i+n])
		}
		i += n
	}
	return b.String()
}

// A table lays out rows. What no cell can be is "-".
type table struct{ w *tabwriter.Writer }

func newTable(w io.Writer, headers ...string) *table {
	t := &table{tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)}
	t.row(headers...)
	return t
}

func (t *table) row(cells ...string) {
	for i, cell := range cells {
		if cell = clean(cell, false); cell == "" {
			cell = "-"
		}
		if i > 0 {
			cell = "\t" + cell
		}
		_, _ = io.WriteString(t.w, cell)
	}
	_, _ = io.WriteString(t.w, "\n")
}

// end writes the table. That it is too long, the answer says.
func (t *table) end() { _ = t.w.Flush() }
