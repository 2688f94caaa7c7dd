// SPDX-License-Identifier: Apache-2.0

package frame

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/skybus-io/skybus/internal/testutil"
)

// A sample is a packet of the page.
type sample struct {
	name   string
	packet []byte
	value  any
}

func sessionKey() (key [KeySize]byte) {
	for i := range key {
		key[i] = byte(i)
	}
	return key
}

func samples() []sample {
	key := sessionKey()
	const home, id = 0x00000101, 0x1f
	echo := [8]byte{1, 2, 3, 4, 5, 6, 7, 8}
	auth := Auth{User: []byte("ann:secret")}
	welcome := Welcome{Home: home, ID: id, Epoch: 1, Key: key, MaxPacket: 65536, Seconds: 30}
	resume := Resume{Home: home, ID: id, Epoch: 2, Received: 1000}
	packet := AppendResume(nil, &resume, key[:])
	resume.Proof = Proof(key[:], packet)
	resumed := Resumed{Epoch: 2, Accepted: 7}
	pong := Pong{Echo: echo, Accepted: 7}
	refused := End{Kind: KindRefused, Version: 1, Code: CodeGap, Text: "120 packets missed, the last 64 are there"}
	kicked := End{Kind: KindKicked, Version: 1, Code: CodeProgram, Text: "再见"}
	return []sample{
		{"auth", AppendAuth(nil, &auth), auth},
		{"welcome", AppendWelcome(nil, &welcome), welcome},
		{"data", AppendData(nil, []byte("hello")), []byte("hello")},
		{"loose", AppendLoose(nil, []byte("at 3,4")), []byte("at 3,4")},
		{"ping", AppendPing(nil, echo), echo},
		{"pong", AppendPong(nil, &pong), pong},
		{"resume", packet, resume},
		{"resumed", AppendResumed(nil, &resumed), resumed},
		{"refused", AppendEnd(nil, &refused), refused},
		{"kicked", AppendEnd(nil, &kicked), kicked},
		{"bye", AppendBye(nil), nil},
	}
}

// read reads a packet of any kind.
func read(b []byte) (value any, err error) {
	k, err := KindOf(b)
	if err != nil {
		return nil, err
	}
	switch k {
	case KindAuth:
		return ParseAuth(b)
	case KindResume:
		return ParseResume(b)
	case KindData, KindLoose:
		return User(b)
	case KindPing:
		return ParsePing(b)
	case KindBye:
		return nil, ParseBye(b)
	case KindWelcome:
		return ParseWelcome(b)
	case KindResumed:
		return ParseResumed(b)
	case KindPong:
		return ParsePong(b)
	case KindRefused, KindKicked:
		return ParseEnd(b)
	}
	return nil, fmt.Errorf("no function reads a %v", k)
}

// write writes what read has returned.
func write(k Kind, value any) []byte {
	switch v := value.(type) {
	case Auth:
		return AppendAuth(nil, &v)
	case Resume:
		return append(AppendResume(nil, &v, nil)[:atProof], v.Proof[:]...)
	case []byte:
		if k == KindLoose {
			return AppendLoose(nil, v)
		}
		return AppendData(nil, v)
	case [8]byte:
		return AppendPing(nil, v)
	case Welcome:
		return AppendWelcome(nil, &v)
	case Resumed:
		return AppendResumed(nil, &v)
	case Pong:
		return AppendPong(nil, &v)
	case End:
		b := AppendEnd(nil, &v)
		b[atVersion] = v.Version
		return b
	}
	return AppendBye(nil)
}

// goesOn says of which kinds a later version may have more bytes.
func goesOn(k Kind) bool { return k == KindWelcome || k == KindResumed || k == KindPong }

// hasUser says of which kinds the end is the program's, or a text.
func hasUser(k Kind) bool {
	return k == KindAuth || k == KindData || k == KindLoose || k == KindRefused || k == KindKicked
}

// heads are the fewest bytes of each kind.
var heads = map[Kind]int{
	KindAuth: AuthHead, KindResume: ResumeSize, KindData: DataHead, KindPing: PingSize, KindBye: 1, KindWelcome: WelcomeSize,
	KindResumed: ResumedSize, KindLoose: DataHead, KindPong: PongSize, KindRefused: EndHead, KindKicked: EndHead,
}

func TestPacketsAreReadAsTheyWereWritten(t *testing.T) {
	seen := map[Kind]bool{}
	for _, s := range samples() {
		value, err := read(s.packet)
		if err != nil || !reflect.DeepEqual(value, s.value) {
			t.Errorf("%s is read as %+v, %v, want %+v", s.name, value, err, s.value)
		}
		k := Kind(s.packet[0])
		seen[k] = true
		if got := write(k, value); !bytes.Equal(got, s.packet) {
			t.Errorf("%s is written again as % x, want % x", s.name, got, s.packet)
		}
	}
	if len(seen) != int(kindEnd)-1 {
		t.Errorf("%d kinds have a sample, want %d", len(seen), kindEnd-1)
	}
}

