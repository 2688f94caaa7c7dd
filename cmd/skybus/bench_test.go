// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"strings"
	"testing"
)

// refused runs a command line that cannot be meant, and checks that it says why.
func refused(t *testing.T, why string, args ...string) {
	t.Helper()
	var out, errOut bytes.Buffer
	code := run(t.Context(), append([]string{"skybus"}, args...), strings.NewReader(""), &out, &errOut)
	if code != exitUsage || !strings.Contains(errOut.String(), why) {
		t.Errorf("%s: exit %d, %s", strings.Join(args, " "), code, errOut.String())
	}
}

func TestMeasurementsThatMakeNoSenseAreRefused(t *testing.T) {
	refused(t, "api", "bench", "ipc", "--api", "push")
	refused(t, "mode", "bench", "ipc", "--mode", "both")
	refused(t, "waiting mode", "bench", "ipc", "--wait", "never")
	refused(t, "size 7", "bench", "ipc", "--size", "64,7")
	refused(t, "rate", "bench", "ipc", "--rate", "5")
	refused(t, "no command", "bench", "tcp")
}
