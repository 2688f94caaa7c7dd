// SPDX-License-Identifier: Apache-2.0

package entry

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skybus-io/skybus/gate/client"
	"github.com/skybus-io/skybus/internal/testutil"
)

// drip writes one byte of b every second, and returns how long it was allowed to.
func drip(c net.Conn, b []byte) time.Duration {
	began := time.Now()
	for i := range b {
		if _, err := c.Write(b[i : i+1]); err != nil {
			break
		}
		time.Sleep(time.Second)
	}
	return time.Since(began)
}

// TestSlowlorisBeforeClient drips into each phase that comes before there is a
// client, in a bubble with its own time: each ends at its limit, however busy the client looks.
func TestSlowlorisBeforeClient(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	const proxyHead = "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c"
	for name, c := range map[string]struct {
		bytes string
		why   Reason
		least time.Duration
	}{
		"nothing":             {"", LateFirstByte, DefaultFirstByte},
		"part of TLS's start": {"\x16", LateFirstByte, DefaultFirstByte},
		"a PROXY header":      {proxyHead, LateFirstByte, DefaultFirstByte},
		"GET, undecided":      {"GET", LateFirstByte, DefaultFirstByte},
		"a request":           {"GET / HTTP/1.1\r\nHost: ab\r\n", LateUpgrade, DefaultFirstByte},
	} {
		synctest.Test(t, func(t *testing.T) {
			l := newPipes()
			from := "192.0.2.1:1"
			if name == "a PROXY header" {
				from = "10.0.0.1:1"
			}
			g := startWith(t, l, Options{}, Config{TLS: &tls.Config{MinVersion: tls.VersionTLS12}, Proxies: proxies})
			conn := l.dial(from)
			defer conn.Close()
			began := time.Now()
			drip(conn, []byte(c.bytes))
			if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrClosedPipe) {
				t.Errorf("%s: %v", name, err)
			}
			most := DefaultFirstByte + DefaultUpgrade + 2*time.Second
			if took := time.Since(began); took < c.least || took > most {
				t.Errorf("%s: ended after %v, want %v to %v", name, took, c.least, most)
			}
			synctest.Wait()
			g.refusedFor(c.why, 1)
			g.stop()
		})
	}
}

// TestSlowlorisClients drips into the phases that have real sockets.
func TestSlowlorisClients(t *testing.T) {
	config, pool := serverTLS(t)
	const soon = 300 * time.Millisecond
	short := Options{TLS: soon, Auth: soon, HalfPacket: soon}
	only := func(o Options) Options { return o }
	for name, c := range map[string]struct {
		opt  Options
		why  Reason
		play func(g *gateway) net.Conn
	}{
		"TLS, a ClientHello that does not go on": {only(Options{TLS: short.TLS}), LateTLS, func(g *gateway) net.Conn {
			c := g.dial()
			_, _ = c.Write([]byte("\x16\x03\x01\x01\x00\x01\x00\x00\xfc"))
			return c
		}},
		"TLS over a connection without a descriptor": {only(Options{TLS: short.TLS}), LateTLS, nil},
		"silent behind the TLS handshake": {only(Options{FirstByte: time.Second}), LateFirstByte, func(g *gateway) net.Conn {
			return g.quick(func() (*peer, error) {
				c := tls.Client(g.dial(), &tls.Config{RootCAs: pool, ServerName: "localhost", MinVersion: tls.VersionTLS12})
				return newPeer(c), c.Handshake()
			}).Conn
		}},
		"half a packet before auth": {only(Options{HalfPacket: short.HalfPacket}), LateHalfPacket, func(g *gateway) net.Conn {
			c := g.dial()
			_, _ = c.Write([]byte("\x00\x05hel"))
			return c
		}},
		"half a packet after auth": {only(Options{HalfPacket: short.HalfPacket}), LateHalfPacket, func(g *gateway) net.Conn {
			p := newPeer(g.dial())
			if err := p.talk("hello"); err != nil {
				t.Error(err)
			}
			_, _ = p.Write([]byte("\x00\x05hel"))
			return p.Conn
		}},
		"half a frame of WebSocket": {only(Options{HalfPacket: short.HalfPacket}), LateHalfPacket, func(g *gateway) net.Conn {
			p, err := connect(t, g, WS, nil)
			if err != nil {
				t.Error(err)
				return g.dial()
			}
			_, _ = p.Write([]byte("\x82"))
			return p.Conn
		}},
		"no authentication": {only(Options{Auth: short.Auth, Accept: func(c *client.Conn, _ *Info) {
			_ = c.Serve(func([][]byte) error { return nil })
		}}), LateAuth, func(g *gateway) net.Conn {
			c := g.dial()
			go func() {
				for {
					if _, err := c.Write([]byte("\x00\x01x")); err != nil {
						return
					}
					time.Sleep(50 * time.Millisecond)
				}
			}()
			return c
		}},
	} {
		t.Run(name, func(t *testing.T) {
			clean(t)
			var l net.Listener
			users := newPipes()
			if c.play == nil {
				l = users
				c.play = func(*gateway) net.Conn {
					conn := users.dial("")
					_, _ = conn.Write([]byte("\x16\x03\x01\x01\x00\x01\x00\x00\xfc"))
					return conn
				}
			}
			g := start(t, l, c.opt, Config{TLS: config})
			conn := c.play(g)
			if err := ends(conn); err != nil {
				t.Error(err)
			}
			g.refusedFor(c.why, 1+g.tooSlow)
			g.empty()
			conn.Close()
		})
	}
}

// looks counts how often a sweeper has looked at the connections.
type looks struct{ n atomic.Int64 }

