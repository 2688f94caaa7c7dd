// SPDX-License-Identifier: Apache-2.0

package entry

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/skybus-io/skybus/gate/client"
	"github.com/skybus-io/skybus/internal/killtest"
)

func TestMain(m *testing.M) {
	killtest.Main(map[string]killtest.Role{"server": serverRole})
	os.Exit(m.Run())
}

// serverRole serves at a port of its choice with so many descriptors. It prints its address,
// and its counters for each line that it reads.
func serverRole(args []byte) error {
	files, err := killtest.Args[uint64](args)
	if err != nil {
		return err
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	limit.Cur = min(files, limit.Max)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	s, err := New(unhurried(Options{PerAddress: -1, Log: slog.New(slog.DiscardHandler), Accept: func(c *client.Conn, in *Info) {
		_ = c.Serve(func(packets [][]byte) error {
			in.Authenticated()
			for _, p := range packets {
				send(c, p)
			}
			return nil
		})
	}}))
	if err != nil {
		return err
	}
	defer s.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	served := make(chan error, 1)
	config, err := newTLS()
	if err != nil {
		return err
	}
	go func() { served <- s.Serve(l, Config{TLS: config}) }()
	fmt.Println(l.Addr())
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		st := processStats{Stats: s.Stats()}
		if in.Text() == "memory" {
			st.Heap, st.Stacks = memory()
		}
		b, err := json.Marshal(st)
		if err != nil {
			return err
		}
		fmt.Println(string(b))
	}
	s.Stop()
	return <-served
}

// processStats is what a server process says of itself.
type processStats struct {
	Stats
	Heap, Stacks uint64 // bytes in use; only if they were asked for
}

// memory returns what heap and stacks take after everything has been collected.
func memory() (heap, stacks uint64) {
	runtime.GC()
	runtime.GC() // what pools keep is given up by the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse, m.StackInuse
}

// BenchmarkIdle has connections do nothing in a process of their own, and reports what each takes
// there. b.N is of no importance.
func BenchmarkIdle(b *testing.B) {
	const n = 2000
	for _, kind := range []Protocols{TCP, WS, TLS, WSS} {
		b.Run(kinds[kind], func(b *testing.B) {
			for b.Loop() {
				heap, stacks := idleBytes(b, kind, n)
				b.ReportMetric(heap, "heap-B/conn")
				b.ReportMetric(stacks, "stack-B/conn")
				b.ReportMetric(heap+stacks, "B/conn")
			}
		})
	}
}

func idleBytes(b *testing.B, kind Protocols, n int) (heap, stacks float64) {
	p := killtest.Start(b, "server", n+100)
	addr := p.Line()
	measure := func() (st processStats) {
		p.Tell("memory")
		if err := json.Unmarshal([]byte(p.Line()), &st); err != nil {
			b.Fatal(err)
		}
		return st
	}
	join := func() *peer {
		c, err := open(addr, kind, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // the certificate is of the other process
		if err == nil {
			err = c.talk("hello")
		}
		if err != nil {
			b.Fatal(err)
		}
		return c
	}
	first := join() // what is made once
	defer first.Close()
	before := measure()
	for range n {
		defer join().Close()
	}
	after := measure()
	if after.Connections != n+1 {
		b.Fatalf("%d connections, want %d", after.Connections, n+1)
	}
	each := func(before, after uint64) float64 { return (float64(after) - float64(before)) / float64(n) }
	return each(before.Heap, after.Heap), each(before.Stacks, after.Stacks)
}

// statsOf asks a server process for its counters.
func statsOf(t *testing.T, p *killtest.Process) (st Stats) {
	t.Helper()
	p.Tell("stats")
	if err := json.Unmarshal([]byte(p.Line()), &st); err != nil {
		t.Fatal(err)
	}
	return st
}

// joinAll connects n clients, and returns those that were served. Nobody may be left waiting.
func joinAll(t *testing.T, addr string, n int) (served []*peer) {
	t.Helper()
	type result struct {
		p   *peer
		err error
	}
	results := make(chan result)
	slots := make(chan struct{}, 256) // of connects at a time
	const patience = 4 * patience     // for all of them
	for range n {
		go func() {
			slots <- struct{}{}
			c, err := net.DialTimeout("tcp", addr, patience)
			<-slots
			if err != nil {
				results <- result{err: err}
				return
			}
			p := newPeer(c)
			err = errors.Join(c.SetDeadline(time.Now().Add(patience)), p.talk("hello"))
			results <- result{p, err}
		}()
	}
	for range n {
		r := <-results
		var late net.Error
		switch {
		case r.err == nil:
			served = append(served, r.p)
		case errors.As(r.err, &late) && late.Timeout():
			t.Fatalf("a client was neither served nor refused: %v", r.err)
		case r.p != nil:
			r.p.Close()
		}
	}
	return served
}

// TestDescriptorsExhausted gives a server 64 descriptors, and 200 clients. Those that
// it cannot serve are reset, the others stay, and when some go it serves again.
func TestDescriptorsExhausted(t *testing.T) {
	clean(t)
	p := killtest.Start(t, "server", 64)
	addr := p.Line()
	for round := range 3 {
		served := joinAll(t, addr, 200)
		if n := len(served); n < 10 || n > 63 {
			t.Fatalf("round %d: %d were served with 64 descriptors", round, n)
		}
		for _, c := range served {
			if err := c.talk("still here"); err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
		}
		st := statsOf(t, p)
		if st.Shortage == 0 || st.Refused[NoDescriptors] == 0 || st.Connections < len(served) {
			t.Errorf("round %d: %+v", round, st)
		}
		for _, c := range served {
			c.Close()
		}
		eventually(t, "all have left", func() bool { return statsOf(t, p).Connections == 0 })
	}
	for _, c := range joinAll(t, addr, 5) {
		c.Close()
	}
	if err := errors.Join(p.In.Close(), p.Wait()); err != nil {
		t.Error(err)
	}
}

// TestManyAtOnce has 10,000 clients come at once, as far as the descriptors of this process go.
func TestManyAtOnce(t *testing.T) {
	if testing.Short() {
		t.Skip("10,000 connections: not with -short")
	}
	clean(t)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	clients := 10_000
	if most := int(min(limit.Cur, 1<<20)) - 100; most < clients {
		t.Logf("%d clients instead of %d: the limit of descriptors is %d", most, clients, limit.Cur)
		clients = most
	}
	p := killtest.Start(t, "server", uint64(clients+100))
	addr := p.Line()
	served := joinAll(t, addr, clients)
	if len(served) != clients {
		t.Errorf("%d of %d were served", len(served), clients)
	}
	if st := statsOf(t, p); st.Connections != clients || st.Early != 0 {
		t.Errorf("%+v", st)
	}
	for _, c := range served {
		c.Close()
	}
	eventually(t, "all have left", func() bool { return statsOf(t, p).Connections == 0 })
	if err := errors.Join(p.In.Close(), p.Wait()); err != nil {
		t.Error(err)
	}
}
