// SPDX-License-Identifier: Apache-2.0

package entry

import (
	"encoding/binary"
	"io"
	"net/netip"
	"strings"
	"testing"

	"github.com/skybus-io/skybus/internal/testutil"
)

// The PROXY protocol, version 2, section 2.2.
const proxySignature = "\r\n\r\n\x00\r\nQUIT\n"

// proxyHeader makes a header of command PROXY over TCP.
func proxyHeader(from, to string) string {
	a, b := netip.MustParseAddrPort(from), netip.MustParseAddrPort(to)
	family := byte(0x11)
	if a.Addr().Is6() {
		family = 0x21
	}
	body := append(a.Addr().AsSlice(), b.Addr().AsSlice()...)
	body = binary.BigEndian.AppendUint16(body, a.Port())
	body = binary.BigEndian.AppendUint16(body, b.Port())
	head := append([]byte(proxySignature), 0x21, family)
	return string(append(binary.BigEndian.AppendUint16(head, uint16(len(body))), body...))
}

const localHeader = proxySignature + "\x20\x00\x00\x00"

var trusted = Config{Proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}}

func TestProxyHeaders(t *testing.T) {
	clean(t)
	client4 := proxyHeader("203.0.113.9:40000", "198.51.100.1:7000")
	for _, c := range []struct {
		from, head    string
		optional      bool
		remote, proxy string // "": refused
	}{
		{"10.1.2.3:55", client4, false, "203.0.113.9:40000", "10.1.2.3:55"},
		{"[fd00::1]:55", client4, false, "203.0.113.9:40000", "[fd00::1]:55"},
		{"10.1.2.3:55", proxyHeader("[2001:db8::1]:1", "[2001:db8::2]:2"), false, "[2001:db8::1]:1", "10.1.2.3:55"},
		{"10.1.2.3:55", localHeader, false, "10.1.2.3:55", ""},
		{"10.1.2.3:55", "", true, "10.1.2.3:55", ""},
		{"10.1.2.3:55", client4, true, "203.0.113.9:40000", "10.1.2.3:55"},
		{"192.0.2.1:55", "", false, "192.0.2.1:55", ""},
		{"10.1.2.3:55", "", false, "", ""},                                  // a packet in its place
		{"10.1.2.3:55", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n", true, "", ""}, // version 1
		{"10.1.2.3:55", proxySignature + "\x21\x11\x00\x01x", true, "", ""}, // too short for addresses
		{"10.1.2.3:55", proxySignature + "\x31\x11\x00\x00", true, "", ""},  // version 3
		{"192.0.2.1:55", client4, false, "", ""},                            // not trusted: a packet of 3,338 bytes that does not come
	} {
		l := newPipes()
		cfg := trusted
		cfg.ProxyOptional = c.optional
		g := start(t, l, Options{}, cfg)
		p := newPeer(l.dial(c.from))
		go func() { _, _ = io.WriteString(p, c.head+string(p.bytes("hello"))) }()
		if c.from == "192.0.2.1:55" && c.head != "" {
			eventually(t, "the header taken for part of a packet", func() bool { return g.Stats().Ready == 1 })
			if in := g.last(); in.Remote.String() != c.from || in.Proxy.IsValid() {
				t.Errorf("from an address that is not trusted: %+v", in)
			}
		} else if c.remote == "" {
			if got, err := p.read(); err == nil {
				t.Errorf("%s, %q: served, got %q", c.from, c.head, got)
			}
			g.refusedFor(BadProxy, 1)
		} else if got, err := p.read(); err != nil || got != "hello" {
			t.Errorf("%s, %q: %q, %v", c.from, c.head, got, err)
		} else if in := g.last(); in.Remote.String() != c.remote || in.Proxy.IsValid() != (c.proxy != "") || c.proxy != "" && in.Proxy.String() != c.proxy {
			t.Errorf("%s, %q: %+v", c.from, c.head, in)
		} else if c.proxy != "" && !in.Local.IsValid() {
			t.Errorf("%s, %q: local %v", c.from, c.head, in.Local)
		}
		p.Close()
		g.stop()
	}
}

// TestCapsBehindProxy: clients count by the addresses that the header names, the
// proxy itself does not count.
func TestCapsBehindProxy(t *testing.T) {
	clean(t)
	l := newPipes()
	g := start(t, l, Options{PerAddress: 1}, trusted)
	join := func(client string) error {
		p := newPeer(l.dial("10.0.0.1:1"))
		t.Cleanup(func() { p.Close() })
		to := "198.51.100.1:7000"
		if strings.HasPrefix(client, "[") {
			to = "[2001:db8::ff]:7000"
		}
		if _, err := io.WriteString(p, proxyHeader(client, to)); err != nil {
			return err
		}
		return p.talk("hello")
	}
	for _, client := range []string{"203.0.113.1:1", "203.0.113.2:1", "[2001:db8::1]:1", "[2001:db8:0:1::1]:1"} {
		if err := join(client); err != nil {
			t.Errorf("%s: %v", client, err)
		}
	}
	for i, client := range []string{"203.0.113.1:2", "[2001:db8::2]:1"} {
		if err := join(client); err == nil {
			t.Errorf("%s: a second one was served", client)
		}
		g.refusedFor(FullAddress, uint64(i+1))
	}
	if st := g.Stats(); st.Addresses != 4 {
		t.Errorf("%+v", st)
	}
}

// TestSplitAtEveryByte has all that a client sends before it is served come in two
// pieces, and byte by byte. A pipe gives the server what one Write has.
func TestSplitAtEveryByte(t *testing.T) {
	clean(t)
	head := proxyHeader("203.0.113.9:40000", "198.51.100.1:7000")
	upgrade := requestWith("GET /x HTTP/1.1", "Origin: http://game.example.com")
	for name, bytes := range map[string]string{
		"packet":            string((&peer{}).bytes("hello")),
		"PROXY and packet":  head + string((&peer{}).bytes("hello")),
		"upgrade":           upgrade + string((&peer{ws: true}).bytes("hello")),
		"PROXY and upgrade": head + upgrade + string((&peer{ws: true}).bytes("hello")),
	} {
		from := "192.0.2.1:1"
		if strings.HasPrefix(name, "PROXY") {
			from = "10.0.0.1:1"
		}
		l := newPipes()
		g := start(t, l, Options{}, trusted)
		onWeb := strings.HasSuffix(name, "upgrade")
		for cut := range len(bytes) + 1 {
			pieces := []string{bytes[:cut], bytes[cut:]}
			if cut == len(bytes) {
				pieces = strings.Split(bytes, "")
			}
			if err := inPieces(l, from, pieces, onWeb); err != nil {
				t.Fatalf("%s, cut at %d of %d: %v", name, cut, len(bytes), err)
			}
			if in := g.last(); (in.Web != nil) != onWeb || in.Proxy.IsValid() != (from == "10.0.0.1:1") {
				t.Fatalf("%s, cut at %d: %+v", name, cut, in)
			}
		}
		g.stop()
	}
}

// inPieces sends a packet "hello" and what is before it, and demands it back.
func inPieces(l *pipes, from string, pieces []string, onWeb bool) error {
	p := newPeer(l.dial(from))
	defer p.Close()
	go func() {
		for _, piece := range pieces {
			if _, err := io.WriteString(p, piece); err != nil {
				return
			}
		}
	}()
	if onWeb {
		if err := p.upgrade(""); err != nil {
			return err
		}
	}
	got, err := p.read()
	if err == nil && got != "hello" {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// TestRandomPieces is the same over TCP, with several packets and pieces of any size.
func TestRandomPieces(t *testing.T) {
	clean(t)
	rng := testutil.Rand(t)
	g := start(t, nil, Options{}, Config{})
	for round := range 60 {
		p := newPeer(g.dial())
		bytes := ""
		if p.ws = round%2 == 0; p.ws {
			bytes = requestWith(getRoot)
		}
		for i := range 5 {
			bytes += string(p.bytes(strings.Repeat("x", i*7)))
		}
		go func() {
			for rest := bytes; rest != ""; {
				n := min(1+rng.IntN(60), len(rest))
				if _, err := io.WriteString(p, rest[:n]); err != nil {
					return
				}
				rest = rest[n:]
			}
		}()
		if p.ws {
			if err := p.upgrade(""); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 5 {
			if got, err := p.read(); err != nil || got != strings.Repeat("x", i*7) {
				t.Fatalf("round %d, packet %d: %q, %v", round, i, got, err)
			}
		}
		p.Close()
	}
}
