// SPDX-License-Identifier: Apache-2.0

package tbusxml

import (
	"bytes"
	"reflect"
	"testing"

	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/skybus-io/skybus/addr"
)

// FuzzParse reads any bytes as both files: either there are errors that can be
// shown, or values that keep what their comments promise.
func FuzzParse(f *testing.F) {
	f.Add(readFile(f, "tbusmgr.xml"))
	f.Add(readFile(f, "trelaymgr.xml"))
	f.Add(recoded(f, "GBK", simplifiedchinese.GBK))
	f.Fuzz(func(t *testing.T, data []byte) {
		g, err := ParseGCIM("f", data)
		checkRefusal(t, data, g == nil, err)
		if g != nil {
			checkGCIM(t, g)
			checkWarnings(t, data, g.Warnings)
		}
		r, err := ParseRelay("f", data)
		checkRefusal(t, data, r == nil, err)
		if r != nil {
			checkGRM(t, r)
			checkWarnings(t, data, r.Warnings)
		}
	})
}

// checkRefusal wants errors or a value, and errors that are few, short, in
// order and inside the file.
func checkRefusal(t *testing.T, data []byte, refused bool, err error) {
	t.Helper()
	if refused != (err != nil) {
		t.Fatalf("refused %v with %v", refused, err)
	}
	if err == nil {
		return
	}
	errs := err.(interface{ Unwrap() []error }).Unwrap()
	if len(errs) > maxErrors+1 {
		t.Fatalf("%d errors", len(errs))
	}
	last := 0
	for i, err := range errs {
		e, ok := err.(*Error)
		if !ok || e.File != "f" || e.Msg == "" || len(e.Error()) > 1000 {
			t.Fatalf("%T %v", err, err)
		}
		if i < maxErrors && (e.Line < max(last, 1) || e.Line > 1+bytes.Count(data, []byte("\n"))) {
			t.Fatalf("%v is out of order or outside of the file", e)
		}
		last = e.Line
	}
}

func checkWarnings(t *testing.T, data []byte, warnings []Warning) {
	t.Helper()
	for _, w := range warnings {
		if w.Count < 1 || w.Line > 1+bytes.Count(data, []byte("\n")) || len(w.String()) > 1000 {
			t.Fatalf("warning %+v", w)
		}
	}
}

// checkGCIM checks the values, and that they are the same when read again.
func checkGCIM(t *testing.T, g *GCIM) {
	t.Helper()
	checkKey(t, g.Key)
	seen := make(map[pair]bool)
	for _, c := range g.Channels {
		checkAddr(t, g.Template, c.A)
		checkAddr(t, g.Template, c.B)
		p := pair{min(c.A, c.B), max(c.A, c.B)}
		if c.A == c.B || seen[p] {
			t.Fatalf("channel %+v is one to itself or a duplicate", c)
		}
		seen[p] = true
		if min(c.SendSize, c.RecvSize) < MinLane || max(c.SendSize, c.RecvSize) > MaxLane {
			t.Fatalf("sizes of %+v", c)
		}
	}
	want := *g
	want.Warnings = nil
	again, err := ParseGCIM("f", []byte(writeGCIM(&want, "UTF-8")))
	if err != nil {
		t.Fatal(err)
	}
	if again.Warnings = nil; !reflect.DeepEqual(again, &want) {
		t.Fatalf("read again as %+v\nwant %+v", again, want)
	}
}

func checkGRM(t *testing.T, g *GRM) {
	t.Helper()
	checkKey(t, g.Key)
	for _, r := range g.Relays {
		text := g.Template.FormatPrefix(r.Prefix)
		if p, err := g.Template.ParsePrefix(text); err != nil || p != r.Prefix {
			t.Fatalf("prefix %+v: %q is read as %+v, %v", r.Prefix, text, p, err)
		}
		c, problem := parseConn("tcp://" + r.HostPort())
		if problem != "" || c.host != r.Host || c.port != r.Port {
			t.Fatalf("%q is read as %+v, %s", r.HostPort(), c, problem)
		}
	}
}

func checkKey(t *testing.T, key uint32) {
	t.Helper()
	if key < 1 || key > maxKey {
		t.Fatalf("key %d", key)
	}
}

func checkAddr(t *testing.T, tmpl addr.Template, a addr.Addr) {
	t.Helper()
	if a.IsNone() || !tmpl.Contains(a) {
		t.Fatalf("address %v after template %v", a, tmpl)
	}
}
