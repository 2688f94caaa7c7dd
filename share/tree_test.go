// SPDX-License-Identifier: Apache-2.0

package share_test

import (
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/share"
)

func testTree() *share.Tree {
	return share.New[any]("game", map[string]any{
		"orc":   map[string]any{"hp": int64(30), "speed": 1.5, "boss": false, "name": "Orc", "note": nil},
		"drops": []any{"sword", int64(7), []any{}},
		"huge":  int64(maxExact + 1),
	})
}

const maxExact = 1 << 53

func TestAt(t *testing.T) {
	tree := testTree()
	at(t, tree, int64(30), "orc", "hp")
	at(t, tree, 30.0, "orc", "hp")
	at(t, tree, 1.5, "orc", "speed")
	at(t, tree, false, "orc", "boss")
	at(t, tree, "Orc", "orc", "name")
	at(t, tree, "sword", "drops", "0")
	at(t, tree, []any{}, "drops", "2")
	at(t, tree, tree.Get().(map[string]any))
	at[any](t, tree, int64(7), "drops", "1")
	at[any](t, tree, nil, "orc", "note")
	at(t, tree, int64(maxExact+1), "huge")
}

func at[V any](t *testing.T, tree *share.Tree, want V, path ...string) {
	t.Helper()
	if got, err := share.At[V](tree, path...); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("at %v is %v, %v, want %v", path, got, err, want)
	}
}

func TestAtFails(t *testing.T) {
	tree := testTree()
	notAt[int64](t, tree, share.ErrNotFound, `table "game": "orc": a map of 5 has no key "mp"`, "orc", "mp")
	notAt[int64](t, tree, share.ErrNotFound, `the root: a map of 3 has no key "elf"`, "elf", "hp")
	notAt[string](t, tree, share.ErrType, `"orc.hp": found int64, asked for string`, "orc", "hp")
	notAt[int64](t, tree, share.ErrType, `"orc.speed": found float64, asked for int64`, "orc", "speed")
	notAt[int](t, tree, share.ErrType, `"orc.hp": found int64, asked for int`, "orc", "hp")
	notAt[int64](t, tree, share.ErrType, `"orc": found a map, asked for int64`, "orc")
	notAt[map[string]any](t, tree, share.ErrType, `"drops": found a list, asked for map`, "drops")
	notAt[string](t, tree, share.ErrType, `"orc.note": found null, asked for string`, "orc", "note")
	notAt[float64](t, tree, share.ErrType, `"huge": found 9007199254740993, which no float64`, "huge")
	notAt[int64](t, tree, share.ErrType, `"orc.hp": found int64, looked for "x" in it`, "orc", "hp", "x")
	notAt[int64](t, tree, share.ErrNotFound, `"drops": a list of 3 has no index 3`, "drops", "3")
	notAt[int64](t, tree, share.ErrNotFound, `"drops": a list is looked into by index, got "-1"`, "drops", "-1")
	notAt[int64](t, tree, share.ErrNotFound, `no key "xxx`, strings.Repeat("x", 5000))
	_, err := share.In[bool](nil, "a")
	wantError(t, err, share.ErrType, `tree: the root: found null, looked for "a"`)
}

func notAt[V any](t *testing.T, tree *share.Tree, kind error, part string, path ...string) {
	t.Helper()
	got, err := share.At[V](tree, path...)
	wantError(t, err, kind, part)
	if !reflect.ValueOf(&got).Elem().IsZero() {
		t.Errorf("%v beside the error %v", got, err)
	}
}

