// SPDX-License-Identifier: Apache-2.0

package ring

import (
	"errors"
	"math"
	"testing"

	"github.com/skybus-io/skybus/internal/testutil"
)

// The commit word as docs/format/ring.md draws it: 32 bits length + 1, 8 bits
// flags, 24 bits tag (R2).
func TestCommitWordHasTheBitsOfTheFormat(t *testing.T) {
	cases := []struct {
		pos, flags, n uint64
		want          uint64
	}{
		{0, 0, 0, 0x100000_00_00000001},
		{16, 0, 5, 0x100001_00_00000006},
		{1<<24 - 16, flagPad, 0, 0x1fffff_01_00000001},
		{1 << 24, FlagRedel | FlagGap, 16, 0x100000_0c_00000011},
		{48, flagMoved, 0, 0x100003_02_00000001},
		{48, flagClosed, 0, 0x100003_10_00000001},
	}
	for _, c := range cases {
		if got := commitWord(c.pos, c.flags, c.n); got != c.want {
			t.Errorf("commitWord(%d, %#x, %d) = %#x, want %#x", c.pos, c.flags, c.n, got, c.want)
		}
	}
}

// A word of the last lap is refused at its place in this one, in every ring
// smaller than what the tag can tell apart (16 MiB).
func TestWordOfTheLastLapIsRefused(t *testing.T) {
	for size := uint64(MinSize); size < 1<<24; size *= 2 {
		for pos := size; pos < 4*size; pos += size / 8 {
			old := commitWord(pos-size, 0, 8)
			if _, err := parse(old, pos, pos, size); !errors.Is(err, ErrDamaged) {
				t.Fatalf("ring of %d, position %d: the word of position %d passes: %v", size, pos, pos-size, err)
			}
			if h, err := parse(commitWord(pos, 0, 8), pos, pos, size); err != nil || h.adv != 32 {
				t.Fatalf("ring of %d, position %d: %+v, %v", size, pos, h, err)
			}
		}
	}
}

func TestWordsThatBreakTheFormatAreDamage(t *testing.T) {
	const size, pos = 1024, 1024 + 512
	full := uint64(MaxPayload(size))
	cases := map[string]struct{ word, pos, released uint64 }{
		"of another place":              {commitWord(pos+16, 0, 8), pos, pos},
		"without a tag":                 {9, pos, pos},
		"length word 0":                 {lapTag(pos), pos, pos},
		"all bits set":                  {math.MaxUint64, pos, pos},
		"bit 61 set":                    {commitWord(pos, 0, 8) | 1<<61, pos, pos},
		"unknown flag":                  {commitWord(pos, 1<<5, 8), pos, pos},
		"larger than half the ring":     {commitWord(pos, 0, full+1), pos, pos},
		"length that wraps":             {commitWord(pos, 0, math.MaxUint32-1), pos, pos},
		"past the end of the region":    {commitWord(pos+256, 0, 300), pos + 256, pos},
		"into what is not released":     {commitWord(pos, 0, full), pos, pos - 528},
		"tail header into unreleased":   {commitWord(pos, 0, full), pos, pos - 512},
		"pad at the start":              {commitWord(1024, flagPad, 0), 1024, 1024},
		"pad with a payload":            {commitWord(pos, flagPad, 1), pos, pos},
		"pad that is redelivered":       {commitWord(pos, flagPad|FlagRedel, 0), pos, pos},
		"pad into what is not released": {commitWord(pos, flagPad, 0), pos, 1024 - 16},
		"moved with a payload":          {commitWord(pos, flagMoved, 1), pos, pos},
		"moved and closed":              {commitWord(pos, flagMoved|flagClosed, 0), pos, pos},
		"closed and a gap":              {commitWord(pos, flagClosed|FlagGap, 0), pos, pos},
	}
	for name, c := range cases {
		if h, err := parse(c.word, c.pos, c.released, size); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: word %#x passes as %+v, %v", name, c.word, h, err)
		}
		if _, _, ok := plain(c.word, c.pos, c.released+size-HeaderSize, size); ok {
			t.Errorf("%s: word %#x passes as a plain record", name, c.word)
		}
	}
}

// The quick judgement is the thorough one, for records without flags.
func TestWordsArePlainWhenParseSaysSo(t *testing.T) {
	rng := testutil.Rand(t)
	accepted := 0
	for range 300_000 {
		size := uint64(MinSize) << rng.IntN(4)
		released := rng.Uint64N(1<<30) &^ (align - 1)
		pos := released + rng.Uint64N(size)&^(align-1)
		word := commitWord(pos, 0, rng.Uint64N(size))
		switch rng.IntN(8) {
		case 0:
			word ^= 1 << rng.IntN(64)
		case 1:
			word = rng.Uint64()
		case 2:
			word = commitWord(pos+size, 0, 8)
		}
		h, err := parse(word, pos, released, size)
		n, adv, ok := plain(word, pos, released+size-HeaderSize, size)
		if ok != (err == nil && h.flags == 0) || ok && (n != h.n || adv != h.adv) {
			t.Fatalf("word %#x at %d, released %d, ring of %d: plain says %v, %d, %d and parse %+v, %v", word, pos, released, size, ok, n, adv, h, err)
		}
		if ok {
			accepted++
		}
	}
	if accepted < 1000 {
		t.Errorf("only %d words were good", accepted)
	}
}

func TestLargestRecordIsHalfTheRing(t *testing.T) {
	for size := uint64(MinSize); size <= MaxSize; size *= 2 {
		most := MaxPayload(size)
		if got := RecordSize(most); got != size/2 {
			t.Errorf("ring of %d: the largest payload of %d takes %d", size, most, got)
		}
		if got := SizeFor(most, 0); got != size {
			t.Errorf("SizeFor(%d) = %d, want %d", most, got, size)
		}
		if got := SizeFor(most+1, 0); got != 2*size {
			t.Errorf("SizeFor(%d) = %d, want %d", most+1, got, 2*size)
		}
	}
}

func TestSizesAreRoundedUp(t *testing.T) {
	cases := []struct {
		n       int
		atLeast uint64
		want    uint64
	}{
		{0, 0, MinSize}, {0, MinSize + 1, 2 * MinSize}, {1000, 0, 2048}, {1, 5000, 8192}, {100_000, 4096, 1 << 18},
	}
	for _, c := range cases {
		if got := SizeFor(c.n, c.atLeast); got != c.want {
			t.Errorf("SizeFor(%d, %d) = %d, want %d", c.n, c.atLeast, got, c.want)
		}
	}
	for n, want := range map[int]uint64{0: 16, 1: 32, 16: 32, 17: 48, 1008: 1024} {
		if got := RecordSize(n); got != want {
			t.Errorf("RecordSize(%d) = %d, want %d", n, got, want)
		}
	}
}

func TestRegionRefusesOtherMemory(t *testing.T) {
	marks, data := make([]byte, 256), make([]byte, 4096)
	cases := map[string]struct{ marks, data []byte }{
		"no data":              {marks, nil},
		"too small":            {marks, data[:512]},
		"no power of two":      {marks, data[:3072]},
		"data not 16-aligned":  {marks, data[8 : 8+2048]},
		"marks too short":      {marks[:MarksSize-1], data},
		"marks not 8-aligned":  {marks[4:], data},
		"no marks":             {nil, data},
		"data aligned to byte": {marks, data[1 : 1+1024]},
	}
	for name, c := range cases {
		if _, err := NewRegion(c.marks, c.data); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if r, err := NewRegion(marks, data); err != nil || r.Size() != 4096 {
		t.Errorf("good memory: %v", err)
	}
}
