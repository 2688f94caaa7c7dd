// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/ring"
)

// leave has a life of the domain send messages of these sizes from A to B by a durable
// lane, and end. Its memory is gone then, dir is not.
func leave(t testing.TB, d Durability, sizes ...int) {
	t.Helper()
	root := testutil.Dir(t)
	table := must(Open(root, testKey, Config{AllowUnknown: true}, true))(t)
	defer table.Close()
	table.SetDurable(everything(d))
	check(t, table.TakeUp())
	a := must(table.Bind(addrA))(t)
	defer a.Close()
	s := must(table.NewSender(Pair{addrA, addrB}))(t)
	defer s.Close()
	for k, n := range sizes {
		check(t, s.Send(payload(k, n)))
	}
}

// records takes everything that is ready, with what each is.
func (e end) records() (list []ring.Record) {
	var recs [1]ring.Record
	for {
		r, n := e.drain.Next(recs[:], true)
		if n == 0 {
			return list
		}
		rec := recs[0]
		rec.Data = slices.Clone(rec.Data)
		r.Accept(&recs)
		list = append(list, rec)
	}
}

// wantTakenUp checks that list is the messages up to below n, flagged, and perhaps
// a GAP.
func wantTakenUp(t testing.TB, list []ring.Record, n int, gap bool) {
	t.Helper()
	want := n
	if gap {
		want++
	}
	if len(list) != want {
		t.Fatalf("%d records, want %d", len(list), want)
	}
	for k := range n {
		if got, whole := number(list[k].Data); !whole || got != k || !list[k].Redelivered || list[k].Seq != uint64(k+1) {
			t.Errorf("record %d: message %d, whole %v, redelivered %v, sequence %d", k, got, whole, list[k].Redelivered, list[k].Seq)
		}
	}
	if gap {
		if g := gapOf(t, &list[n]); g.From != uint64(n+1) || g.To != 0 || g.Reason != reasonDisk || list[n].Seq != uint64(n+1) {
			t.Errorf("the GAP %+v with sequence %d", g, list[n].Seq)
		}
	}
}

// TestMessagesComeWithoutTheirSender opens the domain of a host that was down: its
// reader need not wait for anybody.
func TestMessagesComeWithoutTheirSender(t *testing.T) {
	for name, wait := range bothModes {
		t.Run(name, func(t *testing.T) {
			d := Durability{Sync: wait, Dir: testutil.Dir(t)}
			leave(t, d, 12, 500, 6000, 12) // three generations
			table := durableDomain(t, testutil.Dir(t), d)
			l, ok := table.Lane(Pair{addrA, addrB})
			if !ok || !l.Durable || l.Sync != wait || l.Epoch == 0 || l.Messages < 4 || !l.Ready {
				t.Fatalf("lane %+v", l)
			}
			wantClean(t, table)
			to := bindReader(t, table, addrB)
			wantTakenUp(t, to.records(), 4, !wait)
			bind(t, table, addrA)
			s := newSender(t, table, addrA, addrB)
			last := s.LastSeq()
			check(t, s.Send(payload(9, 100)))
			if got := to.records(); len(got) != 1 || got[0].Redelivered || got[0].Seq != last+1 {
				t.Errorf("received %+v", got)
			}
			wantClean(t, table)
		})
	}
}

// TestReaderThatIsThereIsToldOfWhatIsTakenUp gives a domain its rules late, as the
// relay daemon does after a boot.
func TestReaderThatIsThereIsToldOfWhatIsTakenUp(t *testing.T) {
	for name, give := range map[string]func(*Table) error{
		"by opening":       func(table *Table) error { return table.TakeUp() },
		"by the relay key": func(table *Table) error { return table.SetRelayKey(7) },
		"by new routes": func(table *Table) error {
			r, err := table.BindRelay()
			if err != nil {
				return err
			}
			defer r.Close()
			return errors.Join(r.Reroute(func(Pair) {})...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := Durability{Sync: true, Dir: testutil.Dir(t)}
			leave(t, d, 12, 12)
			root := testutil.Dir(t)
			to := bindReader(t, reopenDomain(t, root, Config{}), addrB)
			if to.drain.Look() {
				t.Fatal("there is something already")
			}
			other := reopenDomain(t, root, Config{})
			other.SetDurable(everything(d))
			check(t, give(other))
			if !to.drain.Look() {
				t.Fatal("the reader was not told")
			}
			wantTakenUp(t, to.records(), 2, false)
		})
	}
}

