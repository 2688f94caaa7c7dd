// SPDX-License-Identifier: Apache-2.0

package frame

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/skybus-io/skybus/internal/testutil"
)

// Long messages, cut in reads of odd sizes.
func TestLongMessages(t *testing.T) {
	for _, n := range []int{65535, 65536, 300_000} {
		text := strings.Repeat("äx", n)[:n/3*3]
		c := wsCase{frames: []wsFrame{{wBinary, text}, {wTextPart, text}, {wPing, ""}, {wLast, text}}}
		r := wsReceiver(&WSReader{}, 2*n)
		for stream := c.stream(); len(stream) > 0; {
			k := min(997, len(stream))
			r.feed(stream[:k])
			stream = stream[k:]
		}
		if want := fmt.Sprintf(`binary(%q) ping("") text(%q)`, text, text+text); r.summary() != want {
			t.Errorf("%d bytes: %.200q, want %.200q", n, r.summary(), want)
		}
	}
}

// Messages, control frames between fragments, fragments of any size: a random
// stream comes out as it was made, however it is cut.
func TestRandomStreamsOfFrames(t *testing.T) {
	rng := testutil.Rand(t)
	for round := range 60 {
		client := round%2 == 0 // this end is
		stream, want := randomFrames(rng, client)
		fresh := func() *receiver { return wsReceiver(&WSReader{Client: client, Deflate: true}, 400) }
		if got := eachSplit(t, stream, fresh); got != strings.Join(want, " ") {
			t.Fatalf("round %d: %.400q, want %.400q", round, got, want)
		}
	}
}

func randomFrames(rng *rand.Rand, client bool) (stream []byte, want []string) {
	write := func(fin, rsv1 bool, op Opcode, payload []byte) {
		h := WSHeader{Fin: fin, Rsv1: rsv1, Opcode: op, Masked: !client}
		if h.Masked {
			h.Key = [4]byte(randomBytes(rng, 4))
		}
		stream = AppendWSFrame(stream, h, payload)
	}
	control := func() {
		for rng.IntN(3) == 0 {
			op, payload := OpPing+Opcode(rng.IntN(2)), randomBytes(rng, rng.IntN(5))
			write(true, false, op, payload)
			want = append(want, fmt.Sprintf("%v(%q)", op, payload))
		}
	}
	for range 1 + rng.IntN(4) {
		control()
		op, packed, mark := OpBinary, rng.IntN(4) == 0, ""
		payload := randomBytes(rng, rng.IntN(400))
		if rng.IntN(2) == 0 {
			op = OpText
			if !packed {
				payload = []byte(strings.Repeat("aä服😀", 30)[:rng.IntN(8)*10])
			}
		}
		if packed {
			mark = "compressed "
		}
		rest, first := payload, true
		for rng.IntN(2) == 0 {
			cut := rng.IntN(len(rest) + 1)
			write(false, packed && first, opcodeOf(op, first), rest[:cut])
			rest, first = rest[cut:], false
			control()
		}
		write(true, packed && first, opcodeOf(op, first), rest)
		want = append(want, fmt.Sprintf("%s%v(%q)", mark, op, payload))
	}
	return stream, want
}

func opcodeOf(op Opcode, first bool) Opcode {
	if first {
		return op
	}
	return OpContinuation
}

// wantWS checks that the frames of b end with an error of that code.
func wantWS(t *testing.T, r *WSReader, b []byte, limit int, code uint16) {
	t.Helper()
	for {
		m, n, err := r.Next(b, limit)
		b = b[n:]
		var ws *WSError
		switch {
		case errors.As(err, &ws):
			if ws.Code != code {
				t.Errorf("the code is %d (%v), want %d", ws.Code, err, code)
			}
			return
		case err != nil || m.Opcode == OpContinuation:
			t.Errorf("there is %+v, %v, want an error of code %d", m, err, code)
			return
		}
	}
}

func TestWhoHasToMask(t *testing.T) {
	plain := AppendWSHeader(nil, true, false, OpText, 0)
	masked := WSHeader{Fin: true, Opcode: OpText, Masked: true}.Append(nil)
	wantWS(t, &WSReader{}, plain[:2], 10, CloseProtocol)
	wantWS(t, &WSReader{Client: true}, masked[:2], 10, CloseProtocol)
	for r, b := range map[*WSReader][]byte{{}: masked, {Client: true}: plain} {
		if m, n, err := r.Next(b, 10); m.Opcode != OpText || n != len(b) || err != nil {
			t.Errorf("there is %+v, %d, %v", m, n, err)
		}
	}
}