func (l *looks) count() { l.n.Add(1) }

// wait returns when the sweeper has looked so often again, a tick or more apart: however slow the machine is, what is late by then has been found.
func (l *looks) wait(t testing.TB, n int) {
	t.Helper()
	for last, end := l.n.Load()+int64(n), time.Now().Add(patience); l.n.Load() < last; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the sweeper does not look %d times within %v", n, patience)
		}
	}
}

// TestOneWhoKeepsTheLimits talks slowly, but in whole packets, and stays.
func TestOneWhoKeepsTheLimits(t *testing.T) {
	clean(t)
	var seen looks
	g := start(t, nil, Options{HalfPacket: 2 * tick, Auth: parts * tick, Tick: seen.count}, Config{})
	p := g.quick(func() (*peer, error) {
		p := newPeer(g.dial())
		return p, p.talk("hello")
	})
	late := g.Stats().Refused[LateAuth]
	for range 3 { // beyond both limits, with a look at each part behind that
		if err := p.talk("hello"); err != nil {
			t.Fatal(err)
		}
		seen.wait(t, parts-1)
	}
	g.refusedFor(LateAuth, late)
}

// TestSweeperAgainstModel lets guests come, be admitted and go, and looks for them
// in the lists.
func TestSweeperAgainstModel(t *testing.T) {
	testutil.NoLeaks(t)
	rng := testutil.Rand(t)
	w := newSweeper(func() time.Duration { return 0 }, nil)
	defer w.close()
	s := &Server{sweep: w}
	var early, served []*guest
	for range 20_000 {
		switch k := rng.IntN(4); {
		case k == 0 && len(early) > 0:
			i := rng.IntN(len(early))
			if !w.admit(early[i]) || w.admit(early[i]) {
				t.Fatal("admitted other than once")
			}
			served = append(served, early[i])
			early = append(early[:i], early[i+1:]...)
		case k == 1 && len(served) > 0:
			i := rng.IntN(len(served))
			w.remove(served[i])
			w.remove(served[i])
			if w.admit(served[i]) {
				t.Fatal("admitted after its end")
			}
			served = append(served[:i], served[i+1:]...)
		default:
			g := &guest{s: s}
			w.add(g)
			early = append(early, g)
		}
	}
	if got := w.all(true); !sameGuests(got, early) {
		t.Errorf("%d early, want %d", len(got), len(early))
	}
	if got := w.all(false); !sameGuests(got, append(early, served...)) {
		t.Errorf("%d in all, want %d", len(got), len(early)+len(served))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, l := range w.lists {
		for j, g := range l {
			if g.place != (place{list: int8(i), index: int32(j), in: true}) {
				t.Fatalf("a guest in list %d at %d believes in %+v", i, j, g.place)
			}
		}
	}
}

func sameGuests(a, b []*guest) bool {
	seen := make(map[*guest]bool)
	for _, g := range a {
		seen[g] = true
	}
	for _, g := range b {
		if !seen[g] {
			return false
		}
	}
	return len(a) == len(b) && len(seen) == len(a)
}

// TestSweeperSleeps: without connections nothing runs, and the next one wakes it; with
// Tick it goes on.
func TestSweeperSleeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ticks := 0
		g := start(t, newPipes(), Options{}, Config{})
		h := start(t, newPipes(), Options{Tick: func() { ticks++ }}, Config{})
		time.Sleep(10 * time.Second)
		synctest.Wait()
		g.sweep.mu.Lock()
		if asleep := g.sweep.asleep; !asleep {
			t.Error("without Tick and connections the sweeper is awake")
		}
		g.sweep.mu.Unlock()
		if ticks != int(10*time.Second/tick) {
			t.Errorf("%d ticks in 10 s, want one every %v", ticks, tick)
		}
		for _, x := range []*gateway{g, h} {
			x.stop()
		}
	})
}

// TestHandlerMayTakeLong: the rest of a packet is late because it has not been read, which is
// no fault of the client's.
func TestHandlerMayTakeLong(t *testing.T) {
	clean(t)
	release, entered := make(chan struct{}), make(chan struct{}, 1)
	var seen looks
	g := start(t, nil, Options{HalfPacket: parts * tick, Tick: seen.count, Accept: func(c *client.Conn, in *Info) {
		_ = c.Serve(func(packets [][]byte) error {
			in.Authenticated()
			select {
			case entered <- struct{}{}:
			default:
			}
			<-release
			for _, p := range packets {
				send(c, p)
			}
			return nil
		})
	}}, Config{})
	p := g.quick(func() (*peer, error) {
		p := newPeer(g.dial())
		for _, piece := range []string{"\x00\x05he", "llo\x00\x05wor", "ld"} {
			if _, err := io.WriteString(p, piece); err != nil {
				return nil, err
			}
			time.Sleep(10 * time.Millisecond) // so that they are several reads
		}
		before := g.tooSlow
		eventually(t, "the handler to be called, or the client to be late", func() bool {
			return len(entered) > 0 || g.Stats().Refused[LateHalfPacket] > before
		})
		if len(entered) == 0 {
			return nil, errors.New("the client was late")
		}
		return p, nil
	})
	late := g.Stats().Refused[LateHalfPacket]
	seen.wait(t, 2*parts+1) // beyond the limit, with a look at each part behind that
	close(release)
	for _, want := range []string{"hello", "world"} {
		if got, err := p.read(); err != nil || got != want {
			t.Fatalf("%q, %v, want %q", got, err, want)
		}
	}
	if n := g.Stats().Refused[LateHalfPacket]; n != late {
		t.Errorf("%d for %v, want %d", n, LateHalfPacket, late)
	}
}
