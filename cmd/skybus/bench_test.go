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

func TestRelayMeasurementsThatMakeNoSenseAreRefused(t *testing.T) {
	refused(t, "api", "bench", "relay", "--api", "push")
	refused(t, "waiting mode", "bench", "relay", "--wait", "never")
	refused(t, "do not go together", "bench", "relay", "--tls", "--insecure")
	refused(t, "do not go together", "bench", "relay", "--memory", "--mode", "latency")
	refused(t, "skybusd", "bench", "relay", "--skybusd", t.TempDir()+"/none")
	refused(t, "lanes", "bench", "relay", "--memory", "--lanes", "0")
	refused(t, "queued", "bench", "relay", "--memory", "--queued", "5")
}
