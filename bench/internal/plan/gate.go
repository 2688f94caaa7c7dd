// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"strconv"
	"time"

	"github.com/skybus-io/skybus/bench/internal/result"
)

// What the gate area has besides. CPU is that of the server alone.
var (
	serverCPU   = Metric{Name: "cpu", Unit: "ns", Of: func(l result.Line) float64 { return l.ServerCPU }}
	perDelivery = Metric{Name: "each", Unit: "ns", Of: func(l result.Line) float64 { return 1e9 / l.MsgsPerSec }}
	managed     = Metric{Unit: "bytes", Of: func(l result.Line) float64 { return l.Each }}
	anonEach    = Metric{Name: "rss", Unit: "bytes", Of: func(l result.Line) float64 { return l.EachAnon }}
	misjudged   = Metric{Name: "misjudged", Unit: "clients", Of: func(l result.Line) float64 { return l.Misjudged }}
	grown       = Metric{Name: "grown", Unit: "bytes", Of: func(l result.Line) float64 { return l.Grown }}
	kernelGrown = Metric{Name: "kernel-grown", Unit: "bytes", Of: func(l result.Line) float64 { return l.KernelGrown }}
	unserved    = Metric{Name: "unserved", Unit: "clients", Of: func(l result.Line) float64 { return l.Unserved }}
)

const (
	// whole is the gate with a service of its own process behind it, layer its connections alone.
	whole = "skybus"
	layer = "skybus-client"

	// roomy is the whole gate with the service in another process.
	roomy = "skybus-room"

	// connecting is what thousands of clients may take to come, beyond the duration.
	connecting = 30 * time.Second
)

// A loaded server is one of the workshop's, and what it is asked to be.
type loaded struct {
	name    string
	role    Role
	program string // behind "gate-", or "idle-"
	as      string
}

// The servers.
var (
	ourWhole  = loaded{whole, Ours, "skybus", "gate"}
	ourLayer  = loaded{layer, Ours, "skybus", "client"}
	ourRoom   = loaded{roomy, Ours, "skybus", "room"}
	epollInC  = loaded{"epoll", Yardstick, "epoll", "epoll"}
	epollInGo = loaded{"go-epoll", Yardstick, "go", "epoll"}
	netInGo   = loaded{"go-net", Yardstick, "go", "net"}
	netpoll   = loaded{"netpoll", Peer, "netpoll", "netpoll"}
	gnet      = loaded{"gnet", Peer, "gnet", "gnet"}
)

// served has the load's clients at each of the servers.
func served(c Case, what string, clients int, more []string, servers ...loaded) Case {
	for _, s := range servers {
		args := flags([]string{"--as", s.as, "--case", what, "--clients", strconv.Itoa(clients), "--mode", c.Mode}, more)
		c.Impls = append(c.Impls, Impl{s.name, s.role, "gate-" + s.program, args})
	}
	return c
}

// idling has 10,000 clients at each of the servers, which do nothing.
func idling(over string, servers ...loaded) Case {
	const clients = 10_000
	c := Case{
		Name: "idle-" + over, Size: 64, Mode: "memory", Metrics: []Metric{managed, anonEach}, StartUp: connecting,
		What: "what heap and stacks of the server keep for each of 10,000 clients over " + over + " that have had one packet back, then nothing for 3 s; rss is what its process keeps (RssAnon)",
	}
	for _, s := range servers {
		args := []string{over, strconv.Itoa(clients), s.as, "--mode", c.Mode}
		c.Impls = append(c.Impls, Impl{s.name, s.role, "idle-" + s.program, args})
	}
	return c
}

