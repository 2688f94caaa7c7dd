// SPDX-License-Identifier: Apache-2.0

//go:build !race

package sock

// raceEnabled: there is no race detector.
const raceEnabled = false
