// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
	"testing/synctest"
)

const output = `step  4: each 4 steps
step  6: once, after 6 steps
step  8: each 4 steps
step  9: stopped a timer: true, and again: false
step 10: a tick, which is a message of kind 4
step 12: each 4 steps
step 13: slept for 13 steps
step 15: deadline exceeded: true
step 25: with more time: <nil>
`

// In virtual time each step is exact, and the bubble sees to it that no goroutine is left.
func TestOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b strings.Builder
		if err := run(&b); err != nil {
			t.Fatal(err)
		}
		if b.String() != output {
			t.Errorf("printed\n%s\nwant\n%s", b.String(), output)
		}
	})
}
