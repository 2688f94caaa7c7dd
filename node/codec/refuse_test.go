// SPDX-License-Identifier: Apache-2.0

package codec

import (
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
)

type (
	withChan   struct{ Items []struct{ Done chan int } }
	withFunc   struct{ Call map[string]func() }
	withError  struct{ Err error }
	withMethod struct{ S fmt.Stringer }
	withPtrPtr struct{ P **int }
	withKey    struct{ M map[any]int }
	withBig    struct{ B *big.Int }
	withTag    struct{ T cbor.Tag }
	closed     struct{ _, _ int }
	halfway    struct{ S struct{ writesOnly } }
	base       struct{ A any }
	embedsOpen struct{ base }
	embedsPtr  struct{ *item }
	deep5      struct {
		A struct{ B struct{ C struct{ D []int } } }
	}
	self *self
)

type writesOnly struct{ A int }

func (writesOnly) MarshalText() ([]byte, error) { return nil, nil }

func TestTypesThatCannotBeRegistered(t *testing.T) {
	r := NewRegistry(Limits{MaxDepth: 4})
	tests := []struct {
		name string
		err  error
		want error
		says []string
	}{
		{"chan", Register[withChan](r, "x"), ErrType, []string{`register codec.withChan as "x"`, "codec.withChan.Items[].Done: chan int cannot be sent"}},
		{"func", Register[*withFunc](r, "x"), ErrType, []string{"codec.withFunc.Call[]: func() cannot be sent"}},
		{"error", Register[withError](r, "x"), ErrType, []string{".Err: an error cannot be sent: send its text"}},
		{"methods", Register[withMethod](r, "x"), ErrType, []string{".S: fmt.Stringer is an interface with methods"}},
		{"pointers", Register[withPtrPtr](r, "x"), ErrType, []string{".P: **int"}},
		{"keys", Register[withKey](r, "x"), ErrType, []string{".M[key]: interface {}"}},
		{"big numbers", Register[withBig](r, "x"), ErrType, []string{"send its text"}},
		{"a tag", Register[withTag](r, "x"), ErrType, []string{"cbor.Tag cannot be sent"}},
		{"no exported field", Register[closed](r, "x"), ErrType, []string{"has no field that travels"}},
		{"no way back", Register[halfway](r, "x"), ErrType, []string{".S", "encoding.TextMarshaler", "TextUnmarshaler"}},
		{"any embedded", Register[embedsOpen](r, "x"), ErrType, []string{".base", "without being exported"}},
		{"embedded by pointer", Register[embedsPtr](r, "x"), ErrType, []string{".item", "by pointer"}},
		{"too deep", Register[deep5](r, "x"), ErrTooLarge, []string{"5 levels", "at most 4"}},
		{"a pointer to itself", Register[self](r, "x"), ErrType, []string{"points to no struct"}},
		{"int", Register[int](r, "x"), ErrType, []string{"known without"}},
		{"an interface", Register[any](r, "x"), ErrType, []string{"is an interface"}},
		{"bytes", Register[[]byte](r, "x"), ErrType, []string{"known without"}},
		{"no name", Register[item](r, ""), ErrType, []string{"not empty"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { wantError(t, tt.err, tt.want, tt.says...) })
	}
}

func TestNamesThatAreTaken(t *testing.T) {
	r := registry(t, Limits{})
	if err := Register[item](r, "item"); err != nil {
		t.Errorf("the same again: %v", err)
	}
	wantError(t, Register[withAny](r, "item"), ErrRegistered, `"item" is codec.item`)
	wantError(t, Register[item](r, "another"), ErrRegistered, `codec.item is "item"`)
	a, b := collide(t)
	if err := Register[withAny](r, a); err != nil {
		t.Fatal(err)
	}
	wantError(t, Register[*withAny](r, b), ErrRegistered, a, b, "same id")
}

type withAny struct{ V any }

// collide finds two names with one id.
func collide(t *testing.T) (a, b string) {
	t.Helper()
	seen := map[uint32]string{}
	for i := range 1 << 20 {
		name := fmt.Sprintf("name-%d", i*7919)
		if other, ok := seen[ID(name)]; ok {
			return other, name
		}
		seen[ID(name)] = name
	}
	t.Fatal("all ids differ")
	return "", ""
}

// The offset basis and an example are those of the algorithm's authors.
func TestID(t *testing.T) {
	for name, want := range map[string]uint32{"": 0x811c9dc5, "a": 0xe40c292c, "foobar": 0xbf9cf968} {
		if got := ID(name); got != want {
			t.Errorf("the id of %q is %#x, want %#x", name, got, want)
		}
	}
}

func TestValuesThatAreNotSent(t *testing.T) {
	r := registry(t, Limits{MaxSize: 2000, MaxElements: 100})
	tests := []struct {
		name string
		v    any
		want error
		says []string
	}{
		{"a struct", withAny{}, ErrType, []string{"send codec.withAny", "is not registered"}},
		{"a pointer to what is known", &item{}, ErrType, []string{"*codec.item is not registered, codec.item is"}},
		{"what a known pointer points to", order{}, ErrType, []string{"codec.order is not registered, *codec.order is"}},
		{"in a field", &order{Extra: withAny{}}, ErrType, []string{"send order: codec.order.Extra: codec.withAny is not registered"}},
		{"deep down", &order{Next: &order{Many: []any{1, map[string]any{"k": []any{make(chan int)}}}}}, ErrType, []string{`codec.order.Next.Many[1]["k"][0]: chan int`}},
		{"in a box", &order{Extra: &order{Pair: [2]any{nil, func() {}}}}, ErrType, []string{"codec.order.Extra.Pair[1]: func()"}},
		{"a slice of structs", []any{[]withAny{}}, ErrType, []string{"[0][]: codec.withAny"}},
		{"keys", map[int]string{}, ErrType, []string{"map[int]string", "keys of a map have to be strings"}},
		{"an error", &order{Extra: errors.New("x")}, ErrType, []string{".Extra: the error *errors.errorString cannot be sent"}},
		{"complex", []any{1i}, ErrType, []string{"[0]: complex128 cannot be sent"}},
		{"long bytes", make([]byte, 2001), ErrTooLarge, []string{"2001 bytes, want at most 2000"}},
		{"a long text", strings.Repeat("x", 2001), ErrTooLarge, []string{"send string"}},
		{"a long field", Flat{Player: strings.Repeat("x", 2000)}, ErrTooLarge, []string{"send flat", "at most 2000"}},
		{"elements", make([]item, 40), ErrTooLarge, []string{"send items", "120 elements, want at most 100"}},
		{"plain elements", make([]bool, 101), ErrTooLarge, []string{"101 elements"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out, _, _, err := r.Append([]byte("head"), tt.v)
			wantError(t, err, tt.want, tt.says...)
			if string(out) != "head" {
				t.Errorf("the buffer has %q", out)
			}
		})
	}
}

func TestValuesThatContainThemselves(t *testing.T) {
	r := registry(t, Limits{})
	loop := &ring{}
	loop.Next = &ring{loop}
	self := list{nil}
	self[0] = self
	forest := tree{}
	forest["a"] = tree{"b": forest}
	free := map[string]any{}
	free["x"] = []any{free}
	slice := []any{nil}
	slice[0] = slice
	outer := &order{}
	outer.Many = []any{"x", outer}
	tests := []struct {
		name string
		v    any
		says string
	}{
		{"by pointer", loop, "codec.ring contains itself"},
		{"a slice", self, "codec.list contains itself"},
		{"a map", forest, "codec.tree contains itself"},
		{"a plain map", free, "contains itself"},
		{"a plain slice", slice, "[]interface {} contains itself"},
		{"by a field of type any", outer, "contains itself"},
		{"beside others", &order{Free: map[string]any{"loop": loop}}, `codec.order.Free["loop"]`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, _, _, err := r.Append(nil, tt.v)
			wantError(t, err, ErrCycle, tt.says)
			if len(err.Error()) > 300 {
				t.Errorf("the error has %d bytes: %v", len(err.Error()), err)
			}
		})
	}
}

