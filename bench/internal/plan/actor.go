// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"slices"
	"time"

	"github.com/skybus-io/skybus/bench/internal/result"
)

// What the actor area has beside rate and quantiles.
var (
	perAsk   = Metric{Name: "time", Unit: "ns", Of: func(l result.Line) float64 { return 1e9 / l.MsgsPerSec }}
	allocs   = Metric{Name: "allocs", Unit: "allocs/op", Of: func(l result.Line) float64 { return l.Allocs }}
	idle     = Metric{Name: "idle", Unit: "bytes", Of: func(l result.Line) float64 { return l.Each }}
	slowdown = Metric{Name: "slowdown", Unit: "x", Of: func(l result.Line) float64 { return l.P99 / l.CalmP99 }}
)

const (
	baseline = "goroutines"

	// noAllocs is what "none" is in a whole process: its runtime allocates something now and then.
	noAllocs = 0.01

	// startUp is what a million services may take to start, beyond the duration.
	startUp = 90 * time.Second
)

// The programs that frameworks are measured as; the best of each case is who ours is held against, so ours is
// held against all.
var (
	frameworks = []string{"protoactor"}
	askers     = append(frameworks, "protoactor-request")
	mailboxes  = append(frameworks, "protoactor-lockfree", "protoactor-bounded")
)

// serviceCase is one case of internal/services: ours, the baseline, what else is given.
func serviceCase(c Case, others ...string) Case {
	args := []string{c.Name, "--mode", c.Mode}
	c.Impls = []Impl{{"skybus", Ours, "skybus-services", append([]string{"skybus"}, args...)}}
	for _, name := range slices.Concat([]string{baseline}, others) {
		c.Impls = append(c.Impls, Impl{name, Peer, "services", append([]string{name}, args...)})
	}
	return c
}

// Actor measures services in one process.
func Actor() Area {
	return Area{Name: "actor", Title: "Services in one process", Cases: []Case{
		serviceCase(Case{
			Name: "ask", Size: 2, Of: "services", Mode: "throughput", Metrics: []Metric{perAsk, allocs},
			What: "one service asks another and waits for the answer, one request at a time",
		}, append(askers, "goroutines-fresh")...),
		serviceCase(Case{
			Name: "fanin-goroutines", Size: 4, Of: "senders", Mode: "throughput", Metrics: []Metric{Rate, allocs},
			What: "goroutines that are no services send pointers to one service",
		}, mailboxes...),
		serviceCase(Case{
			Name: "fanin-services", Size: 4, Of: "senders", Mode: "throughput", Metrics: []Metric{Rate, allocs},
			What: "services send pointers to one service",
		}, mailboxes...),
		serviceCase(Case{
			Name: "broadcast", Size: 100_000, Of: "members", Mode: "throughput", Metrics: []Metric{Rate},
			What: "one value to all members of a group, the next when all have handled it; deliveries are counted",
		}, frameworks...),
		serviceCase(Case{
			Name: "spawn", Size: 1_000_000, Of: "services", Mode: "throughput", Metrics: []Metric{Rate, idle}, StartUp: startUp,
			What: "services are started; then each handles a message, and what heap and stacks have grown by is divided by their number",
		}, frameworks...),
		serviceCase(Case{
			Name: "flood", Size: 1000, Of: "services", Mode: "latency", Metrics: []Metric{P99, slowdown},
			What: "from a send outside to the handler, 5,000 a second, while two of the services pass 1,000 messages to and fro as fast as it goes; the slowdown is the p99 against that without them",
		}, frameworks...),
		serviceCase(Case{
			Name: "blocked", Size: 1000, Of: "services", Mode: "latency", Metrics: []Metric{P99},
			What: "from a send outside to the handler, 5,000 a second, while 64 others block in their handlers for 1 s",
		}, frameworks...),
	}, Figures: actorFigures()}
}

func actorFigures() (figures []Figure) {
	against := func(key, metric string, bound float64, peers ...string) {
		for _, p := range peers {
			figures = append(figures, Figure{key, metric, "skybus", p, bound})
		}
	}
	alone := func(key, metric string, bound float64) { against(key, metric, bound, "") }
	against("ask-2", "time", 0.8, baseline)
	against("ask-2", "time", 0.4, askers...)
	alone("ask-2", "allocs", noAllocs)
	for _, key := range []string{"fanin-goroutines-4", "fanin-services-4"} {
		against(key, "", 0.9, baseline)
		against(key, "", 1.5, mailboxes...)
		alone(key, "allocs", noAllocs)
	}
	alone("broadcast-100000", "", 4e6)
	alone("spawn-1000000", "", 500e3)
	alone("spawn-1000000", "idle", 400)
	alone("flood-1000", "slowdown", 3)
	alone("blocked-1000", "p99", float64(20*time.Millisecond))
	return figures
}
