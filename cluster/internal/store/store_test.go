// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skybus-io/skybus/cluster"
	"github.com/skybus-io/skybus/internal/testutil"
)

func commit(t *testing.T, c *Client, do ...cluster.Op) uint64 {
	t.Helper()
	rev, err := c.Commit(cluster.Batch{Do: do})
	if err != nil {
		t.Fatal(err)
	}
	return rev
}

func keysOf(t *testing.T, s *Store) string {
	t.Helper()
	snap, more, err := s.Get(cluster.Query{Prefix: true}, "", 1<<30)
	if err != nil || more {
		t.Fatal(more, err)
	}
	var list []string
	for _, kv := range snap.KVs {
		list = append(list, kv.Key)
	}
	return strings.Join(list, " ")
}

func TestLeasesExpireUnlessTheyAreRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Limits{})
		c := s.Open("c")
		short, _ := c.Grant(time.Second)
		long, _ := c.Grant(3 * time.Second)
		renewed, _ := c.Grant(time.Second)
		commit(t, c, cluster.Put("short", nil, short), cluster.Put("too", nil, short), cluster.Put("long", nil, long), cluster.Put("renewed", nil, renewed), cluster.Put("none", nil, 0))
		before := s.Stats().Revision
		pass := func(d time.Duration) {
			for end := time.Now().Add(d); time.Now().Before(end); s.Tend() {
				time.Sleep(100 * time.Millisecond)
				if err := s.Renew(renewed); err != nil {
					t.Fatal(err)
				}
			}
		}
		pass(time.Second)
		if got := keysOf(t, s); got != "long none renewed short too" {
			t.Errorf("after 1 s: %s", got)
		}
		pass(100 * time.Millisecond)
		if got, rev := keysOf(t, s), s.Stats().Revision; got != "long none renewed" || rev != before+1 {
			t.Errorf("after 1.1 s: %s, at revision %d, want %d", got, rev, before+1)
		}
		if err := s.Renew(short); !errors.Is(err, cluster.ErrLeaseLost) {
			t.Errorf("a lease that has expired is renewed: %v", err)
		}
		pass(2 * time.Second)
		if got := keysOf(t, s); got != "none renewed" {
			t.Errorf("after 3.1 s: %s", got)
		}
	})
}

// A store that was not looked after for long does not take everybody for dead.
func TestAStoreThatSleptExpiresNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Limits{})
		c := s.Open("c")
		id, _ := c.Grant(time.Second)
		commit(t, c, cluster.Put("a", nil, id))
		time.Sleep(time.Hour)
		s.Tend()
		time.Sleep(900 * time.Millisecond)
		s.Tend()
		if got := keysOf(t, s); got != "a" {
			t.Errorf("got %q", got)
		}
		time.Sleep(200 * time.Millisecond)
		s.Tend()
		if got := keysOf(t, s); got != "" {
			t.Errorf("got %q", got)
		}
	})
}

