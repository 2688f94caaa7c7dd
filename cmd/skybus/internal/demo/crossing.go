// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/skybus-io/skybus/relay"
)

// cutFor is how long the link is cut; shorter if the demonstration is short.
const cutFor = 1500 * time.Millisecond

// settling is how long what is in sockets may take to arrive.
const settling = 100 * time.Millisecond

// A HostsSummary is what came out of the part between two hosts.
type HostsSummary struct {
	Audit
	Flagged     uint64           `json:"flagged"` // came flagged as redelivered, seen before or not
	LinkCuts    int              `json:"link_cuts"`
	DaemonKills int              `json:"daemon_kills"`
	MostWaiting uint64           `json:"most_waiting"` // messages in the sender's lane at the end of a fault
	Longest     int64            `json:"longest_outage_ns"`
	Seconds     float64          `json:"seconds"`
	P50         int64            `json:"p50_ns"`             // from before Send to the consumer's handler, two daemons between them
	P99         int64            `json:"p99_ns"`             // with what waited for the link
	Services    *ServicesSummary `json:"services,omitempty"` // nil if messages had gone wrong
	Verdict
}

// twoHosts plays the part between two hosts.
func twoHosts(ctx context.Context, o *Options, program string) (sum HostsSummary, err error) {
	p, err := newPair(o.Root, o.Key, program)
	if err != nil {
		return sum, err
	}
	x := &crossing{stage: newStage(ctx, o, p.ledgers, p.key), pair: p, near: p.hosts[0], far: p.hosts[1]}
	for role, h := range map[string]*host{producer: x.near, nearDaemon: x.near, consumer: x.far, farDaemon: x.far} {
		x.roots[role] = h.root
	}
	err = x.explain(x.play(&sum))
	x.killAll()
	return sum, x.end(&sum.Verdict, o.Keep, errors.Join(err, p.remove()))
}

// A crossing is the part between two hosts.
type crossing struct {
	*stage
	pair      *pair
	near, far *host
	cuts      int
	most      uint64        // messages that have waited
	longest   time.Duration // outage
}

// play is the script: its times are parts of the duration.
func (x *crossing) play(sum *HostsSummary) error {
	x.say("two hosts, %s and %s, in %s: a domain %d and a skybusd each, %s", near, far, x.pair.folder, x.key, x.o.pace())
	x.say("mutual TLS 1.3 with certificates made for this, as by: %s daemon certs --dir %s %s %s", x.o.Program, x.pair.certs, near, far)
	err := run(
		func() error { return x.startDaemon(0) },
		func() error { return x.startDaemon(1) },
		x.awaitLinks,
		func() error { return x.raise(consumer, x.o.Rate) },
		func() error { return x.raise(producer, x.o.Rate) },
		func() error { return x.crossed(0) },
		func() error { return x.until(max(x.part(0.15), x.elapsed()+x.part(0.05))) },
		x.cutLink,
		func() error { return x.until(max(x.part(0.5), x.elapsed()+x.part(0.1))) },
		func() error { return x.killDaemon(1) },
		func() error { return x.until(max(x.part(0.8), x.elapsed()+x.part(0.1))) },
		func() error { return x.killDaemon(0) },
		func() error { return x.until(max(x.part(1), x.elapsed()+x.part(0.1))) },
		func() error { return x.drain(x.left) },
		func() error { return x.judge(sum) },
		func() error { return x.services(&sum.Verdict, &sum.Services, x.near.domain, x.far) },
	)
	if err != nil {
		return err
	}
	x.next()
	if x.o.Keep {
		return x.keep(func() error { return x.drain(x.left) }, func() error { return x.judge(sum) }, x.finish)
	}
	return x.finish()
}

// finish ends the processes in good order.
func (x *crossing) finish() error {
	return run(
		func() error { return x.stop(consumer) },
		func() error { return x.stop(nearDaemon) },
		func() error { return x.stop(farDaemon) },
	)
}

// startDaemon starts host i's daemon, and has the cable lead there when it listens.
func (x *crossing) startDaemon(i int) error {
	h := x.pair.hosts[i]
	d, err := startDaemon(x.pair.program, x.pair.arguments(i))
	if err != nil {
		return err
	}
	x.parts[h.role] = d
	return x.wait(patience, h.role+" ready", func() (bool, error) {
		st, err := h.status(x.key)
		if err != nil { // it begins
			return false, nil
		}
		x.pair.cable.lead(i, st.Listen)
		return st.PID == d.PID() && st.Listen != "", nil
	})
}

// awaitLinks returns when the near host has its link to the far one.
func (x *crossing) awaitLinks() error {
	var link relay.Link
	err := x.wait(patience, "the link between the daemons", func() (bool, error) {
		st, err := x.near.status(x.key)
		if err != nil {
			return false, err
		}
		for _, l := range st.Links {
			if l.Direction == "out" && l.State == "up" {
				link = l
			}
		}
		return link.Peer == far, nil
	})
	if err == nil && !link.Secure {
		err = errors.New("the link between the daemons is without TLS")
	}
	if err == nil {
		x.say("%s pid %d, %s pid %d; the link is up", nearDaemon, x.parts[nearDaemon].PID(), farDaemon, x.parts[farDaemon].PID())
	}
	return err
}

