// SPDX-License-Identifier: Apache-2.0

package skybus_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/skybus-io/skybus/internal/killtest"
)

// roles are what a copy of the test binary can be started as; see killtest.
// Each is registered beside the test that starts it.
var roles = map[string]killtest.Role{}

func TestMain(m *testing.M) {
	killtest.Main(roles)
	os.Exit(inFolder(m.Run))
}

// inFolder runs the tests with a folder of their own as the default root: the
// examples open their domains as a program does.
func inFolder(run func() int) int {
	root, err := os.MkdirTemp("/dev/shm", "skybus-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(root)
	if err := os.Setenv("SKYBUS_ROOT", root); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return run()
}
