// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/skybus-io/skybus/gate/client"
	"github.com/skybus-io/skybus/gate/frame"
	"github.com/skybus-io/skybus/gate/queue"
)

// TestPacketsSplitAtEveryByte sends the same packets in two writes, and one byte at a time.
func TestPacketsSplitAtEveryByte(t *testing.T) {
	want := []string{"one", "", strings.Repeat("two", 60), "3"}
	each(t, transports, func(t *testing.T, transport string) {
		set := prepare(t, client.Options{})
		c, p := join(t, transport, set)
		c.Authenticated()
		got := make(chan string, 10_000)
		end := serve(c, func(packets [][]byte) error {
			for _, b := range packets {
				got <- string(b)
			}
			return nil
		})
		whole := p.wire(want...)
		check := func(what string) {
			for _, w := range want {
				if s := <-got; s != w {
					t.Fatalf("%s: got %q, want %q", what, s, w)
				}
			}
		}
		for i := 1; i < len(whole); i++ {
			_, _ = p.Write(whole[:i])
			_, _ = p.Write(whole[i:])
			check(fmt.Sprintf("split at %d", i))
		}
		for _, b := range whole {
			_, _ = p.Write([]byte{b})
		}
		check("byte by byte")
		_ = p.Close()
		wantEnd(t, end, io.EOF)
		if s := c.Stats(); s.PacketsIn != uint64(len(want)*len(whole)) {
			t.Errorf("%d packets counted, want %d", s.PacketsIn, len(want)*len(whole))
		}
	})
}

func TestABatchIsOneRead(t *testing.T) {
	each(t, []string{"tcp", "ws", "tls", "wss"}, func(t *testing.T, transport string) {
		set := prepare(t, client.Options{})
		c, p := join(t, transport, set)
		c.Authenticated()
		var sizes []int
		first := make(chan struct{})
		goOn := make(chan struct{})
		end := serve(c, func(packets [][]byte) error {
			if sizes = append(sizes, len(packets)); len(sizes) == 1 {
				close(first)
				<-goOn
			}
			return nil
		})
		p.send(t, "first")
		<-first
		p.send(t, slices.Repeat([]string{"x"}, client.MaxBatch+10)...) // while the handler waits
		time.Sleep(20 * time.Millisecond)                              // loopback needs less
		close(goOn)
		_ = p.Close()
		wantEnd(t, end, io.EOF)
		if want := []int{1, client.MaxBatch, 10}; !slices.Equal(sizes, want) {
			t.Errorf("batches %v, want %v", sizes, want)
		}
	})
}

// TestBeforeAuthenticated has packets come one at a time, with a small limit, until the
// handler says otherwise; also if they came together.
func TestBeforeAuthenticated(t *testing.T) {
	each(t, transports, func(t *testing.T, transport string) {
		set := prepare(t, client.Options{BeforeAuth: 10})
		c, p := join(t, transport, set)
		calls := 0
		end := serve(c, func(packets [][]byte) error {
			if calls++; len(packets) != 1 {
				t.Errorf("%d packets at once", len(packets))
			}
			if string(packets[0]) == "auth" {
				c.Authenticated()
			}
			return nil
		})
		p.send(t, "hello", "auth", strings.Repeat("x", 20_000))
		_ = p.Close()
		if wantEnd(t, end, io.EOF); calls != 3 {
			t.Errorf("%d calls, want 3", calls)
		}
	})
}

func TestTooLarge(t *testing.T) {
	each(t, transports, func(t *testing.T, transport string) {
		set := prepare(t, client.Options{BeforeAuth: 10})
		c, p := join(t, transport, set)
		got := 0
		end := serve(c, func(packets [][]byte) error {
			got++
			return nil
		})
		p.send(t, "good")
		go func() { _, _ = p.Write(p.wire("good", strings.Repeat("x", 11), "lost")) }()
		if p.web {
			if _, err := p.recv(); !isClose(err, frame.CloseTooBig) {
				t.Errorf("the client: %v, want close code %d", err, frame.CloseTooBig)
			}
		}
		_, _ = io.Copy(io.Discard, p.raw)
		_ = p.Close()
		if wantEnd(t, end, frame.ErrTooLarge); got != 2 {
			t.Errorf("%d packets before, want 2", got)
		}
	})
}

func isClose(err error, code uint16) bool {
	var ce *client.CloseError
	return errors.As(err, &ce) && ce.Code == code
}

func TestTheErrorOfTheHandlerEndsIt(t *testing.T) {
	each(t, transports, func(t *testing.T, transport string) {
		c, p := join(t, transport, prepare(t, client.Options{}))
		enough := errors.New("enough")
		end := serve(c, func([][]byte) error { return enough })
		p.send(t, "x")
		wantEnd(t, end, enough)
		if !errors.Is(c.Err(), enough) {
			t.Errorf("Err: %v", c.Err())
		}
		if err := c.Serve(discard); !errors.Is(err, enough) {
			t.Errorf("Serve again: %v", err)
		}
		_, _ = io.Copy(io.Discard, p.raw) // it ends
	})
}

func TestEarlyBytes(t *testing.T) {
	each(t, []string{"tcp", "tls", "ws"}, func(t *testing.T, transport string) {
		early := (&peer{web: transport == "ws"}).wire("early", "late")
		c, p := joinLink(t, transport, prepare(t, client.Options{}), client.Link{Early: early[:len(early)-3]})
		var got []string
		end := serve(c, func(packets [][]byte) error {
			got = append(got, string(packets[0]))
			return nil
		})
		_, _ = p.Write(early[len(early)-3:])
		_ = p.Close()
		if wantEnd(t, end, io.EOF); !slices.Equal(got, []string{"early", "late"}) {
			t.Errorf("got %q", got)
		}
	})
}

