// SPDX-License-Identifier: Apache-2.0

package frame

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// same feeds the stream at once and in two parts, and returns what came of it.
func same(t *testing.T, stream []byte, cut uint16, fresh func() *receiver) *receiver {
	t.Helper()
	whole, parts := fresh(), fresh()
	whole.feed(stream)
	at := int(cut) % (len(stream) + 1)
	parts.feed(stream[:at])
	parts.feed(stream[at:])
	if got, want := parts.summary(), whole.summary(); got != want {
		t.Errorf("split at %d there is %q, at once %q", at, got, want)
	}
	return whole
}

// FuzzSplit feeds any bytes to each framing but Raw, which has no packets that a
// cut could leave whole: what comes out does not depend on how it is cut, and is
// what was there.
func FuzzSplit(f *testing.F) {
	for _, c := range splitCases {
		f.Add(uint8(c.framing), []byte(c.in), uint16(c.limit), uint16(1))
		f.Add(uint8(c.framing), []byte(c.in+c.in), uint16(c.limit), uint16(len(c.in)+1))
	}
	f.Fuzz(func(t *testing.T, which uint8, stream []byte, limit, cut uint16) {
		framing := Standard(which % uint8(Raw))
		r := same(t, stream, cut, func() *receiver { return packetReceiver(framing, int(limit)) })
		if r.err != nil && !errors.Is(r.err, ErrTooLarge) && !errors.Is(r.err, ErrMalformed) {
			t.Errorf("the error is %v", r.err)
		}
		var again []byte
		for rest := stream; ; {
			p, n, _ := framing.Split(rest, int(limit))
			if n == 0 {
				break
			}
			var err error
			if again, err = framing.Append(again, p); err != nil && !bytes.HasSuffix(p, []byte("\r")) {
				t.Fatalf("%q came out and does not go in: %v", p, err)
			} else if err != nil {
				return // two \r before the \n: one of them is the packet's
			}
			rest = rest[n:]
		}
		read := stream[:len(stream)-len(r.kept)]
		if framing == Line {
			read = bytes.ReplaceAll(read, []byte("\r\n"), []byte("\n"))
		}
		if !bytes.Equal(again, read) {
			t.Errorf("%q is written again as %q", read, again)
		}
	})
}

// FuzzWSReader feeds any bytes to both ends: what comes out does not depend on how
// it is cut, and keeps the rules.
func FuzzWSReader(f *testing.F) {
	for i, c := range allCases() {
		if i%3 == 0 || len(c.frames) > 1 {
			f.Add(c.stream(), uint16(100), uint16(3), false, i%2 == 0)
		}
	}
	f.Add(AppendWSClose(AppendWSHeader(nil, true, true, OpText, 0), 1000, "bye"), uint16(10), uint16(1), true, true)
	f.Fuzz(func(t *testing.T, stream []byte, limit, cut uint16, client, deflate bool) {
		fresh := func() *receiver { // which writes to the bytes that it keeps
			return wsReceiver(&WSReader{Client: client, Deflate: deflate}, int(limit))
		}
		r := same(t, stream, cut, fresh)
		var ws *WSError
		if r.err != nil && (!errors.As(r.err, &ws) || len(ws.Text) > MaxWSReason) {
			t.Errorf("the error is %#v, want a *WSError whose text is fit for a reason", r.err)
		}
		for _, event := range r.got {
			if strings.HasPrefix(event, "compressed") && !deflate {
				t.Errorf("there is %s, and compression was not negotiated", event)
			}
		}
	})
}

// FuzzWSHeader reads any bytes: a header that is taken is written again as it was.
func FuzzWSHeader(f *testing.F) {
	for _, c := range wsHeaders {
		f.Add(unhex(f, c.bytes))
	}
	f.Add([]byte{0x82, 0x7e, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		h, n, err := ParseWSHeader(b)
		switch {
		case err != nil && !errors.Is(err, ErrMalformed):
			t.Errorf("the error is %v", err)
		case (err != nil || n == 0) && (n != 0 || h != WSHeader{}):
			t.Errorf("there is %+v, %d beside %v", h, n, err)
		case err == nil && n == 0 && len(b) >= MaxWSHeader:
			t.Errorf("%d bytes are not enough", len(b))
		case n > 0 && !bytes.Equal(h.Append(nil), b[:n]):
			t.Errorf("% x is written again as % x", b[:n], h.Append(nil))
		}
	})
}

// FuzzUnmask compares with one byte at a time.
func FuzzUnmask(f *testing.F) {
	f.Add([]byte("0123456789012345678901234567890123456789"), uint32(0x01020304), uint16(3))
	f.Add([]byte{}, uint32(1), uint16(0))
	f.Fuzz(func(t *testing.T, b []byte, key uint32, offset uint16) {
		k := [4]byte(be.AppendUint32(nil, key))
		want := bytes.Clone(b)
		for i := range want {
			want[i] ^= k[(i+int(offset))%4]
		}
		if Unmask(k, int(offset), b); !bytes.Equal(b, want) {
			t.Errorf("% x, want % x", b, want)
		}
	})
}

// FuzzProxy feeds any bytes: a header is one from its last byte on, and an error
// stays one.
func FuzzProxy(f *testing.F) {
	f.Add(withCRC(0x21, 0x11, addr4), uint16(3))
	f.Add(withCRC(0x21, 0x21, addr6+tlv(2, "example.com")), uint16(20))
	f.Add(proxy(0x21, 0x32, addrUnix("\x00a", "/b")), uint16(100))
	f.Add(proxy(0x20, 0x00, ""), uint16(16))
	f.Add(proxy(0x21, 0x00, tlv(4, "")), uint16(16))
	f.Add([]byte("PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n"), uint16(5))
	f.Fuzz(func(t *testing.T, b []byte, cut uint16) {
		r := same(t, b, cut, proxyReceiver)
		if err := r.err; err != nil && !errors.Is(err, ErrNoProxy) && !errors.Is(err, ErrProxyV1) && !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrTooLarge) {
			t.Errorf("the error is %v", err)
		}
		p, n, err := ParseProxy(b)
		if err != nil || n == 0 {
			return
		}
		if _, short, err := ParseProxy(b[:n-1]); short != 0 || err != nil {
			t.Errorf("without its last byte it is %d, %v", short, err)
		}
		ip := map[Network]int{TCP4: 4, UDP4: 4, TCP6: 16, UDP6: 16}[p.Network]
		if len(p.Source.IP) != ip || len(p.Destination.IP) != ip || n > MaxProxy {
			t.Errorf("%d bytes give %s", n, p.text())
		}
	})
}

// FuzzPacket reads any packet: one that is taken is written again as the same
// bytes, but for what a later version has behind it.
func FuzzPacket(f *testing.F) {
	for _, s := range samples() {
		f.Add(s.packet)
		f.Add(s.packet[:len(s.packet)-1])
		f.Add(append(bytes.Clone(s.packet), 0))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		value, err := read(b)
		if err != nil {
			wantError(t, err, ErrMalformed)
			return
		}
		k := Kind(b[0])
		want := b
		if goesOn(k) {
			want = b[:heads[k]]
		}
		if got := write(k, value); !bytes.Equal(got, want) {
			t.Errorf("%s is written again as % x, want % x", fmt.Sprint(k), got, want)
		}
		if k == KindResume && CheckProof(make([]byte, KeySize), b) != bytes.Equal(AppendResume(nil, ptr(value.(Resume)), make([]byte, KeySize)), b) {
			t.Error("CheckProof and AppendResume disagree")
		}
	})
}

func ptr[T any](v T) *T { return &v }
