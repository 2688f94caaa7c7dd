// SPDX-License-Identifier: Apache-2.0

package queue

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestOrderAndPartialWrites(t *testing.T) {
	want := ""
	for i := range 100 {
		want += fmt.Sprintf("packet %d;", i)
	}
	for step := 1; step < 40; step++ {
		q := newQueue(t, Marks{})
		for i := range 100 {
			text(t, q, fmt.Sprintf("packet %d;", i), Must, 0, Queued)
		}
		got := ""
		for !q.Empty() {
			s := all(q)
			s = s[:min(step, len(s))]
			got += s
			q.Done(len(s))
			if left := len(want) - len(got); q.Bytes() != left {
				t.Fatalf("step %d: %d bytes wait, want %d", step, q.Bytes(), left)
			}
		}
		if got != want {
			t.Fatalf("step %d: got %q", step, got)
		}
		if s := q.Stats(); s.PacketsOut != 100 || s.BytesOut != uint64(len(want)) || s.Most != len(want) {
			t.Errorf("step %d: %+v", step, s)
		}
		if q.ring != nil || q.index != nil {
			t.Errorf("step %d: an empty queue has memory", step)
		}
	}
}

func TestFillAndGather(t *testing.T) {
	q := newQueue(t, Marks{})
	text(t, q, "", Must, 0, Queued)
	for range MaxFill + 10 {
		text(t, q, "ab", Must, 0, Queued)
	}
	if bufs := q.Fill(nil); len(bufs) != MaxFill {
		t.Errorf("%d pieces, want %d", len(bufs), MaxFill)
	}
	q.Done(3)
	if got := string(q.Gather(make([]byte, 0, 6))); got != "bababa" {
		t.Errorf("gathered %q, want bababa", got)
	}
	if got := string(q.Gather(make([]byte, 0, 1000))); got != "b"+strings.Repeat("ab", MaxFill+8) {
		t.Errorf("gathered %q", got)
	}
}

func TestEmptyPacketsGoOut(t *testing.T) {
	q := newQueue(t, Marks{})
	text(t, q, "", Must, 0, Queued)
	text(t, q, "", Must, 0, Queued)
	if bufs := q.Fill(nil); len(bufs) != 0 || q.Empty() {
		t.Errorf("%q", bufs)
	}
	if q.Done(0); !q.Empty() || q.Stats().PacketsOut != 2 {
		t.Errorf("%+v", q.Stats())
	}
}

func TestDroppable(t *testing.T) {
	q := newQueue(t, Marks{Soft: 10, Low: 4, Hard: 100})
	text(t, q, "12345678901", Must, 0, Queued)
	text(t, q, "a", Droppable, 0, Queued) // not settled yet
	if e := q.Settle(7); e != Over {
		t.Fatalf("edge %v, want over", e)
	}
	text(t, q, "b", Droppable, 0, Dropped)
	text(t, q, "c", Must, 0, Queued)
	q.Done(9) // 4 wait: not below the low mark
	if e := q.Settle(8); e != NoEdge {
		t.Errorf("edge %v at the low mark, want none", e)
	}
	text(t, q, "d", Droppable, 0, Dropped)
	q.Done(1)
	if e := q.Settle(9); e != Under {
		t.Errorf("edge %v, want under", e)
	}
	text(t, q, "e", Droppable, 0, Queued)
	if got := all(q); got != "1ace" {
		t.Errorf("%q wait, want 1ace", got)
	}
	if s := q.Stats(); s.Dropped != 2 || s.Overs != 1 {
		t.Errorf("%+v", s)
	}
}

func TestALargeDroppableDoesNotKick(t *testing.T) {
	q := newQueue(t, Marks{Soft: 10, Hard: 20})
	text(t, q, strings.Repeat("x", 10), Must, 0, Queued)
	text(t, q, strings.Repeat("x", 11), Droppable, 0, Dropped)
	text(t, q, strings.Repeat("x", 11), Must, 0, Kick)
}

