// SPDX-License-Identifier: Apache-2.0

package entry

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/skybus-io/skybus/internal/testutil"
)

func TestDetect(t *testing.T) {
	const all = TCP | TLS | WS | WSS
	for _, c := range []struct {
		accepted Protocols
		bytes    string
		want     kind
		anyKind  kind // with methods other than GET
	}{
		{all, "", undecided, undecided},
		{all, "\x16", undecided, undecided},
		{all, "\x16\x03", isTLS, isTLS},
		{all, "\x16\x03\x01\x02", isTLS, isTLS},
		{all, "\x16\x04", isPackets, isPackets},
		{all, "G", undecided, undecided},
		{all, "GET", undecided, undecided},
		{all, "GET ", isHTTP, isHTTP},
		{all, "GET /x", isHTTP, isHTTP},
		{all, "GEX", isPackets, isPackets},
		{all, "POST /", isPackets, isHTTP},
		{all, "P", isPackets, undecided},
		{all, "PU", isPackets, undecided},
		{all, "PX", isPackets, isPackets},
		{all, "\x00\x05hello", isPackets, isPackets},
		{plain, "\x16\x03\x01", isPackets, isPackets},
		{packets, "GET /", isPackets, isPackets},
		{packets, "\x16\x03", isTLS, isTLS},
		{web, "\x00\x01x", isWrong, isWrong},
		{web, "GET ", isHTTP, isHTTP},
		{TLS | WS, "\x00\x01x", isWrong, isWrong},
		{TCP, "", isPackets, isPackets},
		{TLS, "", isTLS, isTLS},
		{WSS, "GET ", isTLS, isTLS},
		{secure, "x", isTLS, isTLS},
		{WS, "x", isHTTP, isHTTP},
	} {
		if got := detect([]byte(c.bytes), c.accepted, false); got != c.want {
			t.Errorf("%#x, %q: %d, want %d", c.accepted, c.bytes, got, c.want)
		}
		if got := detect([]byte(c.bytes), c.accepted, true); got != c.anyKind {
			t.Errorf("%#x, %q, any method: %d, want %d", c.accepted, c.bytes, got, c.anyKind)
		}
	}
}

// TestDetectOnlyNarrows: what is decided stays so, whatever comes behind.
func TestDetectOnlyNarrows(t *testing.T) {
	rng := testutil.Rand(t)
	starts := []string{"", "\x16", "\x16\x03", "G", "GE", "GET", "GET ", "POST", "OPTIONS "}
	for range 20_000 {
		b := []byte(starts[rng.IntN(len(starts))])
		for range rng.IntN(6) {
			b = append(b, "\x16\x03GETPOS \x00"[rng.IntN(10)])
		}
		accepted := Protocols(1 + rng.IntN(15))
		anyMethod := rng.IntN(2) == 0
		decided := undecided
		for n := range len(b) + 1 {
			k := detect(b[:n], accepted, anyMethod)
			if decided != undecided && k != decided {
				t.Fatalf("%#x: %q is %d, %q was %d", accepted, b[:n], k, b[:n-1], decided)
			}
			decided = k
		}
	}
}

func TestHeadEnd(t *testing.T) {
	for _, c := range []struct {
		bytes string
		want  int
	}{
		{"", 0},
		{"GET / HTTP/1.1\r\n", 0},
		{"GET / HTTP/1.1\r\n\r", 0},
		{"GET / HTTP/1.1\r\n\r\n", 18},
		{"GET / HTTP/1.1\r\n\r\nmore", 18},
		{"GET / HTTP/1.1\n\n", 16},
		{"GET / HTTP/1.1\n\r\n", 17},
		{"GET / HTTP/1.1\r\nA: b\r\n\r\n", 24},
		{"a\r\n\rb\r\n\r\n", 9},
	} {
		if got := headEnd([]byte(c.bytes), 0); got != c.want {
			t.Errorf("%q: %d, want %d", c.bytes, got, c.want)
		}
		seen := 0 // byte by byte, each look going on where the last one ended
		for n := range len(c.bytes) + 1 {
			if got := headEnd([]byte(c.bytes[:n]), seen); got > 0 {
				if got != c.want {
					t.Errorf("%q after %d bytes: %d, want %d", c.bytes, n, got, c.want)
				}
				break
			} else if n >= c.want && c.want > 0 {
				t.Errorf("%q after %d bytes: not found", c.bytes, n)
			}
			seen = n
		}
	}
}

