// SPDX-License-Identifier: Apache-2.0

package skybus_test

import (
	"syscall"
	"time"

	"github.com/skybus-io/skybus/internal/killtest"
)

// settle lets the writers come to an end, then the readers take what is left.
func (k *killer) settle() {
	k.t.Helper()
	for _, v := range k.victims {
		v.p.Signal(syscall.SIGCONT)
	}
	k.add("kill reader", k.plan.Readers-k.late, k.plan.Readers, false)
	k.orders.Set(stopWriters, 1)
	k.finish("kill writer")
	k.finish("kill creator")
	k.drained()
	k.orders.Set(stopReaders, 1)
	k.finish("kill reader")
}

// drained waits until everything was received, for as long as the readers get on: how much there is depends on how
// quick the machine was before.
func (k *killer) drained() {
	k.t.Helper()
	end, before := time.Now().Add(patience), uint64(0)
	for left := k.left(); left > 0; left = k.left() {
		if left != before {
			end, before = time.Now().Add(patience), left
		} else if time.Now().After(end) {
			k.t.Fatalf("for %v nothing was received, and %d messages are left", patience, left)
		}
		time.Sleep(5 * time.Millisecond)
		k.revive("kill reader")
	}
}

// left counts what the readers have to note, and what they have to release. A message that
// died with its reader may be the last one.
func (k *killer) left() (n uint64) {
	for lane := range k.plan.lanes() {
		if last, accepted := k.received.Last(lane), k.sent.Accepted(lane); !k.plan.Recv && last < accepted {
			n += accepted - last
		}
	}
	for _, l := range k.d.Table().Lanes() {
		n += l.Messages
	}
	return n
}

// revive starts again who has killed itself, for the last time.
func (k *killer) revive(role string) {
	for _, v := range k.victims {
		if v.role == role && v.p.Gone() {
			v.ended(false)
		}
	}
}

// finish waits until the processes of a role have stopped, as they were ordered.
func (k *killer) finish(role string) {
	k.t.Helper()
	for _, v := range k.victims {
		if v.role != role {
			continue
		}
		for done := false; !done; {
			v.stopsSoon()
			if err := v.p.Wait(); err != nil {
				k.t.Fatalf("%v\n%s", err, k.plan.violations())
			}
			if done = !v.p.Killed(); !done {
				v.killed()
				v.start(false)
			}
		}
	}
}

// stopsSoon waits for the process to end. One that hangs has to say where.
func (v *victim) stopsSoon() {
	v.k.t.Helper()
	for end := time.Now().Add(patience); !v.p.Gone(); time.Sleep(time.Millisecond) {
		if v.role != "kill reader" {
			v.k.revive("kill reader") // writers wait for room
		}
		if time.Now().After(end) {
			v.p.Signal(syscall.SIGQUIT)
			v.k.t.Fatalf("the %s %d does not stop: %v", v.role, v.index, v.p.Wait())
		}
	}
}

// judge looks at the ledgers and at everything in the domain.
func (k *killer) judge() {
	k.t.Helper()
	if text := k.plan.violations(); text != "" {
		k.t.Error(text)
	}
	var sum killtest.Tally
	for lane := range k.plan.lanes() {
		tally := k.received.Tally(lane, k.sent.Accepted(lane))
		if tally.Doubled > 0 || tally.Beyond > 0 || tally.Missing > 0 && !k.plan.Recv {
			k.t.Errorf("lane %d: %+v of %d messages", lane, tally, k.sent.Accepted(lane))
		}
		sum.Messages += tally.Messages
		sum.Missing += tally.Missing
		sum.Again += tally.Again
	}
	if sum.Missing > uint64(k.readerKills) {
		k.t.Errorf("%d messages are missing, and readers were killed %d times", sum.Missing, k.readerKills)
	}
	notes := noViolations(k.t, k.d)
	grown := uint64(0)
	for _, l := range k.d.Table().Lanes() {
		grown += uint64(l.Generation - 1)
		if l.Err != nil || l.Damage != "" || l.Messages > 0 {
			k.t.Errorf("lane %v -> %v is left with %d messages, %v %s", l.Src, l.Dst, l.Messages, l.Err, l.Damage)
		}
	}
	k.t.Logf("seed %d: %d kills, %d of readers, %d stops; %d messages, %d came again, %d died with their reader; "+
		"%d lanes changed %d times; notes: %v", k.plan.Seed, k.kills, k.readerKills, k.stops, sum.Messages, sum.Again,
		sum.Missing, k.d.Table().Info().Lanes, grown, notes)
}
