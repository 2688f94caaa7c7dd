// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/channel"
	"github.com/skybus-io/skybus/relay"
	"github.com/skybus-io/skybus/route"
)

func formatPair(p channel.Pair) (src, dst string) { return p.Src.String(), p.Dst.String() }

// wayToWest is a trace from 0.0.1.1 here, on host east, to 0.0.3.1 on host west,
// whose daemons carry the lane.
func wayToWest() *trace {
	routes := &route.Table{
		Key: 2000, Generation: 4, Template: addr.Default, Self: "east", Hosts: []route.Host{{Name: "west", Address: "w:1"}},
		Rules: []route.Rule{{Prefix: addr.Prefix{Addr: 0x300, Bits: 24}, Host: "west"}, {Prefix: addr.Prefix{Addr: 0x100, Bits: 24}, Host: "east"}},
	}
	t := &trace{Pair: channel.Pair{Src: 0x101, Dst: 0x301}, status: &relay.Status{Host: "east", RelayKey: 2000, Routes: 4}}
	t.near = traceEnd{
		info: channel.DomainInfo{Key: 1000, RelayKey: 2000, GrowBytes: 1 << 20}, relay: true, routes: routes, format: formatPair, knowsSender: true,
		lane: &lane{LaneInfo: channel.LaneInfo{Remote: true, GrowsTo: 1 << 20}, relay: true},
	}
	t.match, t.routed = t.near.lookup(t.Dst)
	t.link = &relay.Link{Peer: "west", Address: "w:1", Direction: linkOut, State: linkUp, RTT: 120_000}
	t.position = &relay.Hop{Src: "0.0.1.1", Dst: "0.0.3.1", Host: "west", Flowing: true}
	return t
}

// seeWest adds what the domain at the other host is.
func seeWest(t *trace) *traceEnd {
	routes := &route.Table{Key: 2001, Generation: 1, Template: addr.Default, Self: "west",
		Rules: []route.Rule{{Prefix: addr.Prefix{Addr: 0x100, Bits: 24}, Host: "east"}}}
	t.far = &traceEnd{info: channel.DomainInfo{Key: 1001, RelayKey: 2001}, relay: true, routes: routes, format: formatPair}
	return t.far
}

