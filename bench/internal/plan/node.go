// SPDX-License-Identifier: Apache-2.0

package plan

import "github.com/skybus-io/skybus/bench/internal/result"

// onTop is what a call of a stub takes beyond one without it.
var onTop = Metric{Name: "on-top", Unit: "ns", Of: func(l result.Line) float64 { return l.OnTop }}

// inFlight are the calls that are under way at once, each with a caller of its own.
var inFlight = []string{"--flight", "64"}

// The programs of the node area.
const (
	nodeProgram  = "skybus-node"
	hostsProgram = "skybus-hosts" // the same with two daemons between
)

// services is ours: a kind of peers/node.
func services(name, program, kind string, more ...[]string) Impl {
	return Impl{name, Ours, program, flags(append([][]string{{kind}}, more...)...)}
}

// bareLane is what the bus itself does, without services: the same lane and the same wait.
func bareLane(more ...[]string) Impl {
	return yardstick("lane", "skybus", append([][]string{{"bench", "ipc", "--api", "send"}}, more...)...)
}

// Node measures services of two processes, and calls of objects.
func Node() Area {
	return Area{Name: "node", Title: "Services of two processes", Cases: []Case{
		waitingCallCase("call-spin", "both sides poll", spin),
		waitingCallCase("call-park", "both sides sleep at once when there is nothing to do", park),
		callCase(), callsCase(), bytesCase(), structCase(), hostCallCase(), hostCallsCase(), stubCase(),
	}, Figures: nodeFigures()}
}

func waitingCallCase(name, how string, wait []string) Case {
	return Case{
		Name: name, Size: 64, Mode: "latency", Metrics: []Metric{P50, P99},
		What:  "a service calls one of the other process and waits for the answer, one call at a time; " + how + "; the lane is the bus without services, there and back",
		Impls: []Impl{services("skybus", nodeProgram, "call", roundTrip, wait), bareLane(roundTrip, wait)},
	}
}

func callCase() Case {
	return Case{
		Name: "call", Size: 64, Mode: "latency", Metrics: []Metric{P50, P99},
		What: "a call of the other process, one at a time, as fast as it goes; everybody waits as by default",
		Impls: []Impl{
			services("skybus", nodeProgram, "call", roundTrip, adaptive),
			peer("grpc-unix", "grpc", []string{"unix"}, roundTrip),
			peer("nats-request", "nats", []string{"request"}, roundTrip),
		},
	}
}

func callsCase() Case {
	return Case{
		Name: "calls", Size: 64, Mode: "throughput", Metrics: []Metric{Rate},
		What: "64 services, or goroutines, call the other process, each one call after the other; calls are counted",
		Impls: []Impl{
			services("skybus", nodeProgram, "call", oneWay, adaptive, inFlight),
			peer("grpc-unix", "grpc", []string{"unix"}, oneWay, inFlight),
			peer("nats-request", "nats", []string{"request"}, oneWay, inFlight),
		},
	}
}

func bytesCase() Case {
	return Case{
		Name: "bytes", Size: 64, Mode: "throughput", Metrics: []Metric{Rate},
		What:  "one service sends []byte to one of the other process; the lane is the bus without services, one call a message",
		Impls: []Impl{services("skybus", nodeProgram, "bytes", oneWay, adaptive), bareLane(oneWay, adaptive)},
	}
}

func structCase() Case {
	return Case{
		Name: "struct", Size: 64, Mode: "throughput", Metrics: []Metric{Rate},
		What:  "the same with a struct of 5 fields, which takes 64 B encoded",
		Impls: []Impl{services("skybus", nodeProgram, "struct", oneWay, adaptive)},
	}
}

func hostCallCase() Case {
	return Case{
		Name: "host-call", Size: 64, Mode: "latency", Metrics: []Metric{P50, P99},
		What: "a call of a process on another host, one at a time; ours through two daemons that speak TLS 1.3, gRPC over one such connection; certificates on both sides; the lane is ours without services",
		Impls: []Impl{
			services("skybus", hostsProgram, "call", roundTrip, adaptive),
			relayedLane(),
			peer("grpc-tls", "grpc", []string{"tls"}, roundTrip),
		},
	}
}

// relayedLane is no yardstick: it has three hops where gRPC has one.
func relayedLane() Impl {
	i := relayed("lane", []string{"--api", "send"}, roundTrip, secured)
	i.Role = Peer
	return i
}

func hostCallsCase() Case {
	return Case{
		Name: "host-calls", Size: 64, Mode: "throughput", Metrics: []Metric{Rate},
		What: "the same from 64 services, or goroutines, each one call after the other; calls are counted",
		Impls: []Impl{
			services("skybus", hostsProgram, "call", oneWay, adaptive, inFlight),
			peer("grpc-tls", "grpc", []string{"tls"}, oneWay, inFlight),
		},
	}
}

func stubCase() Case {
	return Case{
		Name: "stub", Size: 8, Mode: "throughput", Metrics: []Metric{onTop, perAsk},
		What: "a method of an object in the same process, by its generated stub: what that takes beyond a bare call of a service that does the same, or of the object's own Handle; both in turn, 2,000 at a time, in one process",
		Impls: []Impl{
			services("skybus", nodeProgram, "stub", oneWay),
			services("skybus-handle", nodeProgram, "stub-handle", oneWay),
		},
	}
}

func nodeFigures() (figures []Figure) {
	add := func(key, metric, peer string, bound float64) {
		figures = append(figures, Figure{key, metric, "skybus", peer, bound})
	}
	add("call-spin-64", "p50", "lane", 3)
	add("call-park-64", "p50", "lane", 1.6)
	for _, p := range []string{"grpc-unix", "nats-request"} {
		add("call-64", "p50", p, 1./3)
		add("calls-64", "", p, 10)
	}
	add("bytes-64", "", "", 3e6)
	add("struct-64", "", "", 1e6)
	add("host-call-64", "p50", "grpc-tls", 0.7)
	add("stub-8", "on-top", "", 30)
	return figures
}
