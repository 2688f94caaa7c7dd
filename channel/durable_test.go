// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/internal/sys"
	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/relay/wire"
	"github.com/skybus-io/skybus/ring"
)

// everything makes all lanes durable.
func everything(d Durability) Durables {
	return Durables{
		Lane: func(Pair) (Durability, bool, error) { return d, true, nil },
		Dirs: func() ([]string, error) { return []string{d.Dir}, nil },
	}
}

// durableDomain opens the domain under root, all of whose lanes are durable.
func durableDomain(t testing.TB, root string, d Durability) *Table {
	t.Helper()
	table := reopenDomain(t, root, Config{AllowUnknown: true})
	table.SetDurable(everything(d))
	check(t, table.TakeUp())
	return table
}

// durablePair is newPair for a durable lane.
func durablePair(t testing.TB, d Durability) (*Table, *Sender, end) {
	t.Helper()
	table := durableDomain(t, testutil.Dir(t), d)
	to := bindReader(t, table, addrB)
	bind(t, table, addrA)
	return table, newSender(t, table, addrA, addrB), to
}

// onSync has f called instead of fdatasync until the test ends. Lanes are closed
// before: their cleanup comes first.
func onSync(t testing.TB, f func(*os.File) error) {
	t.Helper()
	old := syncFile
	syncFile = f
	t.Cleanup(func() { syncFile = old })
}

// noRounds has asynchronous lanes wait for the test.
func noRounds(t testing.TB) {
	t.Helper()
	old := asyncEvery
	asyncEvery = time.Hour
	t.Cleanup(func() { asyncEvery = old })
}

var bothModes = map[string]bool{"async": false, "sync": true}

func TestDurableLaneCarriesWhatALaneDoes(t *testing.T) {
	for name, wait := range bothModes {
		t.Run(name, func(t *testing.T) {
			testutil.NoLeaks(t)
			table, s, to := durablePair(t, Durability{Sync: wait, Dir: testutil.Dir(t)})
			k := 0
			for _, n := range []int{12, 100, 2000, 40000, 12, 500_000} { // grows
				check(t, s.Send(payload(k, n)))
				k++
			}
			turn := s.Begin()
			for range 3 {
				b := must(s.Claim(200))(t)
				if len(b) != 200 || cap(b) != 200 {
					t.Fatalf("claimed %d bytes with room for %d", len(b), cap(b))
				}
				copy(b, payload(k, 200))
				k++
			}
			s.Commit()
			must(s.Claim(100))(t) // dropped
			check(t, s.Finish(turn))
			if got := s.LastSeq(); got != uint64(k) {
				t.Errorf("LastSeq is %d, want %d", got, k)
			}
			l, _ := table.Lane(Pair{addrA, addrB})
			if want := uint64(12 + 100 + 2000 + 40000 + 12 + 500_000 + 600); l.Waiting != want || l.SentBytes != want || !l.Durable || l.Sync != wait {
				t.Errorf("lane %+v, want %d bytes", l, want)
			}
			wantNumbers(t, to.all(), 0, k)
			wantClean(t, table)
			giveBackRefused(t, s)
		})
	}
}

func giveBackRefused(t *testing.T, s *Sender) {
	t.Helper()
	now := time.Now()
	s.GiveBack(now)
	if s.GiveBack(now.Add(time.Hour)) {
		t.Error("a durable lane was given back")
	}
}

func TestDurableLaneIsALinkToAFile(t *testing.T) {
	dir := filepath.Join(testutil.Dir(t), "made")
	table, s, to := durablePair(t, Durability{Dir: dir})
	folder := filepath.Join(dir, "skybus-1000")
	for gen := 1; gen <= 3; gen++ {
		name := fmt.Sprintf("l-00000001-00000002.%d", gen)
		if got := must(os.Readlink(table.path(name)))(t); got != filepath.Join(folder, name) {
			t.Fatalf("the link leads to %s", got)
		}
		st := must(os.Lstat(filepath.Join(folder, name)))(t)
		if st.Mode() != 0o660 {
			t.Errorf("mode %v", st.Mode())
		}
		if l, _ := table.Lane(Pair{addrA, addrB}); gen == 1 && l.Path != filepath.Join(folder, name) {
			t.Errorf("path %s", l.Path)
		}
		check(t, s.Send(payload(gen, 3000<<gen))) // the next generation
	}
	if st := must(os.Stat(folder))(t); st.Mode().Perm() != 0o770 {
		t.Errorf("mode %v of the folder", st.Mode())
	}
	to.all()
	wantFiles(t, table, folder, "l-00000001-00000002.4") // passed ones are gone
}

