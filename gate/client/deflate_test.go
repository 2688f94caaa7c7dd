// SPDX-License-Identifier: Apache-2.0

package client

import (
	"bytes"
	"errors"
	"testing"

	"github.com/skybus-io/skybus/gate/frame"
)

// FuzzInflate has any bytes inflated: nothing above the limit comes out, and what was
// deflated here comes out as it was.
func FuzzInflate(f *testing.F) {
	for _, s := range []string{"", "\x00", "short", "\xff\xff", "\x4b\x04\x00", "\x03\x00"} {
		f.Add([]byte(s))
	}
	f.Add(bytes.Repeat([]byte("again "), 100))
	f.Fuzz(func(t *testing.T, b []byte) {
		const limit = 1000
		got, err := inflate(b, limit, false)
		var we *frame.WSError
		if len(got) > limit || err != nil && !errors.As(err, &we) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		small, ok := deflate(b)
		if !ok {
			return
		}
		if back, err := inflate(small, len(b), false); err != nil || !bytes.Equal(back, b) {
			t.Errorf("%d bytes became %d, %v", len(b), len(back), err)
		}
	})
}
