// SPDX-License-Identifier: Apache-2.0

package node

import (
	"bytes"
	"testing"
)

// Values from one shelf are their receivers' own: what is done to one leaves the others alone.
func TestShelf(t *testing.T) {
	h := holding{i: &intake{many: true}}
	var values [][]byte
	for n := range 3 * smallBytes {
		data := bytes.Repeat([]byte{byte(n)}, n%(smallBytes+1))
		v, is := h.small(data).([]byte)
		if !is || !bytes.Equal(v, data) || v == nil {
			t.Fatalf("%d bytes: %v", len(data), v)
		}
		values = append(values, v)
	}
	for _, v := range values {
		_ = append(v, "behind it"...)
	}
	for n, v := range values {
		if !bytes.Equal(v, bytes.Repeat([]byte{byte(n)}, n%(smallBytes+1))) {
			t.Errorf("value %d has become %v", n, v)
		}
	}
	if v := h.small(make([]byte, smallBytes+1)); v != nil {
		t.Errorf("a large value is on the shelf: %v", v)
	}
	h.i.many = false
	if v := h.small(make([]byte, 1)); v != nil {
		t.Errorf("a value that came alone is on the shelf: %v", v)
	}
}
