// SPDX-License-Identifier: Apache-2.0

//go:build linux

package hosts

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/skybus-io/skybus/addr"
)

// The kinds of an entry, the first word of its line.
const (
	kindStart   = "start"   // a life of the receiver begins
	kindMessage = "message" // a message came
	kindTorn    = "torn"    // one came that is not what was sent
	kindGap     = "gap"     // the bus says that messages will not come
)

// endOfLine ends each line. A line without it was being written when its writer
// was killed.
const endOfLine = " ;"

// An entry is one line of a receiver's log:
//
//	start ;
//	message 0.0.1.1 NUMBER SEQUENCE first|again ;
//	torn 0.0.1.1 NUMBER SEQUENCE first|again "TEXT" ;
//	gap 0.0.1.1 FROM TO ;
type entry struct {
	kind    string
	src     addr.Addr
	number  uint64 // that the payload has; of a gap, its first
	seq     uint64 // that the bus gives; of a gap, its last
	flagged bool   // redelivered
	text    string // what is wrong
}

// append adds the entry's line to buf.
func (e entry) append(buf []byte) []byte {
	buf = append(buf, e.kind...)
	if e.kind != kindStart {
		buf = append(buf, ' ')
		buf = addr.Default.Append(buf, e.src)
		buf = append(buf, ' ')
		buf = strconv.AppendUint(buf, e.number, 10)
		buf = append(buf, ' ')
		buf = strconv.AppendUint(buf, e.seq, 10)
	}
	if e.kind == kindMessage || e.kind == kindTorn {
		flag := " first"
		if e.flagged {
			flag = " again"
		}
		buf = append(buf, flag...)
	}
	if e.kind == kindTorn {
		buf = append(buf, ' ')
		buf = strconv.AppendQuote(buf, e.text)
	}
	return append(append(buf, endOfLine...), '\n')
}

// parseEntry reads a line without its newline.
func parseEntry(line string) (e entry, err error) {
	body, whole := strings.CutSuffix(line, endOfLine)
	if !whole {
		return e, fmt.Errorf("line %q: want one that ends with %q", line, endOfLine)
	}
	words := strings.SplitN(body, " ", 6)
	want := map[string]int{kindStart: 1, kindMessage: 5, kindTorn: 6, kindGap: 4}[words[0]]
	if want == 0 || len(words) != want {
		return e, fmt.Errorf("line %q: want start, or message, torn or gap with what belongs to it", line)
	}
	e.kind = words[0]
	var errs [4]error
	if want > 1 {
		e.src, errs[0] = addr.Parse(words[1])
		e.number, errs[1] = strconv.ParseUint(words[2], 10, 64)
		e.seq, errs[2] = strconv.ParseUint(words[3], 10, 64)
	}
	if want > 4 {
		e.flagged = words[4] == "again"
		if !e.flagged && words[4] != "first" {
			errs[3] = fmt.Errorf("flag %q: want first or again", words[4])
		}
	}
	if want > 5 && errs[3] == nil {
		e.text, errs[3] = strconv.Unquote(words[5])
	}
	if err := errors.Join(errs[:]...); err != nil {
		return entry{}, fmt.Errorf("line %q: %w", line, err)
	}
	return e, nil
}

func TestParseEntry(t *testing.T) {
	good := []entry{
		{kind: kindStart},
		{kind: kindMessage, src: 0x101, number: 1, seq: 2},
		{kind: kindMessage, src: 0x101, number: 1<<64 - 1, seq: 1, flagged: true},
		{kind: kindTorn, src: 0x301, number: 7, seq: 7, text: "it is\ntorn ; \"badly\""},
		{kind: kindTorn, src: 0x301, seq: 7, flagged: true},
		{kind: kindGap, src: 0x201, number: 5, seq: 9},
	}
	for _, e := range good {
		line := string(e.append(nil))
		if got, err := parseEntry(strings.TrimSuffix(line, "\n")); err != nil || got != e {
			t.Errorf("%q: got %+v, %v", line, got, err)
		}
	}
	bad := []string{
		"", ";", " ;", "start", "start 1 ;", "message ;", "message 0.0.1.1 1 2 ;", "message 0.0.1.1 1 2 first", "message 0.0.1.1 1 2 twice ;",
		"message 0.0.1.1 -1 2 first ;", "message 0.0.1 1 2 first ;", "torn 0.0.1.1 1 2 first ;", "torn 0.0.1.1 1 2 first text ;", "gap 0.0.1.1 5 ;", "other ;",
	}
	for _, line := range bad {
		if e, err := parseEntry(line); err == nil || !strings.Contains(err.Error(), strconv.Quote(line)) {
			t.Errorf("%q: got %+v and the error %v, want one that names the line", line, e, err)
		}
	}
}

// FuzzParseEntry: what is read is written as it was meant.
func FuzzParseEntry(f *testing.F) {
	for _, line := range []string{"start ;", "message 0.0.1.1 17 17 again ;", `torn 0.0.1.1 0 5 first "short" ;`, "gap 0.0.2.1 5 9 ;", "message 0.0"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		e, err := parseEntry(line)
		if err != nil {
			return
		}
		again, err := parseEntry(strings.TrimSuffix(string(e.append(nil)), "\n"))
		if err != nil || again != e {
			t.Errorf("%q: %+v became %+v, %v", line, e, again, err)
		}
	})
}
