// SPDX-License-Identifier: Apache-2.0

package console

import (
	"encoding/json"
	"errors"
	"iter"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/rpc"
)

// shelf is an object.
type shelf struct{ books []string }

func (s *shelf) Put(at int, book string) (int, error) {
	if at < 0 || at > len(s.books) {
		return 0, errors.New("no such place")
	}
	s.books = slices.Insert(s.books, at, book)
	return len(s.books), nil
}

func (s *shelf) Two(v any, d time.Duration) (any, string, error) { return v, d.String(), nil }

func (s *shelf) Clear() { s.books = nil } // one-way

func (s *shelf) Books() (iter.Seq2[string, error], error) {
	return func(yield func(string, error) bool) {
		for _, b := range s.books {
			if b == "burnt" {
				yield("", errors.New("a book is burnt"))
				return
			}
			if !yield(b, nil) {
				return
			}
		}
	}, nil
}

// desk is an object that takes messages, too.
type desk struct{ shelf }

func (*desk) Handle(c *actor.Context, m *actor.Message) error { return c.Reply(m.Value) }

func TestCallOfObjects(t *testing.T) {
	testutil.NoLeaks(t)
	k, rt := newConsole(t, Config{MaxOutput: 300})
	for name, f := range map[string]func() actor.Handler{
		"shelf": rpc.Serve(func() *shelf { return &shelf{} }), "desk": rpc.Serve(func() *desk { return &desk{} }),
		"host": rpc.Host(actor.Func(func(c *actor.Context, m *actor.Message) error { return c.Reply(m.Value) })),
	} {
		if _, err := rt.Start(t.Context(), actor.Spec{Name: name, New: f}); err != nil {
			t.Fatal(err)
		}
	}
	_, c := open(t, k)
	for _, test := range []struct{ line, want, wrong string }{
		{"call shelf Put 0 one", `^1$`, ""},
		{`call shelf  Put  1  "two \u0022words\""  `, `^2$`, ""},
		{`call shelf Put 2 "a\nb"`, `^3$`, ""},
		{`call shelf Put 0x3 ""`, `^4$`, ""},
		{"call shelf Books", `^one\ntwo "words"\n"a\\nb"\n""$`, ""},
		{`call shelf Two {"a": [1, 2.5, "x y"]} 2s`, `^\{"a":\[1,2.5,"x y"\]\}\n2s$`, ""},
		{"call shelf Two true 1h", `^true\n1h0m0s$`, ""},
		{"call shelf Two null 1h", `^null\n`, ""},
		{"call shelf Two word 1h", `^word\n`, ""},
		{"call shelf Put 9 x", "", `^call: call Put of :\d+: no such place$`},
		{"call shelf Put x x", "", `argument 1: "x", want int: `},
		{"call shelf Put 1", "", `got 1, want 2 \(int, string\)$`},
		{"call shelf Clear 1", "", `got 1, want 0`},
		{`call shelf Put 1 "open`, "", `^call: argument 2: "\\"open": want JSON behind a ": unexpected EOF$`},
		{`call shelf Put 1 "a"b`, "", `^call: argument 2: .*: want a blank behind "a"$`},
		{`call shelf Two [1e999] 1s`, "", `^call: argument 1: number 1e999: want`},
		{"call shelf put 1 x", "", `^call: no such method: \*console.shelf has no "put"; it has: Books\(\), Clear\(\), Put\(int, string\), Two\(interface {}, time.Duration\)$`},
		{"call shelf Put 0 burnt", `^5$`, ""},
		{"call shelf Books", "", `a book is burnt$`},
		{"call shelf Clear", `^$`, ""},
		{"call shelf Books", `^$`, ""},
		{"call shelf Put 0 " + strings.Repeat("long", 50), `^1$`, ""},
		{"call shelf Put 0 " + strings.Repeat("long", 50), `^2$`, ""},
		{"call shelf Books", "", `too long`},
		{"call desk Put 0 one", `^1$`, ""},
		{"call desk put 0 one", `^put 0 one$`, ""},
		{"call host Put 0 one", `^Put 0 one$`, ""},
		{"call shelf", "", `want a PID or a name, and a value$`},
	} {
		out, err := c.Do(t.Context(), test.line)
		switch {
		case (err != nil) != (test.wrong != ""):
			t.Errorf("%s: %q, %v, want the error %q", test.line, out, err, test.wrong)
		case err != nil && !regexp.MustCompile(test.wrong).MatchString(err.Error()):
			t.Errorf("%s: %v, want %q", test.line, err, test.wrong)
		case err == nil && !regexp.MustCompile(test.want).MatchString(out):
			t.Errorf("%s: %q, want %q", test.line, out, test.want)
		}
	}
	p, err := c.Process(t.Context(), "shelf")
	if err != nil || !p.Has("Books") || p.Has("books") || len(p.Methods) != 4 || !slices.Equal(p.Methods[2].Args, []string{"int", "string"}) {
		t.Errorf("methods %+v, %v", p.Methods, err)
	}
	for _, target := range []string{"", "host"} {
		if p, err := c.Process(t.Context(), target); err != nil || p.Methods != nil {
			t.Errorf("methods of %q: %+v, %v", target, p.Methods, err)
		}
	}
}

// FuzzArguments reads lines. The arguments, written as JSON, are read as the same again.
func FuzzArguments(f *testing.F) {
	for _, line := range []string{`1 two "three four" [5, {"six": null}] true`, `"`, `[1`, `{} {}`, "null", `"a"b`, "\t\t", `-1 0x1 1e999 "\ud800"`, "a\"b c"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		args, err := arguments(line, []string{"string", "string", anyType})
		if err != nil {
			return
		}
		if len(args) > len(line) || len(args) == 0 != (strings.Trim(line, blanks) == "") {
			t.Errorf("%d arguments", len(args))
		}
		text := marshal(t, args)
		again, err := arguments(text, nil)
		if err != nil || marshal(t, again) != text {
			t.Errorf("%q: %q, %v", text, again, err)
		}
	})
}

// marshal is the arguments in JSON, with a blank before each.
func marshal(t *testing.T, args []any) string {
	var b strings.Builder
	for _, v := range args {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatalf("%#v: %v", v, err)
		}
		b.WriteString(" ")
		b.Write(text)
	}
	return b.String()
}
