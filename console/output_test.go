// SPDX-License-Identifier: Apache-2.0

package console

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"math"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/skybus-io/skybus/internal/testutil"
)

func TestAnswers(t *testing.T) {
	wrong := errors.New("wrong")
	for _, c := range []struct {
		text string
		err  error
		want string
	}{
		{"", nil, "OK\n"},
		{"one\n", nil, "one\nOK\n"},
		{"one", nil, "one\nOK\n"},
		{"a\n\nb\r\n", nil, "a\n\nb\nOK\n"},
		{"OK\n OK\nOKAY\nok\n", nil, " OK\n  OK\nOKAY\nok\nOK\n"},
		{"ERROR\nERROR x\nERRORS\n   ERROR y", nil, " ERROR\n ERROR x\nERRORS\n    ERROR y\nOK\n"},
		{"a\x1b[2J\tb\a\x00\xff\u4f60\u202e\n", nil, "a\\x1b[2J\tb\\a\\x00\\xff\u4f60\\u202e\nOK\n"},
		{"half", wrong, "half\nERROR do: wrong\n"},
		{"", fmt.Errorf("%s", "a\nb\tc\x1b\n"), "ERROR do: a; b\\tc\\x1b\n"},
		{"", errors.New(strings.Repeat("x", longestError)), "ERROR do: " + strings.Repeat("x", longestError-len("do: ")) + "...\n"},
		{strings.Repeat("x", 200), nil, strings.Repeat("x", 100) + "\nERROR do: the output is too long: the rest of more than 100 bytes is left out\n"},
		{strings.Repeat("x", 200), fmt.Errorf("show: %w", errCut), strings.Repeat("x", 100) + "\nERROR do: the output is too long: the rest of more than 100 bytes is left out\n"},
		{strings.Repeat("x", 200), wrong, strings.Repeat("x", 100) + "\nERROR do: wrong\n"},
	} {
		for _, end := range []string{"\n", "\r\n"} {
			o := &output{max: 100}
			n, err := o.Write([]byte(c.text))
			if n != min(len(c.text), 100) || (err != nil) != (len(c.text) > 100) {
				t.Errorf("write %.40q: %d, %v", c.text, n, err)
			}
			if got, want := string(o.answer("do", c.err, end)), strings.ReplaceAll(c.want, "\n", end); got != want {
				t.Errorf("%.40q, %.40v: %.300q, want %.300q", c.text, c.err, got, want)
			}
		}
	}
}

// TestClientsReadWhatCommandsWrite: the mark of lines that look like the last one is
// undone.
func TestClientsReadWhatCommandsWrite(t *testing.T) {
	testutil.NoLeaks(t)
	rng := testutil.Rand(t)
	parts := []string{"OK", "ERROR", " ", "\n", "x", "ERROR OK", "  OK", "\n\n", "OKAY"}
	for range 3000 {
		var text strings.Builder
		for range rng.IntN(12) {
			text.WriteString(parts[rng.IntN(len(parts))])
		}
		o := &output{max: 1000}
		o.printf("%s", text.String())
		var want error
		if rng.IntN(2) == 0 {
			want = errors.New("why")
		}
		near, far := net.Pipe()
		c := &Client{conn: near, r: bufio.NewReader(bytes.NewReader(o.answer("", want, "\n")))}
		got, err := c.exchange(t.Context(), "")
		var answer *AnswerError
		if got != strings.TrimSuffix(strings.TrimSuffix(text.String(), "\n"), "\n") && got != strings.TrimSuffix(text.String(), "\n") ||
			errors.As(err, &answer) != (want != nil) || want != nil && err.Error() != "why" {
			t.Fatalf("%q and %v became %q and %v", text.String(), want, got, err)
		}
		_, _ = near.Close(), far.Close()
	}
}

func TestTablesHoldStrangeCells(t *testing.T) {
	o := &output{max: 1000}
	tab := newTable(o, "NAME", "WHAT")
	tab.row("a\tb\n\v\f", "")
	tab.row("\u4f60", "x")
	tab.end()
	want := "NAME        WHAT\na\\tb\\n\\v\\f  -\n\u4f60           x\n"
	if got := string(o.data); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestValues(t *testing.T) {
	for _, c := range []struct {
		text string
		want any
		back string
	}{
		{"hello world", "hello world", "hello world"},
		{`"quoted\n"`, "quoted\n", "quoted\n"},
		{"12", 12, "12"},
		{"-0", 0, "0"},
		{"1.5", 1.5, "1.5"},
		{"1e3", 1e3, "1000"},
		{"9223372036854775808", float64(math.MaxInt64) + 1, "9223372036854776000"},
		{"null", nil, "null"},
		{"true", true, "true"},
		{`[1, "a", {"b": [2.5]}]`, []any{1, "a", map[string]any{"b": []any{2.5}}}, `[1,"a",{"b":[2.5]}]`},
		{"{broken", "{broken", "{broken"},
		{"1 2", "1 2", "1 2"},
	} {
		v, err := parseValue(c.text)
		if err != nil || fmt.Sprintf("%#v", v) != fmt.Sprintf("%#v", c.want) {
			t.Errorf("%q: %#v, %v, want %#v", c.text, v, err, c.want)
		}
		if got := formatValue(v); got != c.back {
			t.Errorf("%q: written %q, want %q", c.text, got, c.back)
		}
	}
	for _, text := range []string{"1e999", "[1e999]", `{"a": -1e999}`} {
		if v, err := parseValue(text); err == nil || !strings.Contains(err.Error(), "want one that a float64 can be") {
			t.Errorf("%s: %v, %v", text, v, err)
		}
	}
	circle := map[string]any{}
	circle["me"] = circle
	for v, want := range map[any]string{math.Inf(1): "a float64, which is no JSON", &circle: "a *map[string]interface {}, which is no JSON", any(make(chan int)): "a chan int, which is no JSON"} {
		if got := formatValue(v); !strings.HasPrefix(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestTimesAndSizes(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 999: "999ns", 1234 * time.Microsecond: "1.23ms", 1234567 * time.Microsecond: "1.23s", 100*time.Second + 400*time.Millisecond: "1m40s",
	} {
		if got := short(d); got != want {
			t.Errorf("%d: %s, want %s", d, got, want)
		}
	}
	for n, want := range map[uint64]string{0: "0 B", 10239: "10239 B", 10240: "10 KiB", 25 << 20: "25 MiB", math.MaxUint64: "16777215 TiB"} {
		if got := size(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
	if ago(time.Time{}) != "" || ago(time.Now().Add(time.Hour)) != "0s" {
		t.Errorf("no time is %q, one to come %q", ago(time.Time{}), ago(time.Now().Add(time.Hour)))
	}
}

func TestBuiltinsAreInHelp(t *testing.T) {
	var list []string
	for _, b := range builtins() {
		if !isName(b.name) || clean(b.help, false) != b.help || b.help == "" || builtin(b.name) == nil {
			t.Errorf("command %q with the help %q", b.name, b.help)
		}
		list = append(list, b.name)
	}
	slices.Sort(list)
	if n := len(list); n != len(slices.Compact(list)) {
		t.Error("two commands have one name")
	}
}