func TestOrigin(t *testing.T) {
	const host = "game.example.com:8443"
	for _, c := range []struct {
		allowed []string
		origin  string
		want    bool
	}{
		{nil, "https://game.example.com:8443", true},
		{nil, "https://GAME.example.com:8443", true},
		{nil, "https://game.example.com", false},
		{nil, "https://evil.example.com:8443", false},
		{nil, "null", false},
		{nil, "", false},
		{nil, "https://game.example.com:8443/path", false},
		{nil, "https://u@game.example.com:8443", false},
		{nil, "://", false},
		{[]string{"*"}, "null", true},
		{[]string{"*"}, "https://evil.com", true},
		{[]string{"https://a.com"}, "https://a.com", true},
		{[]string{"https://a.com"}, "https://a.com:443", true},
		{[]string{"https://a.com:443"}, "https://A.com", true},
		{[]string{"https://a.com"}, "http://a.com", false},
		{[]string{"https://a.com"}, "https://a.com:444", false},
		{[]string{"https://a.com"}, "https://b.a.com", false},
		{[]string{"https://a.com"}, "https://a.com.evil.com", false},
		{[]string{"https://*.a.com"}, "https://b.a.com", true},
		{[]string{"https://*.a.com"}, "https://c.b.a.com", true},
		{[]string{"https://*.a.com"}, "https://a.com", false},
		{[]string{"https://*.a.com"}, "https://.a.com", false},
		{[]string{"https://*.a.com"}, "https://evila.com", false},
		{[]string{"https://*.a.com:8080"}, "https://b.a.com:8080", true},
		{[]string{"https://*.a.com:8080"}, "https://b.a.com", false},
		{[]string{"http://x.com", "http://y.com"}, "http://y.com:80", true},
		{[]string{"https://a.com"}, "https://game.example.com:8443", false},
	} {
		if got := originAllowed(c.allowed, []string{c.origin}, host); got != c.want {
			t.Errorf("allowed %q, origin %q: %v, want %v", c.allowed, c.origin, got, c.want)
		}
	}
	if !originAllowed([]string{"https://a.com"}, nil, host) {
		t.Error("a client that names no origin was refused")
	}
	if originAllowed(nil, []string{"https://" + host, "https://evil.com"}, host) {
		t.Error("two origins were allowed")
	}
	if !originAllowed(nil, []string{"https://a.com"}, "a.com:443") || !originAllowed(nil, []string{"http://[::1]:80"}, "[::1]") {
		t.Error("the port that a scheme has anyway made a difference")
	}
}

func TestDeflateOffers(t *testing.T) {
	for offer, want := range map[string]bool{
		"":                   false,
		"permessage-deflate": true,
		"permessage-deflate; client_max_window_bits":                                 true,
		"permessage-deflate; client_max_window_bits=10":                              true,
		`permessage-deflate; client_max_window_bits="10"`:                            true,
		"permessage-deflate; client_max_window_bits=7":                               false,
		"permessage-deflate; client_max_window_bits=010":                             false,
		"permessage-deflate; server_max_window_bits=15":                              true,
		"permessage-deflate; server_max_window_bits=10":                              false,
		"permessage-deflate; server_max_window_bits":                                 false,
		"permessage-deflate; server_max_window_bits=10, permessage-deflate":          true,
		"permessage-deflate; server_no_context_takeover; client_no_context_takeover": true,
		"permessage-deflate; server_no_context_takeover=1":                           false,
		"permessage-deflate; server_no_context_takeover; server_no_context_takeover": false,
		"permessage-deflate; unknown":                                                false,
		"x-webkit-deflate-frame":                                                     false,
		"x-webkit-deflate-frame, permessage-deflate;client_max_window_bits":          true,
		"permessage-deflatex":                                                        false,
	} {
		if got := offersDeflate([]string{offer}); got != want {
			t.Errorf("%q: %v, want %v", offer, got, want)
		}
	}
	if !offersDeflate([]string{"foo", "permessage-deflate"}) {
		t.Error("the offer in a second header was not seen")
	}
}

