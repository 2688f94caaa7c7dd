// SPDX-License-Identifier: Apache-2.0

package main

import "testing"

func TestDemonstrationsThatMakeNoSenseAreRefused(t *testing.T) {
	refused(t, "duration", "demo", "--duration", "1ms")
	refused(t, "rate", "demo", "--rate", "5")
	refused(t, "hosts", "demo", "--hosts", "3")
	refused(t, "hosts", "demo", "--hosts", "0")
	refused(t, "skybusd", "demo", "--skybusd", "none")
	refused(t, "no arguments", "demo", "now")
	refused(t, "duration", "demo", "cluster", "--duration", "1ms")
	refused(t, "skybusd", "demo", "cluster", "--skybusd", "none")
	refused(t, "no arguments", "demo", "cluster", "now")
}
