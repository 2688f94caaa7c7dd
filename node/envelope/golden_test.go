// SPDX-License-Identifier: Apache-2.0

package envelope

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
)

const page = "../../docs/format/envelope.md"

// What the page gives as examples is what this package writes and reads: nodes
// of two versions meet, and other languages are written from the page.
func TestRecordsAreThoseOfThePage(t *testing.T) {
	golden := examples(t)
	kinds := map[Kind]bool{}
	for _, s := range samples() {
		want, ok := golden[s.name]
		delete(golden, s.name)
		if got := s.write(t); !ok || !bytes.Equal(got, want) {
			t.Errorf("%s is\n%x\nwant\n%x", s.name, got, want)
			continue
		}
		kinds[s.env.Kind] = true
		checkRead(t, &s, want)
	}
	for name := range golden {
		t.Errorf("the page has %s, and the test does not", name)
	}
	for k := range Kind(255) {
		if k.known() && !kinds[k] {
			t.Errorf("there is no example of a %v", k)
		}
	}
}

func checkRead(t *testing.T, s *sample, record []byte) {
	t.Helper()
	var e Envelope
	if err := e.Parse(record); err != nil {
		t.Errorf("%s: %v", s.name, err)
		return
	}
	if s.rep != nil {
		r, rest, err := ParseReport(e.Kind, e.Payload)
		if err != nil || r != *s.rep {
			t.Errorf("%s has the report %+v, %v, want %+v", s.name, r, err, *s.rep)
		}
		e.Payload = rest
	}
	if len(e.Payload) == 0 {
		e.Payload = s.env.Payload
	}
	if !reflect.DeepEqual(e, s.env) {
		t.Errorf("%s is read as %+v, want %+v", s.name, e, s.env)
	}
}

// The numbers and names of the page's tables are those of the package.
func TestTablesAreThoseOfThePage(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for k := range Kind(255) {
		if !k.known() {
			continue
		}
		wantRow(t, text, fmt.Sprintf("| %d | %v |", k, k))
	}
	for c := CodeNone; c < codeEnd; c++ {
		wantRow(t, text, fmt.Sprintf("| %d | %v |", c, c))
	}
	for e := EncodingNone; e < encodingEnd; e++ {
		wantRow(t, text, fmt.Sprintf("%d %v", e, e))
	}
	wantRow(t, text, fmt.Sprintf("| %d | %v |", codeEnd, codeEnd), false)
}

func wantRow(t *testing.T, text []byte, row string, there ...bool) {
	t.Helper()
	want := len(there) == 0
	if bytes.Contains(text, []byte(row)) != want {
		t.Errorf("that the page has %q is %v, want %v", row, !want, want)
	}
}

// examples reads the last block of the page: lines of hexadecimal digits below names.
func examples(t *testing.T) map[string][]byte {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(text), "```")
	records := map[string][]byte{}
	name := ""
	for line := range strings.Lines(blocks[len(blocks)-2]) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		if label, ok := strings.CutSuffix(line, ":"); ok {
			name = label
			continue
		}
		b, err := hex.DecodeString(strings.ReplaceAll(line, " ", ""))
		if err != nil {
			t.Fatalf("example %s: %v", name, err)
		}
		records[name] = append(records[name], b...)
	}
	return records
}