func TestPacketsOfAnotherSize(t *testing.T) {
	for _, s := range samples() {
		k := Kind(s.packet[0])
		for n := range s.packet {
			_, err := read(s.packet[:n])
			if n < heads[k] {
				wantError(t, err, ErrMalformed)
			}
		}
		if _, err := read(s.packet[:heads[k]]); err != nil {
			t.Errorf("%s of %d bytes: %v", s.name, heads[k], err)
		}
		value, err := read(append(bytes.Clone(s.packet), 'x'))
		switch {
		case goesOn(k):
			if err != nil || !reflect.DeepEqual(value, s.value) {
				t.Errorf("%s with a byte more is %+v, %v, want %+v", s.name, value, err, s.value)
			}
		case hasUser(k):
			if err != nil || reflect.DeepEqual(value, s.value) {
				t.Errorf("%s with a byte more is %+v, %v", s.name, value, err)
			}
		default:
			wantError(t, err, ErrMalformed, k.String(), fmt.Sprintf("%d bytes, want %d", len(s.packet)+1, len(s.packet)))
		}
	}
}

// Of each kind with a version another one is told apart from what is broken, even where the packet
// is too short for this one; and flags are reserved.
func TestOtherVersionsAndFlags(t *testing.T) {
	for _, s := range samples() {
		switch k := Kind(s.packet[0]); k {
		case KindAuth, KindResume, KindWelcome, KindResumed:
			b := bytes.Clone(s.packet)
			b[atVersion] = 2
			for _, b := range [][]byte{b, b[:2]} {
				_, err := read(b)
				wantError(t, err, ErrVersion, k.String(), "version 2, want 1")
				wantError(t, err, ErrMalformed)
			}
			for _, at := range []int{atFlags, atFlags + 1} {
				b := bytes.Clone(s.packet)
				b[at] = 1
				_, err := read(b)
				if wantError(t, err, ErrMalformed, "flags"); errors.Is(err, ErrVersion) {
					t.Errorf("%s: flags are taken for a version: %v", s.name, err)
				}
			}
		case KindRefused, KindKicked:
			b := bytes.Clone(s.packet)
			b[atVersion] = 77
			if value, err := read(b); err != nil || value.(End).Version != 77 {
				t.Errorf("%s of version 77 is %+v, %v", s.name, value, err)
			}
		}
	}
}

func TestKinds(t *testing.T) {
	for _, b := range [][]byte{{}, {0}, {byte(kindEnd)}, {255, 1}} {
		_, err := KindOf(b)
		wantError(t, err, ErrMalformed)
	}
	// Each function reads its own kind alone.
	functions := map[Kind]func(b []byte) error{
		KindAuth: func(b []byte) error { _, err := ParseAuth(b); return err }, KindResume: func(b []byte) error { _, err := ParseResume(b); return err },
		KindPing: func(b []byte) error { _, err := ParsePing(b); return err }, KindBye: ParseBye,
		KindWelcome: func(b []byte) error { _, err := ParseWelcome(b); return err }, KindResumed: func(b []byte) error { _, err := ParseResumed(b); return err },
		KindPong: func(b []byte) error { _, err := ParsePong(b); return err },
		KindData: func(b []byte) error { _, err := User(b); return err }, KindRefused: func(b []byte) error { _, err := ParseEnd(b); return err },
	}
	twins := map[Kind]Kind{KindLoose: KindData, KindKicked: KindRefused}
	for k, f := range functions {
		for _, s := range samples() {
			got := Kind(s.packet[0])
			if err := f(s.packet); (err == nil) != (got == k || twins[got] == k) {
				t.Errorf("who reads a %v gets a %v: %v", k, got, err)
			}
		}
		wantError(t, f(nil), ErrMalformed)
		wantError(t, f([]byte{0}), ErrMalformed, "kind 0")
	}
}

func TestTextsOfEnds(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", ""},
		{size(MaxText), size(MaxText)},
		{size(MaxText + 1), size(MaxText)},
		{size(MaxText-1) + "ä", size(MaxText - 1)},
		{size(MaxText-2) + "ä!", size(MaxText-2) + "ä"},
		{"\xff", ""},
	} {
		b := AppendEnd(nil, &End{Kind: KindRefused, Code: 9, Text: c.text})
		if e, err := ParseEnd(b); err != nil || e.Text != c.want || e.Code != 9 || e.Kind != KindRefused || e.Version != Version {
			t.Errorf("%.20q is read as %+v, %v, want the text %.20q", c.text, e, err, c.want)
		}
	}
	if b := AppendEnd(nil, &End{Code: 9}); Kind(b[0]) != KindKicked {
		t.Errorf("without a kind it is a %v", Kind(b[0]))
	}
	_, err := ParseEnd(append([]byte{byte(KindKicked), 1, 0, 9}, size(MaxText+1)...))
	wantError(t, err, ErrMalformed, "517 bytes, want at most 516")
	_, err = ParseEnd([]byte{byte(KindKicked), 1, 0, 9, 0xff})
	wantError(t, err, ErrMalformed, "UTF-8")
}

