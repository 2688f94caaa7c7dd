// SPDX-License-Identifier: Apache-2.0

package conn

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/skybus-io/skybus/actor"
)

func openPackets(t testing.TB, rt *actor.Runtime, p actor.PID, g Config) *PacketConn {
	t.Helper()
	var pc *PacketConn
	must(t, rt, p, func(c *actor.Context) (err error) {
		pc, err = g.ListenPacket(c, "127.0.0.1:0")
		return err
	})
	return pc
}

func TestDatagrams(t *testing.T) {
	rt, p := world(t)
	server, client := openPackets(t, rt, p, Config{}), openPackets(t, rt, p, Config{})
	const rounds = 100
	served := start(rt, p, func(c *actor.Context) error {
		for range rounds {
			g, err := server.ReadFrom(c)
			if err != nil {
				return err
			}
			if err := server.WriteTo(c, append(g.Data, '!'), g.Addr); err != nil {
				return err
			}
		}
		return nil
	})
	must(t, rt, p, func(c *actor.Context) error {
		for i := range rounds {
			want := bytes.Repeat([]byte{byte(i)}, i*300)
			if err := client.WriteTo(c, want, server.LocalAddr()); err != nil {
				return err
			}
			g, err := client.ReadFrom(c)
			if err != nil {
				return err
			}
			if !bytes.Equal(g.Data, append(want, '!')) || g.Addr != server.LocalAddr() {
				return fmt.Errorf("%d bytes from %v, want %d from %v", len(g.Data), g.Addr, len(want)+1, server.LocalAddr())
			}
		}
		return nil
	})
	if err := <-served; err != nil {
		t.Error(err)
	}
	for _, pc := range []*PacketConn{server, client} {
		eventually(t, func() bool { return pc.Stats() == PacketStats{Read: rounds, Written: rounds} })
	}
	waiting := start(rt, p, func(c *actor.Context) error { _, err := server.ReadFrom(c); return err })
	waits(t, rt, p, calls, 1)
	server.SetReadDeadline(time.Now())
	wantError(t, <-waiting, os.ErrDeadlineExceeded)
	server.SetReadDeadline(time.Time{})
	waiting = start(rt, p, func(c *actor.Context) error { _, err := server.ReadFrom(c); return err })
	waits(t, rt, p, calls, 1)
	server.Close()
	server.Close()
	wantError(t, <-waiting, net.ErrClosed)
	wantError(t, in(t, rt, p, func(c *actor.Context) error { return server.WriteTo(c, nil, client.LocalAddr()) }), net.ErrClosed)
	client.Close()
}

// TestDatagramsAreDroppedAtTheLimit sends more than the service takes: the oldest stay, the rest is counted.
func TestDatagramsAreDroppedAtTheLimit(t *testing.T) {
	rt, p := world(t)
	const size, room = 36, 10
	pc := openPackets(t, rt, p, Config{ReadLimit: room * (size + datagramCost)})
	peer, err := net.Dial("udp", pc.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	for i := range 3 * room {
		if _, err := peer.Write(bytes.Repeat([]byte{byte(i)}, size)); err != nil {
			t.Fatal(err)
		}
		eventually(t, func() bool { s := pc.Stats(); return s.Read+s.Dropped == uint64(i+1) })
	}
	if s := pc.Stats(); s.Read != room || s.Dropped != 2*room {
		t.Errorf("stats %+v, want %d read", s, room)
	}
	must(t, rt, p, func(c *actor.Context) error {
		for i := range room {
			g, err := pc.ReadFrom(c)
			if err != nil || len(g.Data) != size || g.Data[0] != byte(i) {
				return fmt.Errorf("datagram %d: %v, %w", i, g, err)
			}
		}
		return nil
	})
	big := make([]byte, 2000) // larger than the limit: taken while there is no other one
	for range 2 {
		if _, err := peer.Write(big); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, func() bool { return pc.Stats().Dropped == 2*room+1 })
	pc.Close()
}

func TestDatagramsThatCannotBeSent(t *testing.T) {
	rt, p := world(t)
	pc := openPackets(t, rt, p, Config{})
	wantError(t, in(t, rt, p, func(c *actor.Context) error { return pc.WriteTo(c, make([]byte, maxDatagram+1), pc.LocalAddr()) }), ErrTooLong)
	if err := in(t, rt, p, func(c *actor.Context) error { return pc.WriteTo(c, nil, netip.AddrPort{}) }); err == nil {
		t.Error("sent to nobody")
	}
	must(t, rt, p, func(c *actor.Context) error {
		return pc.WriteTo(c, []byte("x"), netip.MustParseAddrPort("[2001:db8::1]:1")) // not of an IPv4 socket
	})
	eventually(t, func() bool { s := pc.Stats(); return s.Failed == 1 && s.Last != nil })
	if err := rt.Kill(p); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool {
		_, err := pc.uc.Write(nil)
		return errors.Is(err, net.ErrClosed)
	})
}
