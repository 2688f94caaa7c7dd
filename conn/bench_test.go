// SPDX-License-Identifier: Apache-2.0

package conn

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/skybus-io/skybus/actor"
)

// benchEcho has clients, which are goroutines, ask for 64 bytes again and again.
func benchEcho(b *testing.B, address string, clients int) {
	b.Helper()
	ask := append(bytes.Repeat([]byte{'x'}, 63), '\n')
	var all sync.WaitGroup
	b.SetBytes(int64(len(ask)))
	b.ReportAllocs()
	b.ResetTimer()
	for i := range clients {
		nc, err := net.Dial("tcp", address)
		if err != nil {
			b.Fatal(err)
		}
		rounds := b.N / clients
		if i == 0 {
			rounds += b.N % clients
		}
		all.Go(func() {
			defer nc.Close()
			got := make([]byte, len(ask))
			for range rounds {
				if _, err := nc.Write(ask); err != nil {
					b.Error(err)
					return
				}
				if _, err := io.ReadFull(nc, got); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}

func benchService(b *testing.B, f func(c *actor.Context, n *Conn)) (*Listener, func()) {
	b.Helper()
	rt := actor.New(actor.Config{})
	p, err := rt.Start(b.Context(), actor.Spec{New: newService})
	if err != nil {
		b.Fatal(err)
	}
	return listen(b, rt, p, Config{}, "127.0.0.1:0", f), rt.Close
}

// BenchmarkEcho is a line of 64 bytes to a service and back over loopback.
func BenchmarkEcho(b *testing.B) {
	ln, stop := benchService(b, echo)
	defer stop()
	b.Run("1", func(b *testing.B) { benchEcho(b, ln.Addr().String(), 1) })
	b.Run("100", func(b *testing.B) { benchEcho(b, ln.Addr().String(), 100) })
}

// BenchmarkEchoGoroutines is the same with a goroutine a connection and no service.
func BenchmarkEchoGoroutines(b *testing.B) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer nc.Close()
				r := bufio.NewReader(nc)
				for {
					line, err := r.ReadSlice('\n')
					if err != nil {
						return
					}
					if _, err := nc.Write(line); err != nil {
						return
					}
				}
			}()
		}
	}()
	b.Run("1", func(b *testing.B) { benchEcho(b, ln.Addr().String(), 1) })
	b.Run("100", func(b *testing.B) { benchEcho(b, ln.Addr().String(), 100) })
}

// BenchmarkBulk is 64 KiB to a service, which throws them away.
func BenchmarkBulk(b *testing.B) {
	const size = 64 << 10
	done := make(chan bool)
	ln, stop := benchService(b, func(c *actor.Context, n *Conn) {
		for {
			if _, err := n.ReadN(c, size); err != nil {
				done <- true
				return
			}
		}
	})
	defer stop()
	nc, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	data := make([]byte, size)
	b.SetBytes(size)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		if _, err := nc.Write(data); err != nil {
			b.Fatal(err)
		}
	}
	nc.Close()
	<-done
}