// TestSenderTakesUp has the lane made on demand, and finds what was left of it.
func TestSenderTakesUp(t *testing.T) {
	d := Durability{Sync: true, Dir: testutil.Dir(t)}
	leave(t, d, 12, 12, 12)
	table := newDomain(t, Config{AllowUnknown: true})
	table.SetDurable(everything(d)) // nobody looks through the folder
	bind(t, table, addrA)
	s := newSender(t, table, addrA, addrB)
	if s.LastSeq() != 3 {
		t.Errorf("LastSeq is %d, want 3", s.LastSeq())
	}
	check(t, s.Send(payload(3, 12)))
	list := bindReader(t, table, addrB).records()
	wantTakenUp(t, list[:3], 3, false)
	if k, _ := number(list[3].Data); len(list) != 4 || k != 3 || list[3].Redelivered {
		t.Errorf("received %+v", list)
	}
}

// TestRemoteLaneIsTakenUpForTheRelay gives it an epoch that is newer, and says what
// may have been handled before.
func TestRemoteLaneIsTakenUpForTheRelay(t *testing.T) {
	d := Durability{Sync: true, Dir: testutil.Dir(t)}
	first := newRemoteLife(t, d)
	for k := range 4 {
		check(t, first.s.Send(payload(k, 12)))
	}
	first.take(0, 2, 0)
	first.take(2, 4, 0)
	first.src.Release(2)
	first.src.Confirm(2)
	first.end()

	second := newRemoteLife(t, d)
	defer second.end()
	if second.epoch <= first.epoch {
		t.Errorf("epoch %d after %d", second.epoch, first.epoch)
	}
	src := second.src
	if src.First() != 3 || src.Consumed() != 2 || src.Doubtful() != 4 {
		t.Errorf("first %d, consumed %d, doubtful up to %d; want 3, 2, 4", src.First(), src.Consumed(), src.Doubtful())
	}
	check(t, second.s.Send(payload(4, 12)))
	second.take(2, 4, 4)
	src.Release(4)
	second.take(4, 5, 4)
}

// A remoteLife is a domain with a durable lane to another host.
type remoteLife struct {
	t     *testing.T
	relay *Relay
	a     *Binding
	s     *Sender
	src   *Source
	epoch uint64
}

func newRemoteLife(t *testing.T, d Durability) *remoteLife {
	table := newDomain(t, Config{})
	table.SetRoutes(func(a addr.Addr) (bool, error) { return a == addrB, nil })
	table.SetDurable(everything(d))
	check(t, table.SetRelayKey(1))
	l := &remoteLife{t: t, relay: must(table.BindRelay())(t), a: must(table.Bind(addrA))(t)}
	l.s = must(table.NewSender(Pair{addrA, addrB}))(t)
	l.src = must(l.relay.Source(Pair{addrA, addrB}))(t)
	l.epoch = l.src.Epoch()
	return l
}

// take wants the messages from first up to below end, those below again flagged.
func (l *remoteLife) take(first, end, again int) {
	l.t.Helper()
	recs := make([]ring.Record, end-first)
	n := must(l.src.Take(recs, 1<<20))(l.t)
	if n != end-first {
		l.t.Fatalf("%d records, want %d", n, end-first)
	}
	for i := range recs[:n] {
		if k, whole := number(recs[i].Data); k != first+i || !whole || recs[i].Redelivered != (k < again) {
			l.t.Errorf("message %d came as %d, redelivered %v", first+i, k, recs[i].Redelivered)
		}
	}
}

func (l *remoteLife) end() {
	l.src.Close()
	l.s.Close()
	l.a.Close()
	l.relay.Close()
}

// cutAt damages the file of a generation at the n-th record from the end.
func cutAt(t *testing.T, dir string, gen string, at int) {
	t.Helper()
	f := must(os.OpenFile(filepath.Join(dir, "skybus-1000", "l-00000001-00000002."+gen), os.O_RDWR, 0))(t)
	defer f.Close()
	must(f.WriteAt([]byte{0xff, 0xee}, int64(laneDataAt+at)))(t)
}

// TestDamageEndsWhatIsTakenUp damages the third record in each of its parts, in one
// generation or before another.
func TestDamageEndsWhatIsTakenUp(t *testing.T) {
	const size = 48 // 16 + 12 + 8, rounded up
	for name, off := range map[string]int{"word": 0, "sequence": 8, "message": 16, "trailer": 28, "trailer's zeros": 32} {
		for files, sizes := range map[string][]int{"one file": {12, 12, 12, 12}, "two files": {12, 12, 12, 4000, 12}} {
			t.Run(name+" of "+files, func(t *testing.T) {
				d := Durability{Sync: true, Dir: testutil.Dir(t)}
				leave(t, d, sizes...)
				cutAt(t, d.Dir, "1", 2*size+off)
				table := durableDomain(t, testutil.Dir(t), d)
				wantClean(t, table)
				to := bindReader(t, table, addrB)
				wantTakenUp(t, to.records(), 2, true)
				wantFiles(t, table, filepath.Join(d.Dir, "skybus-1000"), "l-00000001-00000002.2")
			})
		}
	}
}

