// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/addr"
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
		"lanes grow to", fmt.Sprintf("%s, between hosts to %s, further for larger messages", size(i.GrowBytes), size(i.GrowBetween)),
		"idle lanes", v.idleRule(),
		"routes", aboutRelay(d))
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

// aboutRelay says whether messages leave the host.
func aboutRelay(d *skybus.Domain) string {
	key := d.Table().RelayKey()
	switch {
	case key == 0:
		return "none, all is on this host"
	case d.Table().RelayBound():
		return fmt.Sprintf("relay key %d, a daemon runs", key)
	}
	return fmt.Sprintf("relay key %d, no daemon runs", key)
}

func (a *app) showAddress(d *skybus.Domain, arg string) error {
	v, err := address(d, "ADDR", arg)
	if err != nil {
		return err
	}
	e, ok := d.Table().Endpoint(v)
	lanes := readLanes(d, func(l channel.LaneInfo) bool { return l.Src == v || l.Dst == v })
	if !ok && len(lanes) == 0 {
		return hinted(fmt.Errorf("domain %d does not know %s: it was never bound and no channel has it", d.Key(), arg), "%s", seeLs(d))
	}
	e.Addr = v // also of one on another host, which has no entry
	host, err := a.hostOf(d, v)
	if err != nil {
		return err
	}
	if a.json {
		return a.object(struct {
			endpointObject
			Host  string       `json:"host,omitzero"` // the other host that the routes place it on
			Lanes []laneObject `json:"lanes"`
		}{endpointOf(d, e), host, laneObjects(d, lanes)}, "  ")
	}
	if host != "" {
		a.fields("address", d.FormatAddr(v), "on host", host)
	} else {
		a.showEndpoint(d, e)
	}
	if len(lanes) == 0 {
		return nil
	}
	a.printf("\n")
	return a.printLanes(d, lanes)
}

// hostOf returns the other host that the routes place an address on, or "".
func (a *app) hostOf(d *skybus.Domain, v addr.Addr) (string, error) {
	t, err := routesOf(d, a.rootDir())
	if err != nil || t == nil {
		return "", err
	}
	if m, ok := t.Lookup(v); ok && !m.Local {
		return m.Host, nil
	}
	return "", nil
}

func (a *app) showEndpoint(d *skybus.Domain, e channel.EndpointInfo) {
	a.fields(
		"address", d.FormatAddr(e.Addr),
		"bound by", who(e),
		"since", moment(e.Since),
		"asleep", yesNo(e.Sleeping),
		"times bound", strconv.FormatUint(e.Binds, 10),
		"waits that slept", strconv.FormatUint(e.Parks, 10),
		"sweeps", strconv.FormatUint(e.Sweeps, 10))
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
		"sender", l.whoSends(),
		"reader", l.whoReads(),
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
	switch l.durable() {
	case "sync":
		list = append(list, "durable", "sync: a message is on disk before its send returns")
	case "async":
		list = append(list, "durable", "async: a message is on disk within about a second")
	}
	if l.Remote {
		list = append(list, "relayed", fmt.Sprintf("epoch %d, received over there up to sequence %d", l.Epoch, l.Consumed))
	}
	if l.Mirror {
		list = append(list, "mirrored", fmt.Sprintf("epoch %d", l.Epoch))
	}
	if err := l.trouble(); err != nil {
		list = append(list, "wrong", err.Error())
	}
	return list
}

func (l *lane) whoSends() string {
	if l.Mirror {
		return relayWord(l.relay) + " (it comes from another host)"
	}
	return who(l.sender)
}

func (l *lane) whoReads() string {
	if l.Remote {
		return relayWord(l.relay) + " (it leads to another host)"
	}
	return who(l.reader)
}

func relayWord(there bool) string {
	if there {
		return "the relay daemon"
	}
	return "no relay daemon runs"
}

func asked(n uint64) string {
	if n == 0 {
		return "made on demand"
	}
	return fmt.Sprintf("asked for %d bytes", n)
}
