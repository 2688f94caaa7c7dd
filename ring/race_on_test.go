// SPDX-License-Identifier: Apache-2.0

//go:build race

package ring

// raceEnabled tells whether the race detector watches this build.
const raceEnabled = true
