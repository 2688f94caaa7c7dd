// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"errors"
	"testing"
	"time"

	"github.com/skybus-io/skybus/ring"
)

// mustLane describes a lane that must exist.
func mustLane(t testing.TB, table *Table, p Pair) LaneInfo {
	t.Helper()
	l, ok := table.Lane(p)
	if !ok {
		t.Fatalf("there is no lane %s", table.FormatPair(p))
	}
	check(t, l.Err)
	return l
}

// sendUntilFull sends messages of n bytes from number k on until the lane is full.
func sendUntilFull(t testing.TB, s *Sender, k, n int) (next int) {
	t.Helper()
	for ; ; k++ {
		switch err := s.Send(payload(k, n)); {
		case errors.Is(err, ErrFull):
			return k
		case err != nil:
			t.Fatal(err)
		}
	}
}

func TestLaneGrowsFourfoldUpToGrowBytes(t *testing.T) {
	table, s, to := newPair(t, Config{Limits: Limits{GrowBytes: 128 << 10}})
	var sizes []uint64
	k := 0
	for ; ; k++ {
		err := s.Send(payload(k, 100))
		if size := s.tx.Size(); len(sizes) == 0 || sizes[len(sizes)-1] != size {
			sizes = append(sizes, size)
		}
		if errors.Is(err, ErrFull) {
			break
		}
		check(t, err)
	}
	want := []uint64{4 << 10, 16 << 10, 64 << 10, 128 << 10}
	if len(sizes) != len(want) {
		t.Fatalf("sizes %d, want %d", sizes, want)
	}
	for i := range want {
		if sizes[i] != want[i] {
			t.Fatalf("sizes %d, want %d", sizes, want)
		}
	}
	l := mustLane(t, table, s.Pair())
	if l.Messages != uint64(k) || l.Grown != 3 || l.Full != 4 || l.Bytes != (4+16+64+128)<<10+4*laneDataAt || l.Bytes != table.Info().Bytes {
		t.Errorf("%d messages, grown %d, full %d, %d bytes", l.Messages, l.Grown, l.Full, l.Bytes)
	}
	wantClean(t, table)
	wantNumbers(t, to.all(), 0, k)
	l = mustLane(t, table, s.Pair())
	if l.Size != 128<<10 || l.Generation != 4 || l.Bytes != 128<<10+laneDataAt || table.Info().Bytes != l.Bytes {
		t.Errorf("after reading: %d bytes, generation %d, accounts for %d", l.Size, l.Generation, l.Bytes)
	}
	check(t, s.Send(payload(k, 100)))
	wantNumbers(t, to.all(), k, k+1)
	if s.LastSeq() != uint64(k)+1 {
		t.Errorf("LastSeq is %d, want %d", s.LastSeq(), k+1)
	}
	wantClean(t, table)
}

func TestLaneGrowsForMessagesLargerThanGrowBytes(t *testing.T) {
	table, s, to := newPair(t, Config{Limits: Limits{GrowBytes: 16 << 10, MaxMessage: 1 << 20}})
	tests := []struct {
		bytes int
		size  uint64
	}{
		{2032, 4 << 10}, // half the ring with its header
		{2033, 8 << 10}, // the next: twice the ring
		{4080, 8 << 10}, //
		{60000, 128 << 10},
		{1 << 20, 4 << 20}, // with its header over 2 MiB / 2
	}
	for k, tt := range tests {
		check(t, s.Send(payload(k, tt.bytes)))
		if s.tx.Size() != tt.size {
			t.Errorf("after %d bytes the ring has %d, want %d", tt.bytes, s.tx.Size(), tt.size)
		}
		wantNumbers(t, to.all(), k, k+1)
	}
	wantErrText(t, s.Send(make([]byte, 1<<20+1)), ErrTooBig, "1048577 bytes", "limit is 1048576")
	check(t, s.Send(payload(len(tests), 20))) // a refusal harms nothing
	wantNumbers(t, to.all(), len(tests), len(tests)+1)
	wantClean(t, table)
}

