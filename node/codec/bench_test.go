// SPDX-License-Identifier: Apache-2.0

package codec

import "testing"

func TestAllocations(t *testing.T) {
	r := registry(t, Limits{})
	buf := make([]byte, 0, 1024)
	for _, tt := range []struct {
		name   string
		v      any
		append float64 // at most
		decode float64
	}{
		{"flat", flatValue, 1, 4},
		{"bytes", []byte("hello"), 0, 2},
		{"text", "hello", 0, 2},
	} {
		data, e, typ, err := r.Append(nil, tt.v)
		if err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(200, func() { _, _, _, _ = r.Append(buf, tt.v) }); n > tt.append {
			t.Errorf("to send %s takes %v allocations, want at most %v", tt.name, n, tt.append)
		}
		if n := testing.AllocsPerRun(200, func() { _, _ = r.Decode(data, e, typ) }); n > tt.decode {
			t.Errorf("to take %s takes %v allocations, want at most %v", tt.name, n, tt.decode)
		}
	}
}

func BenchmarkCodec(b *testing.B) {
	r := registry(b, Limits{})
	for _, c := range []struct {
		name string
		v    any
	}{
		{"flat", flatValue},
		{"plain", map[string]any{"player": "annabell", "score": int64(7)}},
		{"any", &order{Extra: item{"a", 1}}},
	} {
		data, e, typ, err := r.Append(nil, c.v)
		if err != nil {
			b.Fatal(err)
		}
		b.Run("append-"+c.name, func(b *testing.B) {
			b.ReportAllocs()
			buf := make([]byte, 0, 1024)
			for b.Loop() {
				if _, _, _, err := r.Append(buf, c.v); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("decode-"+c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := r.Decode(data, e, typ); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
