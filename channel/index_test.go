// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/skybus-io/skybus/addr"
)

// TestIndexesOfTwoProcesses changes the domain through one table and looks
// through another, which has indexed what was there before.
func TestIndexesOfTwoProcesses(t *testing.T) {
	one := newDomain(t, Config{})
	two := reopenDomain(t, rootOf(one), Config{})
	if n := len(two.Lanes()); n != 0 {
		t.Fatalf("%d lanes in a new domain", n)
	}
	_, ok := two.Endpoint(addrA)
	if ok {
		t.Error("an address that nobody has bound is known")
	}
	bind(t, one, addrA)
	if e, ok := two.Endpoint(addrA); !ok || !e.Bound || e.PID != uint32(os.Getpid()) {
		t.Errorf("the other process sees %+v", e)
	}
	_, err := two.Bind(addrA)
	wantErrText(t, err, ErrInUse, fmt.Sprintf("PID %d", os.Getpid()))

	to := bindReader(t, two, addrB)
	s := newSender(t, one, addrA, addrB)
	check(t, s.Send(payload(0, 20)))
	if l := mustLane(t, two, s.Pair()); l.Messages != 1 || !l.Ready {
		t.Errorf("the other process sees %+v", l)
	}
	wantNumbers(t, to.all(), 0, 1)
	must(two.Configure([]Channel{{A: addrC, B: addrD}}, false, false))(t)
	if list := one.Channels(); len(list) != 1 || list[0].A != addrC {
		t.Errorf("channels %+v", list)
	}
	check(t, two.Delete(Channel{A: addrC, B: addrD}, false))
	if _, ok := one.Lane(Pair{addrC, addrD}); ok {
		t.Error("a deleted lane is found")
	}
	wantClean(t, one)
	wantClean(t, two)
}

// TestEntriesAreUsedAgain: a freed entry goes to another lane; whoever had it in
// its index finds neither lane under the other's name.
func TestEntriesAreUsedAgain(t *testing.T) {
	one := newDomain(t, Config{AllowUnknown: true})
	two := reopenDomain(t, rootOf(one), Config{})
	for i := range 3 {
		newSender(t, one, firstSrc, firstSrc+1+addr.Addr(i)).Close()
	}
	old := Pair{firstSrc, firstSrc + 2}
	entry, ok := two.find(old)
	if !ok || entry != 1 {
		t.Fatalf("entry %d, %v", entry, ok)
	}
	for range 5 {
		check(t, one.Delete(Channel{A: old.Src, B: old.Dst}, false))
		if one.Info().Lanes != 2 || two.Info().Lanes != 2 {
			t.Errorf("%d and %d lanes, want 2", one.Info().Lanes, two.Info().Lanes)
		}
		next := Pair{old.Src, old.Dst + 10}
		newSender(t, one, next.Src, next.Dst).Close()
		if i, ok := two.find(next); !ok || i != entry {
			t.Errorf("the new lane has entry %d (%v), want %d", i, ok, entry)
		}
		if _, ok := two.find(old); ok {
			t.Error("the deleted lane is still in an index")
		}
		if n := len(two.lanesTo(old.Dst)); n != 0 {
			t.Errorf("%d lanes to the deleted one's destination", n)
		}
		if n := len(two.lanesTo(next.Dst)); n != 1 {
			t.Errorf("%d lanes to the new one's destination, want 1", n)
		}
		old = next
		wantClean(t, two)
	}
	if n := one.laneCount(); n != 3 {
		t.Errorf("%d entries in use, want 3", n)
	}
}

// TestReaderOfAnEntryUsedAgain deletes a lane and makes another one, to the same
// reader, in its entry.
func TestReaderOfAnEntryUsedAgain(t *testing.T) {
	one := newDomain(t, Config{AllowUnknown: true})
	two := reopenDomain(t, rootOf(one), Config{})
	s := newSender(t, one, addrA, addrB)
	check(t, s.Send(payload(0, 20)))
	s.Close()
	to := bindReader(t, two, addrB)
	wantNumbers(t, to.all(), 0, 1)
	to.drain.Close()
	to.Binding.Close()
	check(t, one.Delete(Channel{A: addrA, B: addrB}, false))
	s = newSender(t, one, addrC, addrB)
	check(t, s.Send(payload(1, 20)))
	to = bindReader(t, two, addrB)
	wantNumbers(t, to.all(), 1, 2)
	if s.slot != 1 {
		t.Errorf("slot %d, want one that was not used before: 1", s.slot)
	}
	s2 := newSender(t, one, addrA, addrB) // and while the reader is there
	check(t, s2.Send(payload(2, 20)))
	if s2.LastSeq() != 1 {
		t.Errorf("a lane made anew begins with sequence %d", s2.LastSeq())
	}
	wantNumbers(t, to.all(), 2, 3)
	wantClean(t, two)
}

// TestSlotsOfAnInboxAreUsedAgain runs an inbox out of bits.
func TestSlotsOfAnInboxAreUsedAgain(t *testing.T) {
	table := newDomain(t, Config{AllowUnknown: true})
	senders := manySenders(t, table, 3)
	senders[1].Close()
	check(t, table.Delete(Channel{A: firstSrc + 1, B: addrB}, false))
	senders[0].to.page.slots.Store(MaxInboxLanes) // as if so many had come and gone
	s := newSender(t, table, addrA, addrB)
	if s.slot != 1 {
		t.Errorf("slot %d, want the deleted lane's, 1", s.slot)
	}
	s = newSender(t, table, addrC, addrB)
	if s.slot != 3 {
		t.Errorf("slot %d, want the first free one, 3", s.slot)
	}
	check(t, s.Send(payload(0, 20)))
	wantNumbers(t, bindReader(t, table, addrB).all(), 0, 1)
	wantClean(t, table)
}

// TestTableOfADestroyedDomain: a domain destroyed and made anew is another
// one to those that have it open.
func TestTableOfADestroyedDomain(t *testing.T) {
	one := newDomain(t, Config{AllowUnknown: true})
	root := rootOf(one)
	two := reopenDomain(t, root, Config{})
	check(t, two.Destroy(false))
	for _, again := range []bool{false, true} {
		if again {
			reopenDomain(t, root, Config{AllowUnknown: true})
		}
		_, err := one.NewSender(Pair{addrA, addrB})
		wantErrText(t, err, ErrNoDomain, "was destroyed")
		_, err = one.Bind(addrB)
		wantErr(t, err, ErrNoDomain)
		wantErr(t, one.SetStrict(true), ErrNoDomain)
	}
}

func TestOpenRefusals(t *testing.T) {
	table := newDomain(t, Config{})
	root := rootOf(table)
	_, err := Open(root, testKey+1, Config{}, false)
	wantErrText(t, err, ErrNoDomain, "key 1001")
	for _, l := range []Limits{{MaxLanes: -1}, {MaxLanes: laneCap + 1}, {MaxMessage: -1}, {MaxMessage: maxMessage + 1}, {GrowBytes: 1<<30 + 1}} {
		if _, err := Open(root, testKey, Config{Limits: l}, false); err == nil || !strings.Contains(err.Error(), "want") {
			t.Errorf("%+v: %v", l, err)
		}
	}
	check(t, os.Rename(table.dir, Dir(root, testKey+1)))
	defer func() { _ = os.Rename(Dir(root, testKey+1), table.dir) }()
	_, err = Open(root, testKey+1, Config{}, false)
	wantErrText(t, err, ErrDamaged, "is of domain 1000")
}
