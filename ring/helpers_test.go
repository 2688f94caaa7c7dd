// SPDX-License-Identifier: Apache-2.0

package ring

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
)

// region puts a ring on the heap whose bytes are noise, as those of a lap long
// past are, and formats it.
func region(t testing.TB, size int, seq uint64) Region {
	t.Helper()
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(i*i>>3 ^ i)
	}
	r, err := NewRegion(make([]byte, MarksSize), data)
	if err != nil {
		t.Fatal(err)
	}
	r.Format(seq)
	return r
}

// both attaches the two ends.
func both(t testing.TB, r Region) (*Tx, *Rx) {
	t.Helper()
	return attachTx(t, r), attachRx(t, r)
}

func attachTx(t testing.TB, r Region) *Tx {
	t.Helper()
	tx, err := AttachTx(r)
	if err != nil {
		t.Fatalf("attach the producer: %v", err)
	}
	return tx
}

func attachRx(t testing.TB, r Region) *Rx {
	t.Helper()
	rx, err := AttachRx(r)
	if err != nil {
		t.Fatalf("attach the consumer: %v", err)
	}
	return rx
}

// send commits one record.
func send(t testing.TB, tx *Tx, payload string) {
	t.Helper()
	copy(claim(t, tx, len(payload)), payload)
	tx.Commit()
}

func claim(t testing.TB, tx *Tx, n int) []byte {
	t.Helper()
	b, err := tx.Claim(n)
	if err != nil {
		t.Fatalf("claim %d bytes: %v", n, err)
	}
	if len(b) != n {
		t.Fatalf("claim of %d bytes gave %d", n, len(b))
	}
	return b
}

// take takes what there is, at most most records.
func take(t testing.TB, rx *Rx, most int) []Record {
	t.Helper()
	recs := make([]Record, most)
	n, err := rx.Take(recs, rx.r.Size())
	if err != nil {
		t.Fatalf("take: %v", err)
	}
	return recs[:n]
}

// texts lists what records say.
func texts(recs []Record) (list []string) {
	for _, r := range recs {
		list = append(list, string(r.Data))
	}
	return list
}

// look reads the state of a ring that nobody changes.
func lookAt(t testing.TB, r Region) State {
	t.Helper()
	s, err := Look(r)
	if err != nil {
		t.Fatalf("look: %v", err)
	}
	return s
}

// fillTo commits records until the tail is at pos, which is a multiple of 16,
// taking and releasing all there are.
func fillTo(t testing.TB, tx *Tx, rx *Rx, pos uint64) {
	t.Helper()
	for tx.Tail() < pos {
		n := min(pos-tx.Tail(), tx.Size()/4)
		if off := tx.Tail() & (tx.Size() - 1); off+n > tx.Size() {
			n = tx.Size() - off
		}
		claim(t, tx, int(n-HeaderSize))
		tx.Commit()
		take(t, rx, 100)
		rx.ReleaseAll()
	}
}

// A source knows the payload of every record from one seed: each side of a test
// has one of its own.
type source struct {
	seed uint64
	max  int // largest payload
	pcg  rand.PCG
}

// length returns how many bytes record seq has: mostly few, sometimes none,
// sometimes as many as go in.
func (s *source) length(seq uint64) int {
	s.pcg.Seed(s.seed, seq)
	kind, n := s.pcg.Uint64()%64, s.pcg.Uint64()
	switch {
	case kind == 0:
		return s.max
	case kind == 1:
		return 0
	case kind < 8:
		return int(n % uint64(min(s.max, 2000)+1))
	}
	return int(n % uint64(min(s.max, 80)+1))
}

// fill writes the payload of record seq, as long as length said.
func (s *source) fill(seq uint64, b []byte) {
	s.pcg.Seed(s.seed, ^seq)
	for ; len(b) >= 8; b = b[8:] {
		binary.LittleEndian.PutUint64(b, s.pcg.Uint64())
	}
	for i := range b {
		b[i] = byte(s.pcg.Uint64())
	}
}

// check compares every byte of record seq.
func (s *source) check(seq uint64, b []byte) error {
	if want := s.length(seq); len(b) != want {
		return fmt.Errorf("record %d has %d bytes, want %d", seq, len(b), want)
	}
	s.pcg.Seed(s.seed, ^seq)
	rest := b
	for ; len(rest) >= 8; rest = rest[8:] {
		if got, want := binary.LittleEndian.Uint64(rest), s.pcg.Uint64(); got != want {
			return fmt.Errorf("record %d of %d bytes has %#x at byte %d, want %#x", seq, len(b), got, len(b)-len(rest), want)
		}
	}
	for i := range rest {
		if want := byte(s.pcg.Uint64()); rest[i] != want {
			return fmt.Errorf("record %d of %d bytes ends in %#x, want %#x", seq, len(b), rest[i], want)
		}
	}
	return nil
}

// putHeader writes a header into a payload.
func putHeader(b []byte, word, seq uint64) {
	binary.LittleEndian.PutUint64(b, word)
	binary.LittleEndian.PutUint64(b[8:], seq)
}
