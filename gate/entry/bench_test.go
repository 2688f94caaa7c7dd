// SPDX-License-Identifier: Apache-2.0

package entry

import (
	"log/slog"
	"net"
	"sync"
	"testing"

	"github.com/skybus-io/skybus/gate/client"
)

// storm has goroutines connect to a server and go away again, b.N times in all, and reports
// how many connections a second that is. Clients and server share the processors.
func storm(b *testing.B, opt Options, each func(net.Conn)) *Server {
	b.Helper()
	opt.Log = slog.New(slog.DiscardHandler)
	opt.Accept = func(c *client.Conn, _ *Info) { _ = c.Serve(func([][]byte) error { return nil }) }
	s, err := New(opt)
	if err != nil {
		b.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l, Config{}) }()
	b.Cleanup(func() {
		s.Close()
		if err := <-served; err != nil {
			b.Error(err)
		}
	})
	if opt.Connections == 1 {
		first, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		defer first.Close()
		eventually(b, "the one that may stay is there", func() bool { return s.Stats().Connections == 1 })
	}
	const clients = 32
	var group sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	for i := range clients {
		group.Go(func() {
			for range (b.N + i) / clients {
				c, err := net.Dial("tcp", l.Addr().String())
				if err != nil {
					continue // reset before it was made
				}
				each(c)
				_ = c.(*net.TCPConn).SetLinger(0)
				c.Close()
			}
		})
	}
	group.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "conns/s")
	return s
}

// BenchmarkAccept accepts connections that go away at once.
func BenchmarkAccept(b *testing.B) {
	s := storm(b, Options{Connections: -1, PerAddress: -1}, func(net.Conn) {})
	if st := s.Stats(); st.Accepted < uint64(b.N)*9/10 {
		b.Errorf("%d of %d were accepted", st.Accepted, b.N)
	}
}

// BenchmarkAcceptServed accepts connections that send a first packet before they go.
func BenchmarkAcceptServed(b *testing.B) {
	storm(b, Options{Connections: -1, PerAddress: -1}, func(c net.Conn) { _, _ = c.Write([]byte("\x00\x01x")) })
}

// BenchmarkRefuse turns away what is above a cap.
func BenchmarkRefuse(b *testing.B) {
	storm(b, Options{Connections: 1, FirstByte: -1}, func(c net.Conn) {
		var one [1]byte
		_, _ = c.Read(one[:])
	})
}

// BenchmarkListener is what the same costs without a Server: accept and close.
func BenchmarkListener(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	const clients = 32
	var group sync.WaitGroup
	b.ReportAllocs()
	for i := range clients {
		group.Go(func() {
			for range (b.N + i) / clients {
				c, err := net.Dial("tcp", l.Addr().String())
				if err != nil {
					continue
				}
				_ = c.(*net.TCPConn).SetLinger(0)
				c.Close()
			}
		})
	}
	group.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "conns/s")
}

// BenchmarkSweep looks at 10,000 connections that are served, as one second does.
func BenchmarkSweep(b *testing.B) {
	s, err := New(Options{Accept: func(*client.Conn, *Info) {}})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	guests := make([]*guest, 10_000)
	for i := range guests {
		guests[i] = &guest{s: s}
		guests[i].enter(phaseServed)
		s.sweep.add(guests[i])
		s.sweep.admit(guests[i])
	}
	for b.Loop() {
		now := s.now()
		for _, g := range guests {
			g.check(now)
		}
	}
	for _, g := range guests {
		s.sweep.remove(g)
	}
}
