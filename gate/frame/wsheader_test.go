// SPDX-License-Identifier: Apache-2.0

package frame

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/skybus-io/skybus/internal/testutil"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The examples of RFC 6455, section 5.7, and the borders of each length.
var wsHeaders = []struct {
	bytes string
	want  WSHeader
}{
	{"81 05", WSHeader{Fin: true, Opcode: OpText, Length: 5}},
	{"81 85 37 fa 21 3d", WSHeader{Fin: true, Opcode: OpText, Masked: true, Key: [4]byte{0x37, 0xfa, 0x21, 0x3d}, Length: 5}},
	{"01 03", WSHeader{Opcode: OpText, Length: 3}},
	{"80 02", WSHeader{Fin: true, Opcode: OpContinuation, Length: 2}},
	{"89 05", WSHeader{Fin: true, Opcode: OpPing, Length: 5}},
	{"8a 85 37 fa 21 3d", WSHeader{Fin: true, Opcode: OpPong, Masked: true, Key: [4]byte{0x37, 0xfa, 0x21, 0x3d}, Length: 5}},
	{"82 7e 01 00", WSHeader{Fin: true, Opcode: OpBinary, Length: 256}},
	{"82 7f 00 00 00 00 00 01 00 00", WSHeader{Fin: true, Opcode: OpBinary, Length: 65536}},
	{"82 00", WSHeader{Fin: true, Opcode: OpBinary}},
	{"82 7d", WSHeader{Fin: true, Opcode: OpBinary, Length: 125}},
	{"82 7e 00 7e", WSHeader{Fin: true, Opcode: OpBinary, Length: 126}},
	{"82 7e ff ff", WSHeader{Fin: true, Opcode: OpBinary, Length: 65535}},
	{"82 7f 7f ff ff ff ff ff ff ff", WSHeader{Fin: true, Opcode: OpBinary, Length: math.MaxInt64}},
	{"c1 07", WSHeader{Fin: true, Rsv1: true, Opcode: OpText, Length: 7}},
	{"42 07", WSHeader{Rsv1: true, Opcode: OpBinary, Length: 7}},
	{"00 00", WSHeader{}},
	{"88 7d", WSHeader{Fin: true, Opcode: OpClose, Length: 125}},
	{"82 ff 00 00 00 00 00 01 00 00 01 02 03 04", WSHeader{Fin: true, Opcode: OpBinary, Masked: true, Key: [4]byte{1, 2, 3, 4}, Length: 65536}},
}

func TestWSHeaders(t *testing.T) {
	for _, c := range wsHeaders {
		b := unhex(t, c.bytes)
		for n := range b {
			if h, got, err := ParseWSHeader(b[:n]); got != 0 || err != nil || h != (WSHeader{}) {
				t.Errorf("%d bytes of %s give %+v, %d, %v, want that more are needed", n, c.bytes, h, got, err)
			}
		}
		h, n, err := ParseWSHeader(append(bytes.Clone(b), "behind"...))
		if h != c.want || n != len(b) || err != nil {
			t.Errorf("%s is %+v, %d, %v, want %+v", c.bytes, h, n, err, c.want)
		}
		if got := c.want.Append([]byte("x")); !bytes.Equal(got[1:], b) {
			t.Errorf("%+v is written % x, want %s", c.want, got[1:], c.bytes)
		}
		if w := c.want; !w.Masked && w.Length <= math.MaxInt {
			if got := AppendWSHeader(nil, w.Fin, w.Rsv1, w.Opcode, int(w.Length)); !bytes.Equal(got, b) {
				t.Errorf("%+v is written % x for a server, want %s", w, got, c.bytes)
			}
		}
	}
}

// Each is wrong with its last byte, and not before.
func TestWrongWSHeaders(t *testing.T) {
	cases := map[string]string{
		"a1": "reserved bits 0x20", "91": "reserved bits 0x10", "b1": "reserved bits 0x30", "f2": "reserved bits 0x30", "99": "reserved bits 0x10",
		"c0": "compression in a continuation frame", "c8": "compression in a close", "c9": "compression in a ping", "ca": "compression in a pong",
		"09": "ping frame in fragments", "0a": "pong frame in fragments", "08": "close frame in fragments",
		"89 7e": "ping frame of more than 125", "88 fe": "close frame of more than 125", "8a 7f": "pong frame of more than 125",
		"82 7e 00 7d": "shortest", "82 7e 00 00": "shortest", "82 7f 00 00 00 00 00 00 ff ff": "65535 as a length of 8 bytes",
		"82 7f 80 00 00 00 00 00 00 00": "top bit", "82 ff ff ff ff ff ff ff ff ff": "top bit",
	}
	for _, op := range []byte{3, 4, 5, 6, 7, 11, 12, 13, 14, 15} {
		cases[fmt.Sprintf("%02x", 0x80|op)] = fmt.Sprintf("opcode %d", op)
		cases[fmt.Sprintf("%02x", op)] = fmt.Sprintf("opcode %d", op)
	}
	for text, says := range cases {
		b := unhex(t, text)
		if _, n, err := ParseWSHeader(b[:len(b)-1]); n != 0 || err != nil {
			t.Errorf("%s without its last byte is %d, %v, want that more is needed", text, n, err)
		}
		_, n, err := ParseWSHeader(b)
		wantError(t, err, ErrMalformed, says)
		var ws *WSError
		if !errors.As(err, &ws) || ws.Code != CloseProtocol || n != 0 {
			t.Errorf("%s is %d, %#v, want a protocol error", text, n, err)
		}
	}
}

func TestUnmaskIsThatOfTheRFC(t *testing.T) {
	rng := testutil.Rand(t)
	for range 3000 {
		key := [4]byte(randomBytes(rng, 4))
		b := randomBytes(rng, rng.IntN(100))
		offset := rng.IntN(1000)
		want := bytes.Clone(b)
		for i := range want {
			want[i] ^= key[(i+offset)%4] // section 5.3
		}
		if Unmask(key, offset, b); !bytes.Equal(b, want) {
			t.Fatalf("key % x, offset %d: % x, want % x", key, offset, b, want)
		}
	}
}

func TestUnmaskInParts(t *testing.T) {
	key := [4]byte{1, 2, 3, 4}
	whole := bytes.Repeat([]byte("abcdefg"), 20)
	want := bytes.Clone(whole)
	Unmask(key, 0, want)
	for at := range whole {
		b := bytes.Clone(whole)
		Unmask(key, 0, b[:at])
		Unmask(key, at, b[at:])
		if !bytes.Equal(b, want) {
			t.Errorf("in two parts at %d it is % x, want % x", at, b, want)
		}
	}
}

func TestAFrameOfAClient(t *testing.T) {
	payload := []byte("Hello")
	h := WSHeader{Fin: true, Opcode: OpText, Masked: true, Key: [4]byte{0x37, 0xfa, 0x21, 0x3d}}
	if got, want := AppendWSFrame(nil, h, payload), unhex(t, "81 85 37 fa 21 3d 7f 9f 4d 51 58"); !bytes.Equal(got, want) {
		t.Errorf("the frame is % x, want % x", got, want)
	}
	if string(payload) != "Hello" {
		t.Errorf("the payload has become %q", payload)
	}
}

func TestOpcodesHaveNames(t *testing.T) {
	for op, want := range map[Opcode]string{
		OpContinuation: "continuation", OpText: "text", OpBinary: "binary", OpClose: "close", OpPing: "ping", OpPong: "pong", 5: "opcode 5",
	} {
		if op.String() != want {
			t.Errorf("%d is called %q, want %q", op, op, want)
		}
	}
}
