// SPDX-License-Identifier: Apache-2.0

package codec

import (
	"math"
	"reflect"
	"testing"
	"time"
)

func TestValuesWithoutRegistration(t *testing.T) {
	r := registry(t, Limits{})
	at := time.Date(2026, 5, 4, 3, 2, 1, 123456789, time.FixedZone("", 7200))
	tests := []struct {
		name    string
		v, want any
		e       Encoding
	}{
		{"nil", nil, nil, None},
		{"bytes", []byte{1, 2}, []byte{1, 2}, Raw},
		{"no bytes", []byte(nil), []byte{}, Raw},
		{"text", "hello", "hello", Text},
		{"text that is no UTF-8", "\xff\x00", "\xff\x00", Text},
		{"true", true, true, CBOR},
		{"int", -5, int64(-5), CBOR},
		{"the least int64", int64(math.MinInt64), int64(math.MinInt64), CBOR},
		{"the greatest int64", uint64(math.MaxInt64), int64(math.MaxInt64), CBOR},
		{"above that", uint64(math.MaxInt64 + 1), uint64(math.MaxInt64 + 1), CBOR},
		{"uint64", uint64(math.MaxUint64), uint64(math.MaxUint64), CBOR},
		{"uint8", uint8(7), int64(7), CBOR},
		{"float32", float32(0.5), 0.5, CBOR},
		{"infinity", math.Inf(-1), math.Inf(-1), CBOR},
		{"a time", at, at, CBOR},
		{"the zero time", time.Time{}, time.Time{}, CBOR},
		{"a duration", time.Second, int64(time.Second), CBOR},
		{"a slice", []any{1, "x", nil, 2.5, []byte{9}}, []any{int64(1), "x", nil, 2.5, []byte{9}}, CBOR},
		{"nothing in it", []any{}, []any{}, CBOR},
		{"a slice of a type", []int{1, 2}, []any{int64(1), int64(2)}, CBOR},
		{"an array", [2]bool{true}, []any{true, false}, CBOR},
		{"an array of bytes", [2]byte{1, 2}, []byte{1, 2}, CBOR},
		{"a map", map[string]any{"a": uint64(math.MaxUint64), "b": []any{"\xff"}}, map[string]any{"a": uint64(math.MaxUint64), "b": []any{"\xff"}}, CBOR},
		{"a map of a type", map[string][]string{"a": {"b"}, "c": nil}, map[string]any{"a": []any{"b"}, "c": nil}, CBOR},
		{"a zero time in a slice", []any{time.Time{}}, []any{time.Time{}}, CBOR},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, e, typ, err := r.Append(nil, tt.v); err != nil || e != tt.e || typ != 0 {
				t.Errorf("it is sent as %v of type %#x, %v", e, typ, err)
			}
			got := trip(t, r, tt.v)
			if a, ok := got.(time.Time); ok && a.Equal(tt.want.(time.Time)) {
				return
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("%#v arrives as %#v, want %#v", tt.v, got, tt.want)
			}
		})
	}
}

func TestRegisteredTypesArriveAsThemselves(t *testing.T) {
	r := registry(t, Limits{})
	full := &order{
		item: item{Name: "own", Count: 1}, ID: [4]byte{1, 2, 3, 4}, Items: []item{{"a", 1}, {"b", 2}},
		Next:  &order{Extra: level(3), Items: []item{}},
		Extra: &order{Extra: []any{item{"deep", 9}, "x", map[string]any{"k": coin{4}}}},
		Many:  []any{item{"c", 3}, []item{{"d", 4}}, level(-1), nil, int64(5), (*ring)(nil)}, ByName: map[string]*item{"e": {"e", 5}, "none": nil},
		Free: map[string]any{"f": &ring{Next: &ring{}}, "g": []any{}}, Grid: map[[2]int8]level{{1, -1}: 7},
		At: time.Unix(5, 6).UTC(), Took: time.Minute, Blob: []byte("blob"), Pair: [2]any{tags{A: 1}, Flat{}},
	}
	for _, v := range []any{
		flatValue, Flat{}, item{"x", -1}, full, (*order)(nil), &order{}, level(math.MinInt32), tags{A: 1, B: "b", D: 4}, tags{},
		coin{5}, list{{}, {{}, nil}}, &ring{&ring{}}, tree{"a": {"b": nil}, "c": {}}, []item{{"x", 1}}, []item(nil),
	} {
		t.Run(reflect.TypeOf(v).String(), func(t *testing.T) {
			if got := trip(t, r, v); !reflect.DeepEqual(got, v) {
				t.Errorf("%#v arrives as %#v", v, got)
			}
		})
	}
}

