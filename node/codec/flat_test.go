// SPDX-License-Identifier: Apache-2.0

package codec

import (
	"bytes"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/skybus-io/skybus/internal/testutil"
)

// numbers has a field of each kind that a flat knows.
type numbers struct {
	A bool `cbor:"yes"`
	B int8
	C int16 `json:"see"`
	D int32
	E int64
	F int
	G uint8
	H uint16
	I uint32
	J uint64
	K uint
	L float32
	M float64
	N string
	O []byte
	P level
}

func randomNumbers(rng *rand.Rand) *numbers {
	n := func() uint64 { return rng.Uint64() >> rng.UintN(64) * (1 - 2*rng.Uint64N(2)) }
	v := &numbers{
		n()%2 == 0, int8(n()), int16(n()), int32(n()), int64(n()), int(n()), uint8(n()), uint16(n()), uint32(n()), n(), uint(n()),
		float32(rng.NormFloat64()), rng.NormFloat64(), randomText(rng), []byte(randomText(rng)), level(n()),
	}
	if rng.IntN(4) == 0 {
		v.O = nil
	}
	return v
}

// A flat writes the bytes that the library writes, and reads what it reads; of
// bytes with an error it leaves the verdict to the library.
func TestFlatIsTheLibrary(t *testing.T) {
	r := NewRegistry(Limits{})
	if err := Register[*numbers](r, "numbers"); err != nil {
		t.Fatal(err)
	}
	fl := r.tables.Load().byID[ID("numbers")].flat
	if fl == nil {
		t.Fatal("it is none")
	}
	rng := testutil.Rand(t)
	taken := 0
	for range 3000 {
		v := randomNumbers(rng)
		got := fl.append(nil, reflect.ValueOf(v).Elem())
		var want bytes.Buffer
		if err := encoder.MarshalToBuffer(v, &want); err != nil || !bytes.Equal(got, want.Bytes()) {
			t.Fatalf("%+v is\n%x, the library has\n%x, %v", v, got, want.Bytes(), err)
		}
		if w := trip(t, r, v); !reflect.DeepEqual(w, v) {
			t.Fatalf("%+v arrives as %+v", v, w)
		}
		var read numbers
		if v.O != nil && !fl.parse(got, reflect.ValueOf(&read).Elem()) {
			t.Fatalf("it does not read %x, which it wrote", got)
		}
		got[rng.IntN(len(got))] ^= 1 << rng.UintN(8)
		got = got[:len(got)-rng.IntN(2)]
		if readsAlike(t, r, fl, got) {
			taken++
		}
	}
	if taken == 0 {
		t.Error("it takes nothing that was changed: the comparison is empty")
	}
}

// readsAlike reports whether a flat takes the bytes; the library then has to
// take them for the same value.
func readsAlike(t *testing.T, r *Registry, fl *flat, data []byte) bool {
	t.Helper()
	var one, two numbers
	if !fl.parse(data, reflect.ValueOf(&one).Elem()) {
		return false
	}
	if err := r.dec.Unmarshal(data, &two); err != nil {
		t.Fatalf("%x is taken, the library says %v", data, err)
	}
	if a, b := bits(one), bits(two); !reflect.DeepEqual(a, b) {
		t.Fatalf("%x is read as\n%+v, the library reads\n%+v", data, a, b)
	}
	return true
}

// bits makes integers of the floats, as no NaN equals itself.
func bits(n numbers) [3]any {
	l, m := math.Float32bits(n.L), math.Float64bits(n.M)
	n.L, n.M = 0, 0
	return [3]any{n, l, m}
}

func TestTypesThatAreNotFlat(t *testing.T) {
	r := registry(t, Limits{})
	for name, want := range map[string]bool{"flat": true, "item": true, "order": false, "level": false, "tags": false, "coin": false, "items": false} {
		if got := r.tables.Load().byID[ID(name)].flat != nil; got != want {
			t.Errorf("that %s is flat is %v, want %v", name, got, want)
		}
	}
	type timed struct{ C coin }
	p, f := planOf(reflect.TypeFor[timed](), false)
	if f != nil || flatOf(p) != nil {
		t.Errorf("a struct with a type that writes itself is flat; %v", f)
	}
}

// A nil pointer and a field that is nil go by way of the library.
func TestFlatWithNil(t *testing.T) {
	r := NewRegistry(Limits{})
	if err := Register[*numbers](r, "numbers"); err != nil {
		t.Fatal(err)
	}
	for _, v := range []*numbers{nil, {}, {M: math.Inf(1), L: float32(math.Inf(-1)), J: math.MaxUint64, E: math.MinInt64}} {
		if got := trip(t, r, v); !reflect.DeepEqual(got, v) {
			t.Errorf("%+v arrives as %+v", v, got)
		}
	}
}