func TestNewest(t *testing.T) {
	q := newQueue(t, Marks{})
	text(t, q, "a1", Newest, 1, Queued)
	text(t, q, "b1", Newest, 2, Queued)
	text(t, q, "m1", Must, 1, Queued) // its key means nothing
	text(t, q, "a2!", Newest, 1, Replaced)
	if got := all(q); got != "a2!b1m1" || q.Bytes() != 7 || q.Len() != 3 {
		t.Fatalf("%q, %d bytes, %d packets", got, q.Bytes(), q.Len())
	}
	q.Done(1) // a2! is partly written
	text(t, q, "a3", Newest, 1, Queued)
	text(t, q, "b2", Newest, 2, Replaced)
	text(t, q, "a4", Newest, 1, Replaced)
	if got := all(q); got != "2!b2m1a4" {
		t.Errorf("%q wait", got)
	}
	if q.Stats().Replaced != 3 {
		t.Errorf("%+v", q.Stats())
	}
}

func TestPolicies(t *testing.T) {
	cases := []struct {
		name    string
		policy  Policy
		written int // of what waits first
		length  int // of the new packet; aaaa bbbb cc wait, 10 of 12 may
		want    Verdict
		left    string
		dropped uint32
	}{
		{"kick", KickClient, 0, 3, Kick, "aaaabbbbcc", 0},
		{"kick: up to the limit is enough room", KickClient, 0, 2, Queued, "aaaabbbbccxx", 0},
		{"kick: what is written is room", KickClient, 1, 3, Queued, "aaabbbbccxxx", 0},
		{"new", DropNew, 0, 3, Dropped, "aaaabbbbcc", 1},
		{"old", DropOld, 0, 3, Queued, "bbbbccxxx", 1},
		{"old, two", DropOld, 0, 9, Queued, "ccxxxxxxxxx", 2},
		{"old, all", DropOld, 0, 12, Queued, "xxxxxxxxxxxx", 3},
		{"old, partly written stays", DropOld, 1, 6, Queued, "aaaccxxxxxx", 1},
		{"old, too much for what stays", DropOld, 1, 10, Dropped, "aaa", 3},
		{"old, never fits", DropOld, 0, 13, Dropped, "aaaabbbbcc", 1},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			q := newQueue(t, Marks{Soft: 12, Hard: 12, Policy: c.policy})
			for _, s := range []string{"aaaa", "bbbb", "cc"} {
				text(t, q, s, Must, 0, Queued)
			}
			q.Done(c.written)
			text(t, q, strings.Repeat("x", c.length), Must, 0, c.want)
			if got := all(q); got != c.left || q.Bytes() != len(c.left) {
				t.Errorf("%q wait, %d bytes, want %q", got, q.Bytes(), c.left)
			}
			if s := q.Stats(); s.Dropped != c.dropped {
				t.Errorf("%d dropped, want %d", s.Dropped, c.dropped)
			}
		})
	}
}

func TestControlPassesThePolicies(t *testing.T) {
	for _, policy := range []Policy{KickClient, DropNew, DropOld} {
		q := newQueue(t, Marks{Soft: 4, Hard: 4, Policy: policy})
		text(t, q, "aaaa", Must, 0, Queued)
		text(t, q, "close", Control, 0, Queued)
		if got := all(q); got != "aaaaclose" {
			t.Errorf("%v: %q wait", policy, got)
		}
	}
	q := newQueue(t, Marks{Soft: 4, Hard: 8, Policy: DropOld})
	text(t, q, "ctl", Control, 0, Queued)
	text(t, q, "aaaa", Must, 0, Queued)
	text(t, q, "bbbb", Must, 0, Queued)
	if got := all(q); got != "ctlbbbb" {
		t.Errorf("%q wait, want ctlbbbb", got)
	}
}

func TestRefused(t *testing.T) {
	marks := Marks{}.mustDefaults(t)
	var q Queue
	q.Init(badForm, &marks)
	v, err := q.Push(New(nil, []byte("x")), Must, 0)
	if v != Refused || !errors.Is(err, errForm) || !q.Empty() || q.Stats().Refused != 1 {
		t.Errorf("%v, %v, %+v", v, err, q.Stats())
	}
}

func TestHolesDoNotPileUp(t *testing.T) {
	q := newQueue(t, Marks{Soft: 100, Hard: 100, Policy: DropOld})
	text(t, q, "first", Must, 0, Queued)
	q.Done(1)
	text(t, q, "ctl", Control, 0, Queued)
	for i := range 10_000 {
		text(t, q, fmt.Sprintf("%09d.", i), Newest, uint64(i), Queued)
	}
	if len(q.ring) > 64 {
		t.Errorf("%d places for %d packets", len(q.ring), q.Len())
	}
	if got := all(q); got[:17] != "irstctl000009991." {
		t.Errorf("%q waits", got)
	}
}

