// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/relay"
)

// A traceStep is one line of what trace prints.
type traceStep struct {
	Place   string  `json:"place"`
	Waiting *uint64 `json:"waiting,omitempty"` // messages; nothing waits at some places
	About   string  `json:"about"`
}

type traceObject struct {
	Src      string       `json:"src"`
	Dst      string       `json:"dst"`
	Domain   uint32       `json:"domain"`
	Host     string       `json:"host,omitzero"` // of the domain, as the routes call it
	Steps    []traceStep  `json:"steps"`
	Lane     *laneObject  `json:"lane"`               // null: not there yet
	Route    *ruleObject  `json:"route"`              // null: no rule has dst
	Daemon   bool         `json:"daemon"`             // a relay daemon runs
	Link     *relay.Link  `json:"link,omitempty"`     // the connection that carries the lane
	Position *relay.Hop   `json:"position,omitempty"` // the lane, as the daemon has it
	FarLane  *laneObject  `json:"far_lane,omitempty"`
	Verdict  traceVerdict `json:"verdict"`
}

type traceVerdict struct {
	Outcome string `json:"outcome"`     // delivered, waits, refused
	At      string `json:"at,omitzero"` // where it waits
	Text    string `json:"text"`
}

// object is the trace in JSON. far is nil where the other domain was not looked at.
func (t *trace) object(d, far *skybus.Domain, v verdict) traceObject {
	src, dst := t.near.format(t.Pair)
	o := traceObject{
		Src: src, Dst: dst, Domain: t.near.info.Key, Host: t.near.host(), Steps: t.steps(), Daemon: t.near.relay,
		Link: t.link, Position: t.position, Verdict: traceVerdict{v.outcome, v.where, v.text},
	}
	if l := t.near.lane; l != nil {
		lane := l.object(d)
		o.Lane = &lane
	}
	if t.routed {
		r := ruleOf(t.near.routes, 0, t.match.Rule)
		o.Route = &r
	}
	if t.far != nil && t.far.lane != nil {
		lane := t.far.lane.object(far)
		o.FarLane = &lane
	}
	return o
}

func (a *app) printTrace(t *trace, v verdict) {
	rows := newTable("PLACE", ">WAITING", "ABOUT")
	for _, s := range t.steps() {
		waiting := "-"
		if s.Waiting != nil {
			waiting = strconv.FormatUint(*s.Waiting, 10)
		}
		rows.row(s.Place, waiting, s.About)
	}
	a.print(rows)
	a.printf("%s\n", printable(v.text))
}

// steps lists the places on the way, from the sender on.
func (t *trace) steps() []traceStep {
	src, dst := t.near.format(t.Pair)
	list := []traceStep{{Place: "sender " + src, About: who(t.near.sender)}, t.near.laneStep(), t.routeStep()}
	if !t.goesFar() {
		return append(list, traceStep{Place: "receiver " + dst, About: who(t.near.receiver)})
	}
	list = append(list, t.linkStep())
	if t.far == nil {
		return list
	}
	return append(list, t.far.laneStep(), traceStep{Place: "receiver " + dst, About: who(t.far.receiver)})
}

func (e *traceEnd) laneStep() traceStep {
	s := traceStep{Place: fmt.Sprintf("lane in domain %d", e.info.Key), About: "not there yet, the first message makes it"}
	l := e.lane
	if l == nil {
		return s
	}
	s.Waiting = &l.Messages
	s.About = fmt.Sprintf("%s, next sequence %d, %s bytes of %s", l.kind(), l.NextSeq, size(l.Waiting), size(l.Size))
	switch err := l.trouble(); {
	case err != nil:
		s.About = fmt.Sprintf("%s, %s", l.state(), err)
	case l.Idle:
		s.About = fmt.Sprintf("%s, next sequence %d, given back", l.kind(), l.NextSeq)
	case l.Messages > 0:
		s.About += fmt.Sprintf(", the oldest is sequence %d", l.HeadSeq)
	}
	return s
}

func (t *trace) routeStep() traceStep {
	e := &t.near
	_, dst := e.format(t.Pair)
	switch {
	case e.info.RelayKey == 0:
		return traceStep{Place: "route", About: "local: the domain follows no route table"}
	case e.routesErr != nil:
		return traceStep{Place: "route", About: e.routesErr.Error()}
	case e.routes == nil:
		return traceStep{Place: "route", About: fmt.Sprintf("local: route table %d is not there", e.info.RelayKey)}
	case !t.routed:
		return traceStep{Place: "route", About: fmt.Sprintf("local: no rule of route table %d has %s", e.info.RelayKey, dst)}
	}
	r := ruleOf(e.routes, 0, t.match.Rule)
	s := traceStep{Place: "route " + r.Prefix}
	if r.Local {
		s.About = fmt.Sprintf("local: %s is this host", r.Host)
		return s
	}
	s.About = fmt.Sprintf("host %s (%s), release %s, priority %d, table %d generation %d",
		r.Host, orDash(r.Address), r.Release, r.Priority, e.routes.Key, e.routes.Generation)
	return s
}

// linkStep is the connection. What waits there was sent and is not stored.
func (t *trace) linkStep() traceStep {
	s := traceStep{Place: "connection to " + t.match.Host}
	switch {
	case !t.near.relay:
		s.About = "no relay daemon runs"
		return s
	case t.askErr != nil:
		s.About = t.askErr.Error()
		return s
	case t.link == nil:
		s.About = t.noLink()
		return s
	}
	s.Place = fmt.Sprintf("connection %d to %s", t.link.Number, t.match.Host)
	about := []string{t.linkTrouble()}
	if t.link.State == linkUp {
		about = []string{linkUp, aboutRTT(t.link.RTT)}
	}
	if h := t.position; h != nil {
		way := h.Sent - min(h.Stored, h.Sent)
		s.Waiting = &way
		about = append(about, fmt.Sprintf("sent up to sequence %d, stored there up to %d", h.Sent, h.Stored))
	}
	if l := t.near.lane; l != nil && l.Remote {
		about = append(about, fmt.Sprintf("received there up to %d", l.Consumed))
	}
	s.About = strings.Join(about, ", ")
	return s
}
