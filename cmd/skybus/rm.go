// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/channel"
)

func newRmCommand(a *app) *cobra.Command {
	var force, domain bool
	cmd := &cobra.Command{
		Use:   "rm {SRC DST | --domain}",
		Short: "Remove the lanes between two addresses, or a whole domain",
		Long: `rm removes the two lanes between SRC and DST, if neither address is bound. With
--domain it removes the domain and all that is in it, if no address of it is
bound. Where messages wait, nothing is removed unless --force says so.`,
		Example:           "  skybus rm -k 1000 0.0.0.1 0.0.0.2\n  skybus rm -k 1000 --domain --force",
		ValidArgsFunction: a.completeAddresses(2),
		Args: func(cmd *cobra.Command, args []string) error {
			if domain {
				return takes(0, 0, "")(cmd, args)
			}
			return takes(2, 2, "SRC DST, or --domain")(cmd, args)
		},
		RunE: func(_ *cobra.Command, args []string) error {
			d, err := a.openExisting()
			if err != nil {
				return err
			}
			defer d.Close()
			if domain {
				return a.removeDomain(d, force)
			}
			return a.removeLanes(d, args, force)
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "remove waiting messages too")
	cmd.Flags().BoolVar(&domain, "domain", false, "remove the whole domain")
	return cmd
}

func (a *app) removeDomain(d *skybus.Domain, force bool) error {
	folder := d.Table().Folder()
	if err := d.Table().Destroy(force); err != nil {
		return removeHint(err)
	}
	result := struct {
		Removed string `json:"removed"`
	}{folder}
	return a.done(result, "domain %d removed (%s)", d.Key(), folder)
}

func (a *app) removeLanes(d *skybus.Domain, args []string, force bool) error {
	p, err := pair(d, args)
	if err != nil {
		return err
	}
	t := d.Table()
	there, ok := t.Lane(p)
	back, okBack := t.Lane(channel.Pair{Src: p.Dst, Dst: p.Src})
	if !ok && !okBack {
		return hinted(fmt.Errorf("domain %d has no lane between %s and %s", d.Key(), args[0], args[1]), "%s", seeLs(d))
	}
	if err := t.Delete(channel.Channel{A: p.Src, B: p.Dst}, force); err != nil {
		return removeHint(err)
	}
	result := struct {
		A         string `json:"a"`
		B         string `json:"b"`
		Discarded uint64 `json:"discarded"`
	}{args[0], args[1], there.Messages + back.Messages}
	return a.done(result, "lanes between %s and %s removed, with %s", args[0], args[1], count(result.Discarded, "message"))
}

// removeHint says what stands in the way of removing, and how to go on.
func removeHint(err error) error {
	switch {
	case errors.Is(err, skybus.ErrNotEmpty):
		return hinted(err, "skybus recv takes them, --force removes them")
	case errors.Is(err, skybus.ErrInUse):
		return hinted(err, "end that process first")
	}
	return err
}
