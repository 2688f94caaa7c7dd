// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"
)

func TestParseAndFormat(t *testing.T) {
	for _, c := range []struct {
		template, text string
		want           Addr
	}{
		{"8.8.8.8", "0.0.3.1", 769},
		{"8.8.8.8", "255.255.255.255", 0xffffffff},
		{"8.8.8.8", "0.0.0.0", None},
		{"8.8.8.8", "1.0.0.0", 1 << 24},
		{"6.8.8.10", "63.255.255.1023", 0xffffffff},
		{"6.8.8.10", "1.0.0.1", 1<<26 | 1},
		{"6.8.8.4", "1.2.3.4", 1<<20 | 2<<12 | 3<<4 | 4},
		{"16.16", "0.769", 769},
		{"32", "4294967295", 0xffffffff},
		{"1", "1", 1},
		{"1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1",
			"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1", 1<<31 | 1},
	} {
		tmpl := MustTemplate(c.template)
		got, err := tmpl.Parse(c.text)
		if err != nil || got != c.want {
			t.Errorf("%s: Parse(%q) = %d, %v; want %d", c.template, c.text, got, err, c.want)
		}
		if text := tmpl.Format(c.want); text != c.text {
			t.Errorf("%s: Format(%d) = %q, want %q", c.template, c.want, text, c.text)
		}
	}
}

