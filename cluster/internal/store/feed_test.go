// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skybus-io/skybus/cluster"
	"github.com/skybus-io/skybus/internal/testutil"
)

// bare reads events of another store that has nothing before its values: what begins with "bad" is passed over,
// and what has a lease went there from here.
func bare(ev *cluster.Event) (own, ok bool) {
	if ev.Deleted || strings.HasPrefix(string(ev.Value), "bad") {
		return false, false
	}
	return ev.Lease != 0, true
}

func feed(t *testing.T, s *Store, u cluster.Update) {
	t.Helper()
	if _, err := s.Feed(&u, bare); err != nil {
		t.Fatal(err)
	}
}

// snapshot is all that a store has.
func snapshot(t *testing.T, s *Store) cluster.Update {
	t.Helper()
	snap, _, err := s.Get(cluster.Query{Prefix: true}, "", 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	u := cluster.Update{Snapshot: true, Revision: snap.Revision, Life: snap.Life}
	for _, kv := range snap.KVs {
		u.Events = append(u.Events, cluster.Event{KV: kv})
	}
	return u
}

// TestACopyIsWhatItIsFed does random batches in one store and feeds a copy at random, by events and by snapshots: the copy
// has the same keys, tells watches the same, reads the same of the past, and counts right.
func TestACopyIsWhatItIsFed(t *testing.T) {
	rng := testutil.Rand(t)
	s, c := New(Limits{LogEvents: 300}), NewCopy(Limits{LogEvents: 300})
	w := s.Open("w")
	var at Cursor
	told := map[string]cluster.KV{}
	var watch Cursor
	for step := range 1500 {
		if rng.IntN(200) == 0 { // another life
			s = New(Limits{LogEvents: 300})
			w, at = s.Open("w"), Cursor{}
		}
		b := cluster.Batch{}
		for _, n := range rng.Perm(20)[:1+rng.IntN(5)] {
			key := fmt.Sprint("k", n)
			switch rng.IntN(5) {
			case 0, 1:
				b.Do = append(b.Do, cluster.Delete(key))
			case 2:
				b.Do = append(b.Do, cluster.Put(key, []byte("bad"), 0))
			default:
				b.Do = append(b.Do, cluster.Put(key, []byte(fmt.Sprint(step)), 0))
			}
		}
		commit(t, w, b.Do...)
		if rng.IntN(3) > 0 {
			continue
		}
		if at.Revision == 0 || rng.IntN(30) == 0 {
			u := snapshot(t, s)
			another, err := c.Feed(&u, bare)
			if want := at.Revision == 0 && watch.Revision != 0; err != nil || another != want {
				t.Fatalf("a snapshot: another life %v, want %v: %v", another, want, err)
			}
			at = Cursor{Revision: u.Revision}
			watch, told = at, map[string]cluster.KV{}
			for _, kv := range read(t, c, cluster.Query{Prefix: true}, 1<<20) {
				told[kv.Key] = kv
			}
		} else {
			events, next, err := s.Poll(t.Context(), "", at, 1<<20, time.Nanosecond)
			if err != nil {
				t.Fatal(err)
			}
			feed(t, c, cluster.Update{Events: events, Revision: next.Revision, Life: s.Life()})
			at = next
		}
		want := map[string]cluster.KV{}
		for _, kv := range read(t, s, cluster.Query{Prefix: true}, 1<<20) {
			if string(kv.Value) != "bad" {
				want[kv.Key] = kv
			}
		}
		for watch.Revision < c.Revision() || watch.Skip > 0 {
			events, next, _, err := c.poll("", watch, 1+rng.IntN(300))
			if err != nil {
				t.Fatal(err)
			}
			for _, ev := range events {
				if told[ev.Key] = ev.KV; ev.Deleted {
					delete(told, ev.Key)
				}
			}
			watch = next
		}
		a, b2, d := pictureOf(values(want)), pictureOf(read(t, c, cluster.Query{Prefix: true}, 500)), pictureOf(values(told))
		if !maps.Equal(a, b2) || !maps.Equal(a, d) {
			t.Fatalf("step %d: there is\n%v\nthe copy has\n%v\nand has told\n%v", step, a, b2, d)
		}
		checkCounts(t, c)
	}
}

func values(m map[string]cluster.KV) (kvs []cluster.KV) {
	for _, kv := range m {
		kvs = append(kvs, kv)
	}
	return kvs
}

// update is one revision in life 7.
func update(rev uint64, events ...cluster.Event) cluster.Update {
	for i := range events {
		events[i].Modified, events[i].Created = rev, rev
	}
	return cluster.Update{Events: events, Revision: rev, Life: 7}
}

func puts(id cluster.LeaseID, keys ...string) (list []cluster.Event) {
	for _, key := range keys {
		list = append(list, cluster.Event{KV: cluster.KV{Key: key, Lease: id}})
	}
	return list
}

func gone(keys ...string) (list []cluster.Event) {
	for _, key := range keys {
		list = append(list, cluster.Event{KV: cluster.KV{Key: key}, Deleted: true})
	}
	return list
}

// newCopy has been told of a snapshot of nothing at revision 1 of life 7.
func newCopy(t *testing.T, l Limits) *Store {
	t.Helper()
	s := NewCopy(l)
	feed(t, s, cluster.Update{Snapshot: true, Revision: 1, Life: 7})
	return s
}

// What does not follow on what there is changes nothing.
func TestFeedsThatAreRefused(t *testing.T) {
	s := newCopy(t, Limits{Keys: 2, Bytes: 1000})
	feed(t, s, update(5, puts(0, "a")...))
	large := puts(0, "b")
	large[0].Value = make([]byte, 1000)
	for name, test := range map[string]struct {
		u    cluster.Update
		want error
	}{
		"another life":       {cluster.Update{Revision: 9, Life: 8}, cluster.ErrCompacted},
		"back":               {cluster.Update{Revision: 4, Life: 7}, cluster.ErrCompacted},
		"a snapshot of then": {cluster.Update{Snapshot: true, Revision: 4, Life: 7}, cluster.ErrCompacted},
		"too many":           {update(6, puts(0, "b", "c")...), cluster.ErrLimit},
		"too large":          {update(6, large...), cluster.ErrLimit},
		"a large snapshot":   {cluster.Update{Snapshot: true, Revision: 9, Life: 7, Events: puts(0, "a", "b", "c")}, cluster.ErrLimit},
	} {
		before := s.Stats()
		if _, err := s.Feed(&test.u, bare); !errors.Is(err, test.want) || s.Stats() != before {
			t.Errorf("%s: %v, want %v; %+v after %+v", name, err, test.want, s.Stats(), before)
		}
	}
	feed(t, s, update(6, puts(0, "b")...))
	if got := keysOf(t, s); got != "a b" {
		t.Errorf("got %q", got)
	}
}

// A lease of a copy that ends keeps its keys until Feed says that they are gone; one that comes late is found.
func TestEndedLeases(t *testing.T) {
	s := newCopy(t, Limits{})
	c := s.Open("c")
	id, _ := c.Grant(time.Hour)
	feed(t, s, update(2, puts(id, "a", "b", "c")...))
	if got := s.Left(id, 2); len(got) != 2 || got[0].Modified != 2 {
		t.Errorf("left are %+v", got)
	}
	s.Revoke(id)
	<-s.Woken()
	if got := s.Ended(10); len(got) != 1 || got[0] != id || keysOf(t, s) != "a b c" {
		t.Errorf("ended are %x; %s", got, keysOf(t, s))
	}
	if _, err := c.Begin(&cluster.Batch{Do: []cluster.Op{cluster.Put("d", nil, id)}}); !errors.Is(err, cluster.ErrLeaseLost) {
		t.Errorf("a batch with it: %v", err)
	}
	feed(t, s, update(3, gone("a", "b")...))
	feed(t, s, update(4, puts(id, "c")...)) // it was on its way
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := s.Gone(ctx, id); !errors.Is(err, context.Canceled) {
		t.Errorf("it is gone: %v", err)
	}
	feed(t, s, update(5, gone("c")...))
	if err := s.Gone(t.Context(), id); err != nil || len(s.Ended(10)) != 0 {
		t.Errorf("%v, %x", err, s.Ended(10))
	}
	feed(t, s, update(6, puts(id, "late")...))
	if got := s.Ended(10); len(got) != 1 || len(s.Left(id, 10)) != 1 {
		t.Errorf("a late key: %x", got)
	}
	checkCounts(t, s)
}

// EndAll waits for Due; Disown forgets.
func TestAllLeasesEnd(t *testing.T) {
	s := newCopy(t, Limits{})
	c := s.Open("c")
	a, _ := c.Grant(time.Hour)
	b, _ := c.Grant(time.Hour)
	feed(t, s, update(2, append(puts(a, "a"), puts(b, "b")...)...))
	s.EndAll()
	if got := s.Ended(10); len(got) != 0 || c.Leased() || s.Stats().Ended != 2 {
		t.Errorf("ended are %x of %+v", got, s.Stats())
	}
	s.Due()
	if got := s.Ended(1); len(got) != 1 {
		t.Errorf("ended are %x", got)
	}
	s.Disown()
	if got := s.Ended(10); len(got) != 0 || keysOf(t, s) != "a b" {
		t.Errorf("ended are %x; %s", got, keysOf(t, s))
	}
	feed(t, s, update(3, gone("a", "b")...))
	checkCounts(t, s)
}

// Leases of a process before live until their clients have had the time to come, with what they had.
func TestAdoptedLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewCopy(Limits{})
		s.Adopt(10 * time.Second)
		feed(t, s, cluster.Update{Snapshot: true, Revision: 1, Life: 7, Events: append(puts(1, "a"), puts(2, "b")...)})
		s.Adopted(true)
		c := s.Open("c")
		if ttl, err := c.Renew(1, time.Hour); ttl != time.Hour || err != nil {
			t.Errorf("renewed for %v, %v", ttl, err)
		}
		if ttl, err := c.Renew(3, time.Hour); ttl != time.Hour || err != nil {
			t.Errorf("one without keys is renewed for %v, %v", ttl, err)
		}
		if c.keys != 1 {
			t.Errorf("the client has %d keys, want a", c.keys)
		}
		for range 150 {
			time.Sleep(100 * time.Millisecond)
			s.Tend()
		}
		if got := s.Ended(10); len(got) != 1 || got[0] != 2 {
			t.Errorf("ended are %x, want 2", got)
		}
		if _, err := c.Renew(4, time.Hour); !errors.Is(err, cluster.ErrLeaseLost) {
			t.Errorf("one that comes late: %v", err)
		}
		checkCounts(t, s)
	})
}

