// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	"github.com/skybus-io/skybus/internal/testutil"
)

const output = `ann: main.tell: members: 3, error: <nil>
bob: main.tell: members: 3, error: <nil>
bob: main.leave: members: 2, error: <nil>
cat: main.stroke: panic: bad luck
ann has heard:
  ann joins
  bob joins
  cat joins
  ann: hello
  bob: hi ann
  bob leaves
  cat is gone (panic: bad luck)
  ann: anybody here?
bob has heard:
  bob joins
  cat joins
  ann: hello
  bob: hi ann
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
