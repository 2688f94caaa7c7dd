// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strconv"

	"github.com/spf13/cobra"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/channel"
)

func newLsCommand(a *app) *cobra.Command {
	var domains, addresses bool
	cmd := &cobra.Command{
		Use:   "ls [-k KEY] [ADDR]",
		Short: "List the domains of this host, or the lanes of one domain",
		Long: `Without a key, ls lists the domains: strict ones have the lanes of their
configuration file and no others, dynamic ones make lanes on demand to addresses
that are known, open ones to any address.

With a key it lists the domain's lanes, or those that begin or end at ADDR.
WAITING counts messages, BYTES is their payload, SIZE the room of the lane (as
asked for / as made). SENDER and READER are the processes that have the two
addresses bound. STATE is of the reader: asleep, awake, none ("no reader",
"nobody reads" if messages wait); or of the lane: "given back" has returned its
memory after a long rest, DAMAGED is out of use until it is cleaned.

KIND is channel for a lane of a configuration file and demand for others. A remote
lane leads to another host: its reader is the relay daemon, and what waits in it may
lie at the other host already, until it is received there. A mirrored lane comes
from another host; skybus trace shows the way from one to the other. What waits in a
durable lane is in a file on a disk, and outlives the host.`,
		Example:           "  skybus ls\n  skybus ls -k 1000 --addresses\n  skybus ls -k 1000\n  skybus ls -k 1000 0.0.0.2 --json",
		Args:              takes(0, 1, "at most one ADDR"),
		ValidArgsFunction: a.completeAddresses(1),
		RunE: func(_ *cobra.Command, args []string) error {
			key, err := a.domainKey()
			if err != nil {
				return err
			}
			switch {
			case addresses && (domains || len(args) > 0):
				return usagef("--addresses lists all addresses of one domain, and nothing else")
			case addresses:
				return a.listAddresses()
			case domains || key == 0 && len(args) == 0:
				return a.listDomains()
			}
			return a.listLanes(args)
		},
	}
	cmd.Flags().BoolVarP(&domains, "domains", "d", false, "list the domains although "+envKey+" names one")
	cmd.Flags().BoolVarP(&addresses, "addresses", "a", false, "list the domain's addresses and who has them bound")
	return cmd
}

func (a *app) listDomains() error {
	keys, err := a.keys()
	if err != nil {
		return err
	}
	t := newTable(">KEY", "KIND", "TEMPLATE", ">LANES", ">ADDRESSES", ">BOUND", ">WAITING", ">MEMORY", "CREATED")
	objects := []domainObject{}
	for _, k := range keys {
		v := a.readDomain(k)
		if v.err != nil {
			a.warnf("domain %s: %s", k.String(), printable(v.err.Error()))
		}
		t.row(v.cells()...)
		objects = append(objects, v.object())
	}
	if len(keys) == 0 && !a.json {
		a.printf("there is no domain in %s\n", a.rootDir())
		return nil
	}
	return list(a, objects, t)
}

// cells are the row of one domain; of one that cannot be read little is known.
func (v *domain) cells() []string {
	if v.err != nil {
		return []string{v.key.String(), v.kind(), "-", "-", "-", "-", "-", "-", "-"}
	}
	i := &v.info
	return []string{
		v.key.String(), v.kind(), i.Template, strconv.Itoa(i.Lanes), strconv.Itoa(i.Endpoints), strconv.Itoa(v.bound),
		strconv.FormatUint(v.waiting, 10), size(i.Bytes), moment(i.Created),
	}
}

func (a *app) listLanes(args []string) error {
	d, err := a.openExisting()
	if err != nil {
		return err
	}
	defer d.Close()
	keep, err := chosen(d, args)
	if err != nil {
		return err
	}
	lanes := readLanes(d, keep)
	if err := found(d, lanes, args); err != nil {
		return err
	}
	if len(lanes) == 0 && !a.json {
		a.printf("domain %d has no lanes: nothing was sent in it yet\n", d.Key())
		return nil
	}
	return a.printLanes(d, lanes)
}

func (a *app) printLanes(d *skybus.Domain, lanes []lane) error {
	t := newTable("SRC", "DST", "KIND", ">WAITING", ">BYTES", ">SIZE", ">SENDER", ">READER", "STATE", "DESC")
	for i := range lanes {
		l := &lanes[i]
		t.row(d.FormatAddr(l.Src), d.FormatAddr(l.Dst), l.kind(), strconv.FormatUint(l.Messages, 10), size(l.Waiting),
			sizes(l.AskedSize, l.Size), l.senderPID(), l.readerPID(), l.state(), l.Desc)
	}
	return list(a, laneObjects(d, lanes), t)
}

func (a *app) listAddresses() error {
	d, err := a.openExisting()
	if err != nil {
		return err
	}
	defer d.Close()
	t := newTable("ADDRESS", ">PID", "PROGRAM", "STATE", "SINCE", ">BINDS")
	objects := []endpointObject{}
	for _, e := range d.Table().Endpoints() {
		t.row(d.FormatAddr(e.Addr), pid(e), orDash(e.Program), endpointState(e), moment(e.Since), strconv.FormatUint(e.Binds, 10))
		objects = append(objects, endpointOf(d, e))
	}
	return list(a, objects, t)
}

func endpointState(e channel.EndpointInfo) string {
	switch {
	case e.Bound && e.Sleeping:
		return "asleep"
	case e.Bound:
		return "awake"
	case e.Crashed:
		return "died"
	case e.Binds > 0:
		return "closed"
	}
	return "never bound"
}
