// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/route"
)

func newRoutesCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "routes",
		Short: "List the routes that the domain follows",
		Long: `routes lists the rules of the route table that the domain follows: which addresses
live behind which host. Of several rules that have an address the one with the longest
prefix counts. An address that no rule has is on this host, as are those of
rules that are LOCAL. ADDRESS is where the host's daemon is reached.

RELEASE says when a sender gets its room back: consumed, once the receiver has
taken the message, or stored, once the other host has it. PRIORITY is 0 to 7,
higher ones go first.

skybusd and trelaymgr write the table; trelaymgr lists one by its relay key.`,
		Example:           "  skybus routes -k 1000",
		Args:              takes(0, 0, ""),
		ValidArgsFunction: oneOf(),
		RunE: func(*cobra.Command, []string) error {
			d, err := a.openExisting()
			if err != nil {
				return err
			}
			defer d.Close()
			return a.listRoutes(d)
		},
	}
}

// routesOf returns the route table that a domain follows, nil if it follows none
// or none is there: both mean that every address is on this host.
func routesOf(d *skybus.Domain, root string) (*route.Table, error) {
	key := d.Table().RelayKey()
	if key == 0 {
		return nil, nil
	}
	t, err := route.Load(root, key)
	if errors.Is(err, route.ErrNoTable) {
		return nil, nil
	}
	return t, err
}

func (a *app) listRoutes(d *skybus.Domain) error {
	t, err := routesOf(d, a.rootDir())
	if err != nil {
		return err
	}
	lines := newTable(">NO", "PREFIX", "HOST", "ADDRESS", "RELEASE", ">PRIORITY", "LOCAL", "DESC")
	objects := []ruleObject{}
	if t != nil {
		for i, r := range t.Rules {
			o := ruleOf(t, i+1, r)
			objects = append(objects, o)
			lines.row(strconv.Itoa(o.Number), o.Prefix, o.Host, orDash(o.Address), o.Release, strconv.Itoa(int(o.Priority)), yesNo(o.Local), o.Desc)
		}
	}
	if !a.json {
		a.printf("%s\n", aboutRoutes(d, t))
		if len(objects) == 0 {
			return nil
		}
	}
	return list(a, objects, lines)
}

// aboutRoutes says in a line which table it is.
func aboutRoutes(d *skybus.Domain, t *route.Table) string {
	key := d.Table().RelayKey()
	switch {
	case key == 0:
		return fmt.Sprintf("domain %d follows no route table: every address is on this host", d.Key())
	case t == nil:
		return fmt.Sprintf("domain %d follows route table %d, which is not there: every address is on this host", d.Key(), key)
	}
	self := "host not named"
	if t.Self != "" {
		self = "host " + t.Self
	}
	return fmt.Sprintf("domain %d follows route table %d, %s, %s, generation %d", d.Key(), key, self, count(len(t.Rules), "rule"), t.Generation)
}
