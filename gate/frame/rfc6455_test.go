// SPDX-License-Identifier: Apache-2.0

package frame

import (
	"fmt"
	"strings"
	"testing"
)

// A wsFrame is a frame of a client, masked when it is written.
type wsFrame struct {
	first   byte // fin, reserved bits and opcode
	payload string
}

const (
	wText, wBinary, wClose, wPing, wPong, wLast = 0x81, 0x82, 0x88, 0x89, 0x8a, 0x80 // whole frames, and the last fragment
	wTextPart, wBinaryPart, wPart               = 0x01, 0x02, 0x00                   // fragments behind which others come
)

// A wsCase is what a client sends and what comes of it.
type wsCase struct {
	name   string
	frames []wsFrame
	want   string
}

// size returns n bytes of text.
func size(n int) string { return strings.Repeat("*", n) }

func sizeCases() (cases []wsCase) {
	for _, n := range []int{0, 1, 125, 126, 127, 128, 300} {
		cases = append(cases,
			wsCase{fmt.Sprintf("text of %d bytes", n), []wsFrame{{wText, size(n)}}, fmt.Sprintf("text(%q)", size(n))},
			wsCase{fmt.Sprintf("binary of %d bytes", n), []wsFrame{{wBinary, size(n)}}, fmt.Sprintf("binary(%q)", size(n))})
	}
	return cases
}

var pingCases = []wsCase{
	{"ping without payload", []wsFrame{{wPing, ""}}, `ping("")`},
	{"ping with text", []wsFrame{{wPing, "Hello, world!"}}, `ping("Hello, world!")`},
	{"ping with bytes that are no UTF-8", []wsFrame{{wPing, "\x00\xff\xfe"}}, `ping("\x00\xff\xfe")`},
	{"ping of 125 bytes", []wsFrame{{wPing, size(125)}}, fmt.Sprintf("ping(%q)", size(125))},
	{"ping of 126 bytes", []wsFrame{{wPing, size(126)}}, "error(1002)"},
	{"pong that nobody asked for", []wsFrame{{wPong, ""}, {wPong, "x"}, {wPing, "y"}}, `pong("") pong("x") ping("y")`},
	{"ten pings", []wsFrame{{wPing, "0"}, {wPing, "1"}, {wPing, "2"}, {wPing, "3"}, {wPing, "4"}, {wPing, "5"}, {wPing, "6"}, {wPing, "7"}, {wPing, "8"}, {wPing, "9"}},
		`ping("0") ping("1") ping("2") ping("3") ping("4") ping("5") ping("6") ping("7") ping("8") ping("9")`},
}

func reservedCases() (cases []wsCase) {
	for rsv := byte(1); rsv < 8; rsv++ {
		for _, first := range []byte{wText, wBinary, wClose, wPing, wPong} {
			cases = append(cases, wsCase{
				fmt.Sprintf("reserved bits %d of %#x", rsv, first),
				[]wsFrame{{wText, "before"}, {first | rsv<<4, "bad"}, {wPing, "never"}},
				`text("before") error(1002)`,
			})
		}
	}
	for _, op := range []byte{3, 4, 5, 6, 7, 11, 12, 13, 14, 15} {
		cases = append(cases,
			wsCase{fmt.Sprintf("opcode %d", op), []wsFrame{{0x80 | op, ""}}, "error(1002)"},
			wsCase{fmt.Sprintf("opcode %d with payload, behind text", op), []wsFrame{{wText, "x"}, {0x80 | op, "abc"}, {wPing, ""}}, `text("x") error(1002)`})
	}
	return cases
}

