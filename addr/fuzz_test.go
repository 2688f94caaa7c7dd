// SPDX-License-Identifier: Apache-2.0

package addr

import (
	"errors"
	"testing"
)

// checkRefusal wants an error to be complete: its type, its sentinel and no
// more text than a log line bears.
func checkRefusal(t *testing.T, err error) {
	t.Helper()
	if _, ok := errors.AsType[*ParseError](err); !ok {
		t.Fatalf("%T is not a *ParseError", err)
	}
	if errors.Is(err, ErrSyntax) == errors.Is(err, ErrRange) {
		t.Fatalf("%v is not one of ErrSyntax and ErrRange", err)
	}
	if len(err.Error()) > 1000 {
		t.Fatalf("error of %d bytes", len(err.Error()))
	}
}

// FuzzParse reads any text after any template: what is read is written and read
// back as the same value, as an address and as a prefix.
func FuzzParse(f *testing.F) {
	f.Add("8.8.8.8", "0.0.3.1")
	f.Fuzz(func(t *testing.T, template, text string) {
		tmpl, _ := ParseTemplate(template) // the default one if refused
		a, err := tmpl.Parse(text)
		if err != nil {
			checkRefusal(t, err)
		} else if again, err := tmpl.Parse(tmpl.Format(a)); err != nil || again != a || !tmpl.Contains(a) {
			t.Fatalf("%v: %q read as %d, again as %d, %v", tmpl, text, a, again, err)
		}
		p, perr := tmpl.ParsePrefix(text)
		if perr != nil {
			checkRefusal(t, perr)
		} else if again, err := tmpl.ParsePrefix(tmpl.FormatPrefix(p)); err != nil || again != p || !p.Contains(p.Addr) {
			t.Fatalf("%v: %q read as %+v, again as %+v, %v", tmpl, text, p, again, err)
		}
		if err == nil && (perr != nil || p != Exact(a)) {
			t.Fatalf("%v: %q is address %d, but prefix %+v, %v", tmpl, text, a, p, perr)
		}
	})
}

// FuzzTemplate reads any text as a template.
func FuzzTemplate(f *testing.F) {
	f.Add("8.8.8.8", uint32(769))
	f.Fuzz(func(t *testing.T, text string, a uint32) {
		tmpl, err := ParseTemplate(text)
		if err != nil {
			checkRefusal(t, err)
			return
		}
		if again, err := ParseTemplate(tmpl.String()); err != nil || again != tmpl {
			t.Fatalf("%q read as %v, again as %v, %v", text, tmpl, again, err)
		}
		if got, err := tmpl.Parse(tmpl.Format(Addr(a))); (err == nil) != tmpl.Contains(Addr(a)) || (err == nil && got != Addr(a)) {
			t.Fatalf("%v: %d written as %q, read as %d, %v", tmpl, a, tmpl.Format(Addr(a)), got, err)
		}
	})
}
