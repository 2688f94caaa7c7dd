// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skybus-io/skybus/gate/client"
	"github.com/skybus-io/skybus/gate/queue"
)

// send queues a packet of its own.
func send(t testing.TB, c *client.Conn, s string, kind queue.Kind, key uint64, want queue.Verdict) {
	t.Helper()
	p := queue.Borrow(c.Setup().Budget(), []byte(s))
	defer p.Release()
	if v := c.Send(p, kind, key); v != want {
		t.Fatalf("%v packet of %d bytes: %v, want %v", kind, len(s), v, want)
	}
}

// numbered is a packet that says which one it is.
func numbered(i, size int) string { return fmt.Sprintf("%08d%s", i, strings.Repeat(".", size)) }

// stuff sends numbered packets to a client that does not read until it is slow, and returns
// how many were queued.
func stuff(t testing.TB, c *client.Conn, size int) int {
	t.Helper()
	for i := 0; ; i++ {
		for c.Stats().Over {
			if stuck(c) {
				return i
			}
		}
		send(t, c, numbered(i, size), queue.Must, 0, queue.Queued)
	}
}

// stuck reports whether a client has taken nothing for a while. One that looks slow may only wait for a busy system, which has
// not carried over yet what its memory has room for.
func stuck(c *client.Conn) bool {
	out := c.Stats().Queue.BytesOut
	for range 5 {
		time.Sleep(2 * time.Millisecond)
		if s := c.Stats(); !s.Flushing || s.Queue.BytesOut != out {
			return false
		}
	}
	return true
}

// small has marks that are soon reached, and a budget.
func small() client.Options {
	return client.Options{Marks: queue.Marks{Soft: 20_000, Low: 5_000, Hard: 100_000}, Budget: new(queue.Budget)}
}

// slowly makes a client with little room for what it does not read: so little, if it
// is tiny, that the kernel sends it some 100 KB in 3 s.
func slowly(t testing.TB, transport string, o client.Options) (*client.Conn, *peer, <-chan error) {
	t.Helper()
	return slowlyWith(t, transport, o, 64<<10)
}

const tiny = 4096

func slowlyWith(t testing.TB, transport string, o client.Options, room int) (*client.Conn, *peer, <-chan error) {
	t.Helper()
	c, p := join(t, transport, prepare(t, o))
	if tc, ok := p.raw.(*net.TCPConn); ok {
		_ = tc.SetReadBuffer(room)
	}
	return c, p, serve(c, discard)
}

// TestASlowClient goes above the soft mark and below the low one, and gets everything in order.
func TestASlowClient(t *testing.T) {
	each(t, transports, func(t *testing.T, transport string) {
		edges := make(chan bool, 1000)
		o := small()
		o.OnSlow = func(c *client.Conn, over bool, queued int) {
			if over != (queued > 20_000) || !over && queued >= 5000 {
				t.Errorf("over %v with %d bytes", over, queued)
			}
			c.Queued() // no lock is held
			edges <- over
		}
		c, p, end := slowly(t, transport, o)
		n := stuff(t, c, 1000)
		s := c.Stats()
		if !s.Flushing || s.Queue.Bytes <= 20_000 || s.OverSince == 0 {
			t.Errorf("%+v", s)
		}
		overs := s.Queue.Overs // more than one if the system was slow at first
		over := uint32(0)
		for range 2*overs - 1 {
			if <-edges {
				over++
			}
		}
		if over != overs {
			t.Errorf("%d edges above the mark, want %d", over, overs)
		}
		send(t, c, "dropped", queue.Droppable, 0, queue.Dropped)
		send(t, c, "position 1", queue.Newest, 7, queue.Queued)
		send(t, c, "position 2", queue.Newest, 7, queue.Replaced)
		for i := range n {
			p.want(t, numbered(i, 1000))
		}
		p.want(t, "position 2")
		if <-edges {
			t.Error("the last edge is not the end")
		}
		eventually(t, "the flusher ends", func() bool { return !c.Stats().Flushing })
		send(t, c, "droppable", queue.Droppable, 0, queue.Queued)
		c.Flush()
		p.want(t, "droppable")
		s = c.Stats()
		if s.Over || s.Queue.Overs != overs || s.Queue.Dropped != 1 || s.Queue.Replaced != 1 || s.Queue.PacketsOut != uint64(n+2) {
			t.Errorf("%+v", s)
		}
		if used := o.Budget.Used(); used != 0 {
			t.Errorf("%d bytes are counted of an empty queue", used)
		}
		_ = p.Close()
		wantEnd(t, end, io.EOF)
	})
}