var fragmentCases = []wsCase{
	{"ping in two fragments", []wsFrame{{0x09, "a"}, {wLast, "b"}}, "error(1002)"},
	{"pong in two fragments", []wsFrame{{0x0a, "a"}, {wLast, "b"}}, "error(1002)"},
	{"close in two fragments", []wsFrame{{0x08, "\x03\xe8"}, {wLast, "b"}}, "error(1002)"},
	{"text in two fragments", []wsFrame{{wTextPart, "one "}, {wLast, "two"}}, `text("one two")`},
	{"binary in three fragments", []wsFrame{{wBinaryPart, "\xff"}, {wPart, "\xfe"}, {wLast, "\xfd"}}, `binary("\xff\xfe\xfd")`},
	{"ping between fragments", []wsFrame{{wTextPart, "one "}, {wPing, "now"}, {wLast, "two"}}, `ping("now") text("one two")`},
	{"pings and pongs between fragments", []wsFrame{{wTextPart, "1"}, {wPing, "a"}, {wPart, "2"}, {wPong, "b"}, {wPing, "c"}, {wLast, "3"}},
		`ping("a") pong("b") ping("c") text("123")`},
	{"empty fragments", []wsFrame{{wTextPart, ""}, {wPart, ""}, {wLast, ""}}, `text("")`},
	{"empty fragments around one", []wsFrame{{wTextPart, ""}, {wPart, "middle"}, {wLast, ""}}, `text("middle")`},
	{"two messages in fragments", []wsFrame{{wTextPart, "a"}, {wLast, "b"}, {wBinaryPart, "c"}, {wLast, "d"}}, `text("ab") binary("cd")`},
	{"last fragment of nothing", []wsFrame{{wLast, "x"}, {wText, "y"}}, "error(1002)"},
	{"fragment of nothing", []wsFrame{{wPart, "x"}, {wText, "y"}}, "error(1002)"},
	{"fragment behind a message", []wsFrame{{wTextPart, "a"}, {wLast, "b"}, {wPart, "c"}, {wLast, "d"}}, `text("ab") error(1002)`},
	{"text inside a message", []wsFrame{{wTextPart, "a"}, {wText, "b"}}, "error(1002)"},
	{"fragment of text inside a message", []wsFrame{{wTextPart, "a"}, {wTextPart, "b"}, {wLast, "c"}}, "error(1002)"},
	{"binary inside a message", []wsFrame{{wTextPart, "a"}, {wBinary, "b"}}, "error(1002)"},
	{"close between fragments", []wsFrame{{wTextPart, "a"}, {wClose, "\x03\xe8"}, {wLast, "b"}}, `close(1000 "")`},
}

// textCases has text that is sent whole and in fragments of one byte.
func textCases() (cases []wsCase) {
	good := map[string]string{
		"Greek": "κόσμε", "the borders of two bytes": "\u0080\u07ff", "of three": "\u0800\uffff", "of four": "\U00010000\U0010ffff", "zero": "\x00",
		"the last before the surrogates": "\ud7ff\ue000", "noncharacters": "\ufffe\U0001fffe\U0010fffe", "the replacement character": "\ufffd", "Chinese": "服务器",
	}
	bad := map[string]string{
		"surrogate D800": "\xed\xa0\x80", "surrogate DFFF": "\xed\xbf\xbf", "a pair of surrogates": "\xed\xa0\x80\xed\xb0\x80", "above 10FFFF": "\xf4\x90\x80\x80",
		"five bytes": "\xf8\x88\x80\x80\x80", "six bytes": "\xfc\x84\x80\x80\x80\x80", "FE": "\xfe", "FF": "\xff", "a continuation alone": "\x80", "sixty-four of them": strings.Repeat("\xbf", 64),
		"overlong slash of two": "\xc0\xaf", "overlong slash of three": "\xe0\x80\xaf", "overlong slash of four": "\xf0\x80\x80\xaf", "overlong zero": "\xc0\x80", "C1": "\xc1\xbf",
		"two bytes cut": "\xc3 ", "three cut": "\xe4\xbd ", "Greek, then a surrogate, then text": "κόσμε\xed\xa0\x80edited",
		"the end in the middle of two": "a\xc3", "in the middle of three": "a\xe4\xbd", "in the middle of four": "a\xf0\x9f\x98",
	}
	add := func(name, text, want string) {
		cases = append(cases, wsCase{name, []wsFrame{{wText, text}}, want})
		frames := []wsFrame{{wTextPart, ""}}
		for i := range len(text) {
			frames = append(frames, wsFrame{wPart, text[i : i+1]})
		}
		cases = append(cases, wsCase{name + " in fragments", append(frames, wsFrame{wLast, ""}), want})
	}
	for name, text := range good {
		add(name, text, fmt.Sprintf("text(%q)", text))
	}
	for name, text := range bad {
		add(name, text, "error(1007)")
	}
	return cases
}

