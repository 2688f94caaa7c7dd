// SPDX-License-Identifier: Apache-2.0

package room

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/examples/chat/internal/store"
	"github.com/skybus-io/skybus/examples/chat/internal/wire"
	"github.com/skybus-io/skybus/gate"
	"github.com/skybus-io/skybus/internal/testutil"
)

func client(n int) gate.Client { return gate.Client{Home: gateAt, ID: uint64(n)} }

func speak(r *room, m *member, packet uint64) *store.Row {
	return r.say(m, &wire.Request{C: fmt.Sprint("c", packet), Text: fmt.Sprint("text ", packet)}, packet, time.Unix(int64(packet), 0))
}

// Messages are called saved up to the first that is not, whatever the order in which the store has written them.
func TestSavedWithoutGaps(t *testing.T) {
	r := newRoom("r")
	a, _ := r.add(client(1), "Ann", 0)
	b, _ := r.add(client(2), "Bob", 0)
	for n := uint64(1); n <= 5; n++ {
		speak(r, map[bool]*member{true: a, false: b}[n%2 == 1], n)
	}
	mark := func(n uint64) store.Mark {
		return store.Mark{N: n, From: map[bool]string{true: a.id, false: b.id}[n%2 == 1]}
	}
	for _, step := range []struct {
		marks []store.Mark
		saved uint64
		told  []string
	}{
		{[]store.Mark{mark(2), mark(3)}, 0, nil},
		{[]store.Mark{mark(1)}, 3, []string{a.id, b.id}},
		{[]store.Mark{mark(1)}, 3, []string{a.id}}, // it comes again: the process before may not have told
		{[]store.Mark{mark(4)}, 4, []string{b.id}},
		{[]store.Mark{mark(5), mark(4)}, 5, []string{a.id, b.id}},
	} {
		var told []string
		for id := range r.confirm(step.marks, time.Now()) {
			told = append(told, id)
		}
		slices.Sort(told)
		if r.saved != step.saved || !slices.Equal(told, step.told) {
			t.Errorf("after %v: saved %d, told %v, want %d, %v", step.marks, r.saved, told, step.saved, step.told)
		}
	}
	if len(r.unsaved) != 0 {
		t.Errorf("not saved: %v", r.unsaved)
	}
}

func TestWhatIsRemembered(t *testing.T) {
	r := newRoom("r")
	m, _ := r.add(client(1), "Ann", 0)
	const all = 5*keep + 3
	for n := uint64(1); n <= all; n++ {
		speak(r, m, n)
		if len(r.recent) > 2*keep || len(r.ids) != len(r.recent) {
			t.Fatalf("after %d: %d messages and %d ids are kept, want the same number, at most %d", n, len(r.recent), len(r.ids), 2*keep)
		}
		if row := r.at(n); row == nil || row.N != n {
			t.Fatalf("message %d is %v", n, row)
		}
	}
	if r.at(1) != nil || r.at(all+1) != nil || r.said("c1", m.id, 1) != nil {
		t.Error("there is a message that is forgotten, or was never said")
	}
	if row := r.said("another", m.id, all-5); row == nil || row.N != all-5 {
		t.Errorf("by its packet's number: %v", row)
	}
	for _, c := range []struct {
		after uint64
		want  int
		ok    bool
	}{{all, 0, true}, {all + 9, 0, true}, {all - 3, 3, true}, {all - keep, 50, true}, {0, 0, false}} {
		list, ok := r.after(c.after, 50)
		if len(list) != c.want || ok != c.ok || len(list) > 0 && list[0].N != c.after+1 {
			t.Errorf("after %d: %d messages, %v, want %d, %v", c.after, len(list), ok, c.want, c.ok)
		}
	}
	if list := r.newest(50); len(list) != 50 || list[49].N != all {
		t.Errorf("the newest are %v", list)
	}
}

// Members come and go and change their names at random: pages have each of them once, in order, and changes add up to who is there.
func TestMembersAndPages(t *testing.T) {
	rng := testutil.Rand(t)
	r := newRoom("r")
	want := map[string]string{} // id: name
	seen := map[string]string{} // what a client makes of the changes
	for range 3000 {
		c := client(1 + rng.IntN(150))
		if rng.IntN(3) == 0 {
			if _, is := want[c.String()]; r.remove(c) != is {
				t.Fatalf("remove %v: not %v", c, is)
			}
			delete(want, c.String())
		} else {
			name := fmt.Sprint("name ", rng.IntN(20))
			if _, news := r.add(c, name, 0); news != (want[c.String()] != name) {
				t.Fatalf("add %v: news is %v", c, news)
			}
			want[c.String()] = name
		}
		if rng.IntN(10) == 0 {
			if e := r.presence(); e != nil {
				apply(seen, e)
			}
		}
	}
	if e := r.presence(); e != nil {
		apply(seen, e)
	}
	if !reflect.DeepEqual(seen, want) {
		t.Errorf("by changes there are %v, want %v", seen, want)
	}
	if e := r.presence(); e != nil {
		t.Errorf("changes of nothing: %+v", e)
	}
	var paged []wire.Member
	for after := ""; ; {
		list, next := r.page(after, 7)
		paged = append(paged, list...)
		if after = next; next == "" {
			break
		}
	}
	if !slices.IsSortedFunc(paged, func(a, b wire.Member) int {
		return byName(&member{name: a.Name, id: a.ID}, &member{name: b.Name, id: b.ID})
	}) {
		t.Error("the pages are not in order")
	}
	got := map[string]string{}
	for _, m := range paged {
		got[m.ID] = m.Name
	}
	if len(paged) != len(want) || !reflect.DeepEqual(got, want) {
		t.Errorf("pages have %d members, want %d", len(paged), len(want))
	}
}

func apply(seen map[string]string, e *wire.Event) {
	for _, m := range e.In {
		seen[m.ID] = m.Name
	}
	for _, id := range e.Out {
		delete(seen, id)
	}
}

// All services have about as many rooms, and one more takes rooms from the others and moves no other room.
func TestWhoHasARoom(t *testing.T) {
	const rooms = 4000
	for shards := 1; shards <= 8; shards++ {
		now, more := Plan{Shards: shards, Rooms: []addr.Addr{roomAt}}, Plan{Shards: shards + 1, Rooms: []addr.Addr{roomAt}}
		count := make([]int, shards)
		for i := range rooms {
			name := fmt.Sprintf("room-%d", i)
			a, b := now.Shard(name), more.Shard(name)
			count[a]++
			if a != b && b != shards {
				t.Fatalf("room %s moves from %d to %d when %d is new", name, a, b, shards)
			}
		}
		for i, n := range count {
			if n < rooms/shards*3/4 || n > rooms/shards*5/4 {
				t.Errorf("service %d of %d has %d of %d rooms", i, shards, n, rooms)
			}
		}
	}
}
