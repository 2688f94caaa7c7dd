// SPDX-License-Identifier: Apache-2.0

package main

import "testing"

func TestDemonstrationsThatMakeNoSenseAreRefused(t *testing.T) {
	refused(t, "duration", "demo", "--duration", "1ms")
	refused(t, "rate", "demo", "--rate", "5")
	refused(t, "no arguments", "demo", "now")
}