// TestABurstIsNotSlow sends much to a client that reads, without a flush in between.
func TestABurstIsNotSlow(t *testing.T) {
	each(t, []string{"tcp", "tls", "ws"}, func(t *testing.T, transport string) {
		o := client.Options{OnSlow: func(*client.Conn, bool, int) { t.Error("it is slow") }}
		c, p := join(t, transport, prepare(t, o))
		end := serve(c, discard)
		big := queue.New(nil, make([]byte, 60_000)) // less than a socket takes at once
		if v := c.Send(big, queue.Must, 0); v != queue.Queued || c.Queued() < 60_000 {
			t.Errorf("%v, %d bytes queued", v, c.Queued())
		}
		if v := c.Send(big, queue.Must, 0); v != queue.Queued || c.Queued() > 64<<10 {
			t.Errorf("%v, %d bytes queued: not written at the mark", v, c.Queued())
		}
		c.Flush()
		p.want(t, string(big.Payload()), string(big.Payload()))
		_ = p.Close()
		wantEnd(t, end, io.EOF)
	})
}

func TestTheHardLimitKicks(t *testing.T) {
	each(t, transports, func(t *testing.T, transport string) {
		o := small()
		var kicks atomic.Int32
		o.OnKick = func(c *client.Conn, reason error) {
			if kicks.Add(1); !errors.Is(reason, client.ErrFull) {
				t.Errorf("kicked for %v", reason)
			}
		}
		c, p, end := slowlyWith(t, transport, o, tiny)
		done := c.Done()
		stuff(t, c, 1000)
		packet := queue.New(o.Budget, make([]byte, 1000))
		v := queue.Queued
		for v == queue.Queued {
			v = c.Send(packet, queue.Must, 0)
		}
		if v != queue.Kick {
			t.Errorf("%v, want kick", v)
		}
		<-done
		wantEnd(t, end, client.ErrKicked, client.ErrFull)
		send(t, c, "late", queue.Must, 0, queue.Closed)
		if o.Budget.Used() != 0 || c.Queued() != 0 || kicks.Load() != 1 {
			t.Errorf("%d bytes counted, %d queued, %d kicks", o.Budget.Used(), c.Queued(), kicks.Load())
		}
		if most := o.Budget.Most(); most < 20_000 || most > 40_000 { // the packet that filled it counts once
			t.Errorf("most %d", most)
		}
		p.wantReset(t)
	})
}

func TestDropPolicies(t *testing.T) {
	for _, policy := range []queue.Policy{queue.DropNew, queue.DropOld} {
		each(t, []string{"tcp", "tls", "ws"}, func(t *testing.T, transport string) {
			o := small()
			o.Marks.Policy = policy
			c, p, end := slowly(t, transport, o)
			n := stuff(t, c, 1000)
			for c.Stats().Queue.Dropped < 20 {
				want := queue.Queued
				if policy == queue.DropNew && c.Stats().Queue.Dropped > 0 {
					want = queue.Dropped
				}
				packet := queue.New(o.Budget, []byte(numbered(n, 1000)))
				if v := c.Send(packet, queue.Must, 0); v != queue.Queued && v != want && v != queue.Dropped {
					t.Fatal(v)
				}
				n++
			}
			dropped := int(c.Stats().Queue.Dropped)
			last := -1
			for range n - dropped {
				s, err := p.recv()
				if err != nil {
					t.Fatal(err)
				}
				i := 0
				if _, err := fmt.Sscanf(s[:8], "%d", &i); err != nil || i <= last {
					t.Fatalf("%q after %d, %v", s[:8], last, err)
				}
				last = i
			}
			if newest := last == n-1; newest != (policy == queue.DropOld) {
				t.Errorf("%v: the last is %d of %d", policy, last, n)
			}
			_ = p.Close()
			wantEnd(t, end, io.EOF)
		})
	}
}

func TestOverdue(t *testing.T) {
	for want, marks := range map[error]queue.Marks{
		client.ErrStalled: {Soft: 1 << 20, Stall: time.Hour},
		client.ErrSlow:    {Soft: 20_000, Slow: time.Hour, Stall: -1},
	} {
		each(t, []string{"tcp", "tls", "wss"}, func(t *testing.T, transport string) {
			told := make(chan error, 10)
			o := client.Options{Marks: marks, OnKick: func(_ *client.Conn, reason error) { told <- reason }}
			c, p, end := slowly(t, transport, o)
			packet := queue.New(nil, make([]byte, 10_000))
			for c.Queued() < 30_000 || !stuck(c) {
				if v := c.Send(packet, queue.Must, 0); v != queue.Queued {
					t.Fatal(v)
				}
				c.Flush()
			}
			if err := c.Overdue(client.Now()); err != nil {
				t.Errorf("at once: %v", err)
			}
			if err := c.Overdue(client.Now() + int64(2*time.Hour)); !errors.Is(err, want) {
				t.Errorf("later: %v, want %v", err, want)
			}
			wantEnd(t, end, client.ErrKicked, want)
			if err := c.Overdue(client.Now() + int64(2*time.Hour)); err != nil || len(told) != 1 || !errors.Is(<-told, want) {
				t.Errorf("after the end: %v; told %d times, or of something else", err, len(told))
			}
			p.wantReset(t)
		})
	}
}

