// SPDX-License-Identifier: Apache-2.0

package files

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"github.com/skybus-io/skybus/share"
)

type monster struct {
	HP    int      `json:"hp" yaml:"hp" cbor:"hp"`
	Drops []string `json:"drops" yaml:"drops" cbor:"drops"`
}

type monsters = map[string]monster

func toCBOR(t testing.TB, value any) string {
	t.Helper()
	data, err := cbor.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestTypedTables(t *testing.T) {
	want := monsters{"orc": {HP: 30, Drops: []string{"axe", "tooth"}}, "elf": {HP: 20}}
	for name, text := range map[string]string{
		"m.json":     `{"orc": {"hp": 30, "drops": ["axe", "tooth"]}, "elf": {"hp": 20}}`,
		"bom.json":   "\ufeff" + `{"orc": {"hp": 30, "drops": ["axe", "tooth"]}, "elf": {"hp": 20}} `,
		"m.yaml":     "orc:\n  hp: 30\n  drops: [axe, tooth]\nelf: {hp: 20}\n",
		"m.YML":      "\ufeff# two\norc:\n  hp: 30\n  drops:\n  - axe\n  - tooth\nelf: {hp: 20}\n",
		"alias.yaml": "orc: {hp: 30, drops: [&a axe, tooth]}\nelf: {hp: 20}\n",
		"m.cbor":     toCBOR(t, want),
	} {
		f := load[monsters](t, file(t, name, text))
		if got := f.Table().Get(); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
	}
}

func TestMergedKeys(t *testing.T) {
	f := load[monsters](t, file(t, "m.yaml", "orc: &orc {hp: 30, drops: [axe]}\nboss:\n  <<: *orc\n  hp: 300\n"))
	want := monsters{"orc": {30, []string{"axe"}}, "boss": {300, []string{"axe"}}}
	if got := f.Table().Get(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestTrees(t *testing.T) {
	want := any(map[string]any{
		"1001": map[string]any{"hp": int64(30), "speed": 1.5, "boss": false, "note": nil},
		"list": []any{"a", "a", int64(-1), int64(math.MaxInt64)},
	})
	for name, text := range map[string]string{
		"t.json": `{"1001": {"hp": 30, "speed": 1.5, "boss": false, "note": null}, "list": ["a", "a", -1, 9223372036854775807]}`,
		"t.yaml": "1001: {hp: 30, speed: 1.5, boss: false, note: }\nlist: [a, a, -1, 9223372036854775807]\n",
		"t.cbor": toCBOR(t, map[any]any{
			1001:   map[string]any{"hp": uint8(30), "speed": float32(1.5), "boss": false, "note": nil},
			"list": []any{"a", "a", -1, uint64(math.MaxInt64)},
		}),
	} {
		f := load[any](t, file(t, name, text))
		if got := f.Table().Get(); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %#v, want %#v", name, got, want)
		}
		if hp, err := share.At[int64](f.Table(), "1001", "hp"); hp != 30 || err != nil {
			t.Errorf("%s: hp is %d, %v", name, hp, err)
		}
	}
}

func TestRefusedContent(t *testing.T) {
	deep := func(s, e string) string { return strings.Repeat(s, MaxDepth+1) + strings.Repeat(e, MaxDepth+1) }
	for _, c := range []struct {
		name, text string
		kind       error
		line       int
		part       string
	}{
		{"empty.json", "", ErrSyntax, 1, "has no content"},
		{"half.json", "{\"a\":\n{\"hp\": 1}", ErrSyntax, 2, "ends too early"},
		{"bad.json", "{\n\"a\": nope}", ErrSyntax, 2, "invalid character 'o'"},
		{"two.json", "{}\n{}", ErrSyntax, 2, "want one value"},
		{"junk.json", "{}\n}", ErrSyntax, 2, "want one value"},
		{"bytes.json", "{\n\"\xff\": {}}", ErrSyntax, 2, "is not UTF-8"},
		{"unknown.json", "{\"a\": {\n\"hpp\": 1}}", ErrValue, 2, `unknown field "hpp"`},
		{"somewhere.json", "{\"hpp\": {},\n\"a\": {\"hpp\": 1}}", ErrValue, 0, `unknown field "hpp"`},
		{"type.json", "{\"a\": {\n\n\"hp\": \"x\"}}", ErrValue, 3, "string"},
		{"twice.json", "{\"a\": {\"hp\": 1},\n\"\\u0061\": {\"hp\": 2}}", ErrSyntax, 2, `key "a" is there twice, first in line 1`},
		{"twice2.json", "{\"a\": {\"hp\": 1,\n\"hp\": 2}}", ErrSyntax, 2, `key "hp" is there twice`},

		{"empty.yaml", "", ErrSyntax, 0, "no documents"},
		{"comment.yaml", "# nothing\n", ErrSyntax, 0, "no documents"},
		{"bad.yaml", "a: {hp: 1}\nb: c: d\n", ErrSyntax, 2, "mapping values"},
		{"two.yaml", "a: {hp: 1}\n---\nb: {hp: 1}\n", ErrSyntax, 0, "expected single document"},
		{"utf16.yaml", "\xff\xfea\x00", ErrSyntax, 1, "is not UTF-8"},
		{"unknown.yaml", "a:\n  hp: 1\n  hpp: 2\n", ErrValue, 3, "field hpp not found"},
		{"many.yaml", "a: {hpp: 1}\nb: {hpp: 1}\nc: {hpp: 1}\n", ErrValue, 1, "(and 2 more)"},
		{"type.yaml", "a:\n  hp: x\n", ErrValue, 2, "cannot construct"},
		{"twice.yaml", "a: {hp: 1}\n\"a\": {hp: 2}\n", ErrSyntax, 2, `key "a" is there twice, first in line 1`},
		{"key.yaml", "? [a]\n: {hp: 1}\n", ErrSyntax, 1, "a key is a map or a list"},
		{"self.yaml", "a: &a\n  drops: [*a]\n", ErrSyntax, 2, `alias "a" stands for something that contains it`},
		{"anchor.yaml", "a: *b\n", ErrSyntax, 1, "unknown anchor"},
		{"deep.yaml", deep("[", "]"), ErrSyntax, 1, "max depth of 256"},
		{"long.yaml", "a: {" + strings.Repeat("x", 100_000) + ": 1}", ErrValue, 1, "xxx"},

		{"empty.cbor", "", ErrSyntax, 0, "has no content"},
		{"half.cbor", "\xa1\x61a", ErrSyntax, 0, "ends too early"},
		{"more.cbor", "\xa0\x01", ErrSyntax, 0, "1 bytes of extraneous data"},
		{"bad.cbor", "\xff", ErrSyntax, 0, "cbor:"},
		{"length.cbor", "\x9b\x7f\xff\xff\xff\xff\xff\xff\xff", ErrTooLarge, 0, "max number of elements"},
		{"many.cbor", "\xbb\x00\x00\x00\x00\x07\x00\x00\x00", ErrSyntax, 0, "ends too early"},
		{"unknown.cbor", toCBOR(t, map[string]any{"a": map[string]int{"hpp": 1}}), ErrValue, 0, "pair 1 of a map is of a field"},
		{"case.cbor", toCBOR(t, map[string]any{"a": map[string]int{"HP": 1}}), ErrValue, 0, "pair 1"},
		{"type.cbor", toCBOR(t, map[string]any{"a": map[string]string{"hp": "x"}}), ErrValue, 0, "hp"},
		{"twice.cbor", "\xa2\x61a\xa0\x61a\xa0", ErrSyntax, 0, `key "a" is there twice`},
		{"deep.cbor", deep("\x81", "") + "\x01", ErrSyntax, 0, "is nested deeper than 256"},
		{"utf8.cbor", "\xa1\x61\xff\xa0", ErrSyntax, 0, "UTF-8"},
	} {
		path := file(t, c.name, c.text)
		f, err := Load[monsters](path)
		wantError(t, err, c.kind, c.line, path, c.part)
		if f != nil {
			t.Errorf("%s: a file beside the error", c.name)
		}
	}
}

func TestRefusedTrees(t *testing.T) {
	for _, c := range []struct {
		name, text string
		kind       error
		part       string
	}{
		{"date.yaml", "day: 2024-01-01", ErrValue, `"day": a tree has no times; a date is put in quotes`},
		{"bool.yaml", "true: 1", ErrValue, "a key is a bool"},
		{"big.yaml", "n: 18446744073709551615", ErrValue, "beyond int64"},
		{"big.json", `{"a": [1e999]}`, ErrValue, `"a.0": "1e999" is beyond float64`},
		{"deep.json", strings.Repeat("[", MaxDepth+1) + strings.Repeat("]", MaxDepth+1), ErrSyntax, "deeper than 256"},
		{"bytes.cbor", toCBOR(t, map[string]any{"k": []byte("x")}), ErrValue, `"k": a tree has no []uint8`},
		{"twice.cbor", "\xa2\x01\x01\x61\x31\x02", ErrValue, `key "1" is there twice`},
		{"key.cbor", "\xa1\x80\x01", ErrValue, "map key"},
	} {
		path := file(t, c.name, c.text)
		_, err := Load[any](path)
		line := 0
		if c.name == "deep.json" {
			line = 1
		}
		wantError(t, err, c.kind, line, path, c.part)
	}
}

func TestDeepestThatIsAllowed(t *testing.T) {
	for name, text := range map[string]string{
		"d.json": strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth),
		"d.yaml": strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth),
		"d.cbor": strings.Repeat("\x81", MaxDepth-1) + "\x80",
	} {
		if _, err := Load[any](file(t, name, text)); err != nil {
			t.Error(err)
		}
	}
}

