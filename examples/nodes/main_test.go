// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/skybus-io/skybus/internal/testutil"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "-serve" { // the second process
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

const output = `scout, you are at 0.0.0.1; in the scout's process: true
scout, you are at 0.0.0.2; in the scout's process: %v
nobody is there: true
`

func TestOutput(t *testing.T) {
	for name, one := range map[string]bool{"two processes": false, "one process": true} {
		t.Run(name, func(t *testing.T) {
			testutil.NoLeaks(t)
			folder := testutil.Dir(t)
			t.Setenv("TMPDIR", folder)
			var b strings.Builder
			if err := run(&b, one); err != nil {
				t.Fatal(err)
			}
			want := strings.ReplaceAll(output, "%v", map[bool]string{false: "false", true: "true"}[one])
			if b.String() != want {
				t.Errorf("printed\n%s\nwant\n%s", b.String(), want)
			}
			nothingIsLeft(t, folder)
		})
	}
}

// nothingIsLeft looks for children, dead ones that nobody has waited for too, and files.
func nothingIsLeft(t *testing.T, folder string) {
	t.Helper()
	pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
	if !errors.Is(err, syscall.ECHILD) {
		t.Errorf("a child is left: pid %d (0: it runs), %v", pid, err)
	}
	if left, err := filepath.Glob(filepath.Join(folder, "*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

// TestSecondProcessEndsWithTheFirst has nobody at the other end of its input.
func TestSecondProcessEndsWithTheFirst(t *testing.T) {
	testutil.NoLeaks(t)
	var b strings.Builder
	if err := serve(testutil.Dir(t), strings.NewReader(""), &b); err != nil || b.String() != "ready\n" {
		t.Errorf("wrote %q, %v", b.String(), err)
	}
}

func TestSecondProcessThatCannotBeginIsAnError(t *testing.T) {
	testutil.NoLeaks(t)
	root := testutil.Dir(t)
	_, leave, err := join(root, there)
	if err != nil {
		t.Fatal(err)
	}
	defer leave()
	if err := serve(root, strings.NewReader(""), new(strings.Builder)); err == nil || !strings.Contains(err.Error(), there.String()) {
		t.Errorf("the address is taken, and the second process has the error %v", err)
	}
}
