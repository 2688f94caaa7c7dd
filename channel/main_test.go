// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"fmt"
	"os"
	"testing"
)

// childVariable names, in the environment of a process that a test has started
// from its own binary, what that process is to do.
const childVariable = "SKYBUS_TEST_CHILD"

// children are the things that such a process can do. Its arguments follow the
// name of the binary.
var children = map[string]func(args []string){}

func TestMain(m *testing.M) {
	name := os.Getenv(childVariable)
	if name == "" {
		os.Exit(m.Run())
	}
	run, ok := children[name]
	if !ok {
		fmt.Fprintf(os.Stderr, "no child %q\n", name)
		os.Exit(3)
	}
	run(os.Args[1:])
	os.Exit(0)
}
