// SPDX-License-Identifier: Apache-2.0

// Package layers keeps the shape of the module. It has no code of its own: its
// test reads the source files and reports
//
//   - a package that is not in the table of floors,
//   - an import that does not go down by at least one floor,
//   - a dependency other than the standard library and golang.org/x/sys on the
//     floors up to that of the root package (tests may have more),
//   - unsafe outside the *_unsafe.go files of the packages that map memory,
//   - system calls outside internal/sys (commands and tests may have them),
//   - operating system, network and clock in packages that are pure,
//   - test support linked into something that ships,
//   - a file without its SPDX line.
//
// The rules stand in rules_test.go: a new package is added to the table there.
// The checker works on any file system, and is itself tested on modules that
// break one rule each.
//
// Files are read as they are, whatever their build constraints say, and not
// through the go command: what go test reads itself is known to its cache, so
// that a cached result is never one of older sources.
package layers