// wantFiles checks which segments of lanes there are, here and there.
func wantFiles(t *testing.T, table *Table, folder string, want ...string) {
	t.Helper()
	for _, dir := range []string{table.dir, folder} {
		var have []string
		for _, d := range must(os.ReadDir(dir))(t) {
			if n := d.Name(); n != "table" && n != "lock" && !strings.HasPrefix(n, "i-") {
				have = append(have, n)
			}
		}
		if !slices.Equal(have, want) {
			t.Errorf("%s has %q, want %q", dir, have, want)
		}
	}
}

func TestDurableLaneIsRemovedWithItsFiles(t *testing.T) {
	for name, remove := range map[string]func(*Table) error{
		"delete":  func(table *Table) error { return table.Delete(Channel{A: addrA, B: addrB}, true) },
		"destroy": func(table *Table) error { return table.Destroy(true) },
	} {
		t.Run(name, func(t *testing.T) {
			root, dir := testutil.Dir(t), testutil.Dir(t)
			table := durableDomain(t, root, Durability{Dir: dir})
			a := must(table.Bind(addrA))(t)
			s := must(table.NewSender(Pair{addrA, addrB}))(t)
			for k := range 6 {
				check(t, s.Send(payload(k, 1500)))
			}
			s.Close()
			a.Close()
			check(t, remove(table))
			if list := must(os.ReadDir(filepath.Join(dir, "skybus-1000")))(t); len(list) != 0 {
				t.Errorf("left: %v", list)
			}
			if l := durableDomain(t, root, Durability{Dir: dir}).Lanes(); len(l) != 0 {
				t.Errorf("lanes: %+v", l)
			}
		})
	}
}

func TestDurableLimits(t *testing.T) {
	table := reopenDomain(t, testutil.Dir(t), Config{AllowUnknown: true, Limits: Limits{MaxMessage: 10000}})
	table.SetDurable(everything(Durability{Dir: testutil.Dir(t)}))
	to := bindReader(t, table, addrB)
	bind(t, table, addrA)
	s := newSender(t, table, addrA, addrB)
	check(t, s.Send(payload(0, 10000)))
	wantErrText(t, s.Send(payload(1, 10001)), ErrTooBig, "10001 bytes", "limit is 10000")
	turn := s.Begin()
	for _, n := range []int{-1, -8, -9, 1 << 40} {
		if _, err := s.Claim(n); !errors.Is(err, ErrTooBig) {
			t.Errorf("claim of %d: %v", n, err)
		}
	}
	b := must(s.Claim(0))(t)
	if len(b) != 0 {
		t.Errorf("%d bytes", len(b))
	}
	s.Commit()
	check(t, s.Finish(turn))
	if got := to.all(); len(got) != 2 || len(got[1]) != 0 {
		t.Errorf("received %d messages", len(got))
	}
}

func TestWatchOfADurableLaneShowsMessages(t *testing.T) {
	table, s, _ := durablePair(t, Durability{Dir: testutil.Dir(t)})
	w := must(table.Watch(Pair{addrA, addrB}, false))(t)
	defer w.Close()
	for k, n := range []int{12, 1000, 5000} {
		check(t, s.Send(payload(k, n)))
		rec, missed, ok, err := w.Next(nil)
		if got, whole := number(rec.Data); !ok || err != nil || missed != 0 || !whole || got != k || len(rec.Data) != n {
			t.Fatalf("message %d: %d bytes, number %d, %d missed, %v, %v", k, len(rec.Data), got, missed, ok, err)
		}
	}
}

