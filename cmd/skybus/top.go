// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/spf13/cobra"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/channel"
)

const topHelp = `top shows the lanes of a domain, looked at again and again: messages that wait and
their bytes, messages and bytes a second sent and received, how often a message
found no room, the processes at both ends, and the state as ls has it. Lanes that
need a look (damaged, or nobody reads what waits) are bold.

Where a relay daemon runs, tab goes to its links and back, as skybus links has
them; those that are not up are bold.

Keys: q ends; left and right choose the column to sort by, r turns the order
around; b leaves out lanes without messages or traffic; space pauses; + and -
change the interval; up, down, page up and page down scroll.

top needs a terminal; skybus stat --watch writes rates as text or JSON.`

func newTopCommand(a *app) *cobra.Command {
	var every time.Duration
	cmd := &cobra.Command{
		Use:               "top [ADDR | SRC DST]",
		Short:             "Watch lanes live on the whole screen",
		Long:              topHelp,
		Example:           "  skybus top -k 1000\n  skybus top -k 1000 0.0.0.2 --interval 200ms",
		Args:              takes(0, 2, "ADDR or SRC DST"),
		ValidArgsFunction: a.completeAddresses(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case every < topFastest || every > topSlowest:
				return usagef("--interval %s: want %s to %s", every, topFastest, topSlowest)
			case a.json:
				return usagef("top is for the screen; skybus stat --watch --json writes rates as objects")
			case !isTerminal(a.in) || !isTerminal(a.out):
				return hinted(errors.New("top needs a terminal"), "skybus stat --watch writes rates anywhere")
			}
			return a.top(cmd.Context(), args, every)
		},
	}
	cmd.Flags().DurationVarP(&every, "interval", "i", time.Second, "`TIME` between two looks")
	return cmd
}

func (a *app) top(ctx context.Context, args []string, every time.Duration) error {
	d, err := a.openExisting()
	if err != nil {
		return err
	}
	defer d.Close()
	keep, err := chosen(d, args)
	if err != nil {
		return err
	}
	m := &topModel{format: d.FormatAddr, read: func() topLook { return readTop(d, keep) }, ask: func() linkLook { return lookAtLinks(d) }, every: every, sortBy: topWaiting, reverse: true}
	final, err := tea.NewProgram(m, tea.WithContext(ctx), tea.WithInput(a.in), tea.WithOutput(a.out), tea.WithoutSignalHandler()).Run()
	if ctx.Err() != nil {
		return nil // being ended is how it ends
	}
	if m, ok := final.(*topModel); ok && err == nil {
		err = m.now.err
	}
	return err
}

// topLook is what top sees at one time.
type topLook struct {
	look
	domain domain
	err    error // the domain is gone
}

func readTop(d *skybus.Domain, keep func(channel.LaneInfo) bool) topLook {
	l := topLook{look: look{at: time.Now(), lanes: readLanes(d, keep)}, err: gone(d)}
	l.domain.key, l.domain.info = domainKey(d.Key()), d.Table().Info()
	for _, e := range d.Table().Endpoints() {
		if e.Bound {
			l.domain.bound++
		}
	}
	return l
}