func TestLeadingZerosMeanNothing(t *testing.T) {
	got, err := Parse("000.00.003.0000000000000000000000000000010")
	if err != nil || got != 3<<8|10 {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestParseErrors(t *testing.T) {
	for _, c := range []struct {
		template, text string
		kind           error
		want           string
	}{
		{"8.8.8.8", "0.0.300.1", ErrRange, `address "0.0.300.1": segment 3 is 300, template 8.8.8.8 allows 0..255`},
		{"8.8.8.8", "256.0.0.1", ErrRange, `address "256.0.0.1": segment 1 is 256, template 8.8.8.8 allows 0..255`},
		{"6.8.8.10", "64.0.0.1", ErrRange, `address "64.0.0.1": segment 1 is 64, template 6.8.8.10 allows 0..63`},
		{"32", "4294967296", ErrRange, `address "4294967296": segment 1 is 4294967296, template 32 allows 0..4294967295`},
		{"32", "18446744073709551616", ErrRange,
			`address "18446744073709551616": segment 1 is 18446744073709551616, template 32 allows 0..4294967295`},
		{"8.8.8.8", "", ErrSyntax, `address "": number of segments is 0, template 8.8.8.8 has 4`},
		{"32", "", ErrSyntax, `address "": number of segments is 0, template 32 has 1`},
		{"8.8.8.8", "0.0.3", ErrSyntax, `address "0.0.3": number of segments is 3, template 8.8.8.8 has 4`},
		{"8.8.8.8", "0.0.3.1.7", ErrSyntax, `address "0.0.3.1.7": number of segments is 5, template 8.8.8.8 has 4`},
		{"8.8.8.8", "0..3.1", ErrSyntax, `address "0..3.1": segment 2 is empty, template 8.8.8.8 allows 0..255`},
		{"8.8.8.8", "0.0.3.", ErrSyntax, `address "0.0.3.": segment 4 is empty, template 8.8.8.8 allows 0..255`},
		{"8.8.8.8", "0.-1.3.1", ErrSyntax,
			`address "0.-1.3.1": segment 2 is "-1", not a decimal number; template 8.8.8.8 allows 0..255`},
		{"8.8.8.8", "+0.0.3.1", ErrSyntax,
			`address "+0.0.3.1": segment 1 is "+0", not a decimal number; template 8.8.8.8 allows 0..255`},
		{"8.8.8.8", "0.0.3.1 ", ErrSyntax,
			`address "0.0.3.1 ": segment 4 is "1 ", not a decimal number; template 8.8.8.8 allows 0..255`},
		{"8.8.8.8", "0.0.0x3.1", ErrSyntax,
			`address "0.0.0x3.1": segment 3 is "0x3", not a decimal number; template 8.8.8.8 allows 0..255`},
		{"8.8.8.8", "0.0.3.٣", ErrSyntax,
			`address "0.0.3.٣": segment 4 is "٣", not a decimal number; template 8.8.8.8 allows 0..255`},
		{"8.8.8.8", "0.0.3.*", ErrSyntax, `address "0.0.3.*": segment 4 is *, which only a prefix may have`},
	} {
		got, err := MustTemplate(c.template).Parse(c.text)
		checkError(t, c.text, err, c.kind, c.want)
		if got != None {
			t.Errorf("%q: address %v with an error", c.text, got)
		}
	}
}

// checkError holds an error against the kind and the text it should have.
func checkError(t *testing.T, text string, err, kind error, want string) {
	t.Helper()
	if err == nil || err.Error() != want {
		t.Errorf("%q:\n got %v\nwant %s", text, err, want)
	}
	if !errors.Is(err, kind) {
		t.Errorf("%q: %v is not %v", text, err, kind)
	}
	if pe, ok := errors.AsType[*ParseError](err); !ok || pe.Text != text {
		t.Errorf("%q: not a *ParseError of this text: %v", text, err)
	}
}

func TestLongTextsAreShortenedInErrors(t *testing.T) {
	text := "0.0.3." + string(slices.Repeat([]byte("字"), 10_000))
	_, err := Parse(text)
	if err == nil || len(err.Error()) > 400 {
		t.Fatalf("error of %d bytes: %.100v", len(err.Error()), err)
	}
}

func TestFormatOutsideTemplateCannotBeRead(t *testing.T) {
	tmpl := MustTemplate("4.4")
	for a, want := range map[Addr]string{0xff: "15.15", 0x100: "16.0", 0xffffffff: "268435455.15"} {
		text := tmpl.Format(a)
		if text != want {
			t.Errorf("Format(%#x) = %q, want %q", uint32(a), text, want)
		}
		if _, err := tmpl.Parse(text); (err == nil) != tmpl.Contains(a) {
			t.Errorf("%q: contained %v, read with %v", text, tmpl.Contains(a), err)
		}
	}
}

func TestCompareAndNone(t *testing.T) {
	list := []Addr{1 << 31, 769, None, 256}
	slices.SortFunc(list, Compare)
	if want := []Addr{None, 256, 769, 1 << 31}; !slices.Equal(list, want) {
		t.Errorf("sorted to %v, want %v", list, want)
	}
	if !None.IsNone() || Addr(1).IsNone() {
		t.Error("IsNone is wrong")
	}
}

func TestAddressAsText(t *testing.T) {
	in := map[Addr]Addr{769: 1025}
	data, err := json.Marshal(in)
	if err != nil || string(data) != `{"0.0.3.1":"0.0.4.1"}` {
		t.Fatalf("got %s, %v", data, err)
	}
	var out map[Addr]Addr
	if err := json.Unmarshal(data, &out); err != nil || out[769] != 1025 {
		t.Errorf("got %v, %v", out, err)
	}
	a := Addr(769)
	if err := a.UnmarshalText([]byte("0.0.3")); !errors.Is(err, ErrSyntax) || a != 769 {
		t.Errorf("after a refused text: %v, %v", a, err)
	}
}

func TestAppendDoesNotAllocate(t *testing.T) {
	tmpl := MustTemplate("6.8.8.10")
	buf := make([]byte, 0, maxText)
	if n := testing.AllocsPerRun(100, func() { buf = tmpl.Append(buf[:0], 0xffffffff) }); n != 0 {
		t.Errorf("Append allocates %v times", n)
	}
	if n := testing.AllocsPerRun(100, func() { _, _ = tmpl.Parse("63.255.255.1023") }); n != 0 {
		t.Errorf("Parse allocates %v times", n)
	}
}

func BenchmarkAppend(b *testing.B) {
	buf := make([]byte, 0, maxText)
	for b.Loop() {
		buf = Default.Append(buf[:0], 0x7f0003ff)
	}
}

func BenchmarkParse(b *testing.B) {
	for b.Loop() {
		if _, err := Default.Parse("127.0.3.255"); err != nil {
			b.Fatal(err)
		}
	}
}