// TestLifeAfterLife takes the same lane up again and again, with nobody reading.
func TestLifeAfterLife(t *testing.T) {
	d := Durability{Sync: true, Dir: testutil.Dir(t)}
	leave(t, d, 12, 12)
	for range 5 {
		leave(t, d) // none more
	}
	table := durableDomain(t, testutil.Dir(t), d)
	wantTakenUp(t, bindReader(t, table, addrB).records(), 2, false)
	wantClean(t, table)
}

// TestOldFilesThatCameBack puts generations back that were consumed and removed.
func TestOldFilesThatCameBack(t *testing.T) {
	d := Durability{Sync: true, Dir: testutil.Dir(t)}
	table, s, to := durablePair(t, d)
	folder := filepath.Join(d.Dir, "skybus-1000")
	old := map[string][]byte{}
	keep := func(gen string) {
		name := filepath.Join(folder, "l-00000001-00000002."+gen)
		old[name] = must(os.ReadFile(name))(t)
	}
	check(t, s.Send(payload(0, 12)))
	keep("1")
	check(t, s.Send(payload(1, 4000)))
	check(t, s.Send(payload(2, 40000)))
	wantNumbers(t, to.all(), 0, 3)
	check(t, s.Send(payload(3, 12)))
	s.Close()
	_ = table
	for name, b := range old { // 1 is back, 2 is not, 3 lives
		check(t, os.WriteFile(name, b, 0o660))
	}
	next := durableDomain(t, testutil.Dir(t), d)
	list := bindReader(t, next, addrB).records()
	if k, _ := number(list[len(list)-1].Data); len(list) != 1 || k != 3 || list[0].Seq != 4 {
		t.Errorf("received %+v", list)
	}
	wantClean(t, next)
}

// TestFileThatCannotBeTakenUp names it, leaves it and lets others live.
func TestFileThatCannotBeTakenUp(t *testing.T) {
	d := Durability{Sync: true, Dir: testutil.Dir(t)}
	leave(t, d, 12)
	bad := filepath.Join(d.Dir, "skybus-1000", "l-00000003-00000004.1")
	check(t, os.WriteFile(bad, make([]byte, 8192), 0o660))
	none := filepath.Join(d.Dir, "skybus-1000", "l-00000003-00000003.1")
	check(t, os.WriteFile(none, make([]byte, 8192), 0o660))
	check(t, os.WriteFile(filepath.Join(d.Dir, "skybus-1000", "notes.txt"), nil, 0o600))
	table := newDomain(t, Config{AllowUnknown: true})
	table.SetDurable(everything(d))
	err := table.TakeUp()
	wantErrText(t, err, ErrDamaged, bad)
	wantErrText(t, err, ErrNoRoute, none)
	wantTakenUp(t, bindReader(t, table, addrB).records(), 1, false)
	bind(t, table, addrC)
	_, err = table.NewSender(Pair{addrC, addrD})
	wantErrText(t, err, ErrDamaged, bad)
	found := 0
	for _, v := range table.Check() {
		if !v.Note {
			t.Errorf("check: %v", v)
		}
		if strings.Contains(v.What, "were left behind") {
			found++
		}
	}
	if found != 2 {
		t.Errorf("%d of 2 files were reported", found)
	}
	check(t, os.Remove(bad))
	check(t, newSender(t, table, addrC, addrD).Send(payload(0, 12)))
}

// TestLaneInMemoryKeepsFilesFromBeingTakenUp, and Check says so.
func TestLaneInMemoryKeepsFilesFromBeingTakenUp(t *testing.T) {
	d := Durability{Sync: true, Dir: testutil.Dir(t)}
	leave(t, d, 12, 12)
	table := newDomain(t, Config{AllowUnknown: true})
	a := must(table.Bind(addrA))(t)
	s := must(table.NewSender(Pair{addrA, addrB}))(t)
	check(t, s.Send(payload(7, 12)))
	table.SetDurable(everything(d))
	check(t, table.TakeUp())
	list := table.Check()
	if len(list) != 1 || list[0].Note || !strings.Contains(list[0].What, "the lane was made in memory since") {
		t.Errorf("check: %v", list)
	}
	s.Close()
	a.Close()
	check(t, table.Delete(Channel{A: addrA, B: addrB}, true))
	check(t, table.TakeUp())
	wantTakenUp(t, bindReader(t, table, addrB).records(), 2, false)
}

