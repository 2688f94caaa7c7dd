// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/skybus-io/skybus/gate/client"
	"github.com/skybus-io/skybus/gate/queue"
)

// echo answers each packet, all of a batch by one write.
func echo(c *client.Conn) error {
	return c.Serve(func(packets [][]byte) error {
		for _, b := range packets {
			p := queue.Borrow(nil, b)
			c.Send(p, queue.Must, 0)
			p.Release()
		}
		c.Flush()
		return nil
	})
}

// BenchmarkEcho is a request of 64 bytes and its answer, on 100 connections at once. Half of
// the time is the client's.
func BenchmarkEcho(b *testing.B) {
	const connections = 100
	l := listen(b)
	set := prepare(b, client.Options{})
	var clients []net.Conn
	var served sync.WaitGroup
	for range connections {
		far, near := connect(b, l)
		c := newConn(b, near, set, client.Link{})
		c.Authenticated()
		served.Go(func() { _ = echo(c) })
		clients = append(clients, far)
	}
	b.ResetTimer()
	b.ReportAllocs()
	var wg sync.WaitGroup
	for _, c := range clients {
		wg.Go(func() {
			request := framed(make([]byte, 64))
			answer := make([]byte, len(request))
			for range b.N / connections {
				_, _ = c.Write(request)
				if _, err := io.ReadFull(c, answer); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	for _, c := range clients {
		_ = c.Close()
	}
	served.Wait()
}

// BenchmarkBroadcast is 16 packets to each of 2,000 connections in one batch: ns/op is for one delivery.
func BenchmarkBroadcast(b *testing.B) {
	const connections, packets = 2000, 16
	l := listen(b)
	set := prepare(b, client.Options{})
	var conns []*client.Conn
	var readers sync.WaitGroup
	for range connections {
		far, near := connect(b, l)
		conns = append(conns, newConn(b, near, set, client.Link{}))
		readers.Go(func() { _, _ = io.Copy(io.Discard, far) })
	}
	payload := make([]byte, 64)
	b.ResetTimer()
	for range b.N/(connections*packets) + 1 {
		for range packets {
			p := queue.New(set.Budget(), payload)
			for _, c := range conns {
				if v := c.Send(p, queue.Must, 0); v != queue.Queued {
					b.Fatal(v)
				}
			}
		}
		for _, c := range conns {
			c.Flush()
		}
	}
	b.StopTimer()
	for _, c := range conns {
		c.Kick(nil)
	}
	readers.Wait()
}

// BenchmarkIdle is the memory of a connection of which nothing comes: heap and stacks, of
// 4,000 connections. The other ends are in the same process and are taken off.
func BenchmarkIdle(b *testing.B) {
	const connections = 4000
	for _, kind := range []string{"tcp", "ws", "tls"} {
		b.Run(kind, func(b *testing.B) {
			for b.Loop() {
				b.ReportMetric(idle(b, kind, connections), "B/conn")
			}
		})
	}
}

func idle(b *testing.B, kind string, connections int) float64 {
	l := listen(b)
	set := prepare(b, client.Options{})
	nothing := inUse()
	fars, nears := make([]net.Conn, connections), make([]net.Conn, connections)
	for i := range fars { // without the helpers, whose cleanups take memory too
		var ferr, nerr error
		fars[i], ferr = net.Dial("tcp", l.Addr().String())
		nears[i], nerr = l.Accept()
		if err := errors.Join(ferr, nerr); err != nil {
			b.Fatal(err)
		}
	}
	far := (inUse() - nothing) / 2
	if kind == "tls" {
		for i, near := range nears {
			nears[i] = secure(b, near, fars[i])
		}
	}
	conns := make([]*client.Conn, connections)
	var served sync.WaitGroup
	for i, near := range nears {
		c, err := client.New(near, set, client.Link{WebSocket: kind == "ws"})
		if err != nil {
			b.Fatal(err)
		}
		conns[i] = c
		served.Go(func() { _ = echo(c) })
	}
	time.Sleep(100 * time.Millisecond) // for all to wait; one that does not yet has more
	grown := inUse() - nothing - far
	for i, c := range conns {
		c.Kick(nil)
		_ = fars[i].Close()
	}
	served.Wait()
	return float64(grown) / float64(connections)
}

func inUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}

func framed(payload []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(payload))), payload...)
}
