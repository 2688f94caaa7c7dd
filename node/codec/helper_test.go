// SPDX-License-Identifier: Apache-2.0

package codec

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// Flat is what a message usually is; figures are for it.
type Flat struct {
	Player string
	Room   string
	Score  int64
	Speed  float64
	Ready  bool
}

var flatValue = Flat{Player: "annabell", Room: "lobby-07", Score: 1 << 40, Speed: 3.25, Ready: true}

type item struct {
	Name  string
	Count int
}

type level int32

// order has a part of every sort.
type order struct {
	item
	ID     [4]byte
	Items  []item
	Next   *order
	Extra  any
	Many   []any
	ByName map[string]*item
	Free   map[string]any
	Grid   map[[2]int8]level
	At     time.Time
	Took   time.Duration
	Blob   []byte
	Pair   [2]any
}

type tags struct {
	A int    `cbor:"a,omitempty"`
	B string `json:"bee"`
	C func() `cbor:"-"`
	D int    `cbor:"7,keyasint"`
}

// coin writes itself.
type coin struct{ value int8 }

func (c coin) MarshalText() ([]byte, error) {
	if c.value < 0 {
		panic("debt")
	}
	return []byte(strings.Repeat("o", int(c.value))), nil
}

func (c *coin) UnmarshalText(text []byte) error {
	if len(text) == 9 {
		panic("nine")
	}
	c.value = int8(len(text))
	return nil
}

type list []list

type ring struct{ Next *ring }

type tree map[string]tree

func registry(t testing.TB, l Limits) *Registry {
	t.Helper()
	r := NewRegistry(l)
	for _, err := range []error{
		Register[Flat](r, "flat"), Register[item](r, "item"), Register[*order](r, "order"), Register[level](r, "level"),
		Register[tags](r, "tags"), Register[coin](r, "coin"), Register[list](r, "list"), Register[*ring](r, "ring"),
		Register[tree](r, "tree"), Register[[]item](r, "items"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// trip sends v and returns what arrives. It spoils the bytes afterwards, as the
// value must not lie in them.
func trip(t testing.TB, r *Registry, v any) any {
	t.Helper()
	data, e, typ, err := r.Append([]byte("head"), v)
	if err != nil {
		t.Fatalf("%#v: %v", v, err)
	}
	if string(data[:4]) != "head" {
		t.Fatalf("what stood before became %q", data[:4])
	}
	got, err := r.Decode(data[4:], e, typ)
	if err != nil {
		t.Fatalf("%#v: %x: %v", v, data[4:], err)
	}
	for i := range data {
		data[i] = 0xff
	}
	return got
}

func wantError(t testing.TB, err, want error, parts ...string) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("the error is %v, want one that wraps %v", err, want)
		return
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error is %q, want it to say %q", err, part)
		}
	}
}