func TestOverdue(t *testing.T) {
	sec := int64(time.Second)
	q := newQueue(t, Marks{Soft: 10, Low: 5, Hard: 100})
	text(t, q, strings.Repeat("x", 40), Must, 0, Queued)
	q.Settle(100 * sec)
	steps := []struct {
		name string
		do   func()
		at   int64
		want Reason
	}{
		{"at once", func() { q.Blocked(0, 100*sec) }, 100, InTime},
		{"before it stalls", func() { q.Blocked(0, 109*sec) }, 109, InTime},
		{"no progress", func() {}, 110, Stalled},
		{"progress", func() { q.Done(1); q.Blocked(1, 110*sec) }, 119, InTime},
		{"again", func() { q.Done(1); q.Blocked(1, 119*sec) }, 128, InTime},
		{"slow although it makes progress", func() { q.Done(1); q.Blocked(1, 128*sec) }, 130, Slow},
		{"below low", func() { q.Done(33); q.Settle(131 * sec); q.Blocked(1, 131*sec) }, 140, InTime},
		{"but stalled", func() {}, 141, Stalled},
		{"outside the queue", func() { q.Done(4); q.Blocked(1, 141*sec) }, 151, Stalled},
		{"nothing left", func() { q.Flows() }, 1000, InTime},
	}
	for _, s := range steps {
		s.do()
		if got := q.Overdue(s.at * sec); got != s.want {
			t.Errorf("%s, at %d: %v, want %v", s.name, s.at, got, s.want)
		}
	}
	never := newQueue(t, Marks{Soft: 1, Slow: -1, Stall: -1})
	text(t, never, "xx", Must, 0, Queued)
	never.Settle(0)
	never.Blocked(0, 0)
	if r := never.Overdue(1 << 60); r != InTime {
		t.Errorf("%v where there are no limits", r)
	}
}

func TestClear(t *testing.T) {
	var b Budget
	q := newQueue(t, Marks{})
	for i := range 50 {
		push(t, q, New(&b, []byte("abc")), Newest, uint64(i), Queued)
	}
	q.Done(1)
	if n := q.Clear(); n != 50 || !q.Empty() || q.Bytes() != 0 || q.Len() != 0 || b.Used() != 0 || q.ring != nil {
		t.Errorf("%d cleared, %d bytes, %d counted", n, q.Bytes(), b.Used())
	}
	text(t, q, "new", Must, 0, Queued)
	if got := all(q); got != "new" {
		t.Errorf("%q waits, want new", got)
	}
}

func TestWhatIsOldestAfterClear(t *testing.T) {
	q := newQueue(t, Marks{Soft: 8, Hard: 8, Policy: DropOld})
	for range 2 {
		text(t, q, "ctl", Control, 0, Queued)
		text(t, q, "aaaa", Must, 0, Queued)
		text(t, q, "bbbb", Must, 0, Queued)
		if got := all(q); got != "ctlbbbb" {
			t.Errorf("%q wait, want ctlbbbb", got)
		}
		text(t, q, "cccc", Must, 0, Queued)
		q.Clear()
	}
}

func TestMarks(t *testing.T) {
	m := Marks{}.mustDefaults(t)
	if m.Soft != 64<<10 || m.Low != 32<<10 || m.Hard != 1<<20 || m.Policy != KickClient || m.Slow != 30*time.Second || m.Stall != 10*time.Second {
		t.Errorf("defaults %+v", m)
	}
	for _, bad := range []Marks{{Soft: 5, Low: 6}, {Soft: 5, Hard: 4}, {Low: -1}, {Soft: -5}, {Policy: DropOld + 1}} {
		if got, err := bad.WithDefaults(); err == nil {
			t.Errorf("%+v is taken as %+v", bad, got)
		}
	}
}

func TestNames(t *testing.T) {
	for p := KickClient; p <= DropOld; p++ {
		if got, err := ParsePolicy(p.String()); got != p || err != nil {
			t.Errorf("%v: %v, %v", p, got, err)
		}
	}
	if _, err := ParsePolicy("drop"); err == nil {
		t.Error("drop is a policy")
	}
	seen := map[string]bool{}
	for v := Queued; v <= Closed+1; v++ {
		seen[v.String()] = true
	}
	for k := Must; k <= Control+1; k++ {
		seen[k.String()] = true
	}
	if len(seen) != 12 {
		t.Errorf("%d names, want 12: %v", len(seen), seen)
	}
}
