// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"bytes"
	"runtime"
	"testing"
)

// What BoxBytes returns is a []byte like any other, allocates nothing, and keeps its bytes alive.
func TestBoxBytes(t *testing.T) {
	const n = 1000
	boxes := make([]any, 0, n)
	heads := make([][]byte, n)
	for i := range heads {
		heads[i] = bytes.Repeat([]byte{byte(i)}, 64)
	}
	allocs := testing.AllocsPerRun(1, func() {
		boxes = boxes[:0]
		for i := range heads {
			boxes = append(boxes, BoxBytes(&heads[i]))
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations, want none", allocs)
	}
	heads = nil
	runtime.GC()
	_ = make([]byte, 1<<20)
	for i, v := range boxes {
		b, is := v.([]byte)
		if !is || !bytes.Equal(b, bytes.Repeat([]byte{byte(i)}, 64)) {
			t.Fatalf("box %d holds %T %v", i, v, v)
		}
	}
	if v := BoxBytes(new([]byte)); v.([]byte) != nil {
		t.Errorf("the box of a nil slice holds %v", v)
	}
}
