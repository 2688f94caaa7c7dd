// SPDX-License-Identifier: Apache-2.0

//go:build linux

package hosts

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/internal/testutil"
)

// The log of a test is written in short: "^" starts a life, a number is a
// message, "+" behind it a flag, "!" that it is torn, "5-9" a reported gap, "3=4"
// message 3 with the lane's sequence 4, "~" half a line. "b" before all that
// means the second source.
func shortLog(t *testing.T, short string) string {
	t.Helper()
	var b []byte
	for word := range strings.FieldsSeq(short) {
		src, second := senderAddr(0), false
		if word, second = strings.CutPrefix(word, "b"); second {
			src = senderAddr(1)
		}
		switch word {
		case "^":
			b = append(b, '\n')
			b = entry{kind: kindStart}.append(b)
			continue
		case "~":
			b = append(b, "message 0.0.1.1 1"...)
			continue
		case "~~":
			b = append(b, "nonsense\n"...)
			continue
		}
		b = shortEntry(t, word, src).append(b)
	}
	return string(b)
}

func shortEntry(t *testing.T, word string, src addr.Addr) entry {
	t.Helper()
	e := entry{kind: kindMessage, src: src}
	if from, to, gap := strings.Cut(word, "-"); gap {
		e.kind = kindGap
		scan(t, from, &e.number)
		scan(t, to, &e.seq)
		return e
	}
	if rest, torn := strings.CutSuffix(word, "!"); torn {
		word, e.kind, e.text = rest, kindTorn, "torn from byte 9 on"
	}
	word, e.flagged = strings.CutSuffix(word, "+")
	number, seq, differs := strings.Cut(word, "=")
	scan(t, number, &e.number)
	if e.seq = e.number; differs {
		scan(t, seq, &e.seq)
	}
	return e
}

func scan(t *testing.T, s string, n *uint64) {
	t.Helper()
	if _, err := fmt.Sscan(s, n); err != nil {
		t.Fatalf("%q: %v", s, err)
	}
}