// TestOrder has several goroutines send and flush while the client reads now and then.
func TestOrder(t *testing.T) {
	each(t, transports, func(t *testing.T, transport string) {
		const senders, packets = 4, 500
		o := client.Options{Marks: queue.Marks{Hard: 16 << 20, Soft: 16 << 20}}
		c, p, end := slowly(t, transport, o)
		var wg sync.WaitGroup
		for s := range senders {
			wg.Go(func() {
				for i := range packets {
					packet := queue.Borrow(nil, fmt.Appendf(nil, "%d %d %s", s, i, strings.Repeat("x", i%400)))
					c.Send(packet, queue.Must, 0)
					packet.Release()
					if i%3 == 0 {
						c.Flush()
					}
				}
				c.Flush()
			})
		}
		var next [senders]int
		for n := range senders * packets {
			if n%700 == 0 {
				time.Sleep(3 * time.Millisecond) // it falls behind
			}
			got, err := p.recv()
			if err != nil {
				t.Fatal(err)
			}
			var s, i int
			if _, err := fmt.Sscanf(got, "%d %d", &s, &i); err != nil || i != next[s] {
				t.Fatalf("got %.20q, want %d of sender %d", got, next[s], s)
			}
			next[s]++
		}
		wg.Wait()
		_ = p.Close()
		wantEnd(t, end, io.EOF)
	})
}

func TestSendWait(t *testing.T) {
	each(t, []string{"tcp", "tls", "ws"}, func(t *testing.T, transport string) {
		c, p, end := slowly(t, transport, small())
		packet := queue.New(nil, []byte("waited"))
		if v, err := c.SendWait(context.Background(), packet, queue.Must, 0); v != queue.Queued || err != nil {
			t.Errorf("to one that is not slow: %v, %v", v, err)
		}
		n := stuff(t, c, 1000)
		stop := errors.New("no more patience")
		ctx, cancel := context.WithCancelCause(context.Background())
		cancel(stop)
		if _, err := c.SendWait(ctx, packet, queue.Must, 0); !errors.Is(err, stop) {
			t.Errorf("with an ended context: %v", err)
		}
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if v, err := c.SendWait(context.Background(), packet, queue.Must, 0); v != queue.Queued || err != nil {
					t.Errorf("%v, %v", v, err)
				}
			})
		}
		p.want(t, "waited")
		for i := range n {
			p.want(t, numbered(i, 1000))
		}
		p.want(t, "waited", "waited", "waited")
		wg.Wait()
		stuff(t, c, 1000)
		wg.Go(func() {
			if v, err := c.SendWait(context.Background(), packet, queue.Must, 0); v != queue.Closed || !errors.Is(err, client.ErrKicked) {
				t.Errorf("kicked while it waits: %v, %v", v, err)
			}
		})
		time.Sleep(time.Millisecond)
		c.Kick(nil)
		wg.Wait()
		wantEnd(t, end, client.ErrKicked)
	})
}

func TestAPacketThatTheFrameCannotCarry(t *testing.T) {
	clean(t)
	c, p := join(t, "tcp", prepare(t, client.Options{}))
	send(t, c, strings.Repeat("x", 70_000), queue.Must, 0, queue.Refused)
	send(t, c, "next", queue.Must, 0, queue.Queued)
	c.Flush()
	p.want(t, "next")
	if c.Stats().Queue.Refused != 1 {
		t.Errorf("%+v", c.Stats())
	}
	c.Close()
}

// TestFormsAreShared sends one packet to clients of different kinds.
func TestFormsAreShared(t *testing.T) {
	clean(t)
	var budget queue.Budget
	packet := queue.New(&budget, []byte(strings.Repeat("shared ", 1000)))
	var conns []*client.Conn
	var peers []*peer
	for range 3 {
		for _, transport := range []string{"tcp", "ws", "tls"} {
			c, p := join(t, transport, prepare(t, client.Options{}))
			conns, peers = append(conns, c), append(peers, p)
			if v := c.Send(packet, queue.Must, 0); v != queue.Queued {
				t.Fatal(v)
			}
		}
	}
	if used := budget.Used(); used < 14_000 || used > 15_000 {
		t.Errorf("%d bytes are counted, want about 2 forms of 7000", used)
	}
	for i, c := range conns {
		c.Flush()
		peers[i].want(t, string(packet.Payload()))
		c.Close()
	}
	if budget.Used() != 0 {
		t.Errorf("%d bytes are left", budget.Used())
	}
}

// TestATinyWindow has a client get everything through the smallest window there is.
func TestATinyWindow(t *testing.T) {
	clean(t)
	o := client.Options{Marks: queue.Marks{Soft: 5000, Low: 1000}}
	c, p, end := slowlyWith(t, "tcp", o, tiny)
	packet := queue.New(nil, make([]byte, 3000))
	n := 0
	for ; !c.Stats().Over; n++ {
		if v := c.Send(packet, queue.Must, 0); v != queue.Queued {
			t.Fatal(v)
		}
		c.Flush()
	}
	for range n {
		p.want(t, string(packet.Payload()))
	}
	_ = p.Close()
	wantEnd(t, end, io.EOF)
}
