// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/skybus-io/skybus/internal/sys"
	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/ring"
)

// A plug is the power supply of a disk on which durable lanes lie. It knows what
// each file was when it was last synced, and at moments since; when it is pulled,
// each page that is left is one of these, whichever.
type plug struct {
	rng      *rand.Rand
	folder   string
	versions map[string][][]byte // by file: the first is on disk, any of the others may be
	left     int                 // syncs until it is pulled
	pulled   bool
	syncs    int
}

var errPulled = errors.New("the power is gone")

// sync is fdatasync. While it runs pages reach the disk one by one.
func (p *plug) sync(f *os.File) error {
	p.syncs++
	if p.left--; p.left <= 0 || p.pulled {
		p.pulled = true
		return errPulled
	}
	if err := sys.Sync(f); err != nil {
		return err
	}
	b, err := os.ReadFile("/proc/self/fd/" + fmt.Sprint(f.Fd())) // it may have lost its name
	p.versions[f.Name()] = [][]byte{b}
	return err
}

// peek keeps what the files are now. The kernel may write it at any time.
func (p *plug) peek() error {
	entries, err := os.ReadDir(p.folder)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, d := range entries {
		path := filepath.Join(p.folder, d.Name())
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		p.versions[path] = append(p.versions[path], b)
	}
	return nil
}

// pull leaves in folder what is on the disk when the power comes back. Files that
// were removed may be back, for nobody has synced the folder since.
func (p *plug) pull(folder string) error {
	if err := errors.Join(p.peek(), os.MkdirAll(folder, 0o770)); err != nil {
		return err
	}
	for path, versions := range p.versions {
		if _, err := os.Stat(path); err != nil && p.rng.IntN(3) > 0 {
			continue
		}
		b := make([]byte, len(versions[0]))
		favour := p.rng.IntN(len(versions)) // as if it had been written as a whole, but for some pages
		mixed := p.rng.IntN(3)
		for at := 0; at < len(b); at += pageSize {
			v := versions[favour]
			if p.rng.IntN(3) < mixed {
				v = versions[p.rng.IntN(len(versions))]
			}
			copy(b[at:min(at+pageSize, len(b))], v[at:])
		}
		if err := os.WriteFile(filepath.Join(folder, filepath.Base(path)), b, 0o660); err != nil {
			return err
		}
	}
	if p.rng.IntN(4) == 0 { // of a generation that was being made
		return os.WriteFile(filepath.Join(folder, ".tmp-l-00000001-00000002.9"), make([]byte, 99), 0o660)
	}
	return nil
}

// A powerRun is lives of one lane, each ended by the loss of power.
type powerRun struct {
	t    *testing.T
	rng  *rand.Rand
	wait bool
	top  string
	life int

	plug  *plug
	table *Table
	a     *Binding
	s     *Sender
	to    end

	lane   []int // numbers of the messages that were committed, in order, and -sequence for each GAP
	taken  int   // the first so many were received for good
	needed int   // the first so many have to survive
	next   int   // number of the next message
	stats  *powerStats
}

type powerStats struct{ sent, recovered, lost, gaps, syncs int }

func (r *powerRun) dir() string  { return filepath.Join(r.top, fmt.Sprint("disk", r.life)) }
func (r *powerRun) root() string { return filepath.Join(r.top, fmt.Sprint("memory", r.life)) }

// boot begins a life: memory is empty, the disk has what the last life has left.
func (r *powerRun) boot() {
	check(r.t, os.MkdirAll(r.root(), 0o700))
	check(r.t, os.MkdirAll(r.dir(), 0o770))
	r.plug = &plug{rng: r.rng, folder: filepath.Join(r.dir(), "skybus-1000"), versions: map[string][][]byte{}, left: 1 << 30}
	check(r.t, r.plug.peek()) // on disk
	syncFile = r.plug.sync
	r.table = must(Open(r.root(), testKey, Config{AllowUnknown: true, Limits: Limits{GrowBytes: 4096 << r.rng.IntN(4)}}, true))(r.t)
	r.table.SetDurable(everything(Durability{Sync: r.wait, Dir: r.dir()}))
	check(r.t, r.table.TakeUp())
	b := must(r.table.Bind(addrB))(r.t)
	r.to = end{b, must(b.Drain())(r.t)}
}

// down ends a life; the next one's disk is made from what the plug knows.
func (r *powerRun) down() {
	next := filepath.Join(r.top, fmt.Sprint("disk", r.life+1), "skybus-1000")
	check(r.t, r.plug.pull(next))
	r.plug.pulled = true // nothing of what follows is written
	r.stats.syncs += r.plug.syncs
	if r.s != nil {
		r.s.Close()
		r.s = nil
	}
	if r.a != nil {
		r.a.Close()
		r.a = nil
	}
	r.to.drain.Close()
	r.to.Close()
	r.table.Close()
	r.life++
}