// left returns how many messages are in the lanes.
func (x *crossing) left() uint64 { return inLane(x.near.lane()) + inLane(x.far.lane()) }

// hop is how the near host's daemon sees the lane. It is cheap to ask for, where
// looking into a lane that is in full use is not.
func (x *crossing) hop() (relay.Hop, error) {
	st, err := x.near.status(x.key)
	if err != nil {
		return relay.Hop{}, err
	}
	for _, h := range st.Hops {
		if h.Src == producerAddr.String() && h.Dst == consumerAddr.String() {
			return h, nil
		}
	}
	return relay.Hop{}, nil
}

// crossed waits until messages beyond the one with sequence stored are at the
// far host.
func (x *crossing) crossed(stored uint64) error {
	return x.wait(patience, "messages crossing to host "+far, func() (bool, error) {
		h, err := x.hop()
		return h.Flowing && h.Stored > stored, err
	})
}

// cutLink cuts the link for a while.
func (x *crossing) cutLink() error {
	began := time.Now()
	n := x.pair.cable.cut()
	x.cut = true
	x.cuts++
	x.say("link cut: %d connections dropped, new ones are refused; messages wait in the lane at the sender's host", n)
	if err := x.until(x.elapsed() + min(cutFor, x.part(0.2))); err != nil {
		return err
	}
	o, err := x.standstill(began)
	if err != nil {
		return err
	}
	x.say("link mended after %.1f s: %s wait", time.Since(began).Seconds(), messages(o.waiting))
	x.cut = false
	x.pair.cable.mend()
	return x.resume("link", o)
}

// killDaemon kills host i's daemon in mid-stream and starts another one.
func (x *crossing) killDaemon(i int) error {
	h := x.pair.hosts[i]
	began := time.Now()
	pid := x.kill(h.role)
	x.pair.cable.lead(i, "")
	x.say("%s pid %d killed with -9: messages wait in the lane at the sender's host", h.role, pid)
	if err := x.until(x.elapsed() + max(x.part(0.05), settling)); err != nil {
		return err
	}
	o, err := x.standstill(began)
	if err != nil {
		return err
	}
	if err := x.startDaemon(i); err != nil {
		return err
	}
	return x.resume(fmt.Sprintf("%s, now pid %d,", h.role, x.parts[h.role].PID()), o)
}

// An outage is the time from a fault until messages cross again.
type outage struct {
	began   time.Time
	stored  uint64 // sequence of the last message at the far host; the daemons have to find that out
	waiting uint64 // messages at the near host
}

// standstill looks at the lanes while nothing crosses.
func (x *crossing) standstill(began time.Time) (o outage, err error) {
	here, there := x.near.lane(), x.far.lane()
	o = outage{began: began, stored: lastSeq(there), waiting: here.Messages}
	x.most = max(x.most, o.waiting)
	if err := errors.Join(here.Err, there.Err); err != nil {
		return o, fmt.Errorf("look at the lanes while nothing crosses: %w", err)
	}
	return o, nil
}

// resume waits until messages cross again, and says where they go on.
func (x *crossing) resume(what string, o outage) error {
	if err := x.crossed(o.stored); err != nil {
		return err
	}
	took := time.Since(o.began)
	x.longest = max(x.longest, took)
	x.say("%s back after %.1f s: resumed at sequence %s, %s had waited", what, took.Seconds(), grouped(o.stored+1), messages(o.waiting))
	return nil
}

// judge compares the ledgers and what both hosts count, and reports.
func (x *crossing) judge(sum *HostsSummary) error {
	sent, seen, err := x.read()
	if err != nil {
		return err
	}
	*sum = HostsSummary{
		Flagged: seen.flagged, LinkCuts: x.cuts, DaemonKills: x.kills[nearDaemon] + x.kills[farDaemon], MostWaiting: x.most,
		Longest: int64(x.longest), Seconds: x.elapsed().Seconds(),
		P50: int64(seen.delays.quantile(0.5)), P99: int64(seen.delays.quantile(0.99)), Services: x.shown,
	}
	if sum.Audit, err = x.audit(sent.accepted); err != nil {
		return err
	}
	sum.Broken = sum.broken(0) // the consumer was not killed: each message comes once
	for _, h := range x.pair.hosts {
		if l := h.lane(); l.Err != nil || lastSeq(l) != sent.accepted {
			sum.fail(fmt.Sprintf("host %s counts %s (%v), the producer %s", h.name, messages(lastSeq(l)), l.Err, messages(sent.accepted)))
		}
	}
	sum.Pass = len(sum.Broken) == 0
	sum.addServices(x.shown)
	x.report(sum)
	return nil
}

func (x *crossing) report(sum *HostsSummary) {
	x.table(&sum.Audit, sum.P50, sum.P99,
		figure{"flagged as redelivered", sum.Flagged}, figure{"link cut", uint64(sum.LinkCuts)}, figure{"skybusd killed with -9", uint64(sum.DaemonKills)},
		figure{"most waiting for the link", sum.MostWaiting})
	x.verdict(&sum.Verdict, fmt.Sprintf(nothing+"the link cut and %d daemons killed in mid-stream", sum.DaemonKills))
}

// next says what can be tried on the domains.
func (x *crossing) next() {
	here, there := domainFlags(x.near.root, x.key), domainFlags(x.far.root, x.key)
	x.inTerminal("links "+here, "top "+here, "top "+there)
}