// The value is the sender's: encoding copies where it has to change something.
func TestAppendLeavesTheValueAlone(t *testing.T) {
	r := registry(t, Limits{})
	build := func() *order {
		return &order{
			Extra: item{"a", 1}, Many: []any{item{"b", 2}, []any{level(1)}}, Free: map[string]any{"c": item{"c", 3}, "d": map[string]any{"e": level(2)}},
			Next: &order{Extra: time.Time{}}, Pair: [2]any{level(4)},
		}
	}
	v := build()
	if _, _, _, err := r.Append(nil, v); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(v, build()) {
		t.Errorf("the value became %#v", v)
	}
}

// A program of an earlier or later version has another struct of the same name.
func TestStructsOfTwoVersions(t *testing.T) {
	type v1 struct {
		Name  string
		Count int32
		Gone  []item
		Ptr   *item
	}
	type v2 struct {
		Count int64
		New   map[string]int
		Name  any
		Ptr   item
	}
	type wrong struct{ Name int }
	old, other, bad := NewRegistry(Limits{}), NewRegistry(Limits{}), NewRegistry(Limits{})
	for _, err := range []error{Register[v1](old, "v"), Register[v2](other, "v"), Register[wrong](bad, "v")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	data, e, typ, err := old.Append(nil, v1{Name: "x", Count: 7, Gone: []item{{"y", 1}}, Ptr: &item{"z", 2}})
	if err != nil {
		t.Fatal(err)
	}
	want := v2{Count: 7, Name: "x", Ptr: item{"z", 2}}
	if got, err := other.Decode(data, e, typ); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%#v, %v, want %#v", got, err, want)
	}
	_, err = bad.Decode(data, e, typ)
	wantError(t, err, ErrData, "decode v", "UTF-8 text string", "wrong.Name", "int")

	data, e, typ, err = other.Append(nil, v2{Count: 1 << 40})
	if err != nil {
		t.Fatal(err)
	}
	_, err = old.Decode(data, e, typ)
	wantError(t, err, ErrData, "v1.Count", "overflows int32")
}

func TestTypesAreRegisteredWhileOthersTravel(t *testing.T) {
	r := NewRegistry(Limits{})
	_, _, _, err := r.Append(nil, item{})
	wantError(t, err, ErrType, "item is not registered")
	if err := Register[item](r, "item"); err != nil {
		t.Fatal(err)
	}
	if got := trip(t, r, []any{item{"a", 1}}); !reflect.DeepEqual(got, []any{item{"a", 1}}) {
		t.Errorf("it arrives as %#v", got)
	}
	done := make(chan error)
	go func() {
		for range 200 {
			if data, e, typ, err := r.Append(nil, []any{item{"a", 1}}); err != nil {
				done <- err
				return
			} else if _, err := r.Decode(data, e, typ); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for _, err := range []error{Register[Flat](r, "flat"), Register[level](r, "level"), Register[coin](r, "coin"), <-done} {
		if err != nil {
			t.Error(err)
		}
	}
	if name, ok := r.Name(ID("flat")); !ok || name != "flat" {
		t.Errorf("the name of an id is %q, %v", name, ok)
	}
}
