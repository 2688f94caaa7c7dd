// SPDX-License-Identifier: Apache-2.0

//go:build race

package actor

// raced tells that the race detector watches, which makes tests ten times slower.
const raced = true
