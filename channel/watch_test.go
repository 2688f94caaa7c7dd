// SPDX-License-Identifier: Apache-2.0

package channel

import "testing"

// watched takes from a watch all that there is.
func watched(t *testing.T, w *Watch) (list [][]byte, missed uint64) {
	t.Helper()
	for {
		rec, n, ok, err := w.Next(nil)
		check(t, err)
		missed += n
		if !ok {
			return list, missed
		}
		list = append(list, rec.Data)
	}
}

func TestWatchFollowsALaneThroughEverything(t *testing.T) {
	table, s, to := newPair(t, Config{})
	w := must(reopenDomain(t, rootOf(table), Config{}).Watch(s.Pair(), false))(t)
	defer w.Close()
	k := 0
	send := func(sizes ...int) {
		for _, n := range sizes {
			check(t, s.Send(payload(k, n)))
			k++
		}
	}
	seen := 0
	look := func(what string, wantMissed int) {
		t.Helper()
		list, missed := watched(t, w)
		if int(missed) != wantMissed {
			t.Errorf("%s: missed %d, want %d", what, missed, wantMissed)
		}
		wantNumbers(t, list, seen+wantMissed, k)
		seen = k
	}
	send(10, 3000, 20)
	look("grown", 0)
	to.all()
	giveBack(t, s)
	look("closed", 0)
	send(10)
	look("made again before it was retired", 0)
	to.all()
	giveBack(t, s)
	to.all()
	look("retired", 0)
	send(10)
	look("made again", 0)
	to.all()
	giveBack(t, s)
	look("closed once more", 0)
	send(10, 3000, 9000, 10) // two generations that the watch never sees
	to.all()
	send(40)
	look("far behind", 4)
}

// A consumer that died while it retired the lane leaves a generation that is used
// twice.
func TestWatchOfAGenerationMadeAgain(t *testing.T) {
	table, s, to := newPair(t, Config{})
	w := must(table.Watch(s.Pair(), false))(t)
	defer w.Close()
	check(t, s.Send(payload(0, 0)))
	to.all()
	giveBack(t, s)
	list, _ := watched(t, w)
	wantNumbers(t, list, 0, 1)
	i, _ := table.find(s.Pair())
	e := table.lane(i)
	e.lastSeq.Store(1) // as retire does, up to its death
	e.state.Store(laneIdle)
	table.st.mutation.Add(1)
	check(t, s.Send(payload(1, 0)))
	list, _ = watched(t, w)
	wantNumbers(t, list, 1, 2)
	if e.gen.Load() != 1 {
		t.Errorf("the lane is in generation %d, so this test shows nothing", e.gen.Load())
	}
}
