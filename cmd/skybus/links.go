// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"io/fs"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/relay"
)

func newLinksCommand(a *app) *cobra.Command {
	var watch time.Duration
	var times int
	cmd := &cobra.Command{
		Use:   "links",
		Short: "List the connections with other hosts",
		Long: `links asks the relay daemon of the domain for its connections, one a line. DIR is
the way that messages go: out to PEER, or in from it; # tells several connections
of one link apart.

STATE is up, connecting, or refused by the other side; RTT the time of the last
ping there and back; LANES how many the connection carries; IN-FLIGHT the bytes
sent and not yet stored by the other side. STALLS counts the times that a lane had
something to send and the other side no room, RESENT messages sent again after
a reconnection, DUPS those that came twice and were dropped, GAPS what was lost or
discarded and is told to the receivers.

With --watch the table is shown again after each interval, with the messages and
bytes a second since the last one; a daemon that ends meanwhile is waited for.
With --json that is one object a line: the time, and the links.`,
		Example:           "  skybus links -k 1000\n  skybus links -k 1000 --watch 1s",
		Args:              takes(0, 0, ""),
		ValidArgsFunction: oneOf(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("watch") && watch <= 0 || times < 0 {
				return usagef("--watch wants an interval such as 1s, --times a number")
			}
			d, err := a.openExisting()
			if err != nil {
				return err
			}
			defer d.Close()
			look := lookAtLinks(d)
			switch {
			case look.err != nil:
				return look.err
			case watch == 0:
				return a.printLinks(look.status)
			}
			return a.watchLinks(cmd.Context(), d, look, watch, times)
		},
	}
	cmd.Flags().DurationVarP(&watch, "watch", "w", 0, "show it again after each `INTERVAL`, until interrupted")
	cmd.Flags().IntVar(&times, "times", 0, "with --watch, stop after `N` intervals")
	return cmd
}

func (a *app) printLinks(s *relay.Status) error {
	if len(s.Links) == 0 && !a.json {
		a.printf("the daemon of host %s has no connections: its routes name no other host\n", printable(s.Host))
		return nil
	}
	return list(a, s.Links, linkTable(s, nil))
}

// watchLinks shows the rates between two looks, each time the interval is over. A
// daemon that ends, begins, or does not answer is waited for; each such state is
// told once.
func (a *app) watchLinks(ctx context.Context, d *skybus.Domain, last linkLook, every time.Duration, times int) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	away := ""
	for n := 0; times == 0 || n < times; n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := gone(d); err != nil {
			return err
		}
		now := lookAtLinks(d)
		if errors.Is(now.err, fs.ErrPermission) {
			return now.err
		}
		if now.err != nil {
			if s := printable(now.err.Error()); s != away {
				a.warnf("%s", s)
				away = s
			}
			continue
		}
		away = ""
		if err := a.printLinkRates(&now, now.since(last)); err != nil {
			return err
		}
		last = now
	}
	return nil
}

type linkRateObject struct {
	relay.Link
	Messages float64 `json:"messages_per_second"`
	Bytes    float64 `json:"bytes_per_second"`
}

func (a *app) printLinkRates(now *linkLook, rates []linkRates) error {
	if !a.json {
		a.printf("%s\n", now.at.Format("15:04:05"))
		a.print(linkTable(now.status, rates))
		a.printf("\n")
		return nil
	}
	links := make([]linkRateObject, len(rates))
	for i, r := range rates {
		links[i] = linkRateObject{now.status.Links[i], r.messages, r.bytes}
	}
	return a.object(struct {
		Time  time.Time        `json:"time"`
		Links []linkRateObject `json:"links"`
	}{now.at, links}, "")
}

// linkTable lays out links, with their rates if those are known.
func linkTable(s *relay.Status, rates []linkRates) *table {
	t := newTable("PEER", "DIR", ">#", "STATE", ">RTT", ">LANES", ">MSG/s", ">BYTES/s", ">IN-FLIGHT", ">STALLS", ">RESENT", ">DUPS", ">GAPS", "TLS", "LAST-ERROR")
	number := func(n uint64) string { return strconv.FormatUint(n, 10) }
	for i := range s.Links {
		l := &s.Links[i]
		messages, bytes, rtt := "-", "-", "-"
		if l.State == linkUp {
			rtt = roundTrip(l.RTT)
		}
		if rates != nil {
			messages, bytes = rate(rates[i].messages), byteRate(rates[i].bytes)
		}
		t.row(orDash(l.Peer), l.Direction, strconv.Itoa(l.Number), l.State, rtt, strconv.Itoa(l.Lanes), messages, bytes,
			size(l.InFlight), number(l.Stalls), number(l.Resent), number(l.Duplicates), number(l.Gaps), yesNo(l.Secure), orDash(l.LastError))
	}
	return t
}

// roundTrip writes nanoseconds with three digits or so, and "-" for none.
func roundTrip(ns int64) string {
	d := time.Duration(ns)
	switch {
	case d <= 0:
		return "-"
	case d < 10*time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(100 * time.Microsecond).String()
}

func aboutRTT(ns int64) string {
	if ns <= 0 {
		return "RTT not measured yet"
	}
	return "RTT " + roundTrip(ns)
}

// A linkLook is what the daemon said of its links at one time.
type linkLook struct {
	at     time.Time
	status *relay.Status // nil with an error
	err    error
}

func lookAtLinks(d *skybus.Domain) linkLook {
	s, err := ask(d, askStatus)
	return linkLook{time.Now(), s, err}
}

// linkRates are per second, of messages and their bytes in both directions.
type linkRates struct{ messages, bytes float64 }

// linkName tells a connection from all others of one daemon.
type linkName struct {
	peer, direction string
	number          int
}

// since returns the rates of each link since an earlier look. Those of a
// connection that is new, or of a new daemon, are counted from its beginning.
func (l *linkLook) since(last linkLook) []linkRates {
	seconds := max(l.at.Sub(last.at).Seconds(), 1e-3)
	old := map[linkName]*relay.Link{}
	if last.status != nil && last.status.PID == l.status.PID {
		for i := range last.status.Links {
			o := &last.status.Links[i]
			old[linkName{o.Peer, o.Direction, o.Number}] = o
		}
	}
	list := make([]linkRates, len(l.status.Links))
	for i := range l.status.Links {
		n := &l.status.Links[i]
		o := old[linkName{n.Peer, n.Direction, n.Number}]
		messages, bytes := n.SentMessages+n.ReceivedMessages, n.SentBytes+n.ReceivedBytes
		if o != nil && o.SentMessages+o.ReceivedMessages <= messages && o.SentBytes+o.ReceivedBytes <= bytes {
			messages -= o.SentMessages + o.ReceivedMessages
			bytes -= o.SentBytes + o.ReceivedBytes
		}
		list[i] = linkRates{float64(messages) / seconds, float64(bytes) / seconds}
	}
	return list
}
