// SPDX-License-Identifier: Apache-2.0

package envelope

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/skybus-io/skybus/internal/testutil"
)

// again reads a record and writes it once more.
func again(record []byte) ([]byte, error) {
	var e Envelope
	if err := e.Parse(record); err != nil {
		return nil, err
	}
	if !e.Kind.is(hasReport) {
		return e.Append(nil)
	}
	r, rest, err := ParseReport(e.Kind, e.Payload)
	if err != nil {
		return nil, err
	}
	b, err := e.AppendHead(nil)
	if err == nil {
		b, err = AppendReport(b, e.Kind, &r)
	}
	return append(b, rest...), err
}

// FuzzParse feeds any bytes: an error is one of the format, and what is taken is
// written again as the same bytes.
func FuzzParse(f *testing.F) {
	for _, s := range samples() {
		b := s.write(f)
		f.Add(b)
		f.Add(b[:len(b)-1])
		f.Add(append(bytes.Clone(b), 0))
		for at := range HeadSize {
			c := bytes.Clone(b)
			c[at] ^= 0xff
			f.Add(c)
		}
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, record []byte) {
		out, err := again(record)
		if err != nil {
			if !errors.Is(err, ErrOptional) || record[atKind] < uint8(Optional) {
				wantFormat(t, err)
			}
			return
		}
		if !bytes.Equal(out, record) {
			t.Errorf("% x\nis written again as\n% x", record, out)
		}
	})
}

// Any envelope that can be written is read as it was, and what cannot be written
// is refused by the rules, not by accident: both happen.
func TestRandomEnvelopesSurvive(t *testing.T) {
	rng := testutil.Rand(t)
	written := 0
	const rounds = 20_000
	for range rounds {
		want := randomEnvelope(rng)
		b, err := want.Append([]byte("x"))
		if err != nil {
			wantFormat(t, err)
			continue
		}
		written++
		var got Envelope
		if err := got.Parse(b[1:]); err != nil {
			t.Fatalf("%+v: %v", want, err)
		}
		if len(got.Payload) == 0 {
			got.Payload = want.Payload
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%+v\nis read as\n%+v", want, got)
		}
	}
	if written < rounds/20 || written == rounds {
		t.Errorf("%d of %d could be written", written, rounds)
	}
}

func randomEnvelope(rng *rand.Rand) Envelope {
	maybe := func() uint64 { return rng.Uint64() * rng.Uint64N(2) }
	e := Envelope{
		Kind: randomKind(rng), Encoding: Encoding(rng.UintN(6)), UserKind: uint8(rng.Uint32()), Answer: rng.IntN(2) == 0,
		To: maybe(), From: maybe(), Session: maybe(), Left: int64(maybe() >> (rng.UintN(8) / 2)),
	}
	if e.Encoding.Typed() {
		e.Type = rng.Uint32()
	}
	if rng.IntN(2) == 0 {
		for i := range e.Trace.ID {
			e.Trace.ID[i] = byte(rng.Uint32())
		}
		e.Trace.Span[3] = byte(rng.Uint32())
	}
	if e.To == 0 {
		e.Name = randomBytes(rng, 260)
	}
	e.Payload = randomBytes(rng, 50)
	return e
}

// randomKind returns any kind but the optional ones that nobody knows, and two that are none.
func randomKind(rng *rand.Rand) Kind {
	if k := Kind(rng.UintN(14)); k <= kindEnd {
		return k
	}
	return Cancel
}

// randomBytes returns nil in place of nothing.
func randomBytes(rng *rand.Rand, below int) []byte {
	b := make([]byte, rng.IntN(below))
	if len(b) == 0 {
		return nil
	}
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

func BenchmarkEnvelope(b *testing.B) {
	e := Envelope{Kind: Call, Encoding: EncodingCBOR, Type: 7, To: 1, From: 2, Session: 3, Payload: make([]byte, 64)}
	buf := make([]byte, 0, 256)
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			buf, _ = e.Append(buf[:0])
		}
	})
	b.Run("parse", func(b *testing.B) {
		b.ReportAllocs()
		var got Envelope
		for b.Loop() {
			if err := got.Parse(buf); err != nil {
				b.Fatal(err)
			}
		}
	})
}
