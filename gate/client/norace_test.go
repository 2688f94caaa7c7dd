// SPDX-License-Identifier: Apache-2.0

//go:build !race

package client_test

// raceEnabled: there is no race detector.
const raceEnabled = false
