// SPDX-License-Identifier: Apache-2.0

// Command skybusd joins the domain of this host to those of other hosts: it is
// the relay. Local traffic does not need it, and does not notice whether it runs.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/skybus-io/skybus/cmd/skybusd/internal/config"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

const help = `skybusd relays the messages of this host's domain to other hosts, and theirs to it.

  skybusd --config skybusd.yaml            as the file says; --example shows one
  skybusd --config skybusd.yaml --check    only says whether the file is right
  skybusd -k 1000 --host east --listen :7100 --peer west=10.0.0.2:7100 \
          --route '0.0.3.*=west' --ca ca.pem --cert east.pem --key-file east-key.pem
  skybusd -k 1000 --listen 10.0.0.1:7100 --routes trelaymgr.xml --insecure
  skybusd -k 1000 --host east --listen 10.0.0.1:7100 --cluster-init games \
          --ca ca.pem --cert east.pem --key-file east-key.pem
  skybusd -k 1000 --host west --listen 10.0.0.2:7100 --cluster-join 10.0.0.1:7100 \
          --ca ca.pem --cert west.pem --key-file west-key.pem

Connections between hosts are secured by mutual TLS; "skybus daemon certs" makes
the certificates. --insecure goes without, for networks that nobody else is in.

--cluster-init begins a cluster on the first host, --cluster-join has any other one join
it: HOST:PORT is where any daemon of the cluster listens. Hosts then find each other's
addresses and names by themselves. A host remembers that in --state: started again, it
needs neither.

Signals: SIGHUP reads configuration, routes and certificates again; SIGTERM ends
the daemon in good order. What waits in the lanes stays there and goes on with the next
daemon, also after kill -9.

Exit codes: 0 ended as asked, 1 failed, 2 the command line was wrong.`

// usageError is a command line that makes no sense.
type usageError struct{ error }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// run is main with what it reads and writes as arguments.
func run(ctx context.Context, args []string, out, errOut io.Writer) int {
	cmd := newCommand(out, errOut)
	cmd.SetArgs(args)
	cmd.SetOut(out)
	cmd.SetErr(errOut)
	err := cmd.ExecuteContext(ctx)
	switch {
	case err == nil:
		return 0
	case errors.As(err, new(*usageError)):
		fmt.Fprintf(errOut, "skybusd: %v\nskybusd --help shows what there is\n", err)
		return 2
	}
	fmt.Fprintf(errOut, "skybusd: %v\n", err)
	return 1
}

func newCommand(out, errOut io.Writer) *cobra.Command {
	var f flags
	var example, check bool
	cmd := &cobra.Command{
		Use: "skybusd", Short: "Relay a domain's messages to other hosts", Long: help,
		SilenceErrors: true, SilenceUsage: true, Version: version(),
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("%q: skybusd takes flags only", args[0])
			}
			return nil
		},
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	cmd.SetVersionTemplate("skybusd {{.Version}}\n")
	f.add(cmd.Flags())
	cmd.Flags().BoolVar(&example, "example", false, "write an example of a configuration file")
	cmd.Flags().BoolVar(&check, "check", false, "say whether the configuration is right, and end")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if example {
			_, err := io.WriteString(out, config.Example())
			return err
		}
		s, err := f.settings()
		if err != nil {
			return err
		}
		if check {
			if err := s.check(); err != nil {
				return err
			}
			fmt.Fprintf(out, "%s is right: host %s, domain %d, %s\n", s.from(), s.Host, s.Domain, s.summary())
			return nil
		}
		return serve(cmd.Context(), &f, s, errOut)
	}
	cmd.AddCommand(newEngineCommand())
	cmd.CompletionOptions.DisableDefaultCmd = true
	cmd.SetHelpCommand(&cobra.Command{Hidden: true})
	return cmd
}

func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	text := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && !strings.Contains(text, s.Value[:min(12, len(s.Value))]) {
			text += " " + s.Value
		}
	}
	return text + " " + info.GoVersion
}
