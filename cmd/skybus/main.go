// SPDX-License-Identifier: Apache-2.0

// Command skybus shows and tends the domains of a host, and sends and receives
// messages by hand. Called by the name tbusmgr or trelaymgr it is that tool.
//
// The package wires: what a domain is and does belongs to the libraries. Each
// command has a file of its name; app.go has what they share.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args, os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is main, with what it reads and writes as arguments. args begins with the
// program's name.
func run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	a := newApp(calledBy(args), in, out, errOut)
	root := newRootCommand(a)
	switch a.name {
	case tbusmgrName:
		root = newTbusmgrCommand(a)
		asRoot(a, root)
	case trelaymgrName:
		root = newTrelaymgrCommand(a)
		asRoot(a, root)
	}
	root.SetArgs(args[min(1, len(args)):])
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	cmd, err := root.ExecuteContextC(ctx)
	return a.report(cmd, err)
}

// calledBy returns the name of the tool to be: a link may give another one.
func calledBy(args []string) string {
	if len(args) > 0 {
		name := strings.TrimSuffix(filepath.Base(args[0]), ".exe")
		if name == tbusmgrName || name == trelaymgrName {
			return name
		}
	}
	return "skybus"
}

// asRoot makes a command the one that the user has called: it has the flags
// that all have, and leaves errors to report.
func asRoot(a *app, cmd *cobra.Command) {
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.Version = version()
	cmd.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	addGlobalFlags(a, cmd)
}