// work sends and receives until the power goes.
func (r *powerRun) work() {
	r.plug.left = 1 << 30
	if r.rng.IntN(2) == 0 {
		r.plug.left = 1 + r.rng.IntN(40) // in a sync
	}
	steps := r.rng.IntN(150)
	for i := 0; i < steps && !r.plug.pulled; i++ {
		r.step()
	}
}

// step is one of the things that happen. needed follows what the modes promise.
func (r *powerRun) step() {
	rounds, before := r.rounds(), len(r.lane)
	if r.s == nil {
		if !r.attach() {
			return
		}
	}
	switch n := r.rng.IntN(20); {
	case n < 8:
		r.send(12 + r.rng.IntN(1200))
	case n < 9:
		r.send(12 + r.rng.IntN(9000))
	case n < 12:
		r.batch(1 + r.rng.IntN(6))
	case n < 16:
		r.receive(1 + r.rng.IntN(8))
	case n < 18:
		check(r.t, r.plug.peek())
	case n < 19 && !r.wait:
		r.s.disk.flush()
	case n < 20: // another process takes over
		r.s.Close()
		r.a.Close()
		r.s, r.a = nil, nil
		if !r.plug.pulled {
			r.needed = len(r.lane)
		}
	}
	if !r.wait && r.rounds() > rounds && !r.plug.pulled {
		r.needed = max(r.needed, before)
	}
}

func (r *powerRun) rounds() uint64 {
	if r.s == nil {
		return 0
	}
	r.s.disk.mu.Lock()
	defer r.s.disk.mu.Unlock()
	return r.s.disk.rounds
}

func (r *powerRun) attach() bool {
	if r.a == nil {
		r.a = must(r.table.Bind(addrA))(r.t)
	}
	s, err := r.table.NewSender(Pair{addrA, addrB})
	if r.plug.pulled {
		return false
	}
	check(r.t, err)
	r.s, r.needed = s, len(r.lane) // D5
	return true
}

func (r *powerRun) send(n int) {
	k := r.next
	last := r.s.LastSeq()
	err := r.s.Send(payload(k, n))
	r.committed(last, 1, err)
}

func (r *powerRun) batch(n int) {
	last := r.s.LastSeq()
	turn := r.s.Begin()
	i := 0
	for ; i < n; i++ {
		b, err := r.s.Claim(12 + r.rng.IntN(300))
		if err != nil {
			break
		}
		copy(b, payload(r.next+i, len(b)))
	}
	r.s.Commit()
	r.committed(last, i, r.s.Finish(turn))
}

// committed notes what became of n messages.
func (r *powerRun) committed(last uint64, n int, err error) {
	if errors.Is(err, ErrFull) {
		return
	}
	if err != nil && !r.plug.pulled {
		r.t.Fatal(err)
	}
	for range int(r.s.LastSeq() - last) {
		r.lane = append(r.lane, r.next)
		r.next++
	}
	r.stats.sent += n
	if err == nil && r.wait {
		r.needed = len(r.lane)
	}
}

func (r *powerRun) receive(n int) {
	for range n {
		b := r.to.next()
		if b == nil {
			return
		}
		k, whole := number(b)
		if !whole || k != r.lane[r.taken] {
			r.t.Fatalf("message %d (whole: %v) came where %d was the next", k, whole, r.lane[r.taken])
		}
		r.taken++
	}
}

// judge receives what has survived, and compares.
func (r *powerRun) judge() {
	var got []int
	seq, gaps := uint64(0), 0
	l, _ := r.table.Lane(Pair{addrA, addrB})
	recs := make([]ring.Record, BatchSize)
	for rx, n := r.to.drain.Next(recs, false); n > 0; rx, n = r.to.drain.Next(recs, false) {
		for i := range recs[:n] {
			rec := &recs[i]
			if seq != 0 && rec.Seq != seq+1 {
				r.t.Fatalf("sequence %d after %d", rec.Seq, seq)
			}
			if seq = rec.Seq; rec.Flags&ring.FlagGap != 0 {
				g := gapOf(r.t, rec)
				if g.From != seq || g.To != 0 || g.Reason != reasonDisk || g.Epoch == 0 {
					r.t.Fatalf("record %d is the GAP %+v", seq, g)
				}
				if g.Epoch == l.Epoch {
					gaps++
				} else { // of a life before
					got = append(got, -int(seq))
				}
				continue
			}
			k, whole := number(rec.Data)
			if !whole || !rec.Redelivered || gaps > 0 {
				r.t.Fatalf("message %d: whole %v, redelivered %v, %d GAPs before it", k, whole, rec.Redelivered, gaps)
			}
			got = append(got, k)
		}
		rx.Release(&recs[n-1], true)
	}
	check(r.t, r.to.drain.Damaged())
	r.compare(got, gaps)
	r.lane = got
	if gaps > 0 {
		r.lane = append(got, -int(seq))
	}
	r.taken, r.needed = len(r.lane), len(r.lane)
}

