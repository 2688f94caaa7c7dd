// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/channel"
)

func newCleanCommand(a *app) *cobra.Command {
	var both bool
	cmd := &cobra.Command{
		Use:   "clean SRC DST",
		Short: "Discard the messages that wait from one address to another",
		Long: `clean discards what waits in the lane from SRC to DST now; what is sent later is
not touched. If a process has DST bound, clean leaves a mark up to which that
process discards, when it next receives. A damaged lane is made anew.`,
		Example:           "  skybus clean -k 1000 0.0.0.1 0.0.0.2",
		Args:              takes(2, 2, "SRC DST"),
		ValidArgsFunction: a.completeAddresses(2),
		RunE: func(_ *cobra.Command, args []string) error {
			d, err := a.openExisting()
			if err != nil {
				return err
			}
			defer d.Close()
			p, err := pair(d, args)
			if err != nil {
				return err
			}
			pairs := []channel.Pair{p}
			if both {
				pairs = append(pairs, channel.Pair{Src: p.Dst, Dst: p.Src})
			}
			return a.cleanAll(d, pairs)
		},
	}
	cmd.Flags().BoolVar(&both, "both", false, "clean the lane from DST to SRC too")
	return cmd
}

// cleanAll cleans lanes, of which at least the first must exist.
func (a *app) cleanAll(d *skybus.Domain, pairs []channel.Pair) error {
	for i, p := range pairs {
		if _, ok := d.Table().Lane(p); !ok && i > 0 {
			continue
		}
		if err := a.cleanOne(d, p); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) cleanOne(d *skybus.Domain, p channel.Pair) error {
	n, gone, err := d.Table().Clean(p)
	if errors.Is(err, skybus.ErrNoRoute) {
		return hinted(err, "%s", seeLs(d))
	}
	if err != nil {
		return fmt.Errorf("clean %s: %w", d.Table().FormatPair(p), err)
	}
	result := struct {
		Src       string `json:"src"`
		Dst       string `json:"dst"`
		Discarded uint64 `json:"discarded"`
		Done      bool   `json:"done"` // false: the reader does it when it next receives
	}{d.FormatAddr(p.Src), d.FormatAddr(p.Dst), n, gone}
	if gone || n == 0 {
		return a.done(result, "%s: %s discarded", d.Table().FormatPair(p), count(n, "message"))
	}
	reader, _ := d.Table().Endpoint(p.Dst)
	return a.done(result, "%s: %s marked; %s discards them when it next receives", d.Table().FormatPair(p), count(n, "message"), who(reader))
}
