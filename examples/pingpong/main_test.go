// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	"github.com/skybus-io/skybus/internal/testutil"
)

const output = `messages: 20000 hits
calls: 10000 answers
no such service: true
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
