// SPDX-License-Identifier: Apache-2.0

// Package gen writes the stubs and dispatchers of interfaces whose objects package rpc calls. It is what skybus gen does.
//
// It reads a package with go/types, and what that imports from the export data that go list names: the package itself need
// not compile, as it may use what is not generated yet. The same source gives the same bytes.
package gen