func TestCheckOfLinks(t *testing.T) {
	for _, c := range []struct {
		name string
		harm func(*Table, string)
		note bool
		want string
	}{
		{"without a file", func(table *Table, dir string) {
			check(t, os.Symlink(filepath.Join(dir, "skybus-1000", "l-00000001-00000002.2"), table.path("l-00000001-00000002.2")))
		}, true, "generation 2 is a link without a file"},
		{"no link", func(table *Table, dir string) {
			check(t, os.Remove(table.path("l-00000001-00000002.1")))
			check(t, os.Rename(filepath.Join(dir, "skybus-1000", "l-00000001-00000002.1"), table.path("l-00000001-00000002.1")))
		}, false, "generation 1 is no link"},
		{"file without a link", func(_ *Table, dir string) {
			check(t, os.WriteFile(filepath.Join(dir, "skybus-1000", "l-00000001-00000002.9"), nil, 0o600))
		}, false, "generation 9 has no link"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := Durability{Dir: testutil.Dir(t)}
			table, s, _ := durablePair(t, d)
			s.Close()
			c.harm(table, d.Dir)
			if !slices.ContainsFunc(table.Check(), func(v Violation) bool { return v.Note == c.note && strings.Contains(v.What, c.want) }) {
				t.Errorf("got %v, want %q", table.Check(), c.want)
			}
		})
	}
}

func TestLaneNamesAreRead(t *testing.T) {
	rng := testutil.Rand(t)
	for range 1000 {
		p, gen := Pair{addr.Addr(rng.Uint32()), addr.Addr(rng.Uint32())}, 1+rng.Uint32N(1<<31)
		if q, g, ok := parseLaneName(laneName(p, gen)); !ok || q != p || g != gen {
			t.Fatalf("%s is read as %v, %d, %v", laneName(p, gen), q, g, ok)
		}
	}
	for _, name := range []string{
		"", "l-", "l-00000001-00000002", "l-00000001-00000002.", "l-00000001-00000002.0", "l-00000001-00000002.01", "l-1-2.1", ".tmp-l-00000001-00000002.1",
		"l-0000000A-00000002.1", "00000001-00000002.1", "l-00000001-00000002.4294967295", "l-00000001-00000002.1.1", "l-000000001-00000002.1", "l-+0000001-00000002.1",
	} {
		if p, gen, ok := parseLaneName(name); ok {
			t.Errorf("%q is read as %v, %d", name, p, gen)
		}
	}
}

// FuzzTakeUp overwrites bytes of a lane's file and takes it up: what comes out of it
// is whole messages in order, or an error that says it is damaged.
func FuzzTakeUp(f *testing.F) {
	f.Add(uint64(1), uint16(laneDataAt), []byte{0})
	f.Add(uint64(2), uint16(laneMarksAt), []byte{0x30, 0, 0, 0, 0, 0, 0, 0})
	f.Add(uint64(3), uint16(0), []byte("SKYTABLE"))
	f.Add(uint64(4), uint16(laneDataAt+48), []byte{13, 0, 0, 0, 0, 3, 0, 16})
	f.Add(uint64(5), uint16(laneMarksAt+8), []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f})
	dir := filepath.Join(f.TempDir(), "whole")
	leave(f, Durability{Sync: true, Dir: dir}, 12, 300, 40, 12, 600)
	name := "l-00000001-00000002.1"
	whole := must(os.ReadFile(filepath.Join(dir, "skybus-1000", name)))(f)
	f.Fuzz(func(t *testing.T, seed uint64, at uint16, with []byte) {
		b := slices.Clone(whole)
		rng := rand.New(rand.NewPCG(seed, 0))
		copy(b[int(at)%len(b):], with)
		if seed%3 == 0 {
			b[rng.IntN(len(b))] ^= byte(1 << rng.IntN(8))
		}
		d := Durability{Sync: true, Dir: testutil.Dir(t)}
		check(t, os.Mkdir(filepath.Join(d.Dir, "skybus-1000"), 0o770))
		check(t, os.WriteFile(filepath.Join(d.Dir, "skybus-1000", name), b, 0o660))
		table := newDomain(t, Config{AllowUnknown: true})
		table.SetDurable(everything(d))
		if err := table.TakeUp(); err != nil {
			if len(table.Lanes()) != 0 {
				t.Errorf("a lane in spite of %v", err)
			}
			return
		}
		next := -1
		for _, rec := range bindReader(t, table, addrB).records() {
			k, ok := number(rec.Data)
			switch {
			case rec.Flags&ring.FlagGap != 0:
				gapOf(t, &rec)
			case !ok || !rec.Redelivered || next >= 0 && k != next:
				t.Errorf("message %d (whole: %v, redelivered %v), expected %d", k, ok, rec.Redelivered, next)
			default:
				next = k + 1
			}
		}
		wantClean(t, table)
	})
}
