// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"encoding/binary"
	"os"
	"testing"
	"time"

	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/ring"
)

// A siege is a domain with a live reader and a live sender of a lane that comes
// under attack, and of another one. The senders are another process, as far as
// tables can tell. Whatever the bytes say, every step ends, and none panics.
type siege struct {
	testing.TB
	reads, sends *Table
	to           end     // of the lane under attack
	s            *Sender // of the lane under attack; nil while it cannot be opened
	other        *Sender
	otherTo      end
	n            int   // messages sent on the lane under attack
	sent, got    int   // on the other one
	otherErr     error // what sending there has come to
	clock        time.Time
}

const (
	// siegeBytes is the domain's budget: a lane cannot be talked into more.
	siegeBytes = 1 << 20

	// siegeMost is more batches than any siege can have in its lanes.
	siegeMost = 20_000
)

// newSiege makes the two lanes: they end at the same address, or each at its own.
func newSiege(t testing.TB, apart bool) *siege {
	watchdog := time.AfterFunc(5*time.Minute, func() { panic("a siege hangs") }) // a machine may stand still for a minute
	t.Cleanup(func() { watchdog.Stop() })
	reads := newDomain(t, Config{AllowUnknown: true, Limits: Limits{MaxBytes: siegeBytes, GrowBytes: 32 << 10}})
	w := &siege{TB: t, reads: reads, sends: reopenDomain(t, rootOf(reads), Config{}), clock: time.Now()}
	w.to = bindReader(t, w.reads, addrB)
	w.otherTo = w.to
	if apart {
		w.otherTo = bindReader(t, w.reads, addrD)
	}
	bind(t, w.sends, addrA)
	bind(t, w.sends, addrC)
	w.s = must(w.sends.NewSender(Pair{addrA, addrB}))(t)
	t.Cleanup(func() { w.closeSender() })
	w.other = newSender(t, w.sends, addrC, w.otherTo.Addr())
	for range 3 {
		w.send(100)
		w.sendOther()
	}
	return w
}

func (w *siege) closeSender() {
	if w.s != nil {
		w.s.Close()
		w.s = nil
	}
}

func (w *siege) send(n int) {
	if w.s != nil && w.s.Send(payload(w.n, n)) == nil {
		w.n++
	}
}

func (w *siege) sendOther() {
	if err := w.other.Send(payload(w.sent, 50)); err != nil {
		w.otherErr = err
	} else {
		w.sent++
	}
}

// read takes what both ends have.
func (w *siege) read(copying bool) {
	w.readEnd(w.to, copying)
	if w.otherTo != w.to {
		w.readEnd(w.otherTo, copying)
	}
}

func (w *siege) readEnd(e end, copying bool) {
	var recs [BatchSize]ring.Record
	for range siegeMost {
		r, n := e.drain.Next(recs[:], copying)
		if n == 0 {
			return
		}
		w.took(e, r, recs[:n])
		r.Release(&recs[n-1], true)
	}
	w.Fatalf("more than %d batches come out of what was damaged", siegeMost)
}

// took reads every byte and counts what is the other lane's.
func (w *siege) took(e end, r *Receiver, recs []ring.Record) {
	for i := range recs {
		k, whole := number(recs[i].Data)
		if r.Src() == addrC && e == w.otherTo && whole && k == w.got {
			w.got++
		}
	}
}

// siegeSteps is how many different things step does.
const siegeSteps = 12

// step does one of the things that processes do.
func (w *siege) step(what byte) {
	switch what % siegeSteps {
	case 0, 1:
		w.send(100)
	case 2:
		w.send(3000)
	case 3:
		w.sendOther()
	case 4:
		w.read(true)
	case 5:
		w.read(false)
	case 6:
		w.to.drain.Sweep()
		w.to.drain.Look()
		_ = w.to.drain.Damaged()
	case 7:
		w.inspect()
	case 8:
		w.giveBack()
	case 9:
		w.closeSender()
		if s, err := w.sends.NewSender(Pair{addrA, addrB}); err == nil {
			w.s = s
		}
	case 10:
		w.reopenDrain()
	case 11:
		w.from()
	}
}

func (w *siege) reopenDrain() {
	shared := w.otherTo == w.to
	w.to.drain.Close()
	w.to.drain = must(w.to.Drain())(w)
	if shared {
		w.otherTo = w.to
	}
}