func TestClaimsThatAreNotCommittedDoNotGrowALane(t *testing.T) {
	_, s, to := newPair(t, Config{})
	token := s.Begin()
	n := 0
	for ; ; n++ {
		b, err := s.Claim(100)
		if errors.Is(err, ErrFull) {
			break
		}
		check(t, err)
		copy(b, payload(n, 100))
	}
	if _, err := s.Claim(4000); !errors.Is(err, ErrFull) {
		t.Errorf("a claim that the ring can never hold: %v", err)
	}
	if s.tx.Size() != firstRing || s.Pending() != n {
		t.Errorf("the ring has %d bytes and %d claims, want %d and %d", s.tx.Size(), s.Pending(), firstRing, n)
	}
	s.Commit()
	b, err := s.Claim(100)
	check(t, err)
	copy(b, payload(n, 100))
	s.Commit()
	s.End(token)
	if s.tx.Size() != 4*firstRing {
		t.Errorf("after the commit the ring has %d bytes, want %d", s.tx.Size(), 4*firstRing)
	}
	wantNumbers(t, to.all(), 0, n+1)
}

func TestLaneBudget(t *testing.T) {
	table := newDomain(t, Config{AllowUnknown: true, Limits: Limits{MaxLanes: 2}})
	to := bindReader(t, table, addrB)
	ab, cb := newSender(t, table, addrA, addrB), newSender(t, table, addrC, addrB)
	_, err := table.NewSender(Pair{addrD, addrB})
	wantErrText(t, err, ErrBudget, "2 lanes", "limit is 2")
	_, err = table.Configure([]Channel{{A: addrA, B: addrD}}, false, false)
	wantErr(t, err, ErrBudget)

	check(t, ab.Send(payload(0, 20))) // what exists goes on, and grows
	check(t, cb.Send(payload(1, 5000)))
	if got := to.all(); len(got) != 2 {
		t.Errorf("%d messages, want 2", len(got))
	}
	cb.Close()
	to.drain.Close()
	to.Binding.Close()
	check(t, table.Delete(Channel{A: addrC, B: addrB}, false))
	newSender(t, table, addrD, addrB) // room again
	wantClean(t, table)
}

func TestByteBudget(t *testing.T) {
	const first = firstRing + laneDataAt
	table := newDomain(t, Config{AllowUnknown: true, Limits: Limits{MaxBytes: 2*first + 1000}})
	to := bindReader(t, table, addrB)
	ab, cb := newSender(t, table, addrA, addrB), newSender(t, table, addrC, addrB)
	_, err := table.NewSender(Pair{addrD, addrB})
	wantErrText(t, err, ErrBudget, "8192 bytes more", "16384 of 17384")

	n := sendUntilFull(t, ab, 0, 100) // may not grow: it is full, which the reader ends
	if ab.tx.Size() != firstRing {
		t.Errorf("the ring has %d bytes", ab.tx.Size())
	}
	wantErr(t, ab.Send(payload(0, 3000)), ErrBudget) // no reader can end that
	check(t, cb.Send(payload(100, 20)))
	l := mustLane(t, table, ab.Pair())
	if l.Messages != uint64(n) || l.Grown != 0 {
		t.Errorf("%d messages, grown %d times; want %d and 0", l.Messages, l.Grown, n)
	}
	if got := to.all(); len(got) != n+1 {
		t.Errorf("%d messages, want %d", len(got), n+1)
	}
	check(t, ab.Send(payload(n, 100)))
	wantNumbers(t, to.all(), n, n+1)
	if table.Info().Bytes != 2*first {
		t.Errorf("the domain accounts for %d bytes, want %d", table.Info().Bytes, 2*first)
	}
	wantClean(t, table)
}