// TestGroupCommit holds a sync up while many goroutines commit: one more does for
// all of them.
func TestGroupCommit(t *testing.T) {
	testutil.NoLeaks(t)
	var syncs atomic.Int32
	hold := make(chan struct{})
	var held atomic.Bool
	onSync(t, func(f *os.File) error {
		syncs.Add(1)
		if held.Load() {
			<-hold
		}
		return sys.Sync(f)
	})
	_, s, to := durablePair(t, Durability{Sync: true, Dir: testutil.Dir(t)})
	const senders = 20
	before := syncs.Load()
	held.Store(true)
	errs := make(chan error, senders)
	send := func(k int) { go func() { errs <- s.Send(payload(k, 40)) }() }
	send(0)
	until(t, "the first is at it", func() bool { return syncs.Load() == before+1 })
	for k := 1; k < senders; k++ {
		send(k)
		until(t, "it is committed", func() bool { return s.LastSeq() == uint64(k+1) }) // the lock is free
	}
	wantNumbers(t, to.all(), 0, senders) // read before they are on disk
	select {
	case err := <-errs:
		t.Fatalf("a Send returned before the sync: %v", err)
	default:
	}
	held.Store(false)
	close(hold)
	for range senders {
		check(t, <-errs)
	}
	if n := syncs.Load() - before; n != 2 {
		t.Errorf("%d syncs for %d messages, want 2", n, senders)
	}
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(90 * time.Second); !ok(); time.Sleep(100 * time.Microsecond) {
		if time.Now().After(end) {
			t.Fatalf("it never came to: %s", what)
		}
	}
}

