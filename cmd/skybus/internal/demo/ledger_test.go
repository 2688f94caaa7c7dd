// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"bytes"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/internal/testutil"
)

// composed returns message n as the consumer gets it.
func composed(n uint64) skybus.Message {
	return skybus.Message{Src: producerAddr, Dst: consumerAddr, Seq: n, Data: compose(make([]byte, largestSize), n, 1000)}
}

// stream returns messages 1 to n.
func stream(n int) []skybus.Message {
	list := make([]skybus.Message, n)
	for i := range list {
		list[i] = composed(uint64(i + 1))
	}
	return list
}

// judged returns what the audit says of a consumer that got the stream, of which
// sent messages were accepted, and was killed once.
func judged(t *testing.T, list []skybus.Message, sent uint64) (Audit, string) {
	t.Helper()
	l := &seenLedger{head: make(words, marksAt), marks: make([]byte, 1<<12)}
	for _, m := range list {
		if err := l.note(m, 2000); err != nil {
			t.Fatal(err)
		}
	}
	a, err := audit(bytes.NewReader(l.marks), sent)
	if err != nil {
		t.Fatal(err)
	}
	return a, strings.Join(a.broken(1), "; ")
}

func TestFaultlessStreamPasses(t *testing.T) {
	a, broken := judged(t, stream(1000), 1000)
	if want := (Audit{Sent: 1000, Received: 1000}); a != want || broken != "" {
		t.Errorf("%+v, broken: %s", a, broken)
	}
}

func TestFaultyStreamsAreFoundOut(t *testing.T) {
	flagged := func(m skybus.Message) skybus.Message {
		m.Redelivered = true
		return m
	}
	many := stream(40)
	for _, m := range stream(33) {
		many = append(many, flagged(m))
	}
	swapped := stream(10)
	swapped[4], swapped[5] = swapped[5], swapped[4]
	renumbered := stream(10)
	renumbered[9].Seq = 11
	for what, c := range map[string]struct {
		list []skybus.Message
		sent uint64
		want string
	}{
		"a lost message":              {slices.Delete(stream(10), 4, 5), 10, "1 message lost; 1 message out of order"},
		"the last message lost":       {stream(9), 10, "1 message lost"},
		"a doubled message":           {slices.Insert(stream(10), 5, composed(5)), 10, "1 message duplicated"},
		"a message that came thrice":  {slices.Insert(stream(10), 5, composed(5), composed(5)), 10, "2 messages duplicated"},
		"an old message again":        {append(stream(10), composed(2)), 10, "1 message duplicated"},
		"flagged first, then not":     {append(stream(9), flagged(composed(10)), composed(10)), 10, "1 message duplicated"},
		"messages in another order":   {swapped, 10, "1 message out of order"},
		"another sequence":            {renumbered, 10, "1 message out of order"},
		"a message that was not sent": {stream(10), 9, "1 message received and never sent"},
		"too many redelivered":        {many, 40, "33 messages redelivered, more than the 32 of 1 kills"},
		"silence":                     {nil, 0, "no message was sent"},
	} {
		if _, got := judged(t, c.list, c.sent); got != c.want {
			t.Errorf("%s: %q, want %q", what, got, c.want)
		}
	}
}

func TestFlaggedRedeliveryIsNoDuplicate(t *testing.T) {
	list := stream(10)
	for _, n := range []uint64{8, 9, 10} {
		m := composed(n)
		m.Redelivered = true
		list = append(list, m)
	}
	a, broken := judged(t, append(list, composed(11)), 11)
	if want := (Audit{Sent: 11, Received: 11, Redelivered: 3}); a != want || broken != "" {
		t.Errorf("%+v, broken: %s", a, broken)
	}
}

func TestEveryTornMessageIsFound(t *testing.T) {
	rng := rand.New(rand.NewPCG(testutil.Seed(t), 0))
	for range 2000 {
		list := stream(3)
		m := &list[1]
		switch i := rng.IntN(len(m.Data)); rng.IntN(3) {
		case 0:
			m.Data[i] ^= 1 << rng.IntN(8)
		case 1:
			m.Data = m.Data[:i]
		case 2: // the end of another message
			other := composed(7).Data
			at := min(i, len(other)-8)
			if i > len(m.Data)-8 || bytes.Equal(m.Data[at:min(len(m.Data), len(other))], other[at:min(len(m.Data), len(other))]) {
				continue
			}
			copy(m.Data[at:], other[at:])
		}
		if a, _ := judged(t, list, 3); a.Torn != 1 || a.Lost != 0 {
			t.Fatalf("%+v", a)
		}
	}
}

