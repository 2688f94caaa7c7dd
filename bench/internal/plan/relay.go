// SPDX-License-Identifier: Apache-2.0

package plan

var (
	insecure = []string{"--insecure"}
	secured  = []string{"--tls"}
)

// relayed is ours through two daemons. The wait is the default one: the daemons need the processors too.
func relayed(name string, more ...[]string) Impl {
	return Impl{name, Ours, "skybus-relay", flags(append([][]string{{"bench", "relay"}, adaptive}, more...)...)}
}

// Relay measures messages that two daemons carry, on loopback.
func Relay() Area {
	a := Area{Name: "relay", Title: "Two hosts, each with a daemon, on loopback"}
	a.Cases = append(a.Cases, smallRelayCase(), streamedCase(1024), streamedCase(16384),
		relayTripCase(), securedCase(), memoryCase())
	a.Figures = relayFigures()
	return a
}

// oneWayRelayed are the three calls of ours that send.
func oneWayRelayed(link []string) (impls []Impl) {
	for _, api := range []string{"batch", "send", "claim"} {
		impls = append(impls, relayed("skybus-"+api, []string{"--api", api}, oneWay, link))
	}
	return impls
}

func smallRelayCase() Case {
	return Case{
		Name: "relay-oneway", Size: 64, Mode: "throughput", Metrics: []Metric{Rate},
		What: "one way; ours through two daemons, NATS through two servers, JetStream through one with acknowledgements, ZeroMQ and the stream from process to process",
		Impls: append(oneWayRelayed(insecure),
			yardstick("go-tcp-64k", "gosock", []string{"tcp-64k"}, oneWay),
			peer("zeromq-tcp", "zeromq", []string{"tcp"}, oneWay),
			peer("nats-jetstream", "nats", []string{"jetstream"}, oneWay),
			peer("nats-cluster", "nats", []string{"cluster"}, oneWay),
		),
	}
}

func streamedCase(size int) Case {
	return Case{
		Name: "relay-oneway", Size: size, Mode: "throughput", Metrics: []Metric{Rate},
		What: "one way; ours through two daemons, the yardstick one TCP stream from process to process, written in 64 KiB",
		Impls: append(oneWayRelayed(insecure),
			yardstick("go-tcp-64k", "gosock", []string{"tcp-64k"}, oneWay),
			peer("zeromq-tcp", "zeromq", []string{"tcp"}, oneWay),
			peer("nats-cluster", "nats", []string{"cluster"}, oneWay),
		),
	}
}

func relayTripCase() Case {
	return Case{
		Name: "relay-rtt", Size: 64, Mode: "latency", Metrics: []Metric{P50, P99},
		What: "there and back as fast as it goes, through four processes and three hops a way; the yardstick's processes pass on bytes over TCP",
		Impls: []Impl{
			relayed("skybus", []string{"--api", "send"}, roundTrip, insecure),
			yardstick("go-tcp-chain", "gosock", []string{"tcp-chain"}, roundTrip),
			peer("nats-cluster", "nats", []string{"cluster"}, roundTrip),
		},
	}
}

func securedCase() Case {
	return Case{
		Name: "relay-tls", Size: 1024, Mode: "throughput", Metrics: []Metric{Rate},
		What: "one way; ours through two daemons that speak TLS 1.3, the yardstick one such stream from process to process, written in 64 KiB; certificates on both sides",
		Impls: append(oneWayRelayed(secured),
			yardstick("go-tls-64k", "gosock", []string{"tls-64k"}, oneWay)),
	}
}

func memoryCase() Case {
	return Case{
		Name: "relay-memory", Size: 1024, Mode: "memory", Metrics: []Metric{Anon},
		What:  "what the larger of the two daemons keeps for itself (RssAnon) while 1 GiB waits in 1,000 lanes that nobody reads",
		Impls: []Impl{relayed("skybus", []string{"--memory"}, insecure)},
	}
}

func relayFigures() (figures []Figure) {
	add := func(key, metric, ours, peer string, bound float64) {
		figures = append(figures, Figure{key, metric, ours, peer, bound})
	}
	// Against those whose users call once a message ours does so too; against the stream that is written in 64 KiB ours has batches.
	add("relay-oneway-64", "", "skybus-send", "zeromq-tcp", 2)
	add("relay-oneway-64", "", "skybus-send", "nats-jetstream", 5)
	add("relay-oneway-64", "", "skybus-send", "nats-cluster", 1)
	add("relay-oneway-1024", "", "skybus-batch", "go-tcp-64k", 0.6)
	add("relay-oneway-16384", "", "skybus-batch", "go-tcp-64k", 0.8)
	add("relay-rtt-64", "p50", "skybus", "go-tcp-chain", 1.5)
	add("relay-tls-1024", "", "skybus-batch", "go-tls-64k", 0.6)
	add("relay-memory-1024", "", "skybus", "", 64<<20)
	return figures
}
