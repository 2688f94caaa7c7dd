// SPDX-License-Identifier: Apache-2.0

//go:build race

package sock

// raceEnabled: the race detector has pools forget.
const raceEnabled = true