func TestMessagesVaryAndAreRead(t *testing.T) {
	sizes := map[int]bool{}
	for n := uint64(1); n <= 5000; n++ {
		m := compose(make([]byte, largestSize), n, int64(n)*3)
		got, sent, whole := read(m)
		if got != n || sent != int64(n)*3 || !whole {
			t.Fatalf("message %d read as %d, %d, %v", n, got, sent, whole)
		}
		sizes[len(m)] = true
	}
	if len(sizes) < 450 {
		t.Errorf("%d different sizes", len(sizes))
	}
}

func TestInterruptedSendIsSettledByTheBus(t *testing.T) {
	for _, c := range []struct {
		what                  string
		tried, accepted, last uint64
		fate                  uint64
		refused               bool
	}{
		{"a new ledger", 0, 0, 0, fateNone, false},
		{"killed between two Sends", 9, 9, 9, fateNone, false},
		{"killed in a Send that counts", 10, 9, 10, fateAccepted, false},
		{"killed in a Send that does not", 10, 9, 9, fateDropped, false},
		{"a bus that has forgotten one", 9, 9, 8, 0, true},
		{"a bus that has invented one", 9, 9, 10, 0, true},
		{"a bus that has invented one after a Send", 10, 9, 11, 0, true},
	} {
		l := &sentLedger{words: make(words, sentSize)}
		l.set(wordTried, c.tried)
		l.set(wordAccepted, c.accepted)
		err := l.resume(c.last)
		if (err != nil) != c.refused {
			t.Errorf("%s: error %v", c.what, err)
		}
		if err == nil && (l.get(wordAccepted) != c.last || l.get(wordFate) != c.fate || l.begin() != c.last+1) {
			t.Errorf("%s: accepted %d, fate %d", c.what, l.get(wordAccepted), l.get(wordFate))
		}
	}
}

func TestLedgersStayWhenTheirProcessIsGone(t *testing.T) {
	dir := testutil.Dir(t)
	l, err := openSeen(filepath.Join(dir, "seen"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range stream(100) {
		if err := l.note(m, 2000); err != nil {
			t.Fatal(err)
		}
	}
	l.close()
	if l, err = openSeen(filepath.Join(dir, "seen")); err != nil {
		t.Fatal(err)
	}
	defer l.close()
	if err := l.note(composed(101), 2000); err != nil {
		t.Fatal(err)
	}
	s, err := readSeen(l.f)
	if err != nil || s.first != 101 || s.delays.total() != 101 {
		t.Errorf("%d seen, %d delays, %v", s.first, s.delays.total(), err)
	}
	if a, err := audit(bytes.NewReader(l.marks), 101); err != nil || a.Received != 101 {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestNumberBeyondTheLedgerIsRefused(t *testing.T) {
	l := &seenLedger{head: make(words, marksAt), marks: make([]byte, 10)}
	for _, n := range []uint64{0, 10, 1 << 40} {
		if err := l.note(composed(n), 2000); err == nil {
			t.Errorf("message %d was recorded", n)
		}
	}
}

func TestDelaysAreCountedToSixPercent(t *testing.T) {
	for ns := int64(0); ns < 1e12; ns += ns/9 + 1 {
		b := bucketOf(ns)
		bottom, next := bottomOf(b), bottomOf(b+1)
		if int64(bottom) > ns || int64(next) <= ns || float64(next-bottom) > max(1, 0.07*float64(ns)) {
			t.Fatalf("%d ns is in the bucket from %d to %d", ns, bottom, next)
		}
	}
}

func TestQuantilesOfDelays(t *testing.T) {
	var d delays
	if d.quantile(0.5) != 0 {
		t.Error("a quantile of nothing")
	}
	for i := range 1000 {
		d[bucketOf(int64(i)*1000)]++
	}
	for q, want := range map[float64]time.Duration{0: 0, 0.5: 500_000, 0.99: 990_000, 1: 999_000} {
		if got := d.quantile(q); got > want || float64(got) < 0.93*float64(want) {
			t.Errorf("quantile %v is %v, want about %v", q, got, want)
		}
	}
}

func TestShortTexts(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 ns", 999: "999 ns", 1500: "1.5 us", 45_600: "46 us", 2_300_000: "2.3 ms", 71 * time.Second: "71 s",
	} {
		if got := short(d); got != want {
			t.Errorf("%d is written %q, want %q", d, got, want)
		}
	}
	if got := messages(1) + ", " + messages(1234567); got != "1 message, 1,234,567 messages" {
		t.Error(got)
	}
}
