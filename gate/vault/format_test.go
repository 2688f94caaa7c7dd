// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/shm"
)

// No damage of one byte, of the word or of what it belongs to, goes unseen: each factor times each difference that such
// damage makes is far enough from 0.
func TestFactors(t *testing.T) {
	for _, f := range []uint64{valueFactor, aFactor, bFactor, kindFactor} {
		for shift := 0; shift < 64; shift += 8 {
			for j := uint64(1); j < 256; j++ {
				if d := (j << shift) * f; d < 1<<48 || -d < 1<<48 {
					t.Errorf("%#x times %#x is %#x", f, j<<shift, d)
				}
			}
		}
	}
}

func TestDamagedWordIsSeen(t *testing.T) {
	rng := testutil.Rand(t)
	for range 200 {
		value, a, b := rng.Uint64N(maxValue+1)>>rng.IntN(valueBits), rng.Uint64()>>rng.IntN(64), rng.Uint64()>>rng.IntN(64)
		word := seal(value, saltOf(kindRef, a, b))
		if got, ok := unseal(word, saltOf(kindRef, a, b)); !ok || got != value || word == 0 {
			t.Fatalf("%d becomes %d, %v", value, got, ok)
		}
		for shift := 0; shift < 64; shift += 8 {
			for x := uint64(1); x < 256; x++ {
				for _, ok := range []bool{opens(word^x<<shift, kindRef, a, b), opens(word, kindRef, a^x<<shift, b), opens(word, kindRef, a, b^x<<shift)} {
					if ok {
						t.Fatalf("%#x for %#x, %#x opens with byte %d changed by %#x", word, a, b, shift/8, x)
					}
				}
			}
		}
	}
}

func opens(word uint64, k kind, a, b uint64) bool {
	_, ok := unseal(word, saltOf(k, a, b))
	return ok
}

// The page of the format says where everything is, and what the numbers are.
func TestDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/format/vault.md")
	check(t, err)
	for name, at := range map[string]int{
		"home": bodyAtHome, "slots": bodyAtSlots, "ring": bodyAtRing, "sources": bodyAtSources,
		"written": writtenAt, "last": lastAt, "id": idAt, "ready": readyAt, "evicted": evictedAt, "forgotten": forgottenAt, "done": doneAt,
		"state": slotAtState, "key": slotAtKey, "epoch": slotAtEpoch, "accepted": slotAtAccepted, "cuts": slotAtCuts, "version": slotAtVersion,
		"texts": slotAtTexts, "refs": slotAtRefs, "part": 16,
	} {
		row := regexp.MustCompile(`(?m)^\| ` + strconv.Itoa(at) + ` \| [^|]+ \| ` + name + ` \|`)
		if !row.Match(text) {
			t.Errorf("no row has %s at %d", name, at)
		}
	}
	for _, want := range []string{
		"0xc4f5a58656eef511", "0x9dcec3ad077dec6d", "0xc8d04605312f8089", "0xcbedc0dcb63ac19b", // the factors
		"sources x 24", "slots x 5184", "2 x 1360", "256 x u64", "4 x 32", "2^33", "16,384",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%s does not stand there", want)
		}
	}
	for kind, name := range map[kind]string{
		kindWritten: "1, 0, 0", kindLast: "2, 0, 0", kindID: "3, 0, 0", kindReady: "4, 0, 0", kindNumber: "5, source, 0", kindPart: "6, source, 0",
		kindState: "7, slot, 0", kindEpoch: "8, id, 0", kindAccepted: "9, id, 0", kindSent: "10, id, 0", kindRef: "11, id, n", kindVersion: "12, id, 0",
		kindCutNumber: "13, id, source", kindCutItem: "14, id, source",
	} {
		if !strings.HasPrefix(name, strconv.Itoa(int(kind))+",") || !strings.Contains(string(text), "| "+name+" |") {
			t.Errorf("kind %d is not sealed with %s", kind, name)
		}
	}
	if slotSize != 5184 || doneSize != 24 || textsSize != 1360 || refs != 256 || cuts*cutSize != 128 || idsPerSecond != 16384 {
		t.Error("a size is not the one that is documented")
	}
}

// Bodies that a vault cannot have are refused.
func TestView(t *testing.T) {
	l := small.limits()
	good := bodyOf(home, l)
	mem := make([]byte, l.size())
	if _, err := view(mem, good, home); err != nil {
		t.Fatal(err)
	}
	rng := testutil.Rand(t)
	for range 2000 {
		body := good
		body[rng.IntN(len(body))] ^= byte(1 + rng.IntN(255))
		if m, err := view(mem, body, home); err == nil && (m.limits == l || m.size() != l.size()) {
			t.Errorf("the body %x is one of a file of %d bytes", body[:16], l.size()) // others may round to the same size
		} else if err != nil {
			want(t, err, ErrDamaged)
		}
	}
	for _, size := range []int64{0, shm.HeaderSize, l.size() - 1} {
		_, err := view(mem[:size], good, home)
		want(t, err, ErrDamaged)
	}
	_, err := view(mem, good, home+1)
	want(t, err, ErrDamaged)
}

// Texts that are not what anybody has written are refused, whatever the bytes are.
func TestUnpack(t *testing.T) {
	for _, bad := range [][]byte{{1}, {2, 'a'}, {1, 'a', 5, 'b'}} {
		if list, ok := unpack(bad); ok {
			t.Errorf("%v is the list %q", bad, list)
		}
	}
	rng := testutil.Rand(t)
	for range 500 {
		list := make([]string, rng.IntN(8))
		for i := range list {
			list[i] = string(packet(i, rng.IntN(60)))
		}
		b, err := pack(list)
		check(t, err)
		back, ok := unpack(b)
		if !ok || len(back) != len(list) {
			t.Fatalf("%q becomes %q", list, back)
		}
		for i := range list {
			if back[i] != list[i] {
				t.Errorf("%q becomes %q", list[i], back[i])
			}
		}
	}
}