// Gate measures clients of one process at a server of another, on loopback.
func Gate() Area {
	return Area{Name: "gate", Title: "Clients at the gate, on loopback", Cases: []Case{
		served(Case{
			Name: "echo", Size: 64, Mode: "throughput", Metrics: []Metric{Rate, serverCPU, allocs},
			What: "100 clients send a packet each and wait until it is back; the clients are one thread and so are the servers (GOMAXPROCS=1), cpu and allocations are the server's, for a packet",
		}, "echo", 100, []string{"--processors", "1"}, ourLayer, ourWhole, epollInC, epollInGo, netInGo, netpoll, gnet),
		idling("tcp", ourLayer, ourWhole, netInGo, netpoll, gnet),
		idling("ws", ourLayer, ourWhole),
		idling("tls", ourLayer, ourWhole),
		served(Case{
			Name: "fan", Size: 64, Mode: "latency", Metrics: []Metric{P50, serverCPU}, StartUp: connecting,
			What: "one packet to each of 5,000 clients, from the client's order to the last byte of the last one; a bare loop writes to each; cpu is the server's, for a delivery",
		}, "fan", 5000, nil, ourLayer, ourWhole, epollInC, epollInGo, netInGo, netpoll, gnet),
		served(Case{
			Name: "fan-batch", Size: 64, Mode: "latency", Metrics: []Metric{perDelivery, serverCPU}, StartUp: connecting,
			What: "16 packets at once to each of 2,000 clients, until the last byte of the last one, divided by 32,000; a bare loop writes all 16 at once",
		}, "fan", 2000, []string{"--batch", "16"}, ourLayer, ourWhole, epollInC, epollInGo, netInGo, netpoll, gnet),
		served(Case{
			Name: "slow", Size: 16384, Mode: "latency", Metrics: []Metric{misjudged, slowdown, P99, grown, kernelGrown}, StartUp: connecting,
			What: "400 broadcasts to 280 clients, then 400 with 20 more that never read: how many of those have not been kicked (another one that is ends the run), p99 from order to delivery, against that without them, and how memory has grown between two broadcasts",
		}, "slow", 300, []string{"--stalled", "20", "--orders", "400"}, ourLayer, ourWhole),
		served(Case{
			Name: "path", Size: 64, Mode: "latency", Metrics: []Metric{P50, P99, serverCPU},
			What: "one client sends a packet and waits until it is back: through the gate to a service of another process, to one of its own, or from the connection at once",
		}, "echo", 1, nil, ourRoom, ourWhole, ourLayer, epollInC, netInGo),
		served(Case{
			Name: "accept", Size: 64, Mode: "throughput", Metrics: []Metric{Rate, serverCPU},
			What: "clients connect and are reset, 512 of them there at a time; the server counts those that it has accepted, cpu is for one of them",
		}, "accept", 100, nil, ourWhole, epollInC, epollInGo, netInGo, netpoll, gnet),
		served(Case{
			Name: "exhausted", Size: 64, Mode: "latency", Metrics: []Metric{unserved, P50}, StartUp: connecting,
			What: "1,024 clients come to a server that may have 256 descriptors, 128 of them are served all the time; when the others have gone 64 more come: how many have not been served, and how long one of those waits",
		}, "exhausted", 100, []string{"--descriptors", "256"}, ourWhole, netInGo),
	}, Figures: gateFigures()}
}

func gateFigures() (figures []Figure) {
	add := func(key, metric, ours, peer string, bound float64) {
		figures = append(figures, Figure{key, metric, ours, peer, bound})
	}
	for _, ours := range []string{layer, whole} {
		add("echo-64", "", ours, epollInC.name, 0.85)
		add("echo-64", "cpu", ours, "", float64(9*time.Microsecond))
		add("echo-64", "allocs", ours, "", noAllocs)
		add("idle-tcp-64", "", ours, "", 4.2*1024)
		add("idle-ws-64", "", ours, "", 6.5*1024)
		add("idle-tls-64", "", ours, "", 15*1024)
		add("fan-64", "p50", ours, epollInC.name, 1.25)
		add("fan-batch-64", "each", ours, "", float64(1300*time.Nanosecond))
	}
	add("slow-16384", "misjudged", whole, "", 0)
	add("slow-16384", "slowdown", whole, "", 1.5)
	add("slow-16384", "grown", whole, "", 3<<20)
	add("slow-16384", "kernel-grown", whole, "", 5<<20)
	add("path-64", "p50", roomy, whole, 3)
	add("path-64", "p50", roomy, layer, 3)
	add("accept-64", "", whole, "", 25e3)
	add("exhausted-64", "unserved", whole, "", 0)
	return figures
}
