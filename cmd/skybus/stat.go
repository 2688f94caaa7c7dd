// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/channel"
)

func newStatCommand(a *app) *cobra.Command {
	var watch time.Duration
	var times int
	cmd := &cobra.Command{
		Use:   "stat [ADDR | SRC DST]",
		Short: "Show the counters of lanes, once or again and again with rates",
		Long: `The counters are for the life of a lane, whichever processes were at its ends.
They stand in shared memory and can be read when all of those have died.

FULL counts the times that a message found no room, MOST is the most memory that
was in use, GROWN how often the lane became larger; WAKES counts the times that
the reader had to be woken, AGAIN the messages delivered again after a crash,
DISCARDED those that somebody cleaned away.

With --watch the table is shown again after each interval, with messages and
bytes a second sent and received since the last one. With --json that is one
object a line: the time, and the lanes.`,
		Example:           "  skybus stat -k 1000\n  skybus stat -k 1000 0.0.0.2 --watch 1s",
		Args:              takes(0, 2, "ADDR or SRC DST"),
		ValidArgsFunction: a.completeAddresses(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("watch") && watch <= 0 || times < 0 {
				return usagef("--watch wants an interval such as 1s, --times a number")
			}
			d, err := a.openExisting()
			if err != nil {
				return err
			}
			defer d.Close()
			if watch == 0 {
				return a.statOnce(d, args)
			}
			return a.statWatch(cmd.Context(), d, args, watch, times)
		},
	}
	cmd.Flags().DurationVarP(&watch, "watch", "w", 0, "show it again after each `INTERVAL`, until interrupted")
	cmd.Flags().IntVar(&times, "times", 0, "with --watch, stop after `N` intervals")
	return cmd
}

func (a *app) statOnce(d *skybus.Domain, args []string) error {
	lanes, err := a.statLanes(d, args)
	if err != nil {
		return err
	}
	t := newTable("SRC", "DST", ">SENT", ">BYTES", ">RECEIVED", ">WAITING", ">FULL", ">MOST", ">GROWN", ">WAKES", ">AGAIN", ">DISCARDED", "ACTIVE")
	number := func(n uint64) string { return strconv.FormatUint(n, 10) }
	now := time.Now()
	for i := range lanes {
		l := &lanes[i]
		t.row(d.FormatAddr(l.Src), d.FormatAddr(l.Dst), number(l.Sent), size(l.SentBytes), number(l.Received), number(l.Messages),
			number(l.Full), size(l.HighWater), number(l.Grown), number(l.Wakes), number(l.Redelivered), number(l.Discarded), ago(l.LastActive, now))
	}
	return list(a, laneObjects(d, lanes), t)
}

func (a *app) statLanes(d *skybus.Domain, args []string) ([]lane, error) {
	keep, err := chosen(d, args)
	if err == nil {
		err = gone(d)
	}
	if err != nil {
		return nil, err
	}
	lanes := readLanes(d, keep)
	return lanes, found(d, lanes, args)
}

// statWatch shows the rates between two looks, each time the interval is over.
func (a *app) statWatch(ctx context.Context, d *skybus.Domain, args []string, every time.Duration, times int) error {
	lanes, err := a.statLanes(d, args)
	if err != nil {
		return err
	}
	last := look{at: time.Now(), lanes: lanes}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for n := 0; times == 0 || n < times; n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if lanes, err = a.statLanes(d, args); err != nil {
			return err
		}
		now := look{at: time.Now(), lanes: lanes}
		if err := a.printRates(d, now, now.since(last)); err != nil {
			return err
		}
		last = now
	}
	return nil
}

func (a *app) printRates(d *skybus.Domain, now look, rates []rates) error {
	if a.json {
		return a.object(ratesObject(d, now, rates), "")
	}
	a.printf("%s\n", now.at.Format("15:04:05"))
	t := newTable("SRC", "DST", ">SENT/s", ">BYTES/s", ">RECEIVED/s", ">BYTES/s", ">FULL/s", ">WAITING", ">BYTES", "STATE")
	for i := range now.lanes {
		l, r := &now.lanes[i], rates[i]
		t.row(d.FormatAddr(l.Src), d.FormatAddr(l.Dst), rate(r.sent), size(uint64(r.sentBytes)), rate(r.received), size(uint64(r.receivedBytes)),
			rate(r.full), strconv.FormatUint(l.Messages, 10), size(l.Waiting), l.state())
	}
	a.print(t)
	a.printf("\n")
	return nil
}

type rateObject struct {
	laneObject
	SentPerSecond          float64 `json:"sent_per_second"`
	SentBytesPerSecond     float64 `json:"sent_bytes_per_second"`
	ReceivedPerSecond      float64 `json:"received_per_second"`
	ReceivedBytesPerSecond float64 `json:"received_bytes_per_second"`
	FullPerSecond          float64 `json:"full_per_second"`
}

func ratesObject(d *skybus.Domain, now look, rates []rates) any {
	lanes := make([]rateObject, len(rates))
	for i, r := range rates {
		lanes[i] = rateObject{now.lanes[i].object(d), r.sent, r.sentBytes, r.received, r.receivedBytes, r.full}
	}
	return struct {
		Time  time.Time    `json:"time"`
		Lanes []rateObject `json:"lanes"`
	}{now.at, lanes}
}

// A look is what the lanes were at one time.
type look struct {
	at    time.Time
	lanes []lane
}

// rates are per second.
type rates struct{ sent, sentBytes, received, receivedBytes, full float64 }

// since returns the rates of each lane since an earlier look. Those of a lane
// that is new are counted from its creation.
func (l *look) since(last look) []rates {
	seconds := max(l.at.Sub(last.at).Seconds(), 1e-3)
	old := map[channel.Pair]*lane{}
	for i := range last.lanes {
		o := &last.lanes[i]
		old[o.pair()] = o
	}
	list := make([]rates, len(l.lanes))
	for i := range l.lanes {
		n := &l.lanes[i]
		o := old[n.pair()]
		if o == nil || !o.Created.Equal(n.Created) {
			o = &lane{}
		}
		per := func(now, before uint64) float64 { return float64(now-min(before, now)) / seconds }
		list[i] = rates{
			per(n.Sent, o.Sent), per(n.SentBytes, o.SentBytes), per(n.Received, o.Received),
			per(n.ReceivedBytes, o.ReceivedBytes), per(n.Full, o.Full),
		}
	}
	return list
}
