// SPDX-License-Identifier: Apache-2.0

// Package sys is the project's only door to the operating system: mappings,
// futexes, locks that the kernel releases when their holder dies, files.
// Everything above it is portable; where a call does not exist its function
// returns an error that wraps [errors.ErrUnsupported].
package sys
