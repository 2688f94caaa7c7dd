// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"os"
	"testing"

	"github.com/skybus-io/skybus/shm"
)

// A mapping that somebody still has must not be taken for that of a lane that
// was deleted and made anew.
func TestMappingOfADeletedLane(t *testing.T) {
	table, s, to := newPair(t, Config{})
	check(t, s.Send(payload(0, 0)))
	to.all()
	s.Close()
	i, _ := table.find(Pair{addrA, addrB})
	held, err := table.openSegment(table.lane(i), 1) // as Lanes does in another goroutine
	check(t, err)
	to.drain.Close()
	to.Binding.Close()
	table.locks.Unbind(uint32(addrA))
	check(t, table.Delete(Channel{A: addrA, B: addrB}, false))
	to = bindReader(t, table, addrB)
	s = newSender(t, table, addrA, addrB)
	check(t, s.Send(payload(0, 40)))
	if _, err := os.Stat(s.at.seg.Path()); err != nil || s.at.seg == held.seg {
		t.Errorf("the sender writes to the lane that was deleted (%v)", err)
	}
	other := reopenDomain(t, rootOf(table), Config{})
	if l, _ := other.Lane(Pair{addrA, addrB}); l.Messages != 1 {
		t.Errorf("another process sees %d messages", l.Messages)
	}
	wantNumbers(t, to.all(), 0, 1)
	table.pool.put(held.seg)
	wantClean(t, table)
}

// A generation that does not go on where the one before ended is damage; nothing
// of it stays mapped.
func TestFollowIntoAWrongSequence(t *testing.T) {
	before := shm.Mapped()
	t.Cleanup(func() { // after the table was closed
		if n := shm.Mapped(); n != before {
			t.Errorf("%d segments stay mapped", n-before)
		}
	})
	table, s, to := newPair(t, Config{})
	check(t, s.Send(payload(0, 0)))
	check(t, s.Send(payload(1, 3000)))
	s.at.ring.Format(7)
	wantNumbers(t, to.all(), 0, 1)
	wantErr(t, to.drain.Damaged(), ErrDamaged)
	_, err := table.NewSender(Pair{addrA, addrB})
	wantErr(t, err, ErrDamaged)
}
