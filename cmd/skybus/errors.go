// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// What the program's exit says.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130 // by convention 128 + SIGINT
)

// usageError means that the command line cannot be meant.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...)}
}

// hintedError adds to an error what the user can do next.
type hintedError struct {
	err  error
	hint string
}

func (e *hintedError) Error() string { return e.err.Error() + "; " + e.hint }
func (e *hintedError) Unwrap() error { return e.err }

func hinted(err error, format string, args ...any) error {
	return &hintedError{err, fmt.Sprintf(format, args...)}
}

var (
	// errInterrupted ends a command that a signal cut off before it was done.
	errInterrupted = errors.New("interrupted")
	// errShown means that the output already says what is wrong.
	errShown = errors.New("failed")
)

// report writes err and returns the exit code. One line is one thing that is
// wrong: a configuration file may have many.
func (a *app) report(cmd *cobra.Command, err error) int {
	var usage *usageError
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errInterrupted):
		return exitInterrupted
	case errors.Is(err, errShown):
		return exitFailed
	case errors.As(err, &usage):
		a.warnf("%s; see %s --help", err, cmd.CommandPath())
		return exitUsage
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		a.warnf("%s", printable(line))
	}
	return exitFailed
}

// takes checks the number of arguments; most is -1 for any.
func takes(least, most int, names string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) >= least && (most < 0 || len(args) <= most):
			return nil
		case most == 0:
			return usagef("want no arguments, got %q", args[0])
		}
		return usagef("want %s, got %s", names, count(len(args), "argument"))
	}
}

// exclusive refuses flags that say different things. It names the first two.
func exclusive(cmd *cobra.Command, names ...string) error {
	var set []string
	for _, name := range names {
		if cmd.Flags().Changed(name) {
			set = append(set, "--"+name)
		}
	}
	if len(set) > 1 {
		return usagef("%s and %s do not go together", set[0], set[1])
	}
	return nil
}