// As deep as the limit is sent and taken, one more is refused at the sender.
func TestDepthIsTheSameForBothSides(t *testing.T) {
	r := registry(t, Limits{MaxDepth: 10})
	for name, build := range map[string]func(n int) any{
		"pointers": func(n int) any { return ringOf(n) },
		"slices":   func(n int) any { return listOf(n) },
		"plain":    func(n int) any { return wrapped(n, nil) },
		"typed":    func(n int) any { return wrapped(n-2, [][]int{{1}}) },
	} {
		t.Run(name, func(t *testing.T) {
			trip(t, r, build(10))
			_, _, _, err := r.Append(nil, build(11))
			wantError(t, err, ErrTooLarge, "deeper than 10 levels")
		})
	}
	_, err := r.Decode([]byte(strings.Repeat("\x81", 11)+"\x00"), CBOR, 0)
	wantError(t, err, ErrTooLarge)
}

func ringOf(n int) *ring {
	if n == 0 {
		return nil
	}
	return &ring{ringOf(n - 1)}
}

func listOf(n int) list {
	if n == 0 {
		return nil
	}
	return list{listOf(n - 1)}
}

// wrapped puts n slices around v.
func wrapped(n int, v any) any {
	if n == 0 {
		return v
	}
	return []any{wrapped(n-1, v)}
}

func TestMethodsThatPanic(t *testing.T) {
	r := registry(t, Limits{})
	if _, _, _, err := r.Append(nil, coin{-1}); err == nil || !strings.Contains(err.Error(), "send coin: panic: debt") {
		t.Errorf("a panic of MarshalText is %v", err)
	}
	data, e, typ, err := r.Append(nil, coin{9})
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.Decode(data, e, typ)
	wantError(t, err, ErrData, "decode coin", "panic: nine")
	if got := trip(t, r, coin{3}); got != (coin{3}) {
		t.Errorf("afterwards it arrives as %v", got)
	}
}