func TestGiveBackKeepsSequences(t *testing.T) {
	for _, retired := range []bool{true, false} {
		name := map[bool]string{true: "the consumer retired it", false: "the consumer was late"}[retired]
		t.Run(name, func(t *testing.T) {
			table, s, to := newPair(t, Config{Limits: Limits{IdleAfter: time.Minute}})
			k := 0
			for round := range 4 {
				for range 3 {
					check(t, s.Send(payload(k, 20)))
					k++
				}
				wantNumbers(t, to.all(), k-3, k)
				giveBack(t, s)
				if retired {
					if to.next() != nil {
						t.Fatal("a message out of nothing")
					}
					l := mustLane(t, table, s.Pair())
					if !l.Idle || l.Bytes != 0 || table.Info().Bytes != 0 || l.NextSeq != uint64(k)+1 || l.Generation != uint32(round)+2 {
						t.Fatalf("round %d: idle %v, %d bytes, next sequence %d, generation %d", round, l.Idle, l.Bytes, l.NextSeq, l.Generation)
					}
				}
				if s.LastSeq() != uint64(k) {
					t.Fatalf("round %d: LastSeq is %d, want %d", round, s.LastSeq(), k)
				}
				wantClean(t, table)
			}
			s.Close()
			s = newSender(t, table, addrA, addrB) // another process takes the lane up
			if s.LastSeq() != uint64(k) {
				t.Errorf("a new sender's LastSeq is %d, want %d", s.LastSeq(), k)
			}
			check(t, s.Send(payload(k, 20)))
			if s.LastSeq() != uint64(k)+1 {
				t.Errorf("LastSeq is %d, want %d", s.LastSeq(), k+1)
			}
			var recs [1]ring.Record
			r, n := to.drain.Next(recs[:], true)
			if n != 1 || recs[0].Seq != uint64(k)+1 {
				t.Fatalf("%d messages, sequence %d, want 1 and %d", n, recs[0].Seq, k+1)
			}
			r.Accept(&recs)
			if l := mustLane(t, table, s.Pair()); l.Idle || l.Bytes != firstRing+laneDataAt || table.Info().Bytes != l.Bytes {
				t.Errorf("made again: idle %v, %d bytes, the domain %d", l.Idle, l.Bytes, table.Info().Bytes)
			}
			wantClean(t, table)
		})
	}
}

func TestWhatIsNotGivenBack(t *testing.T) {
	now := time.Now()
	later := now.Add(time.Hour)
	try := func(t *testing.T, s *Sender, want bool) {
		t.Helper()
		s.GiveBack(now)
		if got := s.GiveBack(later); got != want {
			t.Errorf("given back: %v, want %v", got, want)
		}
	}
	t.Run("a lane that holds something", func(t *testing.T) {
		_, s, to := newPair(t, Config{})
		check(t, s.Send(payload(0, 20)))
		try(t, s, false)
		wantNumbers(t, to.all(), 0, 1)
		later = later.Add(time.Hour)
		try(t, s, true)
	})
	t.Run("used meanwhile", func(t *testing.T) {
		_, s, to := newPair(t, Config{})
		s.GiveBack(now)
		check(t, s.Send(payload(0, 20)))
		wantNumbers(t, to.all(), 0, 1)
		if s.GiveBack(now.Add(time.Hour)) {
			t.Error("given back at once")
		}
	})
	t.Run("too early", func(t *testing.T) {
		_, s, _ := newPair(t, Config{Limits: Limits{IdleAfter: 3 * time.Hour}})
		try(t, s, false)
	})
	t.Run("never", func(t *testing.T) {
		_, s, _ := newPair(t, Config{Limits: Limits{IdleAfter: -1}})
		try(t, s, false)
	})
	t.Run("nobody there to retire it", func(t *testing.T) {
		_, s, to := newPair(t, Config{})
		to.drain.Close()
		to.Binding.Close()
		try(t, s, false)
	})
	t.Run("claims are pending", func(t *testing.T) {
		_, s, _ := newPair(t, Config{})
		token := s.Begin()
		must(s.Claim(20))(t)
		s.mu.Unlock() // GiveBack takes it
		try(t, s, false)
		s.mu.Lock()
		s.End(token)
	})
	t.Run("a configured lane", func(t *testing.T) {
		table := newDomain(t, Config{})
		must(table.Configure([]Channel{{A: addrA, B: addrB, SendSize: 4096}}, false, false))(t)
		bind(t, table, addrB)
		try(t, newSender(t, table, addrA, addrB), false)
	})
}

