// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/channel"
)

// What would become of a message.
const (
	outDelivered = "delivered"
	outWaits     = "waits"
	outRefused   = "refused"
)

// A verdict says what would become of a message, and why.
type verdict struct {
	outcome string
	where   string // it waits
	text    string // the sentence
}

func deliveredTo(format string, args ...any) verdict {
	return verdict{outDelivered, "", "it would be delivered to " + fmt.Sprintf(format, args...)}
}

func waitsAt(where, format string, args ...any) verdict {
	return verdict{outWaits, where, fmt.Sprintf("it would wait at %s because %s", where, fmt.Sprintf(format, args...))}
}

// judge goes the way of a message until something stops it.
func (t *trace) judge() verdict {
	if err := t.refusal(); err != nil {
		return verdict{outRefused, "", "it would be refused: " + err.Error()}
	}
	if t.near.full() {
		return waitsAt("its sender", "the lane of %s bytes is full", size(t.near.lane.Size))
	}
	if !t.goesFar() {
		return t.near.judge(t.Pair, "through "+t.near.place())
	}
	return t.judgeFar()
}

// place names the lane.
func (e *traceEnd) place() string { return fmt.Sprintf("the lane in domain %d", e.info.Key) }

// judge says whether somebody takes what has come into the lane.
func (e *traceEnd) judge(p channel.Pair, through string) verdict {
	r := e.receiver
	_, dst := e.format(p)
	switch {
	case r.Bound:
		return deliveredTo("%s, %s", who(r), through)
	case r.Crashed:
		return waitsAt(e.place(), "nobody has %s bound since PID %d (%s) died", dst, r.PID, r.Program)
	}
	return waitsAt(e.place(), "nobody has %s bound", dst)
}

// full reports whether the lane takes not even an empty message, and may not grow.
func (e *traceEnd) full() bool {
	const least = 32 // bytes: the record, and the header of the next
	l := e.lane
	if l == nil || l.Idle || l.trouble() != nil {
		return false
	}
	used := l.Tail - l.Head
	return l.Size >= l.GrowsTo && used <= l.Size && used+least > l.Size
}

// refusal is the error that binding the source, or sending, would give.
func (t *trace) refusal() error {
	if err := t.mayBind(); err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	e := &t.near
	if e.routesErr != nil {
		return e.routesErr
	}
	if l := e.lane; l != nil {
		src, dst := e.format(t.Pair)
		switch {
		case l.Damage != "":
			return fmt.Errorf("lane %s -> %s is quarantined: %w: %s", src, dst, skybus.ErrDamaged, l.Damage)
		case l.Mirror && e.relay:
			return fmt.Errorf("lane %s -> %s: %w: the relay writes it", src, dst, skybus.ErrInUse)
		case l.Configured || !l.Remote || t.goesFar():
			return nil
		}
	}
	return t.mayReach()
}

// mayBind is why no process of this host can be the sender.
func (t *trace) mayBind() error {
	e := &t.near
	src, _ := e.format(t.Pair)
	if m, ok := e.lookup(t.Src); ok && !m.Local {
		return fmt.Errorf("%s: %w here: rule %s of relay key %d places it on host %s", src, skybus.ErrNoRoute,
			e.routes.Template.FormatPrefix(m.Prefix), e.routes.Key, m.Host)
	}
	if !e.knowsSender && e.info.Strict {
		return fmt.Errorf("%s: %w: no channel with it is configured, and domain %d is strict", src, skybus.ErrNoRoute, e.info.Key)
	}
	return nil
}

