// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/cmd/skybus/internal/bench/relaybench"
	"github.com/skybus-io/skybus/cmd/skybus/internal/ipcbench"
)

const benchIPCHelp = `ipc measures the bus between two processes of this host, in a domain of its own
that is removed afterwards.

One way (--mode throughput) the receiver counts messages after a warm-up, and
checks the sequence and the number of each. There and back (--mode latency) the
time of each round trip is taken: --rate 0 asks as fast as answers come.

--api send is a Send per message, batch a SendBatch of 32, claim 32 messages
written in place and one Commit; the receiver reads in place. Each message is
written in full. cpu is the number of processors that both processes kept busy.`

func newBenchCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "bench", Short: "Measure the bus on this host", Args: noSuchCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	part := &cobra.Command{Use: "part", Hidden: true, Args: takes(0, 0, ""),
		RunE: func(*cobra.Command, []string) error { return ipcbench.Part() }}
	hold := &cobra.Command{Use: "hold", Hidden: true, Args: takes(0, 0, ""),
		RunE: func(*cobra.Command, []string) error { return relaybench.HoldPart() }}
	cmd.AddCommand(newBenchIPCCommand(a), newBenchRelayCommand(a), part, hold)
	return cmd
}

func newBenchIPCCommand(a *app) *cobra.Command {
	o, wait := ipcbench.Options{Part: []string{"bench", "part"}}, ""
	cmd := &cobra.Command{Use: "ipc", Short: "Measure messages between two processes", Long: benchIPCHelp, Args: takes(0, 0, "")}
	benchFlags(cmd, &o, &wait)
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		if o.Wait, err = skybus.ParseWait(wait); err != nil {
			return usagef("--wait: %w", err)
		}
		o.Root = a.rootDir()
		if err := o.Check(); err != nil {
			return usagef("%w", err)
		}
		ctx, stop := untilInterrupted(cmd.Context())
		defer stop()
		return interrupted(ctx, ipcbench.Run(ctx, o, ipcbench.NewPrinter(a.out, a.json).Print))
	}
	return cmd
}

// benchFlags are what all measurements of messages have.
func benchFlags(cmd *cobra.Command, o *ipcbench.Options, wait *string) {
	f := cmd.Flags()
	f.StringVar(&o.API, "api", ipcbench.Send, "`CALLS` to measure: send, batch or claim")
	f.IntSliceVar(&o.Sizes, "size", []int{64, 256, 1024, 16384, 65536}, "`BYTES` of a message; a measurement each")
	f.StringVar(&o.Mode, "mode", ipcbench.Throughput, "`MODE`: throughput or latency")
	f.StringVar(wait, "wait", skybus.WaitAdaptive.String(), "`HOW` both sides wait: spin, park or adaptive")
	f.DurationVar(&o.Duration, "duration", 2*time.Second, "`TIME` that is measured, after a warm-up")
	f.IntVar(&o.Rate, "rate", 0, "`ROUND-TRIPS` a second, 0: as fast as it goes")
	f.IntSliceVar(&o.Pin, "pin", nil, "`CPUS` to keep the two processes on, such as 0,1")
	f.DurationVar(&o.Warmup, "warmup", 0, "`TIME` before what is measured (default a fifth of it)")
	f.StringVar(&o.Profile, "cpuprofile", "", "write profiles to `FILE`.first (sends, asks) and FILE.second")
	_ = f.MarkHidden("warmup") // both exist
	_ = f.MarkHidden("cpuprofile")
}

// untilInterrupted ends the context also when the terminal goes away: what has
// processes and a domain of its own must remove them.
func untilInterrupted(ctx context.Context) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
}

// interrupted makes the error of a command that a signal has ended errInterrupted.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return errInterrupted
	}
	return err
}