func TestWhatAnEndSays(t *testing.T) {
	for want, e := range map[string]*End{
		"REFUSED by the gate: gap":              {Kind: KindRefused, Code: CodeGap},
		"KICKED by the gate: program 1025: bye": {Kind: KindKicked, Code: CodeProgram + 1, Text: "bye"},
		"KICKED by the gate: code 500":          {Kind: KindKicked, Code: 500},
	} {
		if e.Error() != want {
			t.Errorf("the error is %q, want %q", e, want)
		}
	}
}

func TestCodesOfErrors(t *testing.T) {
	_, _, err := Length2.Split([]byte{1, 0}, 5)
	_, version := ParseAuth([]byte{byte(KindAuth), 9})
	_, broken := ParseAuth([]byte{byte(KindAuth)})
	for want, err := range map[Code]error{CodeTooLarge: err, CodeVersion: version, CodeMalformed: broken} {
		if got := CodeOf(err); got != want {
			t.Errorf("the code of %v is %v, want %v", err, got, want)
		}
	}
}

// A proof is right for its key and its packet alone.
func TestProof(t *testing.T) {
	key := sessionKey()
	rng := testutil.Rand(t)
	for range 50 {
		r := Resume{Home: rng.Uint32(), ID: rng.Uint64(), Epoch: rng.Uint32(), Received: rng.Uint64()}
		good := AppendResume([]byte("before"), &r, key[:])[len("before"):]
		if !CheckProof(key[:], good) {
			t.Fatalf("the proof of %+v is wrong", r)
		}
		for at := range good {
			b := bytes.Clone(good)
			b[at] ^= 1 << rng.IntN(8)
			if CheckProof(key[:], b) {
				t.Errorf("with byte %d changed the proof is right", at)
			}
		}
		other := key
		other[rng.IntN(KeySize)] ^= 1 << rng.IntN(8)
		if CheckProof(other[:], good) {
			t.Error("with another key the proof is right")
		}
	}
}

func TestNoProof(t *testing.T) {
	key := sessionKey()
	good := AppendResume(nil, &Resume{Home: 1, ID: 2, Epoch: 3}, key[:])
	for name, b := range map[string][]byte{"nothing": nil, "half a packet": good[:30], "a byte less": good[:59], "a byte more": append(bytes.Clone(good), 0)} {
		if CheckProof(key[:], b) {
			t.Errorf("%s has a proof", name)
		}
	}
	for _, key := range [][]byte{nil, key[:31], append(key[:], 0)} {
		if CheckProof(key, AppendResume(nil, &Resume{ID: 2}, key)) {
			t.Errorf("a key of %d bytes gives a proof", len(key))
		}
	}
	if Proof(key[:], nil) != Proof(key[:], []byte{}) {
		t.Error("the proof of nothing is two")
	}
}

func TestNamesOfKindsAndCodes(t *testing.T) {
	names := map[string]bool{}
	for k := Kind(1); k < kindEnd; k++ {
		names[k.String()] = true
		if !k.FromClient() && !k.FromGate() {
			t.Errorf("nobody sends a %v", k)
		}
	}
	for c := Code(1); c < codeEnd; c++ {
		names[c.String()] = true
	}
	if want := int(kindEnd) - 1 + int(codeEnd) - 1; len(names) != want {
		t.Errorf("%d kinds and codes have %d names", want, len(names))
	}
	for name := range names {
		if name == "" || strings.Contains(name, "kind") && name != "kicked" || strings.Contains(name, "code") {
			t.Errorf("there is the name %q", name)
		}
	}
	for _, s := range []struct{ got, want string }{
		{Kind(0).String(), "kind 0"}, {kindEnd.String(), fmt.Sprintf("kind %d", kindEnd)}, {Code(0).String(), "code 0"}, {codeEnd.String(), fmt.Sprintf("code %d", codeEnd)},
		{(CodeProgram - 1).String(), "code 1023"}, {CodeProgram.String(), "program 1024"}, {Advice(9).String(), "advice 9"},
	} {
		if s.got != s.want {
			t.Errorf("the name is %q, want %q", s.got, s.want)
		}
	}
	for _, c := range []Code{0, codeEnd, CodeProgram, 65535} {
		if c.Advice() != GiveUp {
			t.Errorf("a client that gets %v %v", c, c.Advice())
		}
	}
}