// Those of another host are forgotten.
func TestLeasesThatAreNotAdopted(t *testing.T) {
	s := NewCopy(Limits{})
	s.Adopt(10 * time.Second)
	feed(t, s, cluster.Update{Snapshot: true, Revision: 1, Life: 7, Events: puts(1, "a")})
	s.Adopted(false)
	if _, err := s.Open("c").Renew(1, time.Hour); !errors.Is(err, cluster.ErrLeaseLost) {
		t.Errorf("renewed: %v", err)
	}
	if st := s.Stats(); st.Leases != 0 || st.Ended != 0 || st.Keys != 1 {
		t.Errorf("%+v", st)
	}
}

// What is on its way counts, and what a client puts without a lease counts against it.
func TestQuotasOfACopy(t *testing.T) {
	s := newCopy(t, Limits{ClientKeys: 2, Keys: 3})
	a, b := s.Open("a"), s.Open("b")
	begin := func(c *Client, want error, keys ...string) *Pending {
		t.Helper()
		batch := cluster.Batch{}
		for _, key := range keys {
			batch.Do = append(batch.Do, cluster.Put(key, nil, 0))
		}
		p, err := c.Begin(&batch)
		if !errors.Is(err, want) {
			t.Fatalf("%v: %v, want %v", keys, err, want)
		}
		return p
	}
	p := begin(a, nil, "a1", "a2")
	begin(a, cluster.ErrLimit, "a3")
	q := begin(b, nil, "b1")
	begin(b, cluster.ErrLimit, "b2")
	q.End() // it was not done
	feed(t, s, update(2, puts(0, "a1", "a2")...))
	p.End()
	begin(a, cluster.ErrLimit, "a3")
	if a.keys != 2 || a.begun != (reserved{}) || s.copy.begun != (reserved{}) || len(s.copy.writing) != 0 {
		t.Errorf("%+v, %+v", a, s.copy)
	}
	begin(b, nil, "b1").End()
	feed(t, s, update(3, gone("a1", "a2")...))
	a.Close()
	b.Close()
	if st := s.Stats(); st.Clients != 0 {
		t.Errorf("%d clients are left", st.Clients)
	}
}

// Reach waits for a revision, and not for one of another life.
func TestReach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newCopy(t, Limits{})
		got := make(chan error, 1)
		go func() { got <- s.Reach(t.Context(), 7, 5) }()
		synctest.Wait()
		feed(t, s, update(4))
		synctest.Wait()
		if len(got) > 0 {
			t.Fatal("it has not come there yet")
		}
		feed(t, s, update(5))
		if err := <-got; err != nil {
			t.Error(err)
		}
		go func() { got <- s.Reach(t.Context(), 7, 9) }()
		synctest.Wait()
		feed(t, s, cluster.Update{Snapshot: true, Revision: 9, Life: 8})
		if err := <-got; !errors.Is(err, cluster.ErrCompacted) {
			t.Errorf("in another life: %v", err)
		}
	})
}