// inspect does what tools do.
func (w *siege) inspect() {
	if w.sends.endpointCount() < 1000 { // else it takes its time; TestCheckReports has it
		w.sends.Check()
		w.sends.Endpoints()
	}
	w.sends.Lanes()
	w.sends.Channels()
	_ = w.sends.Info()
	_, _ = w.sends.discard(Pair{addrA, addrB})
	watch, err := w.sends.Watch(Pair{addrA, addrB}, false)
	if watch == nil {
		return
	}
	defer watch.Close()
	for tries, ok := 0, true; ok && err == nil; tries++ {
		if tries == siegeMost {
			w.Fatalf("more than %d messages go by in what was damaged", siegeMost)
		}
		_, _, ok, err = watch.Next(nil)
	}
}

func (w *siege) giveBack() {
	if w.s == nil {
		return
	}
	for range 2 {
		w.clock = w.clock.Add(time.Hour)
		w.s.GiveBack(w.clock)
		_ = w.s.LastSeq()
		_, _ = w.s.Room(100)
	}
}

func (w *siege) from() {
	var recs [1]ring.Record
	w.to.drain.ReadyFrom(addrA)
	if r, n, err := w.to.drain.From(addrA, recs[:], true); err == nil && n > 0 {
		r.Accept(&recs)
	}
}

// otherGoesOn checks that the lane that was not attacked has lost nothing.
func (w *siege) otherGoesOn() {
	w.Helper()
	if w.otherErr != nil {
		w.Errorf("send on the other lane: %v", w.otherErr)
	}
	w.sendOther()
	w.read(true)
	if w.got != w.sent {
		w.Errorf("of %d messages of the other lane %d came", w.sent, w.got)
	}
}

// attack works through data, 4 bytes at a time: where, what is changed there
// and how, and what is done then. place tells at which offset of the file the
// k-th place lies.
func (w *siege) attack(path string, data []byte, place func(k int) int64) {
	f := must(os.OpenFile(path, os.O_RDWR, 0))(w)
	defer f.Close()
	for ; len(data) >= 4; data = data[4:] {
		at := place(int(binary.LittleEndian.Uint16(data)))
		var b [8]byte
		if data[3] >= 128 { // set a word
			binary.LittleEndian.PutUint64(b[:], siegeWord(data[2]))
			must(f.WriteAt(b[:], at&^7))(w)
		} else { // flip bits
			must(f.ReadAt(b[:1], at))(w)
			b[0] ^= data[2]
			must(f.WriteAt(b[:1], at))(w)
		}
		w.step(data[3])
	}
	for what := range byte(siegeSteps) {
		w.step(what)
	}
}

// siegeWord makes a word of a byte: powers of two, one less, their negatives,
// and commit words.
func siegeWord(b byte) uint64 {
	v := uint64(1) << (b % 64)
	switch b / 64 {
	case 1:
		return v - 1
	case 2:
		return -v
	case 3:
		return (1<<20|uint64(b%8)*7)<<40 | 1<<(32+b%5) | 1
	}
	return v
}

// lanePlace spreads over a lane segment: what its first page uses, the first
// headers, and the rest of the ring.
func lanePlace(k int) int64 {
	switch {
	case k < 1<<14:
		return int64(k % 320)
	case k < 1<<15:
		return laneDataAt + int64(k%512)
	}
	return laneDataAt + int64(k%firstRing)
}

func inboxPlace(k int) int64 {
	if k < 1<<15 {
		return int64(k % (inboxBitsAt + 16))
	}
	return int64(k % inboxSize)
}

// tablePlace spreads over what is in use of the table. The budget of bytes is
// left alone: it bounds this test, too.
func tablePlace(k int) int64 {
	const state, ends, lanes = 80, 5 * endpointSize, 4 * laneSize
	switch k %= state + ends + lanes; {
	case k >= 40 && k < 48:
		return tableStateAt
	case k < state:
		return tableStateAt + int64(k)
	case k < state+ends:
		return tableHeaderSize + int64(k-state)
	}
	return tableHeaderSize + endpointCap*endpointSize + int64(k-state-ends)
}

func besiegeLane(t testing.TB, data []byte) {
	w := newSiege(t, false)
	w.attack(w.reads.path(laneName(Pair{addrA, addrB}, 1)), data, lanePlace)
	w.otherGoesOn()
}