// TestTraceVerdicts has one case for each thing that can stop a message, in the
// order of its way.
func TestTraceVerdicts(t *testing.T) {
	const inLane = "it would wait at the lane in domain 1000 because "
	for _, c := range []struct {
		name   string
		change func(t *trace)
		want   string
	}{
		{"nothing", func(*trace) {}, "it would be delivered to the lane on host west through connection 0 to w:1 (RTT 120µs); trace there"},
		{"source elsewhere", func(t *trace) { t.Src = 0x302 }, "it would be refused: bind: 0.0.3.2: no route here: rule 0.0.3.* of relay key 2000 places it on host west"},
		{"source not configured", func(t *trace) { t.near.info.Strict, t.near.knowsSender = true, false },
			"it would be refused: bind: 0.0.1.1: no route: no channel with it is configured, and domain 1000 is strict"},
		{"routes damaged", func(t *trace) { t.near.routesErr = route.ErrDamaged }, "it would be refused: route table is damaged"},
		{"lane damaged", func(t *trace) { t.near.lane.Damage = "torn" }, "it would be refused: lane 0.0.1.1 -> 0.0.3.1 is quarantined: ring is damaged: torn"},
		{"lane from elsewhere", func(t *trace) { t.near.lane.Remote, t.near.lane.Mirror = false, true },
			"it would be refused: lane 0.0.1.1 -> 0.0.3.1: address is in use: the relay writes it"},
		{"to itself", func(t *trace) { t.Dst, t.near.lane = t.Src, nil; t.match.Local = true }, "it would be refused: no route to 0.0.1.1: an address has no lane to itself"},
		{"strict", func(t *trace) { t.near.info.Strict, t.near.lane = true, nil },
			"it would be refused: no route to 0.0.3.1: no channel with 0.0.1.1 is configured, and domain 1000 is strict"},
		{"strict, with a lane", func(t *trace) { t.near.info.Strict = true }, "it would be delivered to the lane on host west"},
		{"route gone", func(t *trace) { t.routed = false },
			"it would be refused: no route to 0.0.3.1: no process has ever bound it in domain 1000, no channel is configured, and no route of relay key 2000 leads there"},
		{"no routes at all", func(t *trace) { t.routed, t.near.lane, t.near.info.RelayKey = false, nil, 0 },
			"it would be refused: no route to 0.0.3.1: no process has ever bound it in domain 1000, no channel is configured"},
		{"full", func(t *trace) { t.near.lane.Size, t.near.lane.Head, t.near.lane.Tail = 1<<20, 64, 64+1<<20-16 },
			"it would wait at its sender because the lane of 1M bytes is full"},
		{"room for one", func(t *trace) { t.near.lane.Size, t.near.lane.Head, t.near.lane.Tail = 1<<20, 64, 64+1<<20-32 }, "it would be delivered"},
		{"full, and may grow", func(t *trace) { t.near.lane.Size, t.near.lane.Tail = 4096, 4080 }, "it would be delivered"},
		{"local", func(t *trace) { t.routed = false; t.near.knows, t.near.lane = true, nil }, inLane + "nobody has 0.0.3.1 bound"},
		{"local, died", func(t *trace) {
			t.routed = false
			t.near.knows, t.near.receiver = true, channel.EndpointInfo{Crashed: true, PID: 7, Program: "game"}
		}, inLane + "nobody has 0.0.3.1 bound since PID 7 (game) died"},
		{"local, bound", func(t *trace) {
			t.routed = false
			t.near.knows, t.near.receiver = true, channel.EndpointInfo{Bound: true, PID: 7, Program: "game"}
		}, "it would be delivered to PID 7 (game), through the lane in domain 1000"},
		{"no daemon", func(t *trace) { t.near.relay, t.status = false, nil }, inLane + "no relay daemon runs for domain 1000"},
		{"daemon hangs", func(t *trace) { t.status, t.link, t.askErr = nil, nil, errors.New("no answer") }, inLane + "no answer"},
		{"other relay key", func(t *trace) { t.link, t.status.RelayKey = nil, 7 }, inLane + "the daemon goes by relay key 7, the domain by 2000"},
		{"old routes", func(t *trace) { t.link, t.status.Routes = nil, 3 }, inLane + "the daemon has not read the routes yet: generation 3 of 4"},
		{"no address", func(t *trace) { t.link = nil }, inLane + "the daemon has no connection to west: the route table has no address of that host"},
		{"link down", func(t *trace) { t.link.State, t.link.LastError = "refused", "version" }, inLane + "the connection to west is not up: refused, version"},
		{"lane refused", func(t *trace) { t.position.Error, t.position.Flowing = "budget", false }, inLane + "host west refuses the lane: budget"},
		{"lane not taken yet", func(t *trace) { t.position.Flowing = false }, inLane + "host west has not yet said whether it takes the lane"},
		{"no credit", func(t *trace) { t.position.Stalled = true }, inLane + "the lane has no more room on host west until something is received there"},
		{"far: nobody", func(t *trace) { seeWest(t) }, "it would wait at the lane in domain 1001 because nobody has 0.0.3.1 bound"},
		{"far: bound", func(t *trace) { seeWest(t).receiver = channel.EndpointInfo{Bound: true, PID: 8, Program: "zone"} },
			"it would be delivered to PID 8 (zone), on host west through connection 0 to w:1 (RTT 120µs)"},
		{"far: no routes", func(t *trace) { t.position = nil; seeWest(t).routes = nil },
			inLane + "host west would refuse the lane: its routes place source 0.0.1.1 on no other host"},
		{"far: other host", func(t *trace) { t.position = nil; seeWest(t).routes.Rules[0].Host = "north" },
			inLane + "host west would refuse the lane: its routes place source 0.0.1.1 on host north"},
		{"far: further on", func(t *trace) {
			t.position = nil
			f := seeWest(t)
			f.routes.Rules = append(f.routes.Rules, route.Rule{Prefix: addr.Exact(0x301), Host: "north"})
		}, inLane + "host west would refuse the lane: its routes place destination 0.0.3.1 on host north"},
		{"far: strict", func(t *trace) { t.position = nil; seeWest(t).info.Strict = true },
			inLane + "host west would refuse the lane: domain 1001 is strict, and no channel from 0.0.1.1 to 0.0.3.1 is configured"},
	} {
		tr := wayToWest()
		c.change(tr)
		if got := tr.judge(); !strings.HasPrefix(got.text, c.want) {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got.text, c.want)
		}
		for _, s := range tr.steps() {
			if s.Place == "" || s.About == "" {
				t.Errorf("%s: a step says nothing: %+v", c.name, s)
			}
		}
	}
}

// TestTraceFindsTheConnection: that which has the lane, or, before one has it, the one
// that will.
func TestTraceFindsTheConnection(t *testing.T) {
	for number := range 3 {
		tr := wayToWest()
		tr.link, tr.position = nil, nil
		for n := range 3 {
			tr.status.Links = append(tr.status.Links,
				relay.Link{Peer: "west", Direction: linkOut, Number: n, Address: fmt.Sprint("out ", n)},
				relay.Link{Peer: "west", Direction: "in", Number: n, Address: "in"},
				relay.Link{Peer: "north", Direction: linkOut, Number: n, Address: "north"})
		}
		tr.status.Hops = []relay.Hop{{Src: "0.0.1.1", Dst: "0.0.3.1", Host: "north"}, {Src: "0.0.1.1", Dst: "0.0.3.1", Host: "west", Number: number}}
		tr.find()
		if tr.link == nil || tr.link.Address != fmt.Sprint("out ", number) {
			t.Errorf("lane on %d: %+v", number, tr.link)
		}
		tr.status.Hops, tr.position, tr.link = nil, nil, nil
		tr.find()
		if want := fmt.Sprint("out ", relay.ConnectionOf(tr.Pair, 3)); tr.link == nil || tr.link.Address != want {
			t.Errorf("no lane yet: %+v, want %s", tr.link, want)
		}
	}
}
