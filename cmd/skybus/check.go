// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"

	"github.com/spf13/cobra"

	"github.com/skybus-io/skybus/channel"
)

func newCheckCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Look for damage in a domain, without changing anything",
		Long: `check looks at the table, at every lane and every inbox, and at the names of
services, and lists what should not be. What a crash may leave, and the bus puts right
by itself, is listed too and is no damage. It stops nobody. With damage the exit code is 1.

Of durable lanes it looks at the files, too, and lists those that were left behind by
an earlier life of the host and are not taken up yet, or cannot be.

skybus clean makes a damaged lane anew, without its messages.`,
		Args:              takes(0, 0, ""),
		ValidArgsFunction: a.completeAddresses(0),
		RunE:              func(*cobra.Command, []string) error { return a.check() },
	}
}

type violationObject struct {
	Where  string `json:"where"`
	What   string `json:"what"`
	Damage bool   `json:"damage"` // false: the bus puts it right by itself
}

func (a *app) check() error {
	d, err := a.openExisting()
	if err != nil {
		return err
	}
	defer d.Close()
	damaged := 0
	list := []violationObject{}
	ofNames, err := d.CheckNames()
	if err != nil {
		return err
	}
	for _, v := range slices.Concat(d.Table().Check(), ofNames) {
		list = append(list, violationObject{v.Where, v.What, !v.Note})
		if !v.Note {
			damaged++
		}
	}
	if a.json {
		err = a.object(list, "  ")
	} else {
		a.printViolations(d.Table().Info(), list, damaged)
	}
	if err == nil && damaged > 0 {
		return errShown
	}
	return err
}

func (a *app) printViolations(i channel.DomainInfo, list []violationObject, damaged int) {
	for _, v := range list {
		note := ""
		if !v.Damage {
			note = " (puts itself right)"
		}
		a.printf("%s: %s%s\n", printable(v.Where), printable(v.What), note)
	}
	verdict := "no damage"
	if damaged > 0 {
		verdict = count(damaged, "thing") + " wrong"
	}
	a.printf("domain %d: looked at %s and %s: %s\n", i.Key, count(i.Lanes, "lane"), count(i.Endpoints, "address"), verdict)
}
