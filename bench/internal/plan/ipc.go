// SPDX-License-Identifier: Apache-2.0

package plan

import "fmt"

// Flags that several implementations share.
var (
	oneWay    = []string{"--mode", "throughput"}
	roundTrip = []string{"--mode", "latency"}
	spin      = []string{"--wait", "spin"}
	park      = []string{"--wait", "park"}
	adaptive  = []string{"--wait", "adaptive"}
	batched   = []string{"--batch", "32"}
	claim     = []string{"--claim"}
	plain     = []string{"--plain"} // a reader that polls without rest, see yardstick/lane.hpp
	seldom    = []string{"--rate", "1000"}
	compiled  = []string{"--warmup", "1s"} // a JVM compiles what it runs while it runs
)

func flags(groups ...[]string) (all []string) {
	for _, g := range groups {
		all = append(all, g...)
	}
	return all
}

func ours(name, api string, more ...[]string) Impl {
	return Impl{name, Ours, "skybus", flags(append([][]string{{"bench", "ipc", "--api", api}}, more...)...)}
}

func yardstick(name, program string, more ...[]string) Impl {
	return Impl{name, Yardstick, program, flags(more...)}
}

func peer(name, program string, lead []string, more ...[]string) Impl {
	return Impl{name, Peer, program, flags(append([][]string{lead}, more...)...)}
}

// IPC measures two processes of one host: one way and round trip.
func IPC() Area {
	a := Area{Name: "ipc", Title: "Two processes on one host"}
	for _, size := range []int{64, 1024, 16384} {
		a.Cases = append(a.Cases, claimCase(size), batchCase(size), sendCase(size))
	}
	a.Cases = append(a.Cases, spinningCase(), parkedCase(), busyCase(), seldomCase())
	a.Figures = ipcFigures()
	return a
}

func claimCase(size int) Case {
	return Case{
		Name: "oneway-claim", Size: size, Mode: "throughput", Metrics: []Metric{Rate},
		What: "one way, written into the transport's own memory where the API lets one; ours and the yardstick in batches of 32; the reader spins where it can",
		Impls: []Impl{
			ours("skybus", "claim", oneWay, spin),
			yardstick("yardstick", "ring", oneWay, spin, batched),
			yardstick("yardstick-plain", "ring", oneWay, spin, batched, plain),
			peer("aeron", "aeron", nil, oneWay, spin, claim, compiled),
			peer("iceoryx2", "iceoryx2", nil, oneWay, spin, claim),
			peer("zeromq-ipc", "zeromq", []string{"ipc"}, oneWay),
		},
	}
}

func batchCase(size int) Case {
	return Case{
		Name: "oneway-batch", Size: size, Mode: "throughput", Metrics: []Metric{Rate},
		What: "one way, copied in; ours and the yardstick in batches of 32; the reader spins where it can",
		Impls: []Impl{
			ours("skybus", "batch", oneWay, spin),
			yardstick("yardstick", "ring", oneWay, spin, batched),
			yardstick("yardstick-plain", "ring", oneWay, spin, batched, plain),
			peer("aeron", "aeron", nil, oneWay, spin, compiled),
			peer("zeromq-ipc", "zeromq", []string{"ipc"}, oneWay),
			peer("zeromq-tcp", "zeromq", []string{"tcp"}, oneWay),
			peer("go-unix-64k", "gosock", []string{"unix-64k"}, oneWay),
			peer("go-tcp-64k", "gosock", []string{"tcp-64k"}, oneWay),
		},
	}
}

func sendCase(size int) Case {
	return Case{
		Name: "oneway-send", Size: size, Mode: "throughput", Metrics: []Metric{Rate},
		What: "one way, one plain call a message, copied in; the reader may sleep, and is woken",
		Impls: []Impl{
			ours("skybus", "send", oneWay, adaptive),
			yardstick("yardstick", "ring", oneWay, adaptive),
			yardstick("yardstick-plain", "ring", oneWay, adaptive, plain),
			peer("go-unix-64k", "gosock", []string{"unix-64k"}, oneWay),
			peer("zeromq-ipc", "zeromq", []string{"ipc"}, oneWay),
			peer("go-unix", "gosock", []string{"unix"}, oneWay),
			peer("go-tcp", "gosock", []string{"tcp"}, oneWay),
			peer("shmipc-go", "shmipc", nil, oneWay),
			peer("nng-ipc", "nng", []string{"ipc"}, oneWay),
		},
	}
}

