// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/skybus-io/skybus/actor"
)

func TestConvert(t *testing.T) {
	type point struct{ X, Y int }
	o := Object{PID: actor.PID{Handle: 0x1f}, Number: 8}
	for _, test := range []struct{ v, want any }{
		{1, int64(1)}, {int64(200), uint8(200)}, {2.0, 2}, {3, 3.0}, {"0x10", 16}, {"-5", int8(-5)}, {"1.5", 1.5},
		{"true", true}, {"2s", 2 * time.Second}, {"text", []byte("text")}, {[]any{1, "2"}, []int{1, 2}}, {[]any{1, 2}, [2]int{1, 2}},
		{map[string]any{"x": 1, "Y": "2"}, point{1, 2}}, {map[any]any{"a": 1.0}, map[string]int{"a": 1}},
		{&point{1, 2}, point{1, 2}}, {nil, []int(nil)}, {":1f#8", o}, {":1f#8", Ref[Root](o)}, {o, Ref[Root](o)}, {Ref[Root](o), o},
	} {
		got, err := convert(test.v, reflect.TypeOf(test.want))
		if err != nil || !reflect.DeepEqual(got.Interface(), test.want) {
			t.Errorf("%#v: %v, %v, want %#v", test.v, got, err, test.want)
		}
	}
	cycle := map[string]any{}
	cycle["next"] = cycle
	type chain struct{ Next *chain }
	for _, test := range []struct{ v, want any }{
		{1.5, 1}, {300, uint8(0)}, {-1, uint(0)}, {math.NaN(), 1}, {uint64(math.MaxUint64), int64(0)}, {1<<53 + 1, 1.0}, {0.1, float32(0)},
		{"x", 1}, {"300", int8(0)}, {1, "1"}, {1, true}, {nil, 1}, {"", time.Second}, {":0", o}, {"1", o}, {map[string]any{"z": 1}, point{}},
		{[]any{1}, [2]int{}}, {[]any{"x"}, []int{}}, {cycle, map[string]int{}}, {struct{}{}, 1}, {func() {}, 1}, {cycle, chain{}},
	} {
		if got, err := convert(test.v, reflect.TypeOf(test.want)); err == nil {
			t.Errorf("%T became %#v", test.v, got)
		}
	}
}

func FuzzParseObject(f *testing.F) {
	for _, s := range []string{"nil", ":1f", ":1f#8", "0.0.3.1/1f#8000000100000001", ":1#0", "#", ":1##", ":0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		o, err := ParseObject(s)
		if err != nil {
			return
		}
		again, err := ParseObject(o.String())
		if err != nil || again != o {
			t.Errorf("%q is %v, and that is %v, %v", s, o, again, err)
		}
	})
}
