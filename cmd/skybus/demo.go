// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/skybus-io/skybus/cmd/skybus/internal/demo"
)

const demoHelp = `demo shows that nothing is lost, in two parts. Whatever it makes, it removes.

One host: a producer and a consumer process exchange messages in a domain of
their own. The consumer is killed with -9 in mid-stream, restarted, killed again
while it catches up, and restarted; then the producer is.

Two hosts: two domains, below folders of their own, with a relay daemon each,
which know each other by mutual TLS. The producer is at one host and the consumer
at the other. The link between them is cut for a while, then the daemon of the far
host is killed with -9 in mid-stream and started again, then that of the near one.

In the end services: one in this process calls one in a second process, and one at
the second host, with the same line of code, which is shown. The second process is
killed with -9 while it works for the caller, who gets an error; what is sent to
its name meanwhile reaches the one that is started again.

Each message carries a number and a checksum, and ledgers that outlive the
processes say in the end what became of each. The exit code is 0 only if nothing
was lost, duplicated, torn or out of order, and every call had its answer or its
error. What a killed consumer had taken and not released comes again, flagged as
redelivered; that is what the bus promises.

The daemon is the program skybusd next to this one, or that of --skybusd. Without
it the second part is skipped; that is a failure only where --hosts=2 asks for it.

With --keep it goes on after the last summary until Ctrl-C, so that the other
commands can be tried on its domains.

demo cluster shows three hosts, which make a cluster.`

func newDemoCommand(a *app) *cobra.Command {
	o := demo.Options{Part: []string{"demo", "part"}, Program: os.Args[0]}
	cmd := &cobra.Command{Use: "demo", Short: "Show that nothing is lost when processes are killed", Long: demoHelp, Args: takes(0, 0, "")}
	f := cmd.Flags()
	f.DurationVar(&o.Duration, "duration", 9*time.Second, "`TIME` that messages are sent for, in each part")
	f.IntVar(&o.Rate, "rate", 50_000, "`MESSAGES` a second, 0: as fast as it goes")
	f.IntVar(&o.Hosts, "hosts", 2, "`HOSTS`, 1: only the first part, 2: both")
	f.StringVar(&o.Daemon, "skybusd", "", "`PATH` of the daemon's binary (default: skybusd next to this program)")
	f.BoolVar(&o.Keep, "keep", false, "go on after the last summary, until Ctrl-C")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if f.Changed("hosts") && o.Hosts == 0 {
			return usagef("hosts 0: want 1 or 2")
		}
		if !f.Changed("hosts") {
			o.Hosts = 0 // two if there is a daemon
		}
		if err := a.place(&o); err != nil {
			return err
		}
		ctx, stop := untilInterrupted(cmd.Context())
		defer stop()
		sum, err := demo.Run(ctx, o)
		if err != nil {
			return interrupted(ctx, err)
		}
		return a.showSummary(sum, sum.Pass)
	}
	cmd.AddCommand(newDemoClusterCommand(a), &cobra.Command{Use: "part", Hidden: true, Args: takes(0, 0, ""),
		RunE: func(*cobra.Command, []string) error { return demo.Part() }})
	return cmd
}

const demoClusterHelp = `demo cluster shows three hosts that make a cluster with nothing set up: domains below
folders of their own, with a relay daemon each, mutual TLS, and etcd servers that the
daemons run. Whatever it makes, it removes.

The first host begins the cluster, the others join it by naming the first. A service
takes the name "shop" for the whole cluster; a customer at another host finds it by
that, and gives it one numbered order after the other. Then the shop moves: a process
at the third host takes the name, gets the count, and the customer follows. In the end
the leader of the etcd servers is killed with -9: orders go on, a new name is there
soon, and the daemon starts its server again.

The exit code is 0 only if each order was counted once. --duration is how long orders
go on between those things, and after. The daemon is the program skybusd next to this one, or that of
--skybusd. The data of the etcd servers, 400 MB, are in $TMPDIR meanwhile.`

func newDemoClusterCommand(a *app) *cobra.Command {
	o := demo.Options{Part: []string{"demo", "part"}, Program: os.Args[0]}
	cmd := &cobra.Command{Use: "cluster", Short: "Show three hosts that make a cluster", Long: demoClusterHelp, Args: takes(0, 0, "")}
	f := cmd.Flags()
	f.DurationVar(&o.Duration, "duration", 6*time.Second, "`TIME` that orders go on while nothing happens")
	f.StringVar(&o.Daemon, "skybusd", "", "`PATH` of the daemon's binary (default: skybusd next to this program)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := a.place(&o); err != nil {
			return err
		}
		ctx, stop := untilInterrupted(cmd.Context())
		defer stop()
		sum, err := demo.RunCluster(ctx, o)
		if err != nil {
			return interrupted(ctx, err)
		}
		return a.showSummary(sum, sum.Pass)
	}
	return cmd
}

// place says where a demonstration is and who reads it, and checks its options.
func (a *app) place(o *demo.Options) error {
	o.Root, o.Key, o.Out = a.rootDir(), int(a.key), a.out
	if a.json {
		o.Out = a.errOut
	}
	if err := o.Check(); err != nil {
		return usagef("%w", err)
	}
	return nil
}

// showSummary writes what the text has said already, for programs.
func (a *app) showSummary(sum any, pass bool) error {
	if a.json {
		if err := a.object(sum, "  "); err != nil {
			return err
		}
	}
	if !pass {
		return errShown
	}
	return nil
}