// Small files that would become large, by what aliases stand for.
func TestAliasBombs(t *testing.T) {
	var laughs strings.Builder
	laughs.WriteString("a0: &a0 ha\n")
	for i := 1; i < 30; i++ {
		fmt.Fprintf(&laughs, "a%d: &a%d [%s*a%d]\n", i, i, strings.Repeat(fmt.Sprintf("*a%d,", i-1), 9), i-1)
	}
	var chain strings.Builder
	chain.WriteString("a0: &a0 [x]\n")
	for i := 1; i <= MaxDepth; i++ {
		fmt.Fprintf(&chain, "a%d: &a%d [*a%d]\n", i, i, i-1)
	}
	long := "a: &a !!binary " + strings.Repeat("QUFB", 1<<18) + "\nb: [" + strings.Repeat("*a,", 100) + "]\n"
	for _, c := range []struct {
		name, text string
		kind       error
		line       int
		part       string
	}{
		{"laughs.yaml", laughs.String(), ErrTooLarge, 8, "stand for more than"},
		{"chain.yaml", chain.String(), ErrSyntax, MaxDepth, "nested deeper"},
		{"long.yaml", long, ErrTooLarge, 2, "stand for more than"},
	} {
		_, err := Load[any](file(t, c.name, c.text))
		wantError(t, err, c.kind, c.line, c.part)
	}
}

// With its own settings the decoder would search for keys that come twice for a
// minute, and refuse as many values that aliases stand for.
func TestManyRows(t *testing.T) {
	const rows, columns = 10_000, 30
	var text strings.Builder
	text.WriteString("base: &base {")
	for i := range columns {
		fmt.Fprintf(&text, "c%d: %d, ", i, i)
	}
	text.WriteString("}\n")
	for i := range rows {
		fmt.Fprintf(&text, "m%d:\n  <<: *base\n  c0: %d\n", i, i)
	}
	f := load[map[string]map[string]int](t, file(t, "m.yaml", text.String()))
	last := f.Table().Get()[fmt.Sprintf("m%d", rows-1)]
	if n := len(f.Table().Get()); n != rows+1 || len(last) != columns || last["c0"] != rows-1 || last["c29"] != 29 {
		t.Errorf("%d rows, the last is %v", n, last)
	}
}
