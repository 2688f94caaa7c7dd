// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	"github.com/skybus-io/skybus/internal/testutil"
)

const output = `5 of 5 players met the same worker again
ann's worker panics: true
ann's worker is the same: true, and begins with 1
jobs done while one worker is busy: 20, by the busy one: 0
`

func TestOutput(t *testing.T) {
	testutil.NoLeaks(t)
	var b strings.Builder
	if err := run(&b); err != nil {
		t.Fatal(err)
	}
	if b.String() != output {
		t.Errorf("printed\n%s\nwant\n%s", b.String(), output)
	}
}
