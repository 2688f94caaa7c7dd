// SPDX-License-Identifier: Apache-2.0

package frame

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/skybus-io/skybus/internal/testutil"
)

// proxy writes a header of that command and family.
func proxy(command, family byte, rest string) []byte {
	b := append([]byte(proxySignature), command, family)
	return append(be.AppendUint16(b, uint16(len(rest))), rest...)
}

func tlv(kind byte, value string) string {
	return string(be.AppendUint16([]byte{kind}, uint16(len(value)))) + value
}

const (
	addr4 = "\x0a\x00\x00\x01\xc0\xa8\x01\x02\x30\x39\x01\xbb" // 10.0.0.1:12345 to 192.168.1.2:443
	addr6 = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" +
		"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\x7f\x00\x00\x01" + "\xff\xff\x00\x50"
)

func addrUnix(source, destination string) string {
	pad := func(s string) string { return s + strings.Repeat("\x00", 108-len(s)) }
	return pad(source) + pad(destination)
}

// crc32c is the checksum bit by bit, as its definition has it.
func crc32c(b []byte) uint32 {
	sum := ^uint32(0)
	for _, c := range b {
		sum ^= uint32(c)
		for range 8 {
			sum = sum>>1 ^ 0x82f63b78*(sum&1)
		}
	}
	return ^sum
}

// withCRC appends an extension with the checksum of the header to those that are
// there, and another one behind it.
func withCRC(command, family byte, rest string) []byte {
	b := proxy(command, family, rest+tlv(tlvCRC32, "\x00\x00\x00\x00")+tlv(4, "pad"))
	at := proxyHead + len(rest) + tlvHead
	be.PutUint32(b[at:], crc32c(b))
	return b
}

func (a *ProxyAddr) text() string { return fmt.Sprintf("%x:%d%s", a.IP, a.Port, a.Path) }

func (p *Proxy) text() string {
	if p.Local {
		return "local"
	}
	return fmt.Sprintf("%v %s %s", p.Network, p.Source.text(), p.Destination.text())
}

func proxyReceiver() *receiver {
	done := false
	return &receiver{take: func(b []byte) (string, int, error) {
		if done {
			return "", 0, nil
		}
		p, n, err := ParseProxy(b)
		if n == 0 {
			return "", 0, err
		}
		done = true
		return fmt.Sprintf("%s of %d", p.text(), n), n, err
	}}
}

func TestProxyHeaders(t *testing.T) {
	const four = "0a000001:12345 c0a80102:443"
	const six = "20010db8000000000000000000000001:65535 00000000000000000000ffff7f000001:80"
	for _, c := range []struct {
		name string
		in   []byte
		want string
	}{
		{"tcp4", proxy(0x21, 0x11, addr4), "tcp4 " + four},
		{"udp4", proxy(0x21, 0x12, addr4), "udp4 " + four},
		{"tcp6", proxy(0x21, 0x21, addr6), "tcp6 " + six},
		{"udp6", proxy(0x21, 0x22, addr6), "udp6 " + six},
		{"unix", proxy(0x21, 0x31, addrUnix("/run/a", strings.Repeat("b", 108))), "unix :0/run/a :0" + strings.Repeat("b", 108)},
		{"unix without names", proxy(0x21, 0x31, addrUnix("", "")), "unix :0 :0"},
		{"unixgram, abstract", proxy(0x21, 0x32, addrUnix("\x00a\x00b", "/b\x00rest")), "unixgram :0\x00a\x00b :0/b"},
		{"none", proxy(0x21, 0x00, ""), "none :0 :0"},
		{"local", proxy(0x20, 0x00, ""), "local"},
		{"local with addresses", proxy(0x20, 0x11, addr4), "local"},
		{"local with anything", proxy(0x20, 0x77, "anything"), "local"},
		{"extensions", proxy(0x21, 0x11, addr4+tlv(1, "h2")+tlv(4, "")+tlv(0xea, "x")), "tcp4 " + four},
		{"an extension of no bytes at the end", proxy(0x21, 0x11, addr4+tlv(1, "h2")+tlv(4, "")), "tcp4 " + four},
		{"extensions of none", proxy(0x21, 0x00, tlv(1, "h2")), "none :0 :0"},
		{"checksum", withCRC(0x21, 0x11, addr4), "tcp4 " + four},
		{"checksum behind others", withCRC(0x21, 0x21, addr6+tlv(2, "example.com")), "tcp6 " + six},
		{"as long as it may be", proxy(0x21, 0x11, addr4+tlv(4, strings.Repeat("x", MaxProxy-proxyHead-12-3))), "tcp4 " + four},
	} {
		got := eachSplit(t, append(c.in, "GET / HTTP/1.1"...), proxyReceiver)
		if want := fmt.Sprintf("%s of %d", c.want, len(c.in)); got != want {
			t.Errorf("%s: %q, want %q", c.name, got, want)
		}
	}
}