func TestHalfAPacket(t *testing.T) {
	each(t, transports, func(t *testing.T, transport string) {
		c, p := join(t, transport, prepare(t, client.Options{}))
		c.Authenticated()
		end := serve(c, discard)
		if _, half := c.HalfSince(); half {
			t.Error("half a packet before anything")
		}
		whole := p.wire("hello")
		_, _ = p.Write(whole[:3])
		eventually(t, "half a packet is seen", func() bool { _, half := c.HalfSince(); return half })
		since, _ := c.HalfSince()
		if now := client.Now(); since <= 0 || since > now {
			t.Errorf("since %d, now %d", since, now)
		}
		_, _ = p.Write(whole[3:5])
		_, _ = p.Write(append(whole[5:], whole[:4]...))
		eventually(t, "another half", func() bool { s, half := c.HalfSince(); return half && s > since })
		_, _ = p.Write(whole[4:])
		eventually(t, "no half", func() bool { _, half := c.HalfSince(); return !half })
		_ = p.Close()
		wantEnd(t, end, io.EOF)
	})
}

func TestALargePacketGrowsWithItsBytes(t *testing.T) {
	each(t, transports, func(t *testing.T, transport string) {
		set := prepare(t, client.Options{Framing: frame.Length4, MaxPacket: 8 << 20})
		c, p := join(t, transport, set)
		c.Authenticated()
		want := bytes.Repeat([]byte("large "), 1<<20)
		end := serve(c, func(packets [][]byte) error {
			if len(packets) != 1 || !bytes.Equal(packets[0], want) {
				return fmt.Errorf("%d packets, the first of %d bytes", len(packets), len(packets[0]))
			}
			return nil
		})
		b, err := frame.Length4.Append(nil, want)
		if err != nil {
			t.Fatal(err)
		}
		if p.web {
			b = p.wire(string(want))
		}
		if _, err := p.Write(b); err != nil {
			t.Error(err)
		}
		_ = p.Close()
		wantEnd(t, end, io.EOF)
	})
}

func TestRate(t *testing.T) {
	cases := []struct {
		name string
		rate client.Rate
		most time.Duration // a lower bound of what 30 packets of 10 bytes take
	}{
		{"none", client.Rate{}, 0},
		{"packets", client.Rate{Packets: 100, PacketBurst: 10}, 190 * time.Millisecond},
		{"bytes", client.Rate{Bytes: 1000, ByteBurst: 100}, 190 * time.Millisecond},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			clean(t)
			c, p := join(t, "tcp", prepare(t, client.Options{Rate: tc.rate}))
			c.Authenticated()
			begin := time.Now()
			end := serve(c, discard)
			p.send(t, slices.Repeat([]string{"0123456789"}, 30)...)
			_ = p.Close()
			wantEnd(t, end, io.EOF)
			s := c.Stats()
			if took := time.Since(begin); took < tc.most || (s.Throttled > 0) != (tc.most > 0) || s.PacketsIn != 30 {
				t.Errorf("%d packets in %v, %d pauses of %v", s.PacketsIn, took, s.Throttled, s.ThrottledFor)
			}
		})
	}
	if _, err := client.Prepare(client.Options{Rate: client.Rate{Bytes: -1}}); err == nil {
		t.Error("a rate below 0 is accepted")
	}
}

func TestKickEndsAThrottledClient(t *testing.T) {
	clean(t)
	c, p := join(t, "tcp", prepare(t, client.Options{Rate: client.Rate{Packets: 1}}))
	c.Authenticated()
	end := serve(c, discard)
	p.send(t, slices.Repeat([]string{"x"}, 1000)...)
	eventually(t, "it is throttled", func() bool { return c.Stats().Throttled > 0 })
	c.Kick(nil)
	wantEnd(t, end, client.ErrKicked)
}

func TestOptions(t *testing.T) {
	o := prepare(t, client.Options{}).Options()
	if o.Framing != frame.Length2 || o.MaxPacket != 65535 || o.BeforeAuth != 4096 || o.Marks.Hard != 1<<20 {
		t.Errorf("defaults %+v", o)
	}
	for _, bad := range []client.Options{
		{MaxPacket: -1}, {BeforeAuth: -1}, {MaxPacket: 10, BeforeAuth: 11}, {Marks: queue.Marks{Soft: -1}},
	} {
		if _, err := client.Prepare(bad); err == nil {
			t.Errorf("%+v is accepted", bad)
		}
	}
}

// TestEchoDoesNotAllocate counts for a client and the server together.
func TestEchoDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("pools forget at random here")
	}
	clean(t)
	for _, transport := range []string{"tcp", "ws"} {
		c, p := join(t, transport, prepare(t, client.Options{}))
		c.Authenticated()
		end := make(chan error, 1)
		go func() { end <- echo(c) }()
		request := p.wire(strings.Repeat("x", 64))
		answer := make([]byte, 66)
		n := testing.AllocsPerRun(500, func() {
			_, _ = p.Write(request)
			_, _ = io.ReadFull(p.Conn, answer)
		})
		if n > 0.1 {
			t.Errorf("%s: %v allocations, want none", transport, n)
		}
		_ = p.Close()
		wantEnd(t, end, io.EOF)
	}
}
