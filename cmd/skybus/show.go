// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/channel"
)

func newShowCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "show [ADDR | SRC DST]",
		Short: "Show all there is to know of the domain, an address or a lane",
		Long: `Without arguments, show tells about the domain: its rules and its budgets.
With ADDR it tells who has that address, and lists its lanes; with SRC DST it
tells about the lane from one address to the other.`,
		Example:           "  skybus show -k 1000\n  skybus show -k 1000 0.0.0.2\n  skybus show -k 1000 0.0.0.1 0.0.0.2",
		Args:              takes(0, 2, "ADDR or SRC DST"),
		ValidArgsFunction: a.completeAddresses(2),
		RunE: func(_ *cobra.Command, args []string) error {
			d, err := a.openExisting()
			if err != nil {
				return err
			}
			defer d.Close()
			switch len(args) {
			case 0:
				return a.showDomain(d)
			case 1:
				return a.showAddress(d, args[0])
			}
			return a.showLane(d, args)
		},
	}
}

func (a *app) showDomain(d *skybus.Domain) error {
	v := domain{key: domainKey(d.Key())}
	v.read(d.Table())
	if a.json {
		return a.object(v.object(), "  ")
	}
	i := &v.info
	a.fields(
		"domain", fmt.Sprintf("%d (0x%x)", i.Key, i.Key),
		"folder", i.Dir,
		"created", moment(i.Created),
		"kind", v.kind()+", "+v.rule(),
		"template", i.Template,
		"lanes", fmt.Sprintf("%d of at most %d", i.Lanes, i.MaxLanes),
		"memory", fmt.Sprintf("%s of at most %s", size(i.Bytes), size(i.MaxBytes)),
		"addresses", fmt.Sprintf("%d known, %d bound", i.Endpoints, v.bound),
		"waiting", count(v.waiting, "message"),
		"largest message", size(uint64(i.MaxMessage)),
		"lanes grow to", size(i.GrowBytes)+", further for larger messages",
		"idle lanes", v.idleRule())
	return nil
}

// rule says in words what the kind of a domain means.
func (v *domain) rule() string {
	switch v.kind() {
	case "strict":
		return "messages go only where a channel is configured"
	case "open":
		return "messages go to any address"
	}
	return "messages go to addresses that were bound once or are configured"
}

func (v *domain) idleRule() string {
	if v.info.IdleAfter == 0 {
		return "keep their memory"
	}
	return fmt.Sprintf("give their memory back after %s", v.info.IdleAfter)
}

func (a *app) showAddress(d *skybus.Domain, arg string) error {
	v, err := address(d, "ADDR", arg)
	if err != nil {
		return err
	}
	e, ok := d.Table().Endpoint(v)
	if !ok {
		return hinted(fmt.Errorf("domain %d does not know %s: it was never bound and no channel has it", d.Key(), arg), "%s", seeLs(d))
	}
	lanes := readLanes(d, func(l channel.LaneInfo) bool { return l.Src == v || l.Dst == v })
	if a.json {
		return a.object(struct {
			endpointObject
			Lanes []laneObject `json:"lanes"`
		}{endpointOf(d, e), laneObjects(d, lanes)}, "  ")
	}
	a.fields(
		"address", d.FormatAddr(v),
		"bound by", who(e),
		"since", moment(e.Since),
		"asleep", yesNo(e.Sleeping),
		"times bound", strconv.FormatUint(e.Binds, 10),
		"waits that slept", strconv.FormatUint(e.Parks, 10),
		"sweeps", strconv.FormatUint(e.Sweeps, 10))
	if len(lanes) == 0 {
		return nil
	}
	a.printf("\n")
	return a.printLanes(d, lanes)
}

func (a *app) showLane(d *skybus.Domain, args []string) error {
	keep, err := chosen(d, args)
	if err != nil {
		return err
	}
	lanes := readLanes(d, keep)
	if err := found(d, lanes, args); err != nil {
		return err
	}
	l := &lanes[0]
	if a.json {
		return a.object(l.object(d), "  ")
	}
	a.fields(l.fields(d)...)
	return nil
}

// fields are what show prints of a lane.
func (l *lane) fields(d *skybus.Domain) []string {
	number := func(n uint64) string { return strconv.FormatUint(n, 10) }
	list := []string{
		"lane", d.Table().FormatPair(l.pair()),
		"kind", l.kind(),
		"description", orDash(l.Desc),
		"priority", number(uint64(l.Priority)),
		"state", l.state(),
		"sender", who(l.sender),
		"reader", who(l.reader),
		"waiting", fmt.Sprintf("%s, %s bytes", count(l.Messages, "message"), number(l.Waiting)),
		"next sequence", number(l.NextSeq),
		"head, tail", fmt.Sprintf("%d (sequence %d), %d", l.Head, l.HeadSeq, l.Tail),
		"size", fmt.Sprintf("%s, %s; %s of memory", size(l.Size), asked(l.AskedSize), size(l.Bytes)),
		"file", l.Path,
		"generation", number(uint64(l.Generation)),
		"created", moment(l.Created),
		"last active", moment(l.LastActive),
		"sent", fmt.Sprintf("%s, %s bytes", count(l.Sent, "message"), number(l.SentBytes)),
		"received", fmt.Sprintf("%s, %s bytes, %d again, %d discarded", count(l.Received, "message"), number(l.ReceivedBytes), l.Redelivered, l.Discarded),
		"found full", fmt.Sprintf("%s, most in use %s, grown %s", count(l.Full, "time"), size(l.HighWater), count(l.Grown, "time")),
		"woken", fmt.Sprintf("reader %s, sender %s", count(l.Wakes, "time"), count(l.SenderWake, "time")),
	}
	if err := l.trouble(); err != nil {
		list = append(list, "wrong", err.Error())
	}
	return list
}

func asked(n uint64) string {
	if n == 0 {
		return "made on demand"
	}
	return fmt.Sprintf("asked for %d bytes", n)
}