func TestWrongProxyHeaders(t *testing.T) {
	crc := func(change func(b []byte)) []byte {
		b := withCRC(0x21, 0x11, addr4)
		change(b)
		return b
	}
	twice := proxy(0x21, 0x11, addr4+tlv(3, "\x00\x00\x00\x00")+tlv(3, "\x00\x00\x00\x00"))
	zeroed := bytes.Clone(twice)
	be.PutUint32(twice[proxyHead+12+tlvHead:], crc32c(zeroed))
	for _, c := range []struct {
		name string
		in   []byte
		err  error
		says string
		at   int // bytes with which the error is known; 0: all
	}{
		{"something else", []byte("\x00\x05hello"), ErrNoProxy, "begins with 00", 1},
		{"HTTP", []byte("GET / HTTP/1.1"), ErrNoProxy, "begins with 47", 1},
		{"almost the signature", []byte("\r\n\r\n\x00\r\nQUIT\r"), ErrNoProxy, "", 12},
		{"almost version 1", []byte("PROXI "), ErrNoProxy, "", 5},
		{"version 1", []byte("PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n"), ErrProxyV1, "version 1, want version 2", 6},
		{"version 1 of the binary form", proxy(0x11, 0x11, addr4), ErrMalformed, "version and command 0x11", 13},
		{"version 3", proxy(0x31, 0x11, addr4), ErrMalformed, "0x31", 13},
		{"command 2", proxy(0x22, 0x11, addr4), ErrMalformed, "0x22", 13},
		{"family 4", proxy(0x21, 0x41, addr4), ErrMalformed, "family and transport 0x41", 14},
		{"transport 3", proxy(0x21, 0x13, addr4), ErrMalformed, "0x13", 14},
		{"transport without family", proxy(0x21, 0x01, addr4), ErrMalformed, "0x1", 14},
		{"too long", proxy(0x21, 0x11, addr4+strings.Repeat("x", MaxProxy)), ErrTooLarge, "4124 bytes is too large, want at most 4096", 16},
		{"a byte too long", proxy(0x21, 0x11, addr4+strings.Repeat("x", MaxProxy-proxyHead-12+1)), ErrTooLarge, "", 16},
		{"tcp4 cut", proxy(0x21, 0x11, addr4[:11]), ErrMalformed, "11 bytes of addresses, want 12 for tcp4", 0},
		{"tcp6 with the addresses of tcp4", proxy(0x21, 0x21, addr4), ErrMalformed, "want 36", 0},
		{"unix cut", proxy(0x21, 0x31, addrUnix("a", "b")[:215]), ErrMalformed, "want 216", 0},
		{"half an extension", proxy(0x21, 0x11, addr4+"\x04\x00"), ErrMalformed, "2 bytes at offset 28", 0},
		{"an extension that goes on", proxy(0x21, 0x11, addr4+"\x04\x00\x03ab"), ErrMalformed, "3 bytes at offset 28, want at most the 2", 0},
		{"a checksum of 3 bytes", proxy(0x21, 0x11, addr4+tlv(3, "abc")), ErrMalformed, "checksum of 3 bytes", 0},
		{"a checksum of other bytes", crc(func(b []byte) { b[20]++ }), ErrMalformed, "the checksum 0x", 0},
		{"another checksum", crc(func(b []byte) { b[proxyHead+12+tlvHead]++ }), ErrMalformed, "the checksum 0x", 0},
		{"bytes behind the checksum changed", crc(func(b []byte) { b[len(b)-1]++ }), ErrMalformed, "the checksum 0x", 0},
		{"two checksums", twice, ErrMalformed, "second checksum at offset 35", 0},
	} {
		at := c.at
		if at == 0 {
			at = len(c.in)
		}
		for n := range at {
			if _, got, err := ParseProxy(c.in[:n]); got != 0 || err != nil {
				t.Errorf("%s: %d bytes give %d, %v, want that more are needed", c.name, n, got, err)
				break
			}
		}
		for n := at; n <= len(c.in); n++ {
			_, got, err := ParseProxy(c.in[:n])
			if wantError(t, err, c.err, c.says); got != 0 || t.Failed() {
				t.Fatalf("%s: %d bytes give %d, %v", c.name, n, got, err)
			}
		}
	}
}

