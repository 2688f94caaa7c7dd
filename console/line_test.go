// SPDX-License-Identifier: Apache-2.0

package console

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/skybus-io/skybus/internal/testutil"
)

// readAll returns the lines of a text; "!" stands for one that is too long.
func readAll(l *lines) (list []string, err error) {
	for {
		line, err := l.next()
		var long *lineTooLong
		switch {
		case errors.As(err, &long):
			line = "!"
		case err != nil:
			return list, err
		}
		list = append(list, line)
	}
}

func TestLines(t *testing.T) {
	for _, c := range []struct {
		name, text   string
		want         []string
		crlf, telnet bool
	}{
		{"nothing", "", nil, false, false},
		{"netcat", "list\nstat :1\n", []string{"list", "stat :1"}, false, false},
		{"no end", "list\nexit", []string{"list", "exit"}, false, false},
		{"telnet by lines", "list\r\nexit\r\n", []string{"list", "exit"}, true, false},
		{"telnet by characters", "list\r\x00exit\r\x00", []string{"list", "exit"}, true, false},
		{"\\r alone", "list\rexit\r", []string{"list", "exit"}, true, false},
		{"empty lines", "\n\r\n\n", []string{"", "", ""}, false, false},
		{"the end changes", "a\r\nb\n", []string{"a", "b"}, false, false},
		{"negotiations", "\xff\xfd\x03\xff\xfb\x18li\xff\xfe\x01st\n", []string{"list"}, false, true},
		{"a subnegotiation", "a\xff\xfa\x18\x00xterm\nx\xff\xf0b\n", []string{"ab"}, false, true},
		{"a subnegotiation with 255", "a\xff\xfa\x18\xff\xff\xf0\nx\xff\xf0b\n", []string{"ab"}, false, true},
		{"interrupt", "x\xff\xf4\xff\xfd\x06y\n", []string{"xy"}, false, true},
		{"255 as text", "a\xff\xffb\n", []string{"a\xffb"}, false, true},
		{"an open command", "a\n\xff", []string{"a"}, false, true},
		{"an open subnegotiation", "a\n\xff\xfab\n", []string{"a"}, false, true},
		{"just not too long", "0123456789abcdef\n", []string{"0123456789abcdef"}, false, false},
		{"too long", "0123456789abcdefg\nb\n", []string{"!", "b"}, false, false},
		{"too long at the end", "0123456789abcdefg", []string{"!"}, false, false},
		{"NUL is text elsewhere", "\x00a\n", []string{"\x00a"}, false, false},
	} {
		for _, r := range []io.Reader{strings.NewReader(c.text), iotest.OneByteReader(strings.NewReader(c.text))} {
			l := newLines(r, 16)
			got, err := readAll(l)
			if !errors.Is(err, io.EOF) || !slices.Equal(got, c.want) || l.crlf != c.crlf || l.telnet != c.telnet {
				t.Errorf("%s: %q, %v, crlf %v, telnet %v; want %q, %v, %v", c.name, got, err, l.crlf, l.telnet, c.want, c.crlf, c.telnet)
			}
		}
	}
}

func TestLinesOfABrokenConnection(t *testing.T) {
	broken := errors.New("broken")
	for _, text := range []string{"", "abc", "\xff", "\xff\xfb", "\xff\xfa\x01"} {
		l := newLines(io.MultiReader(strings.NewReader(text), iotest.ErrReader(broken)), 16)
		if line, err := l.next(); !errors.Is(err, broken) {
			t.Errorf("after %q: %q, %v, want the error", text, line, err)
		}
	}
}

