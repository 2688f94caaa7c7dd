// SPDX-License-Identifier: Apache-2.0

//go:build race

package client_test

// raceEnabled: the race detector has pools forget.
const raceEnabled = true
