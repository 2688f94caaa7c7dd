// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/channel"
	"github.com/skybus-io/skybus/ring"
)

// lane is a lane with the processes at its two ends.
type lane struct {
	channel.LaneInfo
	sender, reader channel.EndpointInfo
	relay          bool // a relay daemon runs: it is the other end of a lane to or from another host
}

// readLanes reads all lanes that keep wants, by source, then destination.
func readLanes(d *skybus.Domain, keep func(channel.LaneInfo) bool) []lane {
	ends := map[addr.Addr]channel.EndpointInfo{}
	for _, e := range d.Table().Endpoints() {
		ends[e.Addr] = e
	}
	relay := d.Table().RelayBound()
	var list []lane
	for _, l := range d.Table().Lanes() {
		if keep(l) {
			list = append(list, lane{l, ends[l.Src], ends[l.Dst], relay})
		}
	}
	sortPairs(list, func(l lane) channel.Pair { return l.pair() })
	return list
}

func (l *lane) pair() channel.Pair { return channel.Pair{Src: l.Src, Dst: l.Dst} }

func all(channel.LaneInfo) bool { return true }

// chosen turns the arguments of a command, none, ADDR or SRC DST, into which
// lanes are meant.
func chosen(d *skybus.Domain, args []string) (func(channel.LaneInfo) bool, error) {
	switch len(args) {
	case 0:
		return all, nil
	case 1:
		v, err := address(d, "ADDR", args[0])
		return func(l channel.LaneInfo) bool { return l.Src == v || l.Dst == v }, err
	}
	p, err := pair(d, args)
	return func(l channel.LaneInfo) bool { return l.Src == p.Src && l.Dst == p.Dst }, err
}

// pair reads the arguments SRC DST.
func pair(d *skybus.Domain, args []string) (channel.Pair, error) {
	src, err := address(d, "SRC", args[0])
	if err != nil {
		return channel.Pair{}, err
	}
	dst, err := address(d, "DST", args[1])
	return channel.Pair{Src: src, Dst: dst}, err
}

// found makes an error of arguments that no lane fits.
func found(d *skybus.Domain, lanes []lane, args []string) error {
	switch {
	case len(lanes) > 0 || len(args) == 0:
		return nil
	case len(args) == 1:
		return hinted(fmt.Errorf("no lane of domain %d begins or ends at %s", d.Key(), args[0]), "%s", seeLs(d))
	}
	err := fmt.Errorf("domain %d has no lane %s -> %s", d.Key(), args[0], args[1])
	if back, err2 := pair(d, []string{args[1], args[0]}); err2 == nil {
		if _, ok := d.Table().Lane(back); ok {
			return hinted(err, "there is one in the other direction")
		}
	}
	return hinted(err, "%s", seeLs(d))
}

func seeLs(d *skybus.Domain) string { return fmt.Sprintf("see skybus ls -k %d", d.Key()) }

// kind tells how a lane came to be, and whether one of its ends is on another host.
func (l *lane) kind() string {
	far := ""
	switch {
	case l.Remote:
		far = "remote"
	case l.Mirror:
		far = "mirrored"
	}
	kind := "channel"
	if !l.Configured {
		kind = cmp.Or(far, "demand")
	} else if far != "" {
		kind = "channel," + far
	}
	if l.Durable {
		kind += ",durable"
	}
	return kind
}

// durable tells when a message of a durable lane is on disk; "" for others.
func (l *lane) durable() string {
	switch {
	case l.Sync:
		return "sync"
	case l.Durable:
		return "async"
	}
	return ""
}

// state is what an operator should know of a lane, the worst first.
func (l *lane) state() string {
	switch {
	case l.Damage != "":
		return "DAMAGED"
	case l.trouble() != nil:
		return "UNREADABLE"
	case l.Remote && !l.relay:
		return "no daemon"
	case l.Idle:
		return "given back"
	case l.Remote:
		return "relayed"
	case !l.reader.Bound && l.Messages > 0:
		return "nobody reads"
	case !l.reader.Bound:
		return "no reader"
	case l.reader.Sleeping && l.Messages == 0:
		return "asleep"
	}
	return "awake"
}

// trouble returns what is wrong with a lane, or nil. That it was too busy to be
// looked at is nothing wrong.
func (l *lane) trouble() error {
	switch {
	case l.Damage != "":
		return errors.New(l.Damage)
	case errors.Is(l.Err, ring.ErrBusy):
		return nil
	}
	return l.Err
}

// neglected reports whether messages wait and nobody is there who takes them.
func (l *lane) neglected() bool {
	there := l.reader.Bound
	if l.Remote {
		there = l.relay
	}
	return l.Messages > 0 && !there
}

// senderPID is the process that sends into the lane, readerPID the one that takes
// from it; "relay" stands for the relay daemon, "-" for none.
func (l *lane) senderPID() string {
	if l.Mirror {
		return relayOrNone(l.relay)
	}
	return pid(l.sender)
}

func (l *lane) readerPID() string {
	if l.Remote {
		return relayOrNone(l.relay)
	}
	return pid(l.reader)
}

func relayOrNone(there bool) string {
	if !there {
		return "-"
	}
	return "relay"
}

// pid is the process that has an address bound, "-" for none.
func pid(e channel.EndpointInfo) string {
	if !e.Bound {
		return "-"
	}
	return strconv.FormatUint(uint64(e.PID), 10)
}

// who is pid with the program's name, or what became of the last process.
func who(e channel.EndpointInfo) string {
	switch {
	case e.Bound:
		return fmt.Sprintf("PID %d (%s)", e.PID, printable(e.Program))
	case e.Crashed:
		return fmt.Sprintf("not bound; PID %d (%s) died without closing it", e.PID, printable(e.Program))
	case e.Binds > 0:
		return "not bound"
	}
	return "never bound"
}

// sortPairs puts lanes in the order of their sources, then destinations.
func sortPairs[T any](list []T, of func(T) channel.Pair) {
	slices.SortFunc(list, func(x, y T) int {
		a, b := of(x), of(y)
		return cmp.Or(cmp.Compare(a.Src, b.Src), cmp.Compare(a.Dst, b.Dst))
	})
}
