// SPDX-License-Identifier: Apache-2.0

package wheel

import (
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skybus-io/skybus/internal/testutil"
)

// modelTimers is how many timers the model has at most: enough for slots of more
// than lookAtMost, few enough for a sorted list.
const modelTimers = 300

// An entry is a pending timer of the model.
type entry struct {
	id  int
	due time.Time // to the millisecond
}

// model says what a wheel must do: a list sorted by deadline, and for the same
// deadline by the order of the starts.
type model struct {
	t      *testing.T
	rng    *rand.Rand
	w      *Wheel
	timers []Timer
	list   []entry
	fired  int
}

func newModel(t *testing.T, rng *rand.Rand) *model {
	m := &model{t: t, rng: rng, w: New(), timers: make([]Timer, modelTimers)}
	for id := range m.timers {
		m.timers[id].Fire = func(timer *Timer) { m.onFire(id, timer) }
	}
	return m
}

func (m *model) duration() time.Duration {
	switch m.rng.IntN(8) {
	case 0:
		return -time.Duration(m.rng.IntN(2))
	case 1:
		return time.Duration(m.rng.IntN(10)) * time.Millisecond // many of the same tick
	case 2:
		return time.Duration(m.rng.Int64N(int64(20 * 365 * 24 * time.Hour)))
	}
	return time.Duration(m.rng.Int64N(1 << (10 + m.rng.IntN(36)))) // 1 us to 10 h
}

func (m *model) drop(id int) bool {
	before := len(m.list)
	m.list = slices.DeleteFunc(m.list, func(e entry) bool { return e.id == id })
	return len(m.list) < before
}

func (m *model) start(id int) {
	d := m.duration()
	due := time.Now()
	if d > 0 {
		due = due.Add(d + Resolution - 1)
	}
	due = m.w.origin.Add(due.Sub(m.w.origin).Truncate(Resolution))
	m.drop(id)
	at, _ := slices.BinarySearchFunc(m.list, due, func(e entry, due time.Time) int {
		if e.due.After(due) {
			return 1
		}
		return -1 // what is due at the same time goes first
	})
	m.list = slices.Insert(m.list, at, entry{id, due})
	if !m.w.Start(&m.timers[id], d) {
		m.t.Fatalf("start of timer %d was refused", id)
	}
}

func (m *model) stop(id int) {
	if got, want := m.w.Stop(&m.timers[id]), m.drop(id); got != want {
		m.t.Fatalf("stop of timer %d: %v, want %v", id, got, want)
	}
}

// onFire holds a timer that fires against the model, and now and then starts and
// stops some from within.
func (m *model) onFire(id int, timer *Timer) {
	if timer != &m.timers[id] {
		m.t.Errorf("timer %d fires with another one", id)
	}
	if len(m.list) == 0 {
		m.t.Errorf("timer %d fires, and none should", id)
		return
	}
	want := m.list[0]
	m.list = m.list[1:]
	m.fired++
	if now := time.Now(); id != want.id || now.Before(want.due) || now.Sub(want.due) >= Resolution {
		m.t.Errorf("timer %d fires at %v, want timer %d at %v", id, now, want.id, want.due)
	}
	for range m.rng.IntN(4) - 1 {
		m.stir()
	}
}

// stir does something at random.
func (m *model) stir() {
	id := m.rng.IntN(len(m.timers))
	if m.rng.IntN(3) == 0 {
		m.stop(id)
	} else {
		m.start(id)
	}
}

// pass lets time go by, and all happen that is due.
func (m *model) pass() {
	d := time.Duration(m.rng.Int64N(1 << (10 + m.rng.IntN(34)))) // 1 us to 4.9 h
	m.count()                                                    // its lock comes last: what was done here is seen by onFire
	time.Sleep(d)
	synctest.Wait()
	if now := time.Now(); len(m.list) > 0 && now.Sub(m.list[0].due) >= 0 {
		m.t.Fatalf("at %v timer %d has not fired that was due at %v", now, m.list[0].id, m.list[0].due)
	}
	m.count()
	m.w.mu.Lock()
	defer m.w.mu.Unlock()
	m.w.slots.check(m.t)
}

func (m *model) count() {
	want := len(m.list)
	if got := m.w.Pending(); got != want {
		m.t.Fatalf("%d timers are pending, want %d", got, want)
	}
}

func TestWheelDoesWhatASortedListDoes(t *testing.T) {
	testutil.NoLeaks(t)
	rng := testutil.Rand(t)
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			m := newModel(t, rng)
			defer m.w.Close()
			time.Sleep(time.Duration(rng.Int64N(int64(time.Second)))) // off the wheel's ticks
			for range 300 {
				for range rng.IntN(20) {
					m.stir()
					synctest.Wait() // what is due at once fires before the next
				}
				if m.pass(); t.Failed() {
					return
				}
			}
			if m.fired == 0 {
				t.Error("nothing has fired")
			}
		})
	}
}
