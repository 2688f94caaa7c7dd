// SPDX-License-Identifier: Apache-2.0

package files

import (
	"errors"
	"math"
	"reflect"
	"testing"
	"unicode/utf8"
)

func FuzzJSON(f *testing.F) {
	f.Add([]byte(`{"orc": {"hp": 30, "drops": ["axe"]}, "elf": {"hp": 2e1}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		tree, ok := fuzzTree(t, formatJSON, data)
		if !ok {
			return
		}
		keys := 0
		if bad := scanJSON(data, func(*level, string, int) *fault { keys++; return nil }); bad != nil {
			t.Fatalf("refused now: %+v", bad)
		}
		if n := countKeys(tree); n != keys {
			t.Fatalf("%d keys became %d", keys, n)
		}
	})
}

func FuzzYAML(f *testing.F) {
	f.Add([]byte("orc: &orc {hp: 30, drops: [axe]}\nboss:\n  <<: *orc\n  hp: 300\n"))
	f.Fuzz(func(t *testing.T, data []byte) { fuzzTree(t, formatYAML, data) })
}

func FuzzCBOR(f *testing.F) {
	f.Add([]byte(toCBOR(f, monsters{"orc": {HP: 30, Drops: []string{"axe"}}})))
	f.Fuzz(func(t *testing.T, data []byte) { fuzzTree(t, formatCBOR, data) })
}

// fuzzTree decodes bytes as a table of monsters and as a tree: each is refused
// with all that an error has, or is a value. A tree is made of what a tree may
// hold, and the same again when written and read.
func fuzzTree(t *testing.T, f format, data []byte) (tree any, ok bool) {
	var typed monsters
	checkFault(t, data, decode(f, data, &typed))
	bad := decode(f, data, &tree)
	checkFault(t, data, bad)
	if bad != nil {
		return nil, false
	}
	if !checkTree(t, tree, 0) {
		return tree, true
	}
	var again any
	if bad := decode(formatCBOR, []byte(toCBOR(t, tree)), &again); bad != nil || !reflect.DeepEqual(again, tree) {
		t.Fatalf("%#v is read again as %#v, %+v", tree, again, bad)
	}
	return tree, true
}

func checkFault(t *testing.T, data []byte, bad *fault) {
	t.Helper()
	if bad == nil {
		return
	}
	err := bad.in("f")
	known := errors.Is(err, ErrSyntax) || errors.Is(err, ErrValue) || errors.Is(err, ErrTooLarge)
	if !known || err.Reason == "" || len(err.Error()) > maxReason+100 || err.Line < 0 || err.Line > 1+len(data) {
		t.Fatalf("%T %v of line %d", err.Err, err, err.Line)
	}
}

// checkTree wants the types of a tree. It reports whether the tree can be
// compared and written in CBOR: NaN is not itself, and YAML can write any bytes
// into a text.
func checkTree(t *testing.T, value any, depth int) bool {
	if depth > MaxDepth {
		t.Fatalf("%d levels", depth)
	}
	plain := true
	switch v := value.(type) {
	case map[string]any:
		for key, inner := range v {
			plain = checkTree(t, inner, depth+1) && utf8.ValidString(key) && plain
		}
	case []any:
		for _, inner := range v {
			plain = checkTree(t, inner, depth+1) && plain
		}
	case float64:
		return !math.IsNaN(v)
	case string:
		return utf8.ValidString(v)
	case nil, bool, int64:
	default:
		t.Fatalf("a tree has a %T", value)
	}
	return plain
}

func countKeys(value any) int {
	n := 0
	switch v := value.(type) {
	case map[string]any:
		n = len(v)
		for _, inner := range v {
			n += countKeys(inner)
		}
	case []any:
		for _, inner := range v {
			n += countKeys(inner)
		}
	}
	return n
}