func TestHolder(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.7":            "192.0.2.7",
		"::ffff:192.0.2.7":     "192.0.2.7",
		"2001:db8:1:2:3:4:5:6": "2001:db8:1:2::",
		"2001:db8:1:2::":       "2001:db8:1:2::",
		"2001:db8:1:3::1":      "2001:db8:1:3::",
		"fe80::1%eth0":         "fe80::",
	} {
		if got := holder(netip.MustParseAddr(addr)); got != netip.MustParseAddr(want) {
			t.Errorf("%s: %v, want %s", addr, got, want)
		}
	}
	if got := holder(netip.Addr{}); got.IsValid() {
		t.Errorf("no address: %v", got)
	}
}

// TestCapsAgainstModel lets connections come and go, and counts them in another way.
func TestCapsAgainstModel(t *testing.T) {
	rng := testutil.Rand(t)
	const most, each = 20, 5
	c := newCaps(most, each)
	var held []netip.Addr
	count := func(h netip.Addr) (n int) {
		for _, x := range held {
			if x == h {
				n++
			}
		}
		return n
	}
	for i := range 50_000 {
		h := netip.AddrFrom4([4]byte{10, 0, 0, byte(rng.IntN(8))})
		if rng.IntN(8) == 0 {
			h = netip.Addr{}
		}
		switch {
		case rng.IntN(2) == 0 && len(held) > 0:
			j := rng.IntN(len(held))
			c.leave(held[j])
			held = append(held[:j], held[j+1:]...)
		default:
			why, ok := c.enter(h)
			want := fmt.Sprint(Reason(0), true)
			if len(held) >= most {
				want = fmt.Sprint(Full, false)
			} else if h.IsValid() && count(h) >= each {
				want = fmt.Sprint(FullAddress, false)
			}
			if got := fmt.Sprint(why, ok); got != want {
				t.Fatalf("step %d, %d there, %d of %v: %s, want %s", i, len(held), count(h), h, got, want)
			}
			if ok {
				held = append(held, h)
			}
		}
		if total, _ := c.count(); total != len(held) {
			t.Fatalf("step %d: %d counted, want %d", i, total, len(held))
		}
	}
	for _, h := range held {
		c.leave(h)
	}
	if total, holders := c.count(); total != 0 || holders != 0 {
		t.Errorf("in the end: %d connections of %d", total, holders)
	}
}

func TestCapsAllocateNothing(t *testing.T) {
	c := newCaps(1, 1)
	h := netip.MustParseAddr("192.0.2.1")
	if _, ok := c.enter(h); !ok {
		t.Fatal("the first one was refused")
	}
	if n := testing.AllocsPerRun(100, func() { _, _ = c.enter(h) }); n != 0 {
		t.Errorf("%v allocations for a connection that is refused", n)
	}
}

func TestConfigErrors(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		want string // "": none
	}{
		{Config{}, ""},
		{Config{Protocols: TLS}, "TLS is nil"},
		{Config{Protocols: 0x80}, "0x80"},
		{Config{Protocols: TCP, Handler: noHandler{}}, "Handler"},
		{Config{WebSocket: WebSocket{Paths: []string{"ws"}}}, `"ws"`},
		{Config{WebSocket: WebSocket{Origins: []string{"example.com"}}}, `"example.com"`},
		{Config{WebSocket: WebSocket{Origins: []string{"https://a.*.com"}}}, "a.*.com"},
		{Config{WebSocket: WebSocket{Origins: []string{"https://*.a.com", "*"}}}, ""},
		{Config{WebSocket: WebSocket{HeaderBytes: -1}}, "-1"},
		{Config{WebSocket: WebSocket{Subprotocols: []string{"a b"}}}, `"a b"`},
		{Config{WebSocket: WebSocket{Subprotocols: []string{"a\r\nb"}}}, `"a\r\nb"`},
		{Config{Proxies: make([]netip.Prefix, 1)}, "invalid Prefix"},
	} {
		_, err := c.cfg.withDefaults()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.cfg, err, c.want)
		}
	}
}

func TestReasonsHaveNames(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range Reasons() {
		if name := r.String(); name == "" || seen[name] {
			t.Errorf("reason %d: %q", r, name)
		}
		seen[r.String()] = true
	}
	if got := Reason(200).String(); got != "reason 200" {
		t.Error(got)
	}
}
