// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	"github.com/skybus-io/skybus/internal/testutil"
)

const output = `ann has 10
again, not enough money: true
bob: +7
`

func TestOutput(t *testing.T) {
	testutil.NoLeaks(t)
	for _, home := range []string{"here", "other"} {
		var b strings.Builder
		if err := run(&b, home); err != nil {
			t.Fatal(err)
		}
		if b.String() != output {
			t.Errorf("home %s: printed\n%s\nwant\n%s", home, b.String(), output)
		}
	}
	if err := run(&strings.Builder{}, "nowhere"); err == nil {
		t.Error("an unknown home was taken")
	}
}