func TestQuotas(t *testing.T) {
	s := New(Limits{Keys: 5, ClientKeys: 3, ClientBytes: 10_000, Bytes: 15_000, ClientLeases: 2})
	a, b, c := s.Open("a"), s.Open("b"), s.Open("c")
	commit(t, a, cluster.Put("a1", nil, 0), cluster.Put("a2", nil, 0), cluster.Put("a3", nil, 0))
	refused := func(what string, c *Client, do ...cluster.Op) {
		t.Helper()
		before := s.Stats()
		if _, err := c.Commit(cluster.Batch{Do: do}); !errors.Is(err, cluster.ErrLimit) {
			t.Errorf("%s: %v", what, err)
		}
		if s.Stats() != before {
			t.Errorf("%s has changed something", what)
		}
	}
	refused("a client's fourth key", a, cluster.Put("a4", nil, 0))
	commit(t, a, cluster.Put("a4", nil, 0), cluster.Delete("a1"))
	commit(t, a, cluster.Put("a4", []byte("again"), 0))
	commit(t, b, cluster.Put("b1", nil, 0), cluster.Put("b2", nil, 0))
	refused("the sixth key of all", c, cluster.Put("c1", nil, 0))
	commit(t, c, cluster.Put("a2", nil, 0)) // another one's key is now this one's
	commit(t, a, cluster.Delete("a3"), cluster.Put("a5", nil, 0))
	refused("a client's bytes", a, cluster.Put("a5", make([]byte, 10_000), 0))
	commit(t, a, cluster.Put("a5", make([]byte, 9_000), 0))
	refused("the bytes of all", b, cluster.Put("b1", make([]byte, 6_000), 0))
	for range 2 {
		if _, err := a.Grant(time.Second); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := a.Grant(time.Second); !errors.Is(err, cluster.ErrLimit) {
		t.Errorf("a third lease: %v", err)
	}
}

// A client is forgotten when nothing is left of it.
func TestClientsAreForgotten(t *testing.T) {
	s := New(Limits{})
	for i := range 100 {
		c := s.Open(fmt.Sprint(i))
		id, _ := c.Grant(time.Second)
		commit(t, c, cluster.Put(fmt.Sprint("leased", i), nil, id), cluster.Put("shared", nil, 0))
		c.RevokeAll()
		c.Close()
	}
	if st := s.Stats(); st.Clients != 1 || st.Keys != 1 || st.Leases != 0 || st.Bytes != cost("shared", nil) {
		t.Errorf("left are %+v", st)
	}
}

// A picture is a state as it was told or read.
type picture map[string]string

func pictureOf(kvs []cluster.KV) picture {
	p := picture{}
	for _, kv := range kvs {
		p[kv.Key] = fmt.Sprintf("%s %x %d %d", kv.Value, kv.Lease, kv.Created, kv.Modified)
	}
	return p
}

// TestWatchesAndPastsAgreeWithTheState does random batches: what polls of any size have told is the
// state, and what is read of the past is what it was.
func TestWatchesAndPastsAgreeWithTheState(t *testing.T) {
	rng := testutil.Rand(t)
	s := New(Limits{LogEvents: 300})
	c := s.Open("c")
	type follower struct {
		at   Cursor
		kvs  map[string]cluster.KV
		want string
	}
	followers := []*follower{{at: Cursor{Revision: s.rev}, kvs: map[string]cluster.KV{}}, {at: Cursor{Revision: s.rev}, kvs: map[string]cluster.KV{}, want: "k1"}}
	pasts := map[uint64]picture{}
	var lease cluster.LeaseID
	for range 1000 {
		if lease == 0 {
			lease, _ = c.Grant(time.Hour)
		}
		b := cluster.Batch{}
		for _, n := range rng.Perm(30)[:1+rng.IntN(8)] {
			key := fmt.Sprint("k", n)
			switch rng.IntN(4) {
			case 0:
				b.Do = append(b.Do, cluster.Delete(key))
			case 1:
				b.Do = append(b.Do, cluster.Put(key, []byte(fmt.Sprint(rng.IntN(1000))), lease))
			default:
				b.Do = append(b.Do, cluster.Put(key, []byte(strings.Repeat("x", rng.IntN(300))), 0))
			}
		}
		commit(t, c, b.Do...)
		if rng.IntN(40) == 0 {
			s.Revoke(lease)
			lease = 0
		}
		pasts[s.rev] = pictureOf(read(t, s, cluster.Query{Prefix: true}, rng.IntN(2000)))
		for _, f := range followers {
			if rng.IntN(3) > 0 {
				continue
			}
			for f.at.Revision < s.rev || f.at.Skip > 0 {
				events, at, _, err := s.poll(f.want, f.at, 1+rng.IntN(500))
				if err != nil {
					t.Fatal(err)
				}
				for _, ev := range events {
					if f.kvs[ev.Key] = ev.KV; ev.Deleted {
						delete(f.kvs, ev.Key)
					}
				}
				f.at = at
			}
			now := pictureOf(read(t, s, cluster.Query{Key: f.want, Prefix: true}, 1<<20))
			if told := pictureOf(slices.Collect(maps.Values(f.kvs))); !maps.Equal(told, now) {
				t.Fatalf("at %d told of %q\n%v\nthere is\n%v", s.rev, f.want, told, now)
			}
		}
		for rev, want := range pasts {
			if rev < s.log.begin {
				delete(pasts, rev)
			} else if rng.IntN(100) == 0 {
				if got := pictureOf(read(t, s, cluster.Query{Prefix: true, Revision: rev}, rng.IntN(2000))); !maps.Equal(got, want) {
					t.Fatalf("at %d, %d was\n%v\nand is read as\n%v", s.rev, rev, want, got)
				}
			}
		}
		checkCounts(t, s)
	}
}

// read gets pages of a size.
func read(t *testing.T, s *Store, q cluster.Query, bytes int) (all []cluster.KV) {
	t.Helper()
	from := ""
	for {
		snap, more, err := s.Get(q, from, bytes)
		if err != nil {
			t.Fatal(err)
		}
		for _, kv := range snap.KVs {
			if len(all) > 0 && kv.Key <= all[len(all)-1].Key {
				t.Fatalf("%q after %q", kv.Key, all[len(all)-1].Key)
			}
			all = append(all, kv)
		}
		if q.Revision = snap.Revision; !more {
			return all
		}
		from = all[len(all)-1].Key + "\x00"
	}
}

// checkCounts compares what is counted with what there is.
func checkCounts(t *testing.T, s *Store) {
	t.Helper()
	var bytes int64
	n := map[*Client]int{}
	for key, it := range s.items {
		bytes += it.cost()
		n[it.by]++
		l := s.holder(it.Lease)
		if it.Lease != 0 && l == nil && !s.copied {
			t.Fatalf("%s has a lease that is not there", key)
		}
		if l != nil {
			if _, ok := l.keys[key]; !ok {
				t.Fatalf("%s is not among the keys of its lease", key)
			}
		}
	}
	if bytes != s.bytes || len(s.log.changes)-s.log.first > s.log.events {
		t.Fatalf("%d bytes are counted as %d; %d changes in the log", bytes, s.bytes, len(s.log.changes)-s.log.first)
	}
	for _, c := range s.ids {
		if c.keys != n[c] {
			t.Fatalf("client %s has %d keys, counted %d", c.id, n[c], c.keys)
		}
	}
	count := 0
	s.order.from("", func(key string) bool {
		count++
		return s.items[key] != nil
	})
	if count != len(s.items) {
		t.Fatalf("%d keys in order, %d in all", count, len(s.items))
	}
}

func TestKeysStayInOrder(t *testing.T) {
	rng := testutil.Rand(t)
	var k keys
	there := map[string]bool{}
	for i := range 20_000 {
		key := fmt.Sprintf("%04x", rng.IntN(1<<14))
		if i >= 12_000 || there[key] {
			k.remove(key)
			delete(there, key)
			continue
		}
		k.insert(key)
		there[key] = true
	}
	for _, from := range []string{"", "0", "8000", "2fff", "zzzz"} {
		var got, want []string
		k.from(from, func(key string) bool {
			got = append(got, key)
			return true
		})
		for key := range there {
			if key >= from {
				want = append(want, key)
			}
		}
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Fatalf("from %q: %d keys, want %d", from, len(got), len(want))
		}
	}
	for key := range there {
		k.remove(key)
	}
	if len(k.chunks) != 0 {
		t.Errorf("%d chunks are left", len(k.chunks))
	}
}

// BenchmarkPut puts keys of a name registry that has 100,000 of them already.
func BenchmarkPut(b *testing.B) {
	s := New(Limits{})
	c := s.Open("c")
	id, _ := c.Grant(time.Hour)
	value := []byte(`{"v":1,"pos":0}`)
	for i := range 100_000 {
		if _, err := c.Commit(cluster.Batch{Do: []cluster.Op{cluster.Put(fmt.Sprintf("/skybus/default/names/n%d/00000301-1f", i), value, id)}}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		i++
		if _, err := c.Commit(cluster.Batch{Do: []cluster.Op{cluster.Put(fmt.Sprintf("/skybus/default/names/n%d/00000301-1f", i%100_000), value, id)}}); err != nil {
			b.Fatal(err)
		}
	}
}
