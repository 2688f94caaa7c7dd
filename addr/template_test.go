// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func TestTemplates(t *testing.T) {
	for _, c := range []struct {
		text           string
		segments, bits int
	}{
		{"8.8.8.8", 4, 32},
		{"6.8.8.10", 4, 32},
		{"6.8.8.4", 4, 26},
		{"16.16", 2, 32},
		{"32", 1, 32},
		{"1", 1, 1},
		{"31.1", 2, 32},
		{"1.31", 2, 32},
		{strings.Repeat("1.", 31) + "1", 32, 32},
	} {
		got, err := ParseTemplate(c.text)
		if err != nil || got.String() != c.text || got.Segments() != c.segments || got.Bits() != c.bits {
			t.Errorf("%q: %v of %d segments, %d bits, %v", c.text, got, got.Segments(), got.Bits(), err)
		}
	}
}

func TestZeroTemplateIsDefault(t *testing.T) {
	zero, def := Template{}, MustTemplate("8.8.8.8")
	if zero != def || zero != Default {
		t.Errorf("zero %#v, default %#v", zero, def)
	}
	if zero.String() != "8.8.8.8" || zero.Bits() != 32 || zero.Segments() != 4 {
		t.Errorf("zero is %v, %d bits, %d segments", zero, zero.Bits(), zero.Segments())
	}
	if MustTemplate("08.8.8.8") != def || MustTemplate("8.8.8") == def || MustTemplate("7.9.8.8") == def {
		t.Error("== does not follow the widths")
	}
}

func TestTemplateErrors(t *testing.T) {
	for _, c := range []struct {
		text string
		kind error
		want string
	}{
		{"", ErrSyntax, `template "": is empty`},
		{"8..8", ErrSyntax, `template "8..8": segment 2 is empty, a width is 1..32 bits`},
		{"8.8.", ErrSyntax, `template "8.8.": segment 3 is empty, a width is 1..32 bits`},
		{"8.x.8", ErrSyntax, `template "8.x.8": segment 2 is "x", a width is a decimal number`},
		{"8.+8", ErrSyntax, `template "8.+8": segment 2 is "+8", a width is a decimal number`},
		{"8 .8", ErrSyntax, `template "8 .8": segment 1 is "8 ", a width is a decimal number`},
		{"8.0.8", ErrRange, `template "8.0.8": segment 2 is 0, a width is 1..32 bits`},
		{"33", ErrRange, `template "33": segment 1 is 33, a width is 1..32 bits`},
		{"4294967304", ErrRange, `template "4294967304": segment 1 is 4294967304, a width is 1..32 bits`},
		{"16.16.8", ErrRange, `template "16.16.8": segment 3 brings the sum to 40, an address has 32 bits`},
		{strings.Repeat("1.", 32) + "1", ErrRange,
			`template "` + strings.Repeat("1.", 32) + `…": segment 33 brings the sum to 33, an address has 32 bits`},
	} {
		got, err := ParseTemplate(c.text)
		checkError(t, c.text, err, c.kind, c.want)
		if got != Default {
			t.Errorf("%q: template %v with an error", c.text, got)
		}
	}
}

func TestMustTemplatePanics(t *testing.T) {
	defer func() {
		if err, ok := recover().(error); !ok || !errors.Is(err, ErrRange) {
			t.Errorf("panicked with %v", err)
		}
	}()
	MustTemplate("33")
}

func TestContains(t *testing.T) {
	short := MustTemplate("4.4")
	if !short.Contains(0xff) || short.Contains(0x100) || !Default.Contains(0xffffffff) {
		t.Error("Contains does not follow the sum of the widths")
	}
}

func TestTemplateAsText(t *testing.T) {
	type config struct{ Template Template }
	data, err := json.Marshal(config{MustTemplate("6.8.8.10")})
	if err != nil || string(data) != `{"Template":"6.8.8.10"}` {
		t.Fatalf("got %s, %v", data, err)
	}
	var out config
	if err := json.Unmarshal(data, &out); err != nil || out.Template != MustTemplate("6.8.8.10") {
		t.Errorf("got %v, %v", out, err)
	}
	if err := out.Template.UnmarshalText([]byte("99")); !errors.Is(err, ErrRange) || out.Template.String() != "6.8.8.10" {
		t.Errorf("after a refused text: %v, %v", out, err)
	}
}
