// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/skybus-io/skybus/internal/sys"
	"github.com/skybus-io/skybus/internal/testutil"
)

// Whoever reads connections counts what was accepted, and others look, while the owner works; sessions come and go, and the
// vault is closed under them.
func TestReadersBesideTheOwner(t *testing.T) {
	testutil.NoLeaks(t)
	dir := newFolder(t)
	v := open(t, dir, Config{Sessions: 64, Ring: 1 << 16})
	list := make([]Slot, 16)
	for n := range list {
		list[n] = begin(t, v, 0)
	}
	var over sync.WaitGroup
	var counted atomic.Int64
	for _, s := range list {
		over.Go(func() {
			for n := uint64(1); ; n++ {
				if err := s.SetAccepted(n); err != nil {
					if !errors.Is(err, ErrFreed) && !errors.Is(err, os.ErrClosed) {
						t.Error(err)
					}
					return
				}
				counted.Add(1)
				look(t, s, n)
			}
		})
	}
	work(t, v, dir, list)
	for counted.Load() < 1000 { // they have begun
		s := list[3]
		check(t, s.SetIdentity([]byte("x")))
		check(t, s.SetIdentity([]byte("identity 0")))
	}
	v.Close()
	over.Wait()
	v = open(t, dir, Config{Sessions: 64, Ring: 1 << 16})
	sound(t, v)
}

// look wants what a reader sees to be of the session or of none.
func look(t *testing.T, s Slot, n uint64) {
	t.Helper()
	if a := s.Accepted(); a != n && a != 0 {
		t.Errorf("accepted is %d, want %d", a, n)
	}
	if k := s.Key(); k != key(0) && k != [KeySize]byte{} {
		t.Errorf("the key is %x", k)
	}
	if x := s.Texts(); x.Binding != nil && len(x.Groups) > 0 && x.Groups[0] != "all" {
		t.Errorf("the texts are %+v", x)
	}
	if e := s.Epoch(); e > 1000 {
		t.Errorf("the epoch is %d", e)
	}
	s.State()
	s.Sent()
}

// work is what an owner does, with another process looking on.
func work(t *testing.T, v *Vault, dir string, list []Slot) {
	t.Helper()
	for i := range 2000 {
		ref := put(t, v, Origin{Source: 1, Number: uint64(i)}, packet(i, 100))
		v.Slots(func(s Slot) bool { s.Add(ref); return true })
		s := list[i%8]
		check(t, s.SetGroups([]string{"all", fmt.Sprint(i)}))
		check(t, s.SetEpoch(uint32(i%1000)))
		check(t, s.SetAway(int64(i)))
		check(t, v.SetDone(1, uint64(i)))
		if i%200 == 100 { // one goes, and another one has its place
			check(t, list[8+i/200%8].Free())
			begin(t, v, 100)
			list[8+i/200%8] = begin(t, v, 101)
		}
		if i%500 == 0 {
			is, err := Inspect(dir, home)
			check(t, err)
			for _, d := range is.Damage {
				t.Errorf("another process finds in slot %d: %s", d.Slot, d.What)
			}
		}
	}
}

func TestPutAndAddDoNotAllocate(t *testing.T) {
	v := open(t, newFolder(t), Config{Sessions: 64, Ring: 1 << 16})
	list := []Slot{begin(t, v, 1), begin(t, v, 2)}
	data, n := packet(1, 64), uint64(0)
	check(t, v.SetDone(1, 0))
	buf := make([][]byte, 0, refs)
	if got := testing.AllocsPerRun(1000, func() {
		n++
		ref, err := v.Put(Origin{Source: 1, Number: n}, data)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range list {
			s.Add(ref)
			if err := s.SetAccepted(n); err != nil {
				t.Fatal(err)
			}
			s.Epoch()
		}
		if list[0].Has(Origin{Source: 1, Number: n + 1}) {
			t.Fatal("a packet that it does not have")
		}
		if err := errors.Join(v.SetPart(1, n, 1), v.SetDone(1, n)); err != nil {
			t.Fatal(err)
		}
		if _, err := list[1].Since(n-1, buf); err != nil {
			t.Fatal(err)
		}
	}); got > 0 {
		t.Errorf("%v allocations", got)
	}
}

// BenchmarkBroadcast puts a packet and adds it to many sessions.
func BenchmarkBroadcast(b *testing.B) {
	for _, size := range []int{64, 16 << 10} {
		for _, sessions := range []int{1, 100, 1000, 5000} {
			b.Run(fmt.Sprintf("%dB/%d", size, sessions), func(b *testing.B) {
				v := open(b, newFolder(b), Config{Sessions: sessions})
				list := make([]Slot, sessions)
				for n := range list {
					list[n] = begin(b, v, n)
				}
				data := packet(1, size)
				b.ReportAllocs()
				before := sys.CPUTime()
				for i := 0; b.Loop(); i++ {
					ref, _ := v.Put(Origin{Source: 1, Number: uint64(i)}, data)
					for _, s := range list {
						s.Add(ref)
					}
					_ = v.SetDone(1, uint64(i))
				}
				b.ReportMetric(float64((sys.CPUTime()-before).Nanoseconds())/float64(b.N)/float64(sessions), "cpu-ns/session")
			})
		}
	}
}

func BenchmarkAccepted(b *testing.B) {
	v := open(b, newFolder(b), small)
	s := begin(b, v, 1)
	for i := 0; b.Loop(); i++ {
		_ = s.SetAccepted(uint64(i))
	}
}

func BenchmarkSetGroups(b *testing.B) {
	v := open(b, newFolder(b), small)
	s := begin(b, v, 1)
	groups := []string{"all", "room 1", "room 2"}
	b.ReportAllocs()
	for b.Loop() {
		_ = s.SetGroups(groups)
	}
}

// BenchmarkOpen opens a vault with many sessions that share packets.
func BenchmarkOpen(b *testing.B) {
	dir := newFolder(b)
	v := open(b, dir, Config{Sessions: 5000})
	for n := range 5000 {
		begin(b, v, n)
	}
	for i := range refs {
		ref := put(b, v, Origin{}, packet(i, 200))
		v.Slots(func(s Slot) bool { s.Add(ref); return true })
	}
	v.Close()
	for b.Loop() {
		open(b, dir, Config{Sessions: 5000}).Close()
	}
}