// mayReach is why the domain makes no lane to the destination.
func (t *trace) mayReach() error {
	e := &t.near
	src, dst := e.format(t.Pair)
	switch {
	case t.Src == t.Dst:
		return fmt.Errorf("%w to %s: an address has no lane to itself", skybus.ErrNoRoute, dst)
	case e.info.Strict:
		return fmt.Errorf("%w to %s: no channel with %s is configured, and domain %d is strict", skybus.ErrNoRoute, dst, src, e.info.Key)
	case !e.knows && !t.goesFar() && !e.info.AllowUnknown:
		either := ""
		if e.info.RelayKey != 0 {
			either = fmt.Sprintf(", and no route of relay key %d leads there", e.info.RelayKey)
		}
		return fmt.Errorf("%w to %s: no process has ever bound it in domain %d, no channel is configured%s", skybus.ErrNoRoute, dst, e.info.Key, either)
	}
	return nil
}

// judgeFar goes on over the relay to the other host.
func (t *trace) judgeFar() verdict {
	at, host := t.near.place(), t.match.Host
	switch {
	case !t.near.relay:
		return waitsAt(at, "no relay daemon runs for domain %d", t.near.info.Key)
	case t.askErr != nil:
		return waitsAt(at, "%s", t.askErr)
	case t.link == nil:
		return waitsAt(at, "%s", t.noLink())
	case t.link.State != linkUp:
		return waitsAt(at, "the connection to %s is not up: %s", host, t.linkTrouble())
	}
	if why := t.notTaken(); why != "" {
		return waitsAt(at, "%s", why)
	}
	through := fmt.Sprintf("through connection %d to %s (%s)", t.link.Number, t.link.Address, aboutRTT(t.link.RTT))
	if t.far != nil {
		return t.far.judge(t.Pair, "on host "+host+" "+through)
	}
	return deliveredTo("the lane on host %s %s; trace there shows whether it is received, or here with --far-key", host, through)
}

// noLink is why the daemon has no connection to the host.
func (t *trace) noLink() string {
	switch r := t.near.routes; {
	case t.status.RelayKey != t.near.info.RelayKey:
		return fmt.Sprintf("the daemon goes by relay key %d, the domain by %d", t.status.RelayKey, t.near.info.RelayKey)
	case t.status.Routes < r.Generation:
		return fmt.Sprintf("the daemon has not read the routes yet: generation %d of %d", t.status.Routes, r.Generation)
	}
	return fmt.Sprintf("the daemon has no connection to %s: the route table has no address of that host", t.match.Host)
}

func (t *trace) linkTrouble() string {
	if t.link.LastError == "" {
		return t.link.State
	}
	return t.link.State + ", " + t.link.LastError
}

// notTaken is why the other host does not take the lane, or no more of it. Before it
// was asked, what is known of its domain tells.
func (t *trace) notTaken() string {
	host := t.match.Host
	switch h := t.position; {
	case h == nil || h.Error == "" && !h.Flowing:
		if t.far != nil {
			if why := t.far.admits(t.Pair, t.status.Host); why != "" {
				return fmt.Sprintf("host %s would refuse the lane: %s", host, why)
			}
		}
		if h != nil {
			return fmt.Sprintf("host %s has not yet said whether it takes the lane", host)
		}
	case h.Error != "":
		return fmt.Sprintf("host %s refuses the lane: %s", host, h.Error)
	case h.Stalled:
		return fmt.Sprintf("the lane has no more room on host %s until something is received there", host)
	}
	return ""
}

// admits is why the daemon of this end, the other host, would not take the lane from
// host from; empty if it would.
func (e *traceEnd) admits(p channel.Pair, from string) string {
	src, dst := e.format(p)
	m, ok := e.lookup(p.Src)
	if !ok || m.Local {
		return fmt.Sprintf("its routes place source %s on no other host", src)
	}
	if m.Host != from {
		return fmt.Sprintf("its routes place source %s on host %s", src, m.Host)
	}
	if m, ok := e.lookup(p.Dst); ok && !m.Local {
		return fmt.Sprintf("its routes place destination %s on host %s", dst, m.Host)
	}
	if e.info.Strict && e.lane == nil {
		return fmt.Sprintf("domain %d is strict, and no channel from %s to %s is configured", e.info.Key, src, dst)
	}
	return ""
}