func TestConfiguredLaneHasAFixedSize(t *testing.T) {
	table := newDomain(t, Config{})
	must(table.Configure([]Channel{{A: addrA, B: addrB, SendSize: 10000, RecvSize: 100}}, false, false))(t)
	to := bindReader(t, table, addrB)
	s := newSender(t, table, addrA, addrB)
	n := sendUntilFull(t, s, 0, 100)
	if s.tx.Size() != 16<<10 {
		t.Errorf("10000 bytes configured: the ring has %d", s.tx.Size())
	}
	if back := mustLane(t, table, Pair{addrB, addrA}); back.Size != firstRing || back.AskedSize != 100 {
		t.Errorf("100 bytes configured: the ring has %d, was asked for %d", back.Size, back.AskedSize)
	}
	wantErrText(t, s.Send(make([]byte, 8<<10)), ErrTooBig, "configured size of 16384 takes 8176")
	wantNumbers(t, to.all(), 0, n)
	check(t, s.Send(payload(n, 8176)))
	wantNumbers(t, to.all(), n, n+1)
	wantClean(t, table)
	_, err := table.Configure([]Channel{{A: addrA, B: addrB}, {A: addrC, B: addrD, SendSize: ring.MaxSize + 1}}, false, false)
	wantErr(t, err, ErrTooBig)
}

func TestLaneOnDemandBecomesConfigured(t *testing.T) {
	table, s, to := newPair(t, Config{Limits: Limits{GrowBytes: 8 << 10}})
	for k := range 3 {
		check(t, s.Send(payload(k, 100)))
	}
	c := Channel{A: addrA, B: addrB, SendSize: 32 << 10, Priority: 3, Desc: "now with a name"}
	plan := must(table.Configure([]Channel{c}, false, false))(t)
	if len(plan.Created) != 1 || plan.Created[0].Number != 1 {
		t.Fatalf("plan %+v", plan)
	}
	l := mustLane(t, table, s.Pair())
	if !l.Configured || !l.First || l.Priority != 3 || l.Desc != c.Desc || l.Messages != 3 || l.AskedSize != 32<<10 || l.Size != firstRing {
		t.Errorf("lane %+v", l)
	}
	n := sendUntilFull(t, s, 3, 100) // it grows to what is configured, beyond GrowBytes
	if s.tx.Size() != 32<<10 {
		t.Errorf("the ring has %d bytes, want %d", s.tx.Size(), 32<<10)
	}
	wantErr(t, s.Send(make([]byte, 16<<10)), ErrTooBig)
	wantNumbers(t, to.all(), 0, n)
	s.GiveBack(time.Now())
	if s.GiveBack(time.Now().Add(time.Hour)) {
		t.Error("a configured lane was given back")
	}
	wantClean(t, table)
}

func TestLaneThatWasGivenBackBecomesConfigured(t *testing.T) {
	table, s, to := newPair(t, Config{})
	check(t, s.Send(payload(0, 20)))
	wantNumbers(t, to.all(), 0, 1)
	giveBack(t, s)
	if to.next() != nil {
		t.Fatal("a message out of nothing")
	}
	must(table.Configure([]Channel{{A: addrA, B: addrB, SendSize: 32 << 10}}, false, false))(t)
	check(t, s.Send(payload(1, 9000)))
	if s.tx.Size() != 32<<10 || s.LastSeq() != 2 {
		t.Errorf("made again with %d bytes and LastSeq %d", s.tx.Size(), s.LastSeq())
	}
	wantNumbers(t, to.all(), 1, 2)
	wantClean(t, table)
}
