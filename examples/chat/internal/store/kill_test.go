// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/internal/killtest"
	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/node"
	"github.com/skybus-io/skybus/node/codec"
)

var (
	roomAt  = addr.MustParse("0.0.2.1")
	storeAt = addr.MustParse("0.0.3.1")
)

type place struct{ Root, DB string }

func TestMain(m *testing.M) {
	if err := Register(codec.Default); err != nil {
		panic(err)
	}
	killtest.Main(map[string]killtest.Role{"store": serve})
	os.Exit(m.Run())
}

// serve is the process of a store, until its input ends.
func serve(args []byte) error {
	p, err := killtest.Args[place](args)
	if err != nil {
		return err
	}
	db, err := Open(p.DB)
	if err != nil {
		return err
	}
	defer db.Close()
	n, leave, err := join(p.Root, storeAt, actor.Spec{Name: Name, New: New(db, slog.Default())})
	if err != nil {
		return err
	}
	defer leave()
	defer n.Close()
	fmt.Println("ready")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

func join(root string, at addr.Addr, services ...actor.Spec) (*node.Node, func(), error) {
	d, err := skybus.Open(1000, skybus.Options{Root: root, AllowUnknown: true})
	if err != nil {
		return nil, nil, err
	}
	n, err := node.Start(d, at, node.Config{Services: services})
	if err != nil {
		d.Close()
		return nil, nil, err
	}
	return n, func() { d.Close() }, nil
}

// marks is a room that notes what is called saved.
type marks struct {
	mu    sync.Mutex
	saved map[uint64]int
}

func (m *marks) Handle(_ *actor.Context, msg *actor.Message) error {
	s, ok := msg.Value.(*Saved)
	if !ok {
		return fmt.Errorf("got a %T, want a *Saved", msg.Value)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, k := range s.Marks {
		m.saved[k.N]++
	}
	return nil
}

func (m *marks) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.saved)
}

// until waits for what must come; how long that may take, the test's own limit says.
func until(ok func() bool) {
	for !ok() {
		time.Sleep(5 * time.Millisecond)
	}
}

type lab struct {
	t     *testing.T
	place place
	node  *node.Node
	marks *marks
	store *killtest.Process
}

func newLab(t *testing.T) *lab {
	l := &lab{t: t, place: place{testutil.Dir(t), filepath.Join(t.TempDir(), "chat.db")}, marks: &marks{saved: map[uint64]int{}}}
	n, leave, err := join(l.place.Root, roomAt, actor.Spec{Name: "room", New: func() actor.Handler { return l.marks }})
	if err != nil {
		t.Fatal(err)
	}
	l.node = n
	t.Cleanup(func() { n.Close(); leave() })
	l.start()
	return l
}

func (l *lab) start() {
	l.store = killtest.Start(l.t, "store", l.place)
	if s := l.store.Line(); s != "ready" {
		l.t.Fatalf("the store says %q, want ready", s)
	}
}

func (l *lab) send(n uint64) {
	a := &Append{Room: "r", Rows: []Row{row(n, fmt.Sprint("text ", n))}, Back: Address{roomAt, "room"}}
	if err := l.node.Runtime().Send(context.Background(), node.At(storeAt), node.Named{Name: Name, Value: a}); err != nil {
		l.t.Fatal(err)
	}
}

// A message that the store has taken, and has not written, when it is killed.
func TestKilledBetweenAcceptAndSave(t *testing.T) {
	testutil.NoLeaks(t)
	l := newLab(t)
	l.send(1)
	until(func() bool { return l.marks.count() == 1 })

	// Whoever holds the file keeps the store from writing.
	d, err := Open(l.place.DB)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	tx, err := d.sql.Begin()
	if err != nil {
		t.Fatal(err)
	}
	l.send(2)
	l.send(3)
	time.Sleep(100 * time.Millisecond) // let it come to the file; the test is as right without
	l.store.Kill()
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if got := page(t, d, Page{Room: "r", Limit: 10}); len(got) != 1 {
		t.Fatalf("on disk: %v, want 1 alone", got)
	}
	if n := l.marks.count(); n != 1 {
		t.Fatalf("%d messages were called saved, 1 is", n)
	}
	l.start()
	until(func() bool { return l.marks.count() == 3 })
	if got := page(t, d, Page{Room: "r", Limit: 10}); len(got) != 3 {
		t.Errorf("on disk: %v, want 1 to 3", got)
	}
}

// Killed again and again under load: what was called saved is on disk at that time, and in the end everything is.
func TestKilledUnderLoad(t *testing.T) {
	testutil.NoLeaks(t)
	rng := testutil.Rand(t)
	l := newLab(t)
	const all, kills = 3000, 4
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for n := uint64(1); n <= all; n++ {
			l.send(n)
			if n%10 == 0 {
				time.Sleep(time.Millisecond)
			}
		}
	}()
	for k := range kills {
		goal := all*k/kills + rng.IntN(all/kills)
		for said := time.Now(); l.marks.count() < goal; time.Sleep(5 * time.Millisecond) {
			if time.Since(said) > again {
				said = time.Now()
				l.remind(uint64(goal))
			}
		}
		l.store.Kill()
		l.check()
		l.start()
	}
	<-sent
	for said := time.Now(); l.marks.count() < all; time.Sleep(5 * time.Millisecond) {
		if time.Since(said) > again {
			said = time.Now()
			l.remind(all)
		}
	}
	l.check()
	if got := l.numbers(); len(got) != all {
		t.Errorf("%d messages on disk, want %d", len(got), all)
	}
}

// again is when what is not confirmed is sent once more, as rooms do it: what a store holds while its lane overflows counts as
// received, and is lost if the process is killed then.
const again = 2 * time.Second

func (l *lab) remind(to uint64) {
	l.marks.mu.Lock()
	var missing []uint64
	for n := uint64(1); n <= to; n++ {
		if l.marks.saved[n] == 0 {
			missing = append(missing, n)
		}
	}
	l.marks.mu.Unlock()
	l.t.Logf("%d messages are sent once more", len(missing))
	for _, n := range missing {
		l.send(n)
	}
}

// check compares what was called saved with what is on disk.
func (l *lab) check() {
	l.t.Helper()
	l.marks.mu.Lock()
	saved := make([]uint64, 0, len(l.marks.saved))
	for n := range l.marks.saved {
		saved = append(saved, n)
	}
	l.marks.mu.Unlock()
	disk := l.numbers()
	for _, n := range saved {
		if !disk[n] {
			l.t.Errorf("message %d was called saved and is not on disk", n)
		}
	}
}

// numbers reads the file as another program would.
func (l *lab) numbers() map[uint64]bool {
	d, err := Open(l.place.DB)
	if err != nil {
		l.t.Fatal(err)
	}
	defer d.Close()
	all := map[uint64]bool{}
	for from := uint64(1); ; {
		list := page(l.t, d, Page{Room: "r", Before: from, Limit: 100, Forward: true})
		for _, n := range list {
			all[n] = true
			from = n + 1
		}
		if len(list) == 0 {
			return all
		}
	}
}
