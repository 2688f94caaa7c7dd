// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/cmd/skybus/internal/bench/relaybench"
)

const benchRelayHelp = `relay measures messages that two relay daemons carry, on loopback: two domains
below folders of their own, a skybusd for each, and the two processes of bench
ipc, one at each domain. All of it is removed afterwards.

Options and output are those of bench ipc, with the processors that both daemons
kept busy. The daemons run without TLS (--insecure, the default), or prove
themselves to each other with certificates made for this (--tls).

--memory fills --lanes lanes with --queued bytes in all, in messages of --size,
which nobody receives, and prints what the daemons keep for themselves then:
RssAnon of /proc/PID/status. It takes up to four times as many bytes of memory
below --root.`

// relayFlags are what a command line says beside relaybench.Options.
type relayFlags struct {
	wait             string
	insecure, memory bool
}

func newBenchRelayCommand(a *app) *cobra.Command {
	o, f := relaybench.Options{Links: []string{"links"}, Hold: []string{"bench", "hold"}}, relayFlags{}
	o.Part = []string{"bench", "part"}
	cmd := &cobra.Command{Use: "relay", Short: "Measure messages that two daemons carry", Long: benchRelayHelp, Args: takes(0, 0, "")}
	benchFlags(cmd, &o.Options, &f.wait)
	flags := cmd.Flags()
	flags.StringVar(&o.Daemon, "skybusd", "", "`PATH` of the daemon's binary (default: skybusd next to this program)")
	flags.BoolVar(&f.insecure, "insecure", false, "let the daemons go without TLS; the default")
	flags.BoolVar(&o.TLS, "tls", false, "let the daemons speak TLS 1.3, with certificates on both sides")
	flags.BoolVar(&f.memory, "memory", false, "measure the daemons' memory instead")
	flags.IntVar(&o.Lanes, "lanes", 1000, "`LANES` that --memory fills")
	flags.Int64Var(&o.Queued, "queued", 1<<30, "`BYTES` that --memory sends into all of them together")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		o.Root = a.rootDir()
		if err := f.apply(cmd, &o); err != nil {
			return err
		}
		ctx, stop := untilInterrupted(cmd.Context())
		defer stop()
		return interrupted(ctx, f.run(ctx, o, relaybench.NewPrinter(a.out, a.json)))
	}
	return cmd
}

// apply puts the flags into the options and refuses what cannot be meant.
func (f *relayFlags) apply(cmd *cobra.Command, o *relaybench.Options) (err error) {
	if err := exclusive(cmd, "tls", "insecure"); err != nil {
		return err
	}
	for _, other := range []string{"mode", "api", "rate", "cpuprofile"} {
		if err := exclusive(cmd, "memory", other); err != nil {
			return err
		}
	}
	if o.Wait, err = skybus.ParseWait(f.wait); err != nil {
		return usagef("--wait: %w", err)
	}
	check := o.Check
	if f.memory {
		check = o.CheckMemory
		if !cmd.Flags().Changed("size") {
			o.Sizes = []int{1024}
		}
	}
	if err := check(); err != nil {
		return usagef("%w", err)
	}
	return nil
}

func (f *relayFlags) run(ctx context.Context, o relaybench.Options, p *relaybench.Printer) error {
	if f.memory {
		return relaybench.RunMemory(ctx, o, p.PrintMemory)
	}
	return relaybench.Run(ctx, o, p.Print)
}