func TestAtAllocatesNothing(t *testing.T) {
	tree := testTree()
	if n := testing.AllocsPerRun(100, func() {
		hp, err := share.At[int64](tree, "orc", "hp")
		wide, wideErr := share.At[float64](tree, "orc", "hp")
		_, dropErr := share.At[string](tree, "drops", "0")
		if hp != 30 || wide != 30 || err != nil || wideErr != nil || dropErr != nil {
			t.Error(hp, wide, err, wideErr, dropErr)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestNormalize(t *testing.T) {
	for _, c := range []struct{ in, want any }{
		{nil, nil},
		{int8(-3), int64(-3)},
		{uint64(math.MaxInt64), int64(math.MaxInt64)},
		{float32(0.5), 0.5},
		{json.Number("12"), int64(12)},
		{json.Number("1e2"), 100.0},
		{json.Number("-0.25"), -0.25},
		{map[any]any{"a": 1, 7: "x", uint8(8): nil}, map[string]any{"a": int64(1), "7": "x", "8": nil}},
		{[]any{[]any{int16(1)}, map[string]any{"k": uint(2)}}, []any{[]any{int64(1)}, map[string]any{"k": int64(2)}}},
	} {
		if got, err := share.Normalize(c.in); err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%#v became %#v, %v, want %#v", c.in, got, err, c.want)
		}
	}
}

func TestNormalizeRefuses(t *testing.T) {
	inside := map[string]any{}
	inside["me"] = []any{inside}
	for _, c := range []struct {
		in    any
		parts []string
	}{
		{uint64(math.MaxInt64 + 1), []string{"the root", "9223372036854775808 is beyond int64"}},
		{json.Number("9223372036854775808"), []string{"beyond int64"}},
		{json.Number("1e999"), []string{"beyond float64"}},
		{map[string]any{"a": []any{"x", []byte("y")}}, []string{`"a.1"`, "no []uint8"}},
		{map[string]any{"day": time.Time{}}, []string{`"day"`, "quotes"}},
		{map[any]any{true: 1}, []string{"a key is a bool"}},
		{map[any]any{nil: 1}, []string{"a key is null"}},
		{map[any]any{1: 1, "1": 2}, []string{`key "1" is there twice`}},
		{[]any{struct{}{}}, []string{`"0"`, "struct {}"}},
		{inside, []string{"deeper than 1000"}},
		{time.Second, []string{"no time.Duration"}},
	} {
		got, err := share.Normalize(c.in)
		wantError(t, err, share.ErrType, c.parts...)
		if _, ok := errors.AsType[*share.PathError](err); !ok || got != nil {
			t.Errorf("%T and the value %v", err, got)
		}
	}
}

// What random trees hold is found by its path, and is what Normalize leaves
// alone when it comes again.
func TestRandomTrees(t *testing.T) {
	rng := testutil.Rand(t)
	for range 200 {
		raw := randomValue(rng, 4)
		normal, err := share.Normalize(raw)
		if err != nil {
			t.Fatal(err)
		}
		visit(t, normal, normal, nil)
		again, err := share.Normalize(normal)
		if err != nil || !reflect.DeepEqual(again, normal) {
			t.Fatalf("%#v became %#v, %v", normal, again, err)
		}
	}
}

func visit(t *testing.T, root, value any, path []string) {
	t.Helper()
	if got, err := share.In[any](root, path...); err != nil || !reflect.DeepEqual(got, value) {
		t.Fatalf("at %v is %v, %v, want %v", path, got, err, value)
	}
	switch v := value.(type) {
	case map[string]any:
		for key, inner := range v {
			visit(t, root, inner, append(path[:len(path):len(path)], key))
		}
	case []any:
		for i, inner := range v {
			visit(t, root, inner, append(path[:len(path):len(path)], strconv.Itoa(i)))
		}
	case nil, string, bool, int64, float64:
	default:
		t.Fatalf("a %T is left at %v", v, path)
	}
}

func randomValue(rng *rand.Rand, depth int) any {
	if depth > 0 && rng.IntN(3) > 0 {
		return randomNode(rng, depth)
	}
	leaves := []any{nil, "text", true, rng.Int(), rng.Int32(), uint16(rng.Uint32()), rng.Float64(), rng.Float32(), json.Number(strconv.Itoa(rng.Int()))}
	return leaves[rng.IntN(len(leaves))]
}

func randomNode(rng *rand.Rand, depth int) any {
	n := rng.IntN(5)
	switch rng.IntN(3) {
	case 0:
		list := make([]any, n)
		for i := range list {
			list[i] = randomValue(rng, depth-1)
		}
		return list
	case 1:
		m := make(map[any]any)
		for i := range n {
			m[i] = randomValue(rng, depth-1)
			m["k"+strconv.Itoa(i)] = randomValue(rng, depth-1)
		}
		return m
	}
	m := make(map[string]any)
	for i := range n {
		m[strconv.Itoa(rng.IntN(100))+strings.Repeat(".", i)] = randomValue(rng, depth-1)
	}
	return m
}