// compare checks that got is what the lane had, from no later than where its reader
// was, to no earlier than what had to survive.
func (r *powerRun) compare(got []int, gaps int) {
	first, last := r.taken, r.taken
	if len(got) > 0 {
		first = slices.Index(r.lane, got[0])
		last = first + len(got)
	}
	switch {
	case first < 0 || first > r.taken || last > len(r.lane) || !slices.Equal(got, r.lane[first:last]):
		r.t.Fatalf("%v has survived of %v, of which %d were taken", got, r.lane, r.taken)
	case last < r.needed:
		r.t.Fatalf("%d of %d messages have survived, want %d; %d were taken", last, len(r.lane), r.needed, r.taken)
	case gaps > 1 || gaps == 0 && !r.wait && len(r.lane) > 0:
		r.t.Fatalf("%d GAPs after %v of %v", gaps, got, r.lane)
	}
	r.stats.recovered += len(got)
	r.stats.lost += len(r.lane) - max(last, r.taken)
	r.stats.gaps += gaps
}

func TestPowerLoss(t *testing.T) {
	noRounds(t)
	seeds := 150
	if os.Getenv("SKYBUS_SOAK") != "" {
		seeds = 5000
	}
	old := syncFile
	t.Cleanup(func() { syncFile = old })
	for name, wait := range bothModes {
		t.Run(name, func(t *testing.T) {
			var stats powerStats
			seed := testutil.Seed(t)
			for i := range seeds {
				top := filepath.Join(testutil.Dir(t), "run")
				r := &powerRun{t: t, rng: rand.New(rand.NewPCG(seed, uint64(i))), wait: wait, top: top, stats: &stats}
				r.boot()
				for range 1 + r.rng.IntN(3) {
					r.work()
					r.down()
					r.boot()
					r.judge()
					wantClean(t, r.table)
				}
				r.work() // it goes on as any lane does
				r.down()
				check(t, os.RemoveAll(top))
				if t.Failed() {
					t.Fatalf("run %d", i)
				}
			}
			if stats.recovered == 0 || stats.lost == 0 || stats.gaps == 0 && !wait {
				t.Errorf("%+v: nothing was tested", stats)
			}
			t.Logf("%d runs: %+v", seeds, stats)
		})
	}
}

// TestReleaseThatIsNotOnDiskIsNotBelieved loses power when the data is on disk and the
// page that says what was released is as old as it can be: nothing that waits may
// have been overwritten (D4).
func TestReleaseThatIsNotOnDiskIsNotBelieved(t *testing.T) {
	noRounds(t)
	dir, next := testutil.Dir(t), testutil.Dir(t)
	p := &plug{folder: filepath.Join(dir, "skybus-1000"), versions: map[string][][]byte{}, left: 1 << 30}
	onSync(t, p.sync)
	table := reopenDomain(t, testutil.Dir(t), Config{AllowUnknown: true, Limits: Limits{GrowBytes: 16 << 10}})
	table.SetDurable(everything(Durability{Dir: dir}))
	to := bindReader(t, table, addrB)
	bind(t, table, addrA)
	s := newSender(t, table, addrA, addrB)
	k := 0
	fill := func() {
		for ; ; k++ {
			if err := s.Send(payload(k, 500)); err != nil {
				wantErr(t, err, ErrFull)
				return
			}
		}
	}
	fill() // grows on the way
	s.disk.flush()
	for taken := 0; taken < 100; { // laps
		for range 7 {
			if to.next() == nil {
				t.Fatal("it is empty")
			}
			taken++
		}
		fill()
	}
	if k < 100 {
		t.Fatalf("%d messages: what was released is never room", k)
	}
	check(t, os.Mkdir(filepath.Join(next, "skybus-1000"), 0o770))
	path := s.at.seg.Path()
	b := must(os.ReadFile(path))(t)
	copy(b[:pageSize], p.versions[path][0])
	check(t, os.WriteFile(filepath.Join(next, "skybus-1000", filepath.Base(path)), b, 0o660))

	list := bindReader(t, durableDomain(t, testutil.Dir(t), Durability{Dir: next}), addrB).records()
	waiting, _ := table.Lane(Pair{addrA, addrB})
	first, _ := number(list[0].Data)
	last, _ := number(list[len(list)-2].Data)
	if uint64(first)+1 > waiting.HeadSeq || last != k-1 {
		t.Errorf("messages %d to %d are left, %d to %d wait", first, last, waiting.HeadSeq-1, k-1)
	}
}