// A header with a byte changed is an error: with a checksum nothing gets through
// but what says that the addresses do not count, or hides the checksum.
func TestProxyWithAChangedByte(t *testing.T) {
	rng := testutil.Rand(t)
	good := withCRC(0x21, 0x21, addr6+tlv(2, "example.com"))
	want, _, err := ParseProxy(good)
	if err != nil {
		t.Fatal(err)
	}
	for at := range good {
		b := bytes.Clone(good)
		b[at] ^= byte(1 + rng.IntN(255))
		p, n, err := ParseProxy(b)
		switch {
		case err == nil && n == 0 && (at == 14 || at == 15): // longer than it is
		case err == nil && p.Local && at == 12:
		case err == nil && at >= proxyHead+36 && at < len(good)-len("\x00\x00\x00\x00\x04\x00\x03pad"):
			if b[at] = good[at]; p.text() != want.text() {
				t.Errorf("byte %d changed: %s, want %s", at, p.text(), want.text())
			}
		case err == nil:
			t.Errorf("byte %d changed from %#x to %#x: %s, %d", at, good[at], b[at], p.text(), n)
		case !errors.Is(err, ErrNoProxy) && !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrTooLarge):
			t.Errorf("byte %d changed: %v", at, err)
		}
	}
}

// Who appends to what a header has does not write to what lies behind it.
func TestProxyAddressesEndWhereTheyEnd(t *testing.T) {
	long := strings.Repeat("b", 108)
	for _, b := range [][]byte{
		proxy(0x21, 0x11, addr4), proxy(0x21, 0x21, addr6), proxy(0x21, 0x31, addrUnix("/a", long)), proxy(0x21, 0x31, addrUnix(long, "\x00a")),
	} {
		p, n, err := ParseProxy(append(b, "behind"...))
		if err != nil || n != len(b) {
			t.Fatalf("%d, %v", n, err)
		}
		for _, part := range [][]byte{p.Source.IP, p.Source.Path, p.Destination.IP, p.Destination.Path} {
			if cap(part) != len(part) {
				t.Errorf("%s: %d bytes have room for %d", p.text(), len(part), cap(part))
			}
		}
	}
}

func TestNetworksHaveTheNamesOfTheStandardLibrary(t *testing.T) {
	for n, want := range map[Network]string{
		NetworkNone: "none", TCP4: "tcp4", UDP4: "udp4", TCP6: "tcp6", UDP6: "udp6", UnixStream: "unix", UnixDatagram: "unixgram", UnixDatagram + 1: "network 7", 99: "network 99",
	} {
		if n.String() != want {
			t.Errorf("%d is called %q, want %q", n, n, want)
		}
	}
}