func TestCompressedMessages(t *testing.T) {
	c := wsCase{frames: []wsFrame{{0xc1, "\xff\xfe"}, {0x41, "\xff"}, {wPing, ""}, {wLast, "\xc3"}, {wText, "plain"}, {0xc2, ""}}}
	want := `compressed text("\xff\xfe") ping("") compressed text("\xff\xc3") text("plain") compressed binary("")`
	if got := eachSplit(t, c.stream(), func() *receiver { return wsReceiver(&WSReader{Deflate: true}, 100) }); got != want {
		t.Errorf("there is %s, want %s", got, want)
	}
	for _, first := range []byte{0xc0, 0x40, 0xc8, 0xc9, 0xca} { // not in the first frame of a message
		c := wsCase{frames: []wsFrame{{0x41, "x"}, {first, ""}}}
		wantWS(t, &WSReader{Deflate: true}, c.stream(), 100, CloseProtocol)
	}
}

// The limit counts all fragments, is found with the header, and does not bind
// control frames.
func TestMessagesAboveTheLimit(t *testing.T) {
	for _, c := range []struct {
		limit  int
		frames []wsFrame
		want   string
	}{
		{5, []wsFrame{{wBinary, "12345"}}, `binary("12345")`},
		{5, []wsFrame{{wBinary, "123456"}}, "error(1009)"},
		{5, []wsFrame{{wBinaryPart, "123"}, {wLast, "45"}}, `binary("12345")`},
		{5, []wsFrame{{wBinaryPart, "123"}, {wLast, "456"}}, "error(1009)"},
		{5, []wsFrame{{wBinaryPart, "123"}, {wPart, ""}, {wPart, "45"}, {wPart, "6"}}, "error(1009)"},
		{0, []wsFrame{{wBinary, ""}, {wPing, size(125)}, {wBinary, "1"}}, fmt.Sprintf(`binary("") ping(%q) error(1009)`, size(125))},
		{-1, []wsFrame{{wBinary, ""}, {wBinary, "1"}}, `binary("") error(1009)`},
	} {
		w := wsCase{frames: c.frames}
		if got := eachSplit(t, w.stream(), func() *receiver { return wsReceiver(&WSReader{}, c.limit) }); got != c.want {
			t.Errorf("%v: %s, want %s", c.frames, got, c.want)
		}
	}
	head := WSHeader{Fin: true, Opcode: OpBinary, Masked: true, Length: 1000}.Append(nil)
	_, _, err := new(WSReader).Next(head, 999)
	wantError(t, err, ErrTooLarge, "1000 bytes, want at most 999")
}

// A length that is only claimed takes no memory, whatever the limit.
func TestADeclaredLengthTakesNoMemory(t *testing.T) {
	r := new(WSReader)
	part := AppendWSFrame(nil, WSHeader{Opcode: OpBinary, Masked: true}, []byte("abc"))
	if m, n, err := r.Next(part, math.MaxInt); m.Opcode != OpContinuation || n != len(part) || err != nil {
		t.Fatalf("a fragment is %+v, %d, %v", m, n, err)
	}
	if r.Held() != 3 || !r.Pending() {
		t.Errorf("%d bytes are held, pending %v, want 3 and true", r.Held(), r.Pending())
	}
	head := WSHeader{Opcode: OpContinuation, Masked: true, Length: math.MaxInt64 - 3}.Append(nil)
	allocs := testing.AllocsPerRun(1000, func() {
		if m, n, err := r.Next(head, math.MaxInt); m.Opcode != OpContinuation || n != 0 || err != nil {
			t.Fatalf("a header is %+v, %d, %v", m, n, err)
		}
	})
	if allocs != 0 || cap(r.held) > 64 {
		t.Errorf("there are %g allocations, and room for %d bytes", allocs, cap(r.held))
	}
	wantWS(t, r, WSHeader{Opcode: OpContinuation, Masked: true, Length: math.MaxInt64}.Append(nil), math.MaxInt, CloseTooBig)
}

// What is in the bytes stays there; what came in fragments is the caller's.
func TestWhereMessagesLie(t *testing.T) {
	r := new(WSReader)
	one := AppendWSFrame(nil, WSHeader{Fin: true, Opcode: OpBinary, Masked: true, Key: [4]byte{1, 2, 3, 4}}, []byte("abc"))
	m, _, err := r.Next(one, 100)
	if err != nil || &m.Payload[0] != &one[len(one)-3] || cap(m.Payload) != 3 {
		t.Errorf("a message of one frame is copied, or can be written behind: %v", err)
	}
	c := wsCase{frames: []wsFrame{{wBinaryPart, "ab"}, {wLast, "c"}, {wBinaryPart, "de"}, {wLast, "f"}}}
	stream := c.stream()
	first, n, err := r.Next(stream, 100)
	if err != nil || r.Held() != 0 || r.Pending() {
		t.Errorf("%d bytes are held behind a message, pending %v, %v", r.Held(), r.Pending(), err)
	}
	second, _, err := r.Next(stream[n:], 100)
	clear(stream)
	if string(first.Payload) != "abc" || string(second.Payload) != "def" || err != nil {
		t.Errorf("the messages are %q and %q, %v", first.Payload, second.Payload, err)
	}
}

