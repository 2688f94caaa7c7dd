// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/internal/testutil"
)

// TestDomainsOfOthersAreSkipped warns of a domain that this user may not use, and
// tells the others.
func TestDomainsOfOthersAreSkipped(t *testing.T) {
	testutil.NoLeaks(t)
	root := testutil.Dir(t)
	mine, closed := openDomain(t, root, 1, 7), openDomain(t, root, 2, 7)
	asked, never := fakeDaemon(t, mine, "{}\n"), fakeDaemon(t, closed, "{}\n")
	asNobody(t, root, mine, closed)
	var errOut bytes.Buffer
	a := newApp("skybus", strings.NewReader(""), &errOut, &errOut)
	err := a.tellDaemons(root, 7)
	if err != nil || asked.Load() != 1 || never.Load() != 0 {
		t.Errorf("%v; asked %d and %d times", err, asked.Load(), never.Load())
	}
	if got := errOut.String(); !strings.HasPrefix(got, "skybus: domain 2 was not told of the change: ") || strings.Count(got, "\n") != 1 {
		t.Errorf("warned: %s", got)
	}
	_, err = ask(closed, askStatus)
	if want := "the relay daemon of domain 2 cannot be asked: permission denied"; err == nil || err.Error() != want {
		t.Errorf("ask: %v, want %s", err, want)
	}
}

// asNobody closes the folder of one domain to this test, and opens all of the other. A
// superuser gives up its rights over files, for this thread.
func asNobody(t *testing.T, root string, open, closed *skybus.Domain) {
	t.Helper()
	const nobody = 65534
	chmod(t, closed.Table().Folder(), 0)
	t.Cleanup(func() { chmod(t, closed.Table().Folder(), 0o700) })
	if os.Geteuid() != 0 {
		return
	}
	chmod(t, root, 0o755)
	err := filepath.WalkDir(open.Table().Folder(), func(path string, e fs.DirEntry, err error) error {
		if err == nil {
			err = os.Chmod(path, 0o777)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	runtime.LockOSThread()
	if err := unix.Setfsuid(nobody); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Setfsuid(0); err == nil {
			runtime.UnlockOSThread()
		}
	})
}

func chmod(t *testing.T, path string, mode fs.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Error(err)
	}
}
