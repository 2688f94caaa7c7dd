// SPDX-License-Identifier: Apache-2.0

package addr

import "testing"

func TestPrefixes(t *testing.T) {
	for _, c := range []struct {
		template, text string
		want           Prefix
		in, out        Addr
	}{
		{"8.8.8.8", "0.0.3.*", Prefix{3 << 8, 24}, 3<<8 | 255, 4 << 8},
		{"8.8.8.8", "1.*.*.*", Prefix{1 << 24, 8}, 1<<24 | 99, 2 << 24},
		{"8.8.8.8", "*.*.*.*", Prefix{0, 0}, 0xffffffff, 0},
		{"8.8.8.8", "0.0.3.1", Exact(769), 769, 770},
		{"6.8.8.10", "0.0.3.*", Prefix{3 << 10, 22}, 3<<10 | 1023, 3 << 11},
		{"4.4", "2.*", Prefix{2 << 4, 28}, 2<<4 | 15, 1<<8 | 2<<4},
		{"4.4", "*.*", Prefix{0, 24}, 255, 256},
	} {
		tmpl := MustTemplate(c.template)
		got, err := tmpl.ParsePrefix(c.text)
		if err != nil || got != c.want {
			t.Errorf("%s: ParsePrefix(%q) = %+v, %v; want %+v", c.template, c.text, got, err, c.want)
		}
		if text := tmpl.FormatPrefix(got); text != c.text {
			t.Errorf("%s: FormatPrefix(%+v) = %q, want %q", c.template, got, text, c.text)
		}
		if !got.Contains(c.in) || (c.out != 0 && got.Contains(c.out)) {
			t.Errorf("%s: %q contains %v: %v, %v: %v", c.template, c.text,
				c.in, got.Contains(c.in), c.out, got.Contains(c.out))
		}
	}
}

func TestPrefixErrors(t *testing.T) {
	for _, c := range []struct {
		text string
		kind error
		want string
	}{
		{"0.*.3.1", ErrSyntax, `prefix "0.*.3.1": segment 3 is 3 after a *, nothing but * may follow one`},
		{"0.*.300.1", ErrRange, `prefix "0.*.300.1": segment 3 is 300, template 8.8.8.8 allows 0..255`},
		{"0.0.*", ErrSyntax, `prefix "0.0.*": number of segments is 3, template 8.8.8.8 has 4`},
		{"*", ErrSyntax, `prefix "*": number of segments is 1, template 8.8.8.8 has 4`},
		{"0.0.3.**", ErrSyntax,
			`prefix "0.0.3.**": segment 4 is "**", not a decimal number; template 8.8.8.8 allows 0..255`},
		{"", ErrSyntax, `prefix "": number of segments is 0, template 8.8.8.8 has 4`},
	} {
		got, err := Default.ParsePrefix(c.text)
		checkError(t, c.text, err, c.kind, c.want)
		if got != (Prefix{}) {
			t.Errorf("%q: prefix %v with an error", c.text, got)
		}
	}
}

func TestFormatPrefixThatIsNoSegments(t *testing.T) {
	for _, c := range []struct {
		template string
		prefix   Prefix
		want     string
	}{
		{"8.8.8.8", Prefix{3<<8 | 128, 25}, "0.0.3.128/25"},
		{"8.8.8.8", Prefix{769, 200}, "0.0.3.1"},
		{"4.4", Prefix{0, 0}, "0.0/0"},
		{"4.4", Prefix{1 << 8, 24}, "16.0/24"},
	} {
		if got := MustTemplate(c.template).FormatPrefix(c.prefix); got != c.want {
			t.Errorf("%s: FormatPrefix(%+v) = %q, want %q", c.template, c.prefix, got, c.want)
		}
	}
	if got := (Prefix{3 << 8, 24}).String(); got != "0.0.3.*" {
		t.Errorf("String is %q", got)
	}
}