// TestJudge: one log for each thing that can go wrong, and for each that only
// looks so.
func TestJudge(t *testing.T) {
	tests := []struct {
		name, log string
		accepted  uint64
		recv      bool
		want      verdict
	}{
		{name: "in order", log: "^ 1 2 3", accepted: 3, want: verdict{Came: 3}},
		{name: "nothing was sent", log: "^"},
		{name: "again, flagged", log: "^ 1 2 ^ 1+ 2+ 3", accepted: 3, want: verdict{Came: 3, Again: 2}},
		{name: "first time, flagged", log: "^ 1 ^ 2+ 3", accepted: 3, want: verdict{Came: 3}},
		{name: "a line that was being written", log: "^ 1 ~ ^ 2+", accepted: 2, want: verdict{Came: 2}},
		{name: "a line that was being written at the end", log: "^ 1 2 ~", accepted: 2, want: verdict{Came: 2}},

		{name: "lost in the middle", log: "^ 1 2 5", accepted: 5, want: verdict{Came: 3, Lost: 2, First: "2 messages from 3 on did not come"}},
		{name: "lost at the start", log: "^ 2", accepted: 2, want: verdict{Came: 1, Lost: 1, First: "1 messages from 1 on did not come"}},
		{name: "lost at the end", log: "^ 1", accepted: 4, want: verdict{Came: 1, Lost: 3, First: "3 messages from 2 on did not come"}},
		{name: "all lost", log: "^", accepted: 4, want: verdict{Lost: 4, First: "4 messages from 1 on did not come"}},
		{name: "lost with a handler that was killed", log: "^ 1 ^ 3", accepted: 3, want: verdict{Came: 2, Lost: 1, First: "1 messages from 2 on did not come"}},
		{name: "doubled", log: "^ 1 2 2 3", accepted: 3, want: verdict{Came: 3, Doubled: 1, First: "message 2 came again without a flag, after 2"}},
		{name: "doubled late", log: "^ 1 2 3 1", accepted: 3, want: verdict{Came: 3, Doubled: 1, First: "message 1 came again without a flag, after 3"}},
		{name: "doubled in the next life", log: "^ 1 2 ^ 2 3", accepted: 3, want: verdict{Came: 3, Doubled: 1, First: "message 2 came again without a flag, after 2"}},
		{name: "doubled after a flag", log: "^ 1+ 1", accepted: 1, want: verdict{Came: 1, Doubled: 1, First: "message 1 came again without a flag, after 1"}},
		{name: "out of order", log: "^ 1 3 2 4", accepted: 4, want: verdict{Came: 4, Disorder: 1, First: "message 2 came after 3"}},
		{name: "late and flagged", log: "^ 1 3 2+ 4", accepted: 4, want: verdict{Came: 4}},
		{name: "torn", log: "^ 1 2! 3", accepted: 3, want: verdict{Came: 3, Torn: 1, First: "message 2 is torn: torn from byte 9 on"}},
		{name: "torn in its number", log: "^ 1 77=2! 3", accepted: 3, want: verdict{Came: 3, Torn: 1, First: "message 2 is torn: torn from byte 9 on"}},
		{name: "torn out of all reason", log: "^ 1 9=0! 2", accepted: 2, want: verdict{Came: 2, Torn: 1, First: "message 0 is torn: torn from byte 9 on"}},
		{name: "a reported gap", log: "^ 1 2-4 5", accepted: 5, want: verdict{Came: 2, Reported: 3, First: "3 messages between 2 and 4 did not come, which the bus says"}},
		{name: "a gap that is larger than reported", log: "^ 1 2-3 5", accepted: 5, want: verdict{Came: 2, Reported: 2, Lost: 1, First: "2 messages between 2 and 4 did not come, which the bus says"}},
		{name: "a reported gap at the end", log: "^ 1 2-9", accepted: 3, want: verdict{Came: 1, Reported: 2, First: "2 messages between 2 and 3 did not come, which the bus says"}},
		{name: "reported and came", log: "^ 1 2-2 2 3", accepted: 3, want: verdict{Came: 3}},
		{name: "never accepted", log: "^ 1 2 3", accepted: 2, want: verdict{Came: 3, Beyond: 1, First: "message 3 came, 2 were accepted"}},
		{name: "number 0", log: "^ 0 1", accepted: 1, want: verdict{Came: 1, Beyond: 1, First: "message number 0 came, numbers begin at 1"}},
		{name: "renumbered", log: "^ 1 2=3", accepted: 2, want: verdict{Came: 2, Renumbered: 1, First: "message 2 came as number 3 of the lane"}},

		{name: "taken and killed", log: "^ 1 ^ 3", accepted: 3, recv: true, want: verdict{Came: 2, Excused: 1}},
		{name: "taken and killed, the first", log: "^ ^ 2", accepted: 2, recv: true, want: verdict{Came: 1, Excused: 1}},
		{name: "taken and killed, the last", log: "^ 1 ^", accepted: 2, recv: true, want: verdict{Came: 1, Excused: 1}},
		{name: "taken and killed twice", log: "^ 1 ^ ^ 4", accepted: 4, recv: true, want: verdict{Came: 2, Excused: 2}},
		{name: "two lost for one kill", log: "^ 1 ^ 4", accepted: 4, recv: true, want: verdict{Came: 2, Excused: 1, Lost: 1, First: "1 messages from 2 on did not come"}},
		{name: "lost in a life", log: "^ 1 ^ 2 4", accepted: 4, recv: true, want: verdict{Came: 3, Lost: 1, First: "1 messages from 3 on did not come"}},
		{name: "lost in the first life", log: "^ 2", accepted: 2, recv: true, want: verdict{Came: 1, Lost: 1, First: "1 messages from 1 on did not come"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			sources := []addr.Addr{senderAddr(0)}
			j := newJudge(test.recv, sources...)
			if err := j.read(strings.NewReader(shortLog(t, test.log))); err != nil {
				t.Fatal(err)
			}
			got := j.judgeReceiver(sources, func(addr.Addr) uint64 { return test.accepted })[0]
			test.want.Accepted = test.accepted
			if got != test.want {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
			clean := test.want.First == ""
			if got.faults() == clean {
				t.Errorf("faults: %v of %v", got.faults(), got)
			}
		})
	}
}

// TestJudgeTwoLanes: lanes do not mix, and one kill excuses one message of one.
func TestJudgeTwoLanes(t *testing.T) {
	sources := []addr.Addr{senderAddr(0), senderAddr(1)}
	j := newJudge(true, sources...)
	if err := j.read(strings.NewReader(shortLog(t, "^ 1 b1 b2 2 ^ b4 4"))); err != nil {
		t.Fatal(err)
	}
	got := j.judgeReceiver(sources, func(addr.Addr) uint64 { return 4 })
	if got[0].Excused != 1 || got[0].Lost != 0 || got[1].Excused != 0 || got[1].Lost != 1 {
		t.Errorf("got %v\nand %v", got[0], got[1])
	}
}

// TestJudgeRefuses logs that nothing can be said about.
func TestJudgeRefuses(t *testing.T) {
	tests := []struct{ name, log, want string }{
		{"no life", "1", "line 1 of the log: want the start of a life first"},
		{"a broken line in a life", "^ 1 ~~ 2", `after the broken line "nonsense"`},
		{"two broken lines", "^ ~~ ~~ ^", `line "nonsense"`},
		{"a stranger", "^ b1", "a message from 0.0.2.1, which sends nothing"},
		{"a gap that ends before it begins", "^ 5-4", "a gap from 5 to 4: want"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			j := newJudge(false, senderAddr(0))
			if err := j.read(strings.NewReader(shortLog(t, test.log))); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got the error %v, want one with %q", err, test.want)
			}
		})
	}
}

// TestJudgeFindsRandomFaults: a good log of random length gets one random fault,
// and the judge names that fault and no other.
func TestJudgeFindsRandomFaults(t *testing.T) {
	rng := testutil.Rand(t)
	for range 500 {
		n := 3 + rng.IntN(50)
		words := []string{"^"}
		for i := 1; i <= n; i++ {
			words = append(words, fmt.Sprint(i))
		}
		want := verdict{Accepted: uint64(n), Came: uint64(n)}
		spoil(rng, words, &want)
		sources := []addr.Addr{senderAddr(0)}
		j := newJudge(rng.IntN(2) == 0, sources...)
		if err := j.read(strings.NewReader(shortLog(t, strings.Join(words, " ")))); err != nil {
			t.Fatal(err)
		}
		got := j.judgeReceiver(sources, func(addr.Addr) uint64 { return uint64(n) })[0]
		if got.First == "" {
			t.Errorf("%q: no words for the fault", words)
		}
		if got.First = ""; got != want {
			t.Errorf("%q: got %+v, want %+v", words, got, want)
		}
	}
}

// spoil makes one fault in a log of messages behind the start of a life.
func spoil(rng *rand.Rand, words []string, want *verdict) {
	at := 1 + rng.IntN(len(words)-2) // not the last
	switch rng.IntN(4) {
	case 0:
		words[at] = ""
		want.Came, want.Lost = want.Came-1, 1
	case 1:
		words[at] += " " + words[at]
		want.Doubled = 1
	case 2:
		words[at], words[at+1] = words[at+1], words[at]
		want.Disorder = 1
	case 3:
		words[at] += "!"
		want.Torn = 1
	}
}
