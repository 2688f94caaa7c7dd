// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Package hosts tests relaying between several hosts on one machine, with the
// daemon as it is shipped: processes of every host send to every other host while
// the network between them is bad, and while daemons, senders and receivers are
// killed. A judge then reads what all of them have written down.
//
// The parts: a plan says who sends to whom; the load is the sender and the
// receiver; a schedule is a list of faults drawn from a seed; the judge decides
// by ledgers and logs alone.
package hosts

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/skybus-io/skybus/internal/killtest"
)

// roles are what a copy of the test binary can be started as; see killtest.
var roles = map[string]killtest.Role{"hosts sender": sender, "hosts receiver": receiver}

// programs is the folder of what is built for the tests.
var programs string

func TestMain(m *testing.M) {
	killtest.Main(roles)
	os.Exit(run(m))
}

func run(m *testing.M) int {
	var err error
	if programs, err = os.MkdirTemp("", "skybus-hosts-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(programs)
	return m.Run()
}

// buildDaemon builds cmd/skybusd, once.
var buildDaemon = sync.OnceValues(func() (path string, err error) {
	const source = "../../cmd/skybusd"
	if _, err := os.Stat(source); err != nil {
		return "", err
	}
	path = filepath.Join(programs, "skybusd")
	if text, err := exec.Command("go", "build", "-o", path, source).CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", source, err, text)
	}
	return path, nil
})

// daemonPath returns the daemon's program. Without one the test is skipped; one
// that cannot be built is a failure where the environment has CI set.
func daemonPath(t *testing.T) string {
	t.Helper()
	path, err := buildDaemon()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		t.Skipf("there is no daemon yet: %v", err)
	case err != nil && os.Getenv("CI") != "":
		t.Fatal(err)
	case err != nil:
		t.Skipf("the daemon cannot be built: %v", err)
	}
	return path
}
