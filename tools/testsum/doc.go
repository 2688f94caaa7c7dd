// SPDX-License-Identifier: Apache-2.0

// Testsum runs several go test commands one after another and counts what
// they did.
//
//	testsum [-C dir] [-v] 'title|dir|go test arguments' ...
//
// Each argument is a step: a title, the directory in which go test starts
// (relative to -C), and the arguments of go test, split at white space. A step
// that fails does not keep the later ones from running. Packages are reported
// as go test reports them; of a failed package the output of its failed and
// unfinished tests is shown too, and with -v all output as it comes. At the
// end stand the skipped tests with their reasons, the failed ones, a row for
// each step, and one line with the totals:
//
//	total: 812 passed, 0 failed, 3 skipped
//
// Subtests count as tests, and a benchmark that ran counts as one that passed.
// A package that fails without a failed test of its own (it does not build, or
// its process ended early) counts as one failure. The exit status is 1 when a
// step failed, and 2 when testsum was called wrongly.
package main
