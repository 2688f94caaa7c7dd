// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skybus-io/skybus/internal/testutil"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "-serve" { // the process that counts
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

const output = `program 1 counts; its process is the same one: true
program 2 counts; its process is the same one: true
program 3 counts; its process is the same one: true
program 4 counts; its process is the same one: true
calls that failed: 0; the count is the number of calls: true
`

func TestOutput(t *testing.T) {
	testutil.NoLeaks(t)
	folder := testutil.Dir(t)
	t.Setenv("TMPDIR", folder)
	var b strings.Builder
	if err := run(&b); err != nil {
		t.Fatal(err)
	}
	if b.String() != output {
		t.Errorf("printed\n%s\nwant\n%s", b.String(), output)
	}
	if left, err := filepath.Glob(filepath.Join(folder, "*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}
