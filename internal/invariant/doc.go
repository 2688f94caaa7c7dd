// SPDX-License-Identifier: Apache-2.0

// Package invariant marks the places where a process may die and the
// conditions that must hold there.
//
// Builds with the tag skybus_steps call the installed hook at every step of a
// shared-memory protocol: the tests of crashes and interleavings stop, kill or
// reorder a process there. In all other builds Enabled is the constant false
// and the calls compile to nothing.
package invariant