// What no fragment to come can mend is an error at once: the rest is never read.
var textAtOnceCases = []wsCase{
	{"a fragment with a surrogate", []wsFrame{{wTextPart, "κόσμε\xed\xa0\x80"}}, "error(1007)"},
	{"the first byte of one above 10FFFF", []wsFrame{{wTextPart, "κόσμε\xf4"}, {wPing, "yet good"}}, `ping("yet good")`},
	{"the second byte of one above 10FFFF", []wsFrame{{wTextPart, "κόσμε\xf4"}, {wPart, "\x90"}}, "error(1007)"},
	{"a character that another fragment breaks off", []wsFrame{{wTextPart, "\xe4\xbd"}, {wPart, "x"}}, "error(1007)"},
	{"binary is not text", []wsFrame{{wBinaryPart, "\xff"}, {wLast, "\xc3"}}, `binary("\xff\xc3")`},
}

func closeCases() (cases []wsCase) {
	cases = []wsCase{
		{"close without a code", []wsFrame{{wClose, ""}}, `close(1005 "")`},
		{"close of one byte", []wsFrame{{wClose, "\x03"}}, "error(1002)"},
		{"close with a reason", []wsFrame{{wClose, "\x03\xe8Hello, world!"}}, `close(1000 "Hello, world!")`},
		{"close with 123 bytes of reason", []wsFrame{{wClose, "\x03\xe8" + size(123)}}, fmt.Sprintf("close(1000 %q)", size(123))},
		{"close with 124 bytes of reason", []wsFrame{{wClose, "\x03\xe8" + size(124)}}, "error(1002)"},
		{"close with a reason that is no UTF-8", []wsFrame{{wClose, "\x03\xe8κόσμε\xed\xa0\x80edited"}}, "error(1007)"},
		{"close twice", []wsFrame{{wClose, "\x03\xe8"}, {wClose, "\x03\xe9"}}, `close(1000 "")`},
		{"text behind a close", []wsFrame{{wClose, "\x03\xe8"}, {wText, "x"}}, `close(1000 "")`},
		{"ping behind a close", []wsFrame{{wClose, "\x03\xe8"}, {wPing, "x"}}, `close(1000 "")`},
		{"what is no frame behind a close", []wsFrame{{wClose, "\x03\xe8"}, {0xff, "x"}}, `close(1000 "")`},
		{"text before a close", []wsFrame{{wText, "x"}, {wClose, "\x03\xe8"}}, `text("x") close(1000 "")`},
	}
	for _, code := range []int{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999} {
		cases = append(cases, wsCase{fmt.Sprintf("close code %d", code), []wsFrame{{wClose, string(be.AppendUint16(nil, uint16(code)))}}, fmt.Sprintf(`close(%d "")`, code)})
	}
	for _, code := range []int{0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535} {
		cases = append(cases, wsCase{fmt.Sprintf("close code %d", code), []wsFrame{{wClose, string(be.AppendUint16(nil, uint16(code))) + "reason"}}, "error(1002)"})
	}
	return cases
}

func allCases() []wsCase {
	var all []wsCase
	for _, cases := range [][]wsCase{
		sizeCases(), pingCases, reservedCases(), fragmentCases, textCases(), textAtOnceCases, closeCases(),
	} {
		all = append(all, cases...)
	}
	return all
}

// stream writes the frames, each with a key of its own.
func (c *wsCase) stream() (b []byte) {
	for i, f := range c.frames {
		key := [4]byte{byte(i), 0x5a, 0xff, byte(7 * i)}
		at := len(b)
		b = AppendWSFrame(b, WSHeader{Masked: true, Key: key}, []byte(f.payload))
		b[at] = f.first // which may be wrong
	}
	return b
}

func wsReceiver(r *WSReader, limit int) *receiver {
	return &receiver{take: func(b []byte) (string, int, error) {
		m, n, err := r.Next(b, limit)
		switch {
		case err != nil || m.Opcode == OpContinuation:
			return "", n, err
		case m.Opcode == OpClose:
			return fmt.Sprintf("close(%d %q)", m.Code, m.Payload), n, nil
		case m.Compressed:
			return fmt.Sprintf("compressed %v(%q)", m.Opcode, m.Payload), n, nil
		}
		return fmt.Sprintf("%v(%q)", m.Opcode, m.Payload), n, nil
	}}
}

// What a client sends gives the same, however it is cut: RFC 6455, sections 5 to 8.
func TestConformance(t *testing.T) {
	for _, c := range allCases() {
		t.Run(c.name, func(t *testing.T) {
			got := eachSplit(t, c.stream(), func() *receiver { return wsReceiver(&WSReader{}, 1000) })
			if got != c.want {
				t.Errorf("there is %s, want %s", got, c.want)
			}
		})
	}
}
