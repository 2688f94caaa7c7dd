// SPDX-License-Identifier: Apache-2.0

package codec

import (
	"errors"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/skybus-io/skybus/internal/testutil"
)

// Random values of a family of types arrive as they were sent.
func TestRandomValuesSurvive(t *testing.T) {
	r := registry(t, Limits{})
	rng := testutil.Rand(t)
	for range 3000 {
		v := randomAny(rng, 6)
		if got := trip(t, r, v); !reflect.DeepEqual(got, v) {
			t.Fatalf("%#v\narrives as\n%#v", v, got)
		}
	}
}

// randomAny returns only what arrives as the same Go type.
func randomAny(rng *rand.Rand, depth int) any {
	n := 9
	if depth > 0 {
		n = 16
	}
	switch rng.IntN(n) {
	case 0:
		return nil
	case 1:
		return rng.IntN(2) == 0
	case 2:
		return int64(rng.Uint64()) >> rng.UintN(64)
	case 3:
		return 1<<63 | rng.Uint64()
	case 4:
		return rng.NormFloat64()
	case 5:
		return randomText(rng)
	case 6:
		return []byte(randomText(rng))
	case 7:
		return level(rng.Uint32())
	case 8:
		return Flat{randomText(rng), randomText(rng), rng.Int64(), rng.Float64(), rng.IntN(2) == 0}
	case 9, 10:
		return randomSlice(rng, depth-1)
	case 11, 12:
		return randomMap(rng, depth-1)
	case 13:
		return &ring{&ring{}}
	}
	return randomOrder(rng, depth-1)
}

func randomText(rng *rand.Rand) string {
	b := make([]byte, rng.IntN(30))
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return string(b)
}

func randomSlice(rng *rand.Rand, depth int) []any {
	s := make([]any, rng.IntN(4))
	for i := range s {
		s[i] = randomAny(rng, depth)
	}
	return s
}

func randomMap(rng *rand.Rand, depth int) map[string]any {
	m := map[string]any{}
	for range rng.IntN(4) {
		m[randomText(rng)] = randomAny(rng, depth)
	}
	return m
}

func randomOrder(rng *rand.Rand, depth int) *order {
	o := &order{
		item: item{randomText(rng), int(rng.Int32())}, ID: [4]byte{byte(rng.Uint32())}, Extra: randomAny(rng, depth),
		Many: randomSlice(rng, depth), Free: randomMap(rng, depth), Took: time.Duration(rng.Int64()), At: time.Unix(rng.Int64N(1<<33), rng.Int64N(1e9)).UTC(),
		ByName: map[string]*item{randomText(rng): {randomText(rng), 1}}, Pair: [2]any{randomAny(rng, depth)},
	}
	for range rng.IntN(5) {
		o.Items = append(o.Items, item{randomText(rng), rng.IntN(1000)})
	}
	if depth > 2 {
		o.Next = randomOrder(rng, depth-2)
	}
	return o
}

// FuzzDecode feeds any bytes to every type: an error is one of the package, and
// what is taken can be sent, and arrives, again.
func FuzzDecode(f *testing.F) {
	r := registry(f, Limits{MaxSize: 1 << 16})
	rng := rand.New(rand.NewPCG(1, 2))
	names := []string{"", "flat", "item", "order", "level", "tags", "coin", "list", "ring", "tree", "items"}
	add := func(v any) {
		data, e, typ, err := r.Append(nil, v)
		if err != nil || e != CBOR {
			return
		}
		for i, name := range names {
			if typ == 0 && name == "" || ID(name) == typ {
				f.Add(uint8(i), data)
				f.Add(uint8(i), data[:len(data)-1])
			}
		}
	}
	for _, v := range []any{flatValue, item{"a", 1}, level(5), tags{A: 1}, coin{2}, list{{}}, &ring{&ring{}}, tree{"a": {}}, []item{{"b", 2}}} {
		add(v)
		add([]any{v})
	}
	for range 20 {
		add(randomOrder(rng, 3))
	}
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		var typ uint32
		if name := names[int(which)%len(names)]; name != "" {
			typ = ID(name)
		}
		v, err := r.Decode(data, CBOR, typ)
		if err != nil {
			if !errors.Is(err, ErrData) && !errors.Is(err, ErrUnknownType) && !errors.Is(err, ErrTooLarge) {
				t.Errorf("the error is none of the package: %v", err)
			}
			return
		}
		again, e, typ, err := r.Append(nil, v)
		if err != nil {
			if !errors.Is(err, ErrTooLarge) && !wroteItself(err) {
				t.Errorf("%#v cannot be sent again: %v", v, err)
			}
			return
		}
		if _, err := r.Decode(again, e, typ); err != nil {
			t.Errorf("%#v as %x does not arrive again: %v", v, again, err)
		}
	})
}

// wroteItself tells errors of methods, as those of coin and time.Time.
func wroteItself(err error) bool { return !errors.Is(err, ErrType) && !errors.Is(err, ErrCycle) }