func besiegeInbox(t testing.TB, data []byte) {
	w := newSiege(t, true)
	w.attack(w.reads.path(inboxName(addrB)), data, inboxPlace)
	w.otherGoesOn()
}

func besiegeTable(t testing.TB, data []byte) {
	w := newSiege(t, false)
	w.attack(w.reads.path("table"), data, tablePlace)
	w.read(true)
}

// besiege runs as many random attacks as are asked for. The fuzz targets run
// those that somebody has thought of.
func besiege(t *testing.T, runs int, run func(testing.TB, []byte)) {
	rng := testutil.Rand(t)
	for range runs {
		data := make([]byte, 4*(1+rng.IntN(16)))
		for i := range data {
			data[i] = byte(rng.Uint32())
		}
		ok := t.Run("", func(t *testing.T) { run(t, data) })
		if !ok {
			t.Fatalf("the attack was %x", data)
		}
	}
}

func TestDamagedLaneFile(t *testing.T)  { besiege(t, 100, besiegeLane) }
func TestDamagedInboxPage(t *testing.T) { besiege(t, 100, besiegeInbox) }
func TestDamagedTable(t *testing.T)     { besiege(t, 40, besiegeTable) }

// TestDamagedInboxLosesNothing: what its bits do not tell, a sweep finds.
func TestDamagedInboxLosesNothing(t *testing.T) {
	table, s, to := newPair(t, Config{})
	for k, junk := range []byte{0x00, 0xff, 0x55, 0xaa} {
		check(t, s.Send(payload(k, 20)))
		page := make([]byte, inboxSize-inboxBellAt)
		for i := range page {
			page[i] = junk
		}
		poke(t, table.path(inboxName(addrB)), inboxBellAt, page...)
		got := to.all()
		to.drain.Sweep()
		wantNumbers(t, append(got, to.all()...), k, k+1)
	}
}

// TestAccountThatDamageHasMadeHuge: it lets nobody take memory.
func TestAccountThatDamageHasMadeHuge(t *testing.T) {
	table, s, to := newPair(t, Config{AllowUnknown: true})
	table.st.bytes.Store(1<<64 - 1)
	_, err := table.NewSender(Pair{addrA, addrC})
	wantErr(t, err, ErrBudget)
	n := sendUntilFull(t, s, 0, 100)
	if s.tx.Size() != firstRing {
		t.Errorf("the ring has %d bytes", s.tx.Size())
	}
	wantNumbers(t, to.all(), 0, n)
}

// TestWatchOfADamagedLane: a Watch that could not begin can be closed.
func TestWatchOfADamagedLane(t *testing.T) {
	table, s, _ := newPair(t, Config{})
	poke(t, table.path(laneName(s.Pair(), 1)), laneMarksAt, 1) // no position
	w, err := table.Watch(s.Pair(), false)
	wantErr(t, err, ErrDamaged)
	w.Close()
}

// TestFilesChangeWhileTheyAreUsed attacks from beside, not between the steps.
func TestFilesChangeWhileTheyAreUsed(t *testing.T) {
	targets := []struct {
		name  string
		file  string
		place func(int) int64
	}{
		{"lane", laneName(Pair{addrA, addrB}, 1), lanePlace},
		{"inbox", inboxName(addrB), inboxPlace},
		{"table", "table", tablePlace},
	}
	for _, tt := range targets {
		t.Run(tt.name, func(t *testing.T) {
			w := newSiege(t, true)
			rng := testutil.Rand(t)
			f := must(os.OpenFile(w.reads.path(tt.file), os.O_RDWR, 0))(t)
			defer f.Close()
			done := make(chan struct{})
			go func() {
				defer close(done)
				for range 2000 {
					b := binary.LittleEndian.AppendUint64(nil, siegeWord(byte(rng.Uint32())))
					_, _ = f.WriteAt(b[:1<<rng.IntN(4)], tt.place(rng.IntN(1<<16))&^7)
				}
			}()
			for attacked := false; !attacked; {
				select {
				case <-done:
					attacked = true
				default:
				}
				w.send(100)
				w.sendOther()
				w.read(true)
				w.to.drain.Sweep()
			}
			if tt.name != "table" {
				w.otherGoesOn()
			}
		})
	}
}