// TestGroupCommitUnderLoad counts the syncs of goroutines that send at once, each
// waiting for its own.
func TestGroupCommitUnderLoad(t *testing.T) {
	testutil.NoLeaks(t)
	var syncs atomic.Int32
	onSync(t, func(f *os.File) error {
		syncs.Add(1)
		time.Sleep(20 * time.Millisecond) // far longer than it takes all of them to send
		return sys.Sync(f)
	})
	_, s, to := durablePair(t, Durability{Sync: true, Dir: testutil.Dir(t)})
	const senders, each = 16, 25
	var all sync.WaitGroup
	for i := range senders {
		all.Go(func() {
			for k := range each {
				if err := s.Send(payload(i*each+k, 64)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if n := syncs.Load(); n > senders*each/3 {
		t.Errorf("%d syncs for %d messages", n, senders*each)
	}
	if n := len(to.all()); n != senders*each {
		t.Errorf("%d messages of %d", n, senders*each)
	}
	t.Logf("%d syncs for %d messages of %d goroutines", syncs.Load(), senders*each, senders)
}

// TestAsyncComesByItself waits for the round that nobody asked for.
func TestAsyncComesByItself(t *testing.T) {
	testutil.NoLeaks(t)
	old := asyncEvery
	asyncEvery = 20 * time.Millisecond
	t.Cleanup(func() { asyncEvery = old })
	var syncs atomic.Int32
	onSync(t, func(f *os.File) error { syncs.Add(1); return sys.Sync(f) })
	_, s, _ := durablePair(t, Durability{Dir: testutil.Dir(t)})
	for k := range 3 {
		n := syncs.Load()
		check(t, s.Send(payload(k, 40)))
		until(t, "a round", func() bool { return syncs.Load() > n })
	}
	n := syncs.Load()
	time.Sleep(3 * asyncEvery)
	if syncs.Load() > n+1 {
		t.Errorf("%d rounds with nothing to do", syncs.Load()-n)
	}
}

// TestCloseBringsOnDisk ends a lane before its round has come.
func TestCloseBringsOnDisk(t *testing.T) {
	noRounds(t)
	var syncs atomic.Int32
	onSync(t, func(f *os.File) error { syncs.Add(1); return sys.Sync(f) })
	_, s, _ := durablePair(t, Durability{Dir: testutil.Dir(t)})
	check(t, s.Send(payload(0, 40)))
	n := syncs.Load()
	s.Close()
	if syncs.Load() != n+1 {
		t.Errorf("%d syncs by Close, want 1", syncs.Load()-n)
	}
}

func TestFailedSyncTakesTheLaneOut(t *testing.T) {
	for name, wait := range bothModes {
		t.Run(name, func(t *testing.T) {
			noRounds(t)
			var fail atomic.Bool
			onSync(t, func(f *os.File) error {
				if fail.Load() {
					return syscall.EIO
				}
				return sys.Sync(f)
			})
			table, s, _ := durablePair(t, Durability{Sync: wait, Dir: testutil.Dir(t)})
			check(t, s.Send(payload(0, 40)))
			fail.Store(true)
			err := s.Send(payload(1, 40))
			if !wait {
				check(t, err)
				err = s.disk.wait(s.disk.commits.Load())
			}
			wantErrText(t, err, ErrDamaged, "lane 0.0.0.1 -> 0.0.0.2 is quarantined", "fdatasync", "skybus-1000/l-00000001-00000002.1")
			wantErr(t, err, syscall.EIO)
			fail.Store(false) // D6
			for range 2 {
				wantErrText(t, s.Send(payload(2, 40)), ErrDamaged, "fdatasync failed: input/output error")
			}
			turn := s.Begin()
			if _, err := s.Claim(4); !errors.Is(err, ErrDamaged) {
				t.Errorf("claim: %v", err)
			}
			check(t, s.Finish(turn))
			if _, err := table.NewSender(Pair{addrA, addrB}); !errors.Is(err, ErrDamaged) {
				t.Errorf("another sender: %v", err)
			}
			if l, _ := table.Lane(Pair{addrA, addrB}); !strings.Contains(l.Damage, "input/output error") {
				t.Errorf("damage: %q", l.Damage)
			}
		})
	}
}

// TestFailedSyncOfABatch reports it by End, to all that wait.
func TestFailedSyncOfABatch(t *testing.T) {
	var fail atomic.Bool
	onSync(t, func(f *os.File) error {
		if fail.Load() {
			return syscall.ENOSPC
		}
		return sys.Sync(f)
	})
	table, s, to := durablePair(t, Durability{Sync: true, Dir: testutil.Dir(t)})
	turn := s.Begin()
	must(s.Claim(20))(t)
	must(s.Claim(30))(t)
	s.Commit()
	fail.Store(true)
	err := s.Finish(turn)
	wantErr(t, err, ErrDamaged)
	wantErr(t, err, syscall.ENOSPC)
	fail.Store(false)
	s.Close()
	to.Binding.Close()
	bindings := must(table.Bind(addrB))(t)
	bindings.Close()
}

// TestCleanMakesAFailedLaneAnew is what an operator does when the disk works again.
func TestCleanMakesAFailedLaneAnew(t *testing.T) {
	root, dir := testutil.Dir(t), testutil.Dir(t)
	table := durableDomain(t, root, Durability{Sync: true, Dir: dir})
	a := must(table.Bind(addrA))(t)
	s := must(table.NewSender(Pair{addrA, addrB}))(t)
	check(t, s.Send(payload(0, 40)))
	_ = table.quarantine(s.e, ErrDamaged)
	s.Close()
	a.Close()
	if _, _, err := table.Clean(Pair{addrA, addrB}); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, table, filepath.Join(dir, "skybus-1000"), "l-00000001-00000002.2")
	to := bindReader(t, table, addrB)
	bind(t, table, addrA)
	s = newSender(t, table, addrA, addrB)
	check(t, s.Send(payload(7, 40)))
	wantNumbers(t, to.all(), 7, 8)
	wantClean(t, table)
}

// TestFullDisk sends until the disk has no room for a larger generation: the lane
// is full, and goes on when its reader does.
func TestFullDisk(t *testing.T) {
	dir := smallSystem(t, 64<<10)
	table, s, to := durablePair(t, Durability{Sync: true, Dir: dir})
	k := 0
	for {
		err := s.Send(payload(k, 500))
		if err != nil {
			wantErr(t, err, ErrFull)
			break
		}
		if k++; k > 200 {
			t.Fatal("64 KiB never end")
		}
	}
	if l, _ := table.Lane(Pair{addrA, addrB}); l.Err != nil || k < 10 {
		t.Errorf("%d messages, lane %+v", k, l)
	}
	wantNumbers(t, to.all(), 0, k)
	for range 3 {
		check(t, s.Send(payload(k, 500)))
		wantNumbers(t, to.all(), k, k+1)
		k++
	}
	err := error(nil)
	for n := addrC; err == nil; n++ {
		var other *Sender
		if other, err = table.NewSender(Pair{addrA, n}); err == nil {
			other.Close()
		}
	}
	wantNoSpace(t, err)
	wantNoTemporary(t, table)
	for _, d := range must(os.ReadDir(filepath.Join(dir, "skybus-1000")))(t) {
		if strings.HasPrefix(d.Name(), ".tmp-") {
			t.Errorf("%s is left", d.Name())
		}
	}
	wantClean(t, table)
}

// TestReaderFindsABadRecord changes a byte of a message behind the sender's back.
func TestReaderFindsABadRecord(t *testing.T) {
	table, s, to := durablePair(t, Durability{Dir: testutil.Dir(t)})
	for k := range 3 {
		check(t, s.Send(payload(k, 40)))
	}
	s.at.seg.Mem()[laneDataAt+64+30] ^= 1 // in the second record: 16 + 40 + 8
	var damage error
	to.drain.OnDamage = func(_ addr.Addr, err error) { damage = err }
	recs := make([]ring.Record, BatchSize)
	_, n := to.drain.Next(recs, false)
	if k, ok := number(recs[0].Data); n != 1 || !ok || k != 0 {
		t.Fatalf("%d messages before the bad one", n)
	}
	if got := to.all(); len(got) != 0 {
		t.Fatalf("%d messages behind it", len(got))
	}
	wantErrText(t, damage, ErrDamaged, "record 2", "do not fit their checksum")
	if l, _ := table.Lane(Pair{addrA, addrB}); l.Damage == "" {
		t.Error("the lane is in use")
	}
}

// TestLinkElsewhereIsDamage has a link lead where no segment of the lane can be.
func TestLinkElsewhereIsDamage(t *testing.T) {
	dir := testutil.Dir(t)
	for name, target := range map[string]string{
		"another name":   filepath.Join(dir, "skybus-1000", "l-00000001-00000002.9"),
		"another folder": filepath.Join(dir, "l-00000001-00000002.1"),
		"relative":       "skybus-1000/l-00000001-00000002.1",
	} {
		t.Run(name, func(t *testing.T) {
			table, s, _ := durablePair(t, Durability{Dir: dir})
			s.Close()
			link := table.path("l-00000001-00000002.1")
			check(t, os.Remove(link))
			check(t, os.Symlink(target, link))
			_, err := table.NewSender(Pair{addrA, addrB})
			wantErrText(t, err, ErrDamaged, target)
			check(t, os.RemoveAll(filepath.Join(dir, "skybus-1000")))
		})
	}
}

// TestRuleThatCannotBeAsked keeps a lane from being made the wrong way.
func TestRuleThatCannotBeAsked(t *testing.T) {
	table := newDomain(t, Config{AllowUnknown: true})
	broken := errors.New("the routes cannot be read")
	table.SetDurable(Durables{
		Lane: func(Pair) (Durability, bool, error) { return Durability{}, false, broken },
		Dirs: func() ([]string, error) { return nil, broken },
	})
	bind(t, table, addrA)
	_, err := table.NewSender(Pair{addrA, addrB})
	wantErrText(t, err, broken, "0.0.0.1 -> 0.0.0.2")
	check(t, table.TakeUp())
	if len(table.Lanes()) != 0 {
		t.Error("there is a lane")
	}
}

func TestFolderThatCannotBeMade(t *testing.T) {
	table := newDomain(t, Config{AllowUnknown: true})
	table.SetDurable(everything(Durability{Dir: filepath.Join(testutil.Dir(t), "no", "parent")}))
	bind(t, table, addrA)
	_, err := table.NewSender(Pair{addrA, addrB})
	wantErrText(t, err, fs.ErrNotExist, "folder for durable lanes")
	wantClean(t, table)
}

// TestRecordsHaveTheDocumentedTrailer spells one out.
func TestRecordsHaveTheDocumentedTrailer(t *testing.T) {
	b := withTrailer([]byte("abc"), 5, ring.FlagGap)
	// CRC-32C over 05 00 00 00 00 00 00 00, 03 00 00 00, 08 00 00 00, "abc"
	const want = "616263e8f2e14700000000"
	if got := fmt.Sprintf("%x", b); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	rec := ring.Record{Data: b, Seq: 5, Flags: ring.FlagGap}
	var sums summer
	if !sums.whole(&rec) {
		t.Error("it is not whole")
	}
	for i := range b {
		for bit := range 8 {
			b[i] ^= 1 << bit
			if sums.whole(&rec) {
				t.Errorf("bit %d of byte %d does not matter", bit, i)
			}
			b[i] ^= 1 << bit
		}
	}
	for _, other := range []ring.Record{
		{Data: b, Seq: 6, Flags: ring.FlagGap}, {Data: b, Seq: 5}, {Data: b[:7], Seq: 5, Flags: ring.FlagGap}, {Seq: 5, Flags: ring.FlagGap},
	} {
		if sums.whole(&other) {
			t.Errorf("%+v is whole", other)
		}
	}
}

// gapOf reads the GAP that rec is.
func gapOf(t testing.TB, rec *ring.Record) wire.Gap {
	t.Helper()
	if rec.Flags&ring.FlagGap == 0 {
		t.Fatalf("record %d is no GAP", rec.Seq)
	}
	return must(wire.ParseGap(rec.Data))(t)
}