func TestSplit(t *testing.T) {
	for _, c := range []struct {
		line  string
		want  []string
		wrong string
	}{
		{"", nil, ""},
		{" \t ", nil, ""},
		{"a  b\tc ", []string{"a", "b", "c"}, ""},
		{`"a b" 'c d'`, []string{"a b", "c d"}, ""},
		{`a"b c"d`, []string{"ab cd"}, ""},
		{`"" ''`, []string{"", ""}, ""},
		{`"a\"b" 'a\b' a\ b \\`, []string{`a"b`, `a\b`, "a b", `\`}, ""},
		{`"it's"`, []string{"it's"}, ""},
		{`{"a": 1}`, []string{"{a:", "1}"}, ""},
		{"\u4f60 \u597d", []string{"\u4f60", "\u597d"}, ""},
		{`"a`, nil, `a quote " is open`},
		{`a'`, nil, "a quote ' is open"},
		{`a\`, nil, "ends with a backslash"},
		{`"a\`, nil, "ends with a backslash"},
	} {
		got, err := split(c.line)
		switch {
		case c.wrong == "" && (err != nil || !slices.Equal(got, c.want)):
			t.Errorf("%q: %q, %v, want %q", c.line, got, err, c.want)
		case c.wrong != "" && (err == nil || !strings.Contains(err.Error(), c.wrong)):
			t.Errorf("%q: %q, %v, want the error %q", c.line, got, err, c.wrong)
		}
	}
}

// quoted writes words in one of the ways that split knows.
func quoted(words []string, way func() int) string {
	list := make([]string, len(words))
	for i, w := range words {
		switch {
		case way() == 0 && !strings.Contains(w, "'"):
			list[i] = "'" + w + "'"
		case way() == 1:
			list[i] = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(w) + `"`
		default:
			list[i] = `""` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "'", `\'`, " ", `\ `, "\t", "\\\t").Replace(w)
		}
	}
	return " " + strings.Join(list, "\t ")
}

func TestSplitUndoesQuotes(t *testing.T) {
	rng := testutil.Rand(t)
	letters := []rune("ab '\"\\\t{}\u4f60")
	for range 20_000 {
		words := make([]string, rng.IntN(4))
		for i := range words {
			var w []rune
			for range rng.IntN(6) {
				w = append(w, letters[rng.IntN(len(letters))])
			}
			words[i] = string(w)
		}
		line := quoted(words, func() int { return rng.IntN(3) })
		if got, err := split(line); err != nil || !slices.Equal(got, words) {
			t.Fatalf("%q: %q, %v, want %q", line, got, err, words)
		}
	}
}

func TestCheckLine(t *testing.T) {
	for line, want := range map[string]string{
		"list": "", "call x {\"a\":\t1}": "", "\u4f60\u597d": "",
		"a\x00":  `control character '\x00' at byte 1`,
		"\x1b[A": `control character '\x1b' at byte 0`,
		"ab\x7f": `control character '\x7f' at byte 2`,
		"a\xffb": "no UTF-8",
		"a\xc3":  "no UTF-8",
		"a\b":    `control character '\b' at byte 1`,
	} {
		err := checkLine(line)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", line, err, want)
		}
	}
}

func FuzzLines(f *testing.F) {
	for _, text := range []string{"list\r\nexit\r\n", "\xff\xfb\x01a\r\x00b", "\xff\xfa\x18\x00\xff\xff\xff\xf0x\n", "0123456789abcdefg\nx", "\r\r\n\n\xff"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		whole, err := readAll(newLines(strings.NewReader(text), 16))
		pieces, err2 := readAll(newLines(iotest.OneByteReader(strings.NewReader(text)), 16))
		if !errors.Is(err, io.EOF) || !errors.Is(err2, io.EOF) || !slices.Equal(whole, pieces) {
			t.Fatalf("%q: %q, %v; byte by byte %q, %v", text, whole, err, pieces, err2)
		}
		for _, line := range whole {
			if len(line) > 16 || strings.ContainsAny(line, "\r\n") {
				t.Errorf("%q: the line %q", text, line)
			}
		}
		if ends := strings.Count(text, "\n") + strings.Count(text, "\r"); len(whole) > ends+1 {
			t.Errorf("%q: %d lines, of %d ends", text, len(whole), ends)
		}
	})
}

func FuzzSplit(f *testing.F) {
	for _, line := range []string{`a "b c" 'd'`, `"a\"b" \\`, `'`, `a\`, " \t", "\xff'\xff'"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		words, err := split(line)
		if err != nil {
			if words != nil || !utf8.ValidString(err.Error()) {
				t.Errorf("%q: %q and the error %q", line, words, err)
			}
			return
		}
		again, err := split(quoted(words, func() int { return 1 }))
		if err != nil || !slices.Equal(again, words) {
			t.Errorf("%q: %q, and that quoted %q, %v", line, words, again, err)
		}
	})
}
