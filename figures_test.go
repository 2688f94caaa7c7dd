// SPDX-License-Identifier: Apache-2.0

package skybus_test

import (
	"context"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/internal/killtest"
)

// wide opens a domain with so many lanes: each of some endpoints has sent one
// message to each of others.
func wide(b *testing.B, sources, destinations int) *skybus.Domain {
	b.Helper()
	d := dynamic(b)
	for i := range sources {
		from, err := d.Bind(0x10000 + addr.Addr(i))
		if err != nil {
			b.Fatal(err)
		}
		for k := range destinations {
			if err := from.Send(context.Background(), 0x20000+addr.Addr(k), []byte("text")); err != nil {
				b.Fatal(err)
			}
		}
		from.Close()
	}
	if n := d.Table().Info().Lanes; n != sources*destinations {
		b.Fatalf("%d lanes", n)
	}
	return d
}

// BenchmarkOpenWideDomain opens a domain of 10,000 lanes and does the first thing
// in it. The first figure of the goals: less than 250 ms.
func BenchmarkOpenWideDomain(b *testing.B) {
	const lanes = 10_000
	for _, shape := range []struct{ sources, destinations int }{{100, lanes / 100}, {lanes, 1}} {
		b.Run(fmt.Sprintf("%d_lanes_to_an_inbox", shape.sources), func(b *testing.B) {
			root := rootOf(wide(b, shape.sources, shape.destinations))
			for name, first := range firstThings {
				b.Run(name, func(b *testing.B) {
					for b.Loop() {
						d, err := skybus.Open(key, skybus.Options{Root: root, MustExist: true})
						if err == nil {
							err = first(d)
						}
						if err != nil {
							b.Fatal(err)
						}
						d.Close()
					}
					b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/op")
				})
			}
		})
	}
}

// firstThings are what a process may begin with.
var firstThings = map[string]func(d *skybus.Domain) error{
	"open": func(*skybus.Domain) error { return nil },
	"send": func(d *skybus.Domain) error {
		e, err := d.Bind(0x10000)
		if err == nil {
			err = e.TrySend(0x20000, nil)
		}
		return err
	},
	"receive": func(d *skybus.Domain) error {
		e, err := d.Bind(0x20000)
		if err == nil {
			_, err = e.RecvWith(context.Background(), skybus.RecvOptions{Peek: true})
		}
		return err
	},
}

func init() { roles["echo"] = echo }

// echo sends every message back; one from an address that is no pinger's stays.
func echo(args []byte) error {
	a, err := killtest.Args[peerArgs](args)
	if err != nil {
		return err
	}
	d, err := skybus.Open(key, skybus.Options{Root: a.Root, MustExist: true, Wait: a.Wait})
	if err != nil {
		return err
	}
	e, err := d.Bind(echoAddr)
	if err != nil {
		return err
	}
	fmt.Println("ok")
	return e.Receive(context.Background(), func(m skybus.Message) error {
		if m.Src != pingAddr {
			return nil
		}
		return e.Send(context.Background(), pingAddr, m.Data)
	})
}

const (
	echoAddr addr.Addr = 0x101
	pingAddr addr.Addr = 0x102
)

// BenchmarkRoundTripBesideIdleLanes is a message to another process and back,
// where both ends have one lane, and where both have 1,000 of which the others
// are idle. The two take turns, and the least mean of a turn counts: whatever else
// the machine does makes turns longer.
func BenchmarkRoundTripBesideIdleLanes(b *testing.B) {
	const lanes = 1000
	one, many := pinger(b, 1), pinger(b, lanes)
	least := map[*skybus.Endpoint]float64{one: math.Inf(1), many: math.Inf(1)}
	for b.Loop() {
		for ping, mean := range least {
			least[ping] = min(mean, roundTrips(b, ping, 2000))
		}
	}
	b.ReportMetric(least[one], "ns/trip_1_lane")
	b.ReportMetric(least[many], fmt.Sprintf("ns/trip_%d_lanes", lanes))
	b.ReportMetric(least[many]/least[one], "x_of_one_lane")
}

// roundTrips returns the mean time of n round trips in nanoseconds.
func roundTrips(b *testing.B, ping *skybus.Endpoint, n int) float64 {
	payload, buf := make([]byte, 64), make([]byte, 0, 64)
	start := time.Now()
	for range n {
		if err := ping.Send(context.Background(), echoAddr, payload); err != nil {
			b.Fatal(err)
		}
		if _, err := ping.RecvWith(context.Background(), skybus.RecvOptions{Buf: buf}); err != nil {
			b.Fatal(err)
		}
	}
	return float64(time.Since(start)) / float64(n)
}

// pinger returns an endpoint with so many lanes, one of them from an echo that
// has as many.
func pinger(b *testing.B, lanes int) *skybus.Endpoint {
	b.Helper()
	d := dynamic(b)
	p := killtest.Start(b, "echo", peerArgs{Root: rootOf(d)})
	if answer := p.Line(); answer != "ok" {
		b.Fatal(answer)
	}
	ping := bind(b, d, pingAddr)
	for i := range lanes - 1 {
		idle, err := d.Bind(0x20000 + addr.Addr(i))
		if err != nil {
			b.Fatal(err)
		}
		send(b, idle, pingAddr, "once")
		send(b, idle, echoAddr, "once")
		recv(b, ping)
		idle.Close()
	}
	return ping
}