func spinningCase() Case {
	return Case{
		Name: "rtt-spin", Size: 64, Mode: "latency", Metrics: []Metric{P50, P99},
		What: "there and back, both sides spin",
		Impls: []Impl{
			ours("skybus", "send", roundTrip, spin),
			yardstick("yardstick", "ring", roundTrip, spin),
			peer("aeron", "aeron", nil, roundTrip, spin, compiled),
			peer("iceoryx2", "iceoryx2", nil, roundTrip, spin),
		},
	}
}

// Go's sockets are not in it: the runtime polls for a while before its threads sleep, which makes them
// adaptive, and at times faster than any sleep.
func parkedCase() Case {
	return Case{
		Name: "rtt-park", Size: 64, Mode: "latency", Metrics: []Metric{P50, P99},
		What: "there and back, both sides sleep at once when there is nothing to do",
		Impls: []Impl{
			ours("skybus", "send", roundTrip, park),
			yardstick("futex", "futexpp", roundTrip),
			yardstick("yardstick", "ring", roundTrip, park),
			peer("zeromq-ipc", "zeromq", []string{"ipc"}, roundTrip),
			peer("nng-ipc", "nng", []string{"ipc"}, roundTrip),
		},
	}
}

func busyCase() Case {
	return Case{
		Name: "rtt-adaptive", Size: 64, Mode: "latency", Metrics: []Metric{P50, P99},
		What: "there and back as fast as it goes, everybody waits as it does by default",
		Impls: []Impl{
			ours("skybus-adaptive", "send", roundTrip, adaptive),
			ours("skybus-spin", "send", roundTrip, spin),
			yardstick("yardstick", "ring", roundTrip, adaptive),
			peer("aeron-backoff", "aeron", nil, roundTrip, adaptive, compiled),
			peer("go-unix", "gosock", []string{"unix"}, roundTrip),
			peer("go-tcp", "gosock", []string{"tcp"}, roundTrip),
			peer("shmipc-go", "shmipc", nil, roundTrip),
		},
	}
}

// Here the processes are pinned: two that only sleep are put on one processor, by and by, which saves the
// wake-up of another one, and two of which one has ever spun are not; that would be measured, not the wait.
func seldomCase() Case {
	apart := []string{"--pin", "0,1"}
	return Case{
		Name: "rtt-seldom", Size: 64, Mode: "latency", Metrics: []Metric{P50, P99},
		What: "there and back 1,000 times a second, so that the other side has gone to sleep each time; each process on a processor of its own",
		Impls: []Impl{
			ours("skybus-adaptive", "send", roundTrip, adaptive, seldom, apart),
			ours("skybus-park", "send", roundTrip, park, seldom, apart),
			yardstick("futex", "futexpp", roundTrip, seldom, apart),
			yardstick("yardstick", "ring", roundTrip, park, seldom, apart),
		},
	}
}

func ipcFigures() (figures []Figure) {
	add := func(key, metric, ours, peer string, bound float64) {
		figures = append(figures, Figure{key, metric, ours, peer, bound})
	}
	for _, way := range []string{"oneway-claim", "oneway-batch"} {
		add(way+"-64", "", "skybus", "aeron", 1.2)
		add(way+"-64", "", "skybus", "zeromq-ipc", 8)
		add(way+"-64", "", "skybus", "yardstick", 0.45)
		for _, size := range []int{1024, 16384} {
			add(fmt.Sprintf("%s-%d", way, size), "", "skybus", "aeron", 2)
		}
	}
	add("oneway-send-64", "", "skybus", "zeromq-ipc", 5)
	add("oneway-send-64", "", "skybus", "yardstick", 0.6)
	add("oneway-send-64", "", "skybus", "go-unix-64k", 1)
	add("rtt-spin-64", "p50", "skybus", "yardstick", 1.2)
	add("rtt-spin-64", "p99", "skybus", "yardstick", 2)
	add("rtt-park-64", "p50", "skybus", "futex", 1.3)
	// "Near spinning" and "no worse than parked" are given a number here: a quarter, and the noise of a median.
	add("rtt-adaptive-64", "p50", "skybus-adaptive", "skybus-spin", 1.25)
	add("rtt-seldom-64", "p50", "skybus-adaptive", "skybus-park", 1.05)
	return figures
}