func TestBehindAClose(t *testing.T) {
	c := wsCase{frames: []wsFrame{{wTextPart, "abc"}, {wClose, ""}}}
	r := new(WSReader)
	if m, _, err := r.Next(c.stream(), 100); m.Opcode != OpClose || m.Code != CloseNoStatus || err != nil {
		t.Fatalf("there is %+v, %v", m, err)
	}
	if !r.Closed() || r.Held() != 0 {
		t.Errorf("closed is %v, %d bytes are held", r.Closed(), r.Held())
	}
	if m, n, err := r.Next([]byte("\xff\xff\xff"), 100); m.Opcode != OpContinuation || n != 3 || err != nil {
		t.Errorf("bytes behind it give %+v, %d, %v, want that they are thrown away", m, n, err)
	}
}

// The numbers are those of RFC 6455 and IANA's registry.
func TestCloseCodes(t *testing.T) {
	got := []uint16{
		CloseNormal, CloseGoingAway, CloseProtocol, CloseUnsupported, CloseNoStatus, CloseAbnormal, CloseInvalid, ClosePolicy, CloseTooBig,
		CloseInternal, CloseRestart, CloseTryAgain,
	}
	want := []uint16{1000, 1001, 1002, 1003, 1005, 1006, 1007, 1008, 1009, 1011, 1012, 1013}
	if !slices.Equal(got, want) {
		t.Errorf("the codes are %d, want %d", got, want)
	}
}

func TestCloseFrames(t *testing.T) {
	for _, c := range []struct {
		code   uint16
		reason string
		want   string
	}{
		{CloseNormal, "", "\x88\x02\x03\xe8"},
		{CloseGoingAway, "so long", "\x88\x09\x03\xe9so long"},
		{CloseNoStatus, "not sent", "\x88\x00"},
		{0, "not sent", "\x88\x00"},
		{CloseAbnormal, "x", "\x88\x03\x03\xeax"},
		{4000, "\xff", "\x88\x02\x0f\xa0"},
		{4000, size(200), "\x88\x7d\x0f\xa0" + size(123)},
		{4000, size(122) + "ä", "\x88\x7c\x0f\xa0" + size(122)},
		{4000, size(121) + "ä", "\x88\x7d\x0f\xa0" + size(121) + "ä"},
	} {
		got := AppendWSClose([]byte("x"), c.code, c.reason)
		if string(got) != "x"+c.want {
			t.Errorf("close with %d, %.20q is %q, want %q", c.code, c.reason, got[1:], c.want)
		}
		if m, _, err := (&WSReader{Client: true}).Next(got[1:], 0); m.Opcode != OpClose || err != nil {
			t.Errorf("close with %d, %.20q is read as %+v, %v", c.code, c.reason, m, err)
		}
	}
}

// utf8Prefix agrees with a search for the longest prefix that is valid and
// whose rest something can complete.
func TestUTF8PrefixAgainstTheStandardLibrary(t *testing.T) {
	rng := testutil.Rand(t)
	bytesOf := []byte("a\x80\xbf\x90\x9f\xa0\xc0\xc2\xdf\xe0\xe1\xed\xef\xf0\xf1\xf4\xf5\xff")
	good := 0
	for range 50_000 {
		b := make([]byte, rng.IntN(6))
		for i := range b {
			b[i] = bytesOf[rng.IntN(len(bytesOf))]
		}
		n, ok := utf8Prefix(b)
		if want := completable(b); ok != want {
			t.Fatalf("% x: %v, want %v", b, ok, want)
		}
		if ok {
			good++
			if rest := b[n:]; !utf8.Valid(b[:n]) || len(rest) > 3 || len(rest) > 0 && utf8.FullRune(rest) {
				t.Fatalf("% x: %d bytes are said to be whole", b, n)
			}
		}
	}
	if good < 1000 {
		t.Errorf("%d were good", good)
	}
}

// completable reports whether some bytes behind b make it UTF-8.
func completable(b []byte) bool {
	tails := []string{""}
	for _, c := range []string{"\x80", "\x90", "\xa0"} {
		tails = append(tails, c, c+"\x80", c+"\x80\x80")
	}
	for _, tail := range tails {
		if utf8.Valid(append(bytes.Clone(b), tail...)) {
			return true
		}
	}
	return false
}
