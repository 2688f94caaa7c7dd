// SPDX-License-Identifier: Apache-2.0

// Package clustertest says what every cluster.Provider does, for the tests of engines, and has a
// Provider that fails now and then, for the tests of what stands on one.
package clustertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/skybus-io/skybus/cluster"
)

// A World is an engine as a test sees it.
type World struct {
	// Open returns another client of the same engine; the World has it closed.
	Open func(t *testing.T) cluster.Provider
	// Faulty means that calls may fail with ErrUnavailable: the tests then try again, and leave
	// out what cannot be told apart that way.
	Faulty bool
	// OwnLeases means that a lease is good only for clients of the host that has granted it: Open
	// returns one of another host each time.
	OwnLeases bool
	// Forget has the engine forget what it has changed so far, if it can.
	Forget func(t *testing.T, p cluster.Provider)
}

// Run runs all tests; each gets a World of its own.
func Run(t *testing.T, open func(t *testing.T) World) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, *World)
	}{
		{"put get delete", putGetDelete}, {"compares", compares}, {"batches are whole", batches}, {"prefixes", prefixes}, {"as it was", asItWas},
		{"leases", leases}, {"leases end", leasesEnd}, {"watch", watch}, {"watch resumes", watchResumes}, {"watch is whole", watchIsWhole}, {"compaction", compaction},
		{"limits", limits}, {"contexts", contexts}, {"health", health}, {"close", closing},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := open(t)
			test.run(t, &w)
		})
	}
}

// commit does a batch, and tries again where that may be needed: the batches here may be done twice.
func (w *World) commit(t *testing.T, p cluster.Provider, b cluster.Batch) uint64 {
	t.Helper()
	rev, err := w.tryCommit(t, p, b)
	if err != nil {
		t.Fatal(err)
	}
	return rev
}

func (w *World) tryCommit(t *testing.T, p cluster.Provider, b cluster.Batch) (uint64, error) {
	for {
		rev, err := p.Commit(t.Context(), b)
		if !w.Faulty || !errors.Is(err, cluster.ErrUnavailable) {
			return rev, err
		}
	}
}

// try does a batch and returns what comes of it, unless that was a fault of the test.
func (w *World) try(t *testing.T, p cluster.Provider, b cluster.Batch) error {
	_, err := w.tryCommit(t, p, b)
	return err
}

func (w *World) put(t *testing.T, p cluster.Provider, pairs ...string) uint64 {
	t.Helper()
	var b cluster.Batch
	for i := 0; i < len(pairs); i += 2 {
		b.Do = append(b.Do, cluster.Put(pairs[i], []byte(pairs[i+1]), 0))
	}
	return w.commit(t, p, b)
}

func (w *World) get(t *testing.T, p cluster.Provider, q cluster.Query) cluster.Snapshot {
	t.Helper()
	for {
		s, err := p.Get(t.Context(), q)
		if err == nil {
			return s
		}
		if !w.Faulty || !errors.Is(err, cluster.ErrUnavailable) {
			t.Fatal(err)
		}
	}
}

// want compares what is there with "key=value key=value".
func (w *World) want(t *testing.T, p cluster.Provider, q cluster.Query, want string) cluster.Snapshot {
	t.Helper()
	s := w.get(t, p, q)
	var list []string
	for _, kv := range s.KVs {
		list = append(list, kv.Key+"="+string(kv.Value))
	}
	if got := strings.Join(list, " "); got != want {
		t.Fatalf("%+v: %q, want %q", q, got, want)
	}
	return s
}

func all(prefix string) cluster.Query { return cluster.Query{Key: prefix, Prefix: true} }

func putGetDelete(t *testing.T, w *World) {
	p, other := w.Open(t), w.Open(t)
	first := w.put(t, p, "/a", "1")
	s := w.want(t, other, cluster.Query{Key: "/a"}, "/a=1")
	if kv := s.KVs[0]; kv.Modified < first && !w.Faulty || kv.Created > kv.Modified || kv.Lease != 0 || s.Revision < first || s.Life == 0 {
		t.Errorf("put at %d, got %+v of %+v", first, kv, s)
	}
	second := w.put(t, other, "/a", "2")
	kv := w.want(t, p, cluster.Query{Key: "/a"}, "/a=2").KVs[0]
	if second <= first || kv.Modified != second || kv.Created >= second {
		t.Errorf("put again at %d after %d: %+v", second, first, kv)
	}
	w.commit(t, p, cluster.Batch{Do: []cluster.Op{cluster.Delete("/a"), cluster.Delete("/none")}})
	s = w.want(t, other, all(""), "")
	if rev := w.commit(t, p, cluster.Batch{Do: []cluster.Op{cluster.Delete("/none")}}); rev != s.Revision {
		t.Errorf("what changes nothing is revision %d, want %d", rev, s.Revision)
	}
	w.put(t, p, "/empty", "", "/zero", "\x00\xff")
	if kvs := w.get(t, other, all("/")).KVs; len(kvs) != 2 || len(kvs[0].Value) != 0 || !bytes.Equal(kvs[1].Value, []byte("\x00\xff")) {
		t.Errorf("values that are no text: %+v", kvs)
	}
}

func compares(t *testing.T, w *World) {
	p := w.Open(t)
	one := w.put(t, p, "/a", "1")
	two := w.put(t, p, "/b/x", "1")
	for _, test := range []struct {
		c    cluster.Compare
		hold bool
	}{
		{cluster.Compare{Key: "/a", Revision: one}, true},
		{cluster.Compare{Key: "/a"}, false},
		{cluster.Compare{Key: "/a", Revision: one - 1}, false},
		{cluster.Compare{Key: "/none"}, true},
		{cluster.Compare{Key: "/none", Revision: one}, false},
		{cluster.Compare{Key: "/b/", Revision: two, Prefix: true}, true},
		{cluster.Compare{Key: "/b/", Revision: two - 1, Prefix: true}, false},
		{cluster.Compare{Key: "/c/", Revision: one, Prefix: true}, true},
		{cluster.Compare{Key: "/a", Revision: one, Prefix: true}, true},
	} {
		err := w.try(t, p, cluster.Batch{If: []cluster.Compare{test.c}, Do: []cluster.Op{cluster.Put("/result", nil, 0)}})
		if test.hold != (err == nil) || err != nil && !errors.Is(err, cluster.ErrCompare) {
			t.Errorf("%+v: %v, want it to hold: %v", test.c, err, test.hold)
		}
	}
}

// batches that fail change nothing.
func batches(t *testing.T, w *World) {
	p := w.Open(t)
	w.put(t, p, "/a", "1", "/b", "2")
	for _, b := range []cluster.Batch{
		{If: []cluster.Compare{{Key: "/c"}, {Key: "/a"}}, Do: []cluster.Op{cluster.Put("/c", nil, 0), cluster.Delete("/a")}},
		{Do: []cluster.Op{cluster.Put("/c", nil, 0), cluster.Put("/a", []byte("x"), 12345)}},
		{Do: []cluster.Op{cluster.Put("/c", nil, 0), cluster.Put("/c", nil, 0)}},
		{Do: []cluster.Op{cluster.Put("/c", nil, 0), cluster.Put("", nil, 0)}},
	} {
		if err := w.try(t, p, b); err == nil {
			t.Errorf("%+v: no error", b)
		}
	}
	s := w.want(t, p, all("/"), "/a=1 /b=2")
	if a, b := s.KVs[0], s.KVs[1]; a.Modified != b.Modified {
		t.Errorf("one batch, revisions %d and %d", a.Modified, b.Modified)
	}
}

// prefixes of many keys come whole and in order.
func prefixes(t *testing.T, w *World) {
	p := w.Open(t)
	var want []string
	for i := range 3000 {
		want = append(want, fmt.Sprintf("/many/%05d=%s", i, strings.Repeat("x", 100)))
	}
	for i := 0; i < len(want); i += 100 {
		var b cluster.Batch
		for _, pair := range want[i : i+100] {
			key, value, _ := strings.Cut(pair, "=")
			b.Do = append(b.Do, cluster.Put(key, []byte(value), 0))
		}
		w.commit(t, p, b)
	}
	w.put(t, p, "/man", "0", "/many", "0", "/manz", "0")
	w.want(t, p, all("/many/"), strings.Join(want, " "))
	w.want(t, p, all("/many/0000"), strings.Join(want[:10], " "))
	w.want(t, p, all("/x"), "")
	w.want(t, p, cluster.Query{Key: "/many"}, "/many=0")
}

func asItWas(t *testing.T, w *World) {
	p := w.Open(t)
	one := w.put(t, p, "/a", "1", "/c", "1", "/e", "1")
	two := w.put(t, p, "/a", "2", "/b", "2")
	three := w.commit(t, p, cluster.Batch{Do: []cluster.Op{cluster.Delete("/a"), cluster.Delete("/c"), cluster.Put("/d", []byte("3"), 0)}})
	w.put(t, p, "/a", "4", "/z", "4")
	w.want(t, p, cluster.Query{Key: "/", Prefix: true, Revision: one}, "/a=1 /c=1 /e=1")
	w.want(t, p, cluster.Query{Key: "/", Prefix: true, Revision: two}, "/a=2 /b=2 /c=1 /e=1")
	w.want(t, p, cluster.Query{Key: "/", Prefix: true, Revision: three}, "/b=2 /d=3 /e=1")
	w.want(t, p, cluster.Query{Key: "/a", Revision: two}, "/a=2")
	w.want(t, p, cluster.Query{Key: "/a", Revision: three}, "")
	w.want(t, p, all("/"), "/a=4 /b=2 /d=3 /e=1 /z=4")
}

func (w *World) grant(t *testing.T, p cluster.Provider, ttl time.Duration) cluster.Lease {
	t.Helper()
	for {
		l, err := p.Grant(t.Context(), ttl)
		if err == nil {
			return l
		}
		if !w.Faulty || !errors.Is(err, cluster.ErrUnavailable) {
			t.Fatal(err)
		}
	}
}

// leases keep keys, and take them along.
func leases(t *testing.T, w *World) {
	p := w.Open(t)
	a, b := w.grant(t, p, cluster.MaxTTL), w.grant(t, p, cluster.MaxTTL)
	if a.ID() == 0 || a.ID() == b.ID() || a.TTL() != cluster.MaxTTL {
		t.Fatalf("leases %x of %v and %x", a.ID(), a.TTL(), b.ID())
	}
	w.commit(t, p, cluster.Batch{Do: []cluster.Op{
		cluster.Put("/a", nil, a.ID()), cluster.Put("/b", nil, b.ID()), cluster.Put("/moves", nil, a.ID()), cluster.Put("/stays", nil, a.ID()),
	}})
	w.commit(t, p, cluster.Batch{Do: []cluster.Op{cluster.Put("/moves", nil, b.ID()), cluster.Put("/stays", nil, 0)}})
	if kv := w.want(t, p, cluster.Query{Key: "/moves"}, "/moves=").KVs[0]; kv.Lease != b.ID() {
		t.Errorf("its lease is %x, want %x", kv.Lease, b.ID())
	}
	if err := a.Revoke(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-a.Lost()
	w.want(t, p, all("/"), "/b= /moves= /stays=")
	err := w.try(t, p, cluster.Batch{Do: []cluster.Op{cluster.Put("/late", nil, a.ID())}})
	if !errors.Is(err, cluster.ErrLeaseLost) {
		t.Errorf("a put with a lease that is revoked: %v", err)
	}
	select {
	case <-b.Lost():
		t.Error("the other lease is lost, too")
	default:
	}
}

// leasesEnd with their client, and not while it is there.
func leasesEnd(t *testing.T, w *World) {
	for try := 1; ; try++ {
		err := w.leaseEnds(t)
		if err == nil {
			return
		}
		if !errors.Is(err, errStoodStill) || try == 20 {
			t.Fatal(err)
		}
		t.Logf("try %d: %v", try, err)
	}
}

// errStoodStill is why a lease may be lost although its client is there.
var errStoodStill = errors.New("the process had no turn for a third of the TTL")

func (w *World) leaseEnds(t *testing.T) error {
	const ttl = time.Second
	p, other := w.Open(t), w.Open(t)
	stoodStill := watchTurns(ttl / 3)
	gone, stays := w.grant(t, p, ttl), w.grant(t, other, ttl)
	holder := other
	if w.OwnLeases {
		holder = p
	}
	_, tooLate := w.tryCommit(t, holder, cluster.Batch{Do: []cluster.Op{cluster.Put("/gone", nil, gone.ID())}})
	_, err := w.tryCommit(t, other, cluster.Batch{Do: []cluster.Op{cluster.Put("/stays", nil, stays.ID())}})
	if closed := p.Close(); closed != nil {
		t.Fatal(closed)
	}
	<-gone.Lost()
	for slices.ContainsFunc(w.get(t, other, all("/")).KVs, func(kv cluster.KV) bool { return kv.Key == "/gone" }) {
		time.Sleep(10 * time.Millisecond)
	}
	err = errors.Join(tooLate, err)
	if kvs := w.get(t, other, all("/")).KVs; err == nil && (len(kvs) != 1 || kvs[0].Key != "/stays") {
		err = fmt.Errorf("there are %+v, want /stays", kvs)
	}
	if stoodStill() && err != nil {
		err = fmt.Errorf("%w: %w", errStoodStill, err)
	}
	return err
}

// watchTurns watches whether this process has its turns. The function that it returns ends that, and says whether it had none for d or more.
func watchTurns(d time.Duration) (stoodStill func() bool) {
	stop, longest := make(chan struct{}), make(chan time.Duration)
	go func() {
		most := time.Duration(0)
		for last, over := time.Now(), false; !over; {
			select {
			case <-time.After(d / 10):
			case <-stop:
				over = true
			}
			now := time.Now()
			most, last = max(most, now.Sub(last)), now
		}
		longest <- most
	}()
	return func() bool {
		close(stop)
		return <-longest >= d
	}
}

// A watchLog hands on what a watch tells.
type watchLog struct {
	twice   bool // a change may have been made twice
	updates chan cluster.Update
	ended   chan error
	stop    context.CancelFunc
}

func (w *World) watch(t *testing.T, p cluster.Provider, prefix string, after uint64) *watchLog {
	ctx, stop := context.WithCancel(t.Context())
	l := &watchLog{twice: w.Faulty, updates: make(chan cluster.Update), ended: make(chan error, 1), stop: stop}
	go func() {
		l.ended <- p.Watch(ctx, prefix, after, func(u cluster.Update) error {
			if len(u.Events) == 0 && !u.Snapshot {
				return nil
			}
			select {
			case l.updates <- u:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	t.Cleanup(stop)
	return l
}

// expect wants the next events to be "key=value" and "-key", in as many updates as it takes.
func (l *watchLog) expect(t *testing.T, want ...string) (last cluster.Update) {
	t.Helper()
	var got []string
	for len(got) < len(want) {
		select {
		case last = <-l.updates:
		case err := <-l.ended:
			t.Fatalf("the watch has ended: %v", err)
		}
		for _, ev := range last.Events {
			text := ev.Key + "=" + string(ev.Value)
			if ev.Deleted {
				text = "-" + ev.Key
			}
			if !l.twice || len(got) == 0 || got[len(got)-1] != text {
				got = append(got, text)
			}
			if ev.Modified > last.Revision {
				t.Errorf("%+v in an update to revision %d", ev, last.Revision)
			}
		}
	}
	if a, b := strings.Join(got, " "), strings.Join(want, " "); a != b {
		t.Fatalf("told %q, want %q", a, b)
	}
	return last
}

func watch(t *testing.T, w *World) {
	p, other := w.Open(t), w.Open(t)
	w.put(t, p, "/w/a", "1", "/w/b", "1", "/x", "1")
	l := w.watch(t, other, "/w/", 0)
	if u := l.expect(t, "/w/a=1", "/w/b=1"); !u.Snapshot || u.Life == 0 {
		t.Errorf("it begins with %+v", u)
	}
	if w.Faulty {
		return // puts may come twice
	}
	w.put(t, p, "/w/c", "2")
	w.put(t, p, "/x", "3")
	w.commit(t, p, cluster.Batch{Do: []cluster.Op{cluster.Put("/w/a", []byte("4"), 0), cluster.Delete("/w/b"), cluster.Delete("/w/none")}})
	w.commit(t, p, cluster.Batch{Do: []cluster.Op{cluster.Delete("/w/a")}})
	l.expect(t, "/w/c=2", "/w/a=4", "-/w/b", "-/w/a")
	for i := range 300 {
		key := fmt.Sprintf("/w/%d", i)
		w.put(t, p, key, "")
		l.expect(t, key+"=")
	}
	l.stop()
	if err := <-l.ended; !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
	wrong := errors.New("enough")
	if err := p.Watch(t.Context(), "", 0, func(cluster.Update) error { return wrong }); !errors.Is(err, wrong) {
		t.Errorf("a watch whose function failed ended with %v", err)
	}
}

// watchResumes where the last one has ended.
func watchResumes(t *testing.T, w *World) {
	p := w.Open(t)
	w.put(t, p, "/a", "1")
	first := w.watch(t, p, "/", 0)
	u := first.expect(t, "/a=1")
	first.stop()
	if err := <-first.ended; !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
	if w.Faulty {
		u.Revision = w.get(t, p, all("/")).Revision
	}
	w.put(t, p, "/a", "2")
	if w.Faulty {
		w.watch(t, p, "/", u.Revision).expect(t, "/a=2")
		return
	}
	w.commit(t, p, cluster.Batch{Do: []cluster.Op{cluster.Delete("/a")}})
	second := w.watch(t, p, "/", u.Revision)
	u = second.expect(t, "/a=2", "-/a")
	w.put(t, p, "/b", "3")
	second.expect(t, "/b=3")
	w.watch(t, p, "/", u.Revision).expect(t, "/b=3")
}

// watchIsWhole: the events of one batch come in one update.
func watchIsWhole(t *testing.T, w *World) {
	p := w.Open(t)
	since := w.put(t, p, "/begin", "")
	for range 5 {
		var b cluster.Batch
		for i := range 100 {
			b.Do = append(b.Do, cluster.Put(fmt.Sprintf("/big/%d", i), bytes.Repeat([]byte{'x'}, 4000), 0))
		}
		w.commit(t, p, b)
	}
	l := w.watch(t, p, "/big/", since)
	for seen := 0; seen < 500; {
		u := <-l.updates
		count := map[uint64]int{}
		for _, ev := range u.Events {
			count[ev.Modified]++
		}
		for rev, n := range count {
			if n != 100 {
				t.Errorf("%d events of revision %d, want 100", n, rev)
			}
		}
		seen += len(u.Events)
	}
}

func compaction(t *testing.T, w *World) {
	if w.Forget == nil {
		t.Skip("the engine cannot be made to forget")
	}
	p := w.Open(t)
	old := w.put(t, p, "/a", "1")
	w.Forget(t, p)
	if _, err := p.Get(t.Context(), cluster.Query{Key: "/a", Revision: old}); !errors.Is(err, cluster.ErrCompacted) {
		t.Errorf("Get: %v", err)
	}
	if err := p.Watch(t.Context(), "/", old, func(cluster.Update) error { return nil }); !errors.Is(err, cluster.ErrCompacted) {
		t.Errorf("Watch: %v", err)
	}
	s := w.want(t, p, cluster.Query{Key: "/a"}, "/a=1")
	if err := p.Watch(t.Context(), "/", s.Revision+1000, func(cluster.Update) error { return nil }); !errors.Is(err, cluster.ErrCompacted) {
		t.Errorf("Watch after a revision that is yet to come: %v", err)
	}
}

func limits(t *testing.T, w *World) {
	p := w.Open(t)
	var many, large cluster.Batch
	for i := range cluster.MaxOps + 1 {
		many.Do = append(many.Do, cluster.Put(fmt.Sprintf("/%d", i), nil, 0))
	}
	for i := range cluster.MaxBatch/cluster.MaxValue + 1 {
		large.Do = append(large.Do, cluster.Put(fmt.Sprintf("/%d", i), make([]byte, cluster.MaxValue), 0))
	}
	put := func(key string, n int) cluster.Batch {
		return cluster.Batch{Do: []cluster.Op{cluster.Put(key, make([]byte, n), 0)}}
	}
	for name, b := range map[string]cluster.Batch{
		"many": many, "large": large, "value": put("/a", cluster.MaxValue+1), "key": put(strings.Repeat("k", cluster.MaxKey+1), 0),
	} {
		if err := w.try(t, p, b); !errors.Is(err, cluster.ErrLimit) {
			t.Errorf("%s: %v", name, err)
		}
	}
	many.Do = many.Do[1:]
	w.commit(t, p, many)
	large.Do = large.Do[2:]
	w.commit(t, p, large)
	w.commit(t, p, put(strings.Repeat("k", cluster.MaxKey), cluster.MaxValue))
	for _, ttl := range []time.Duration{-1, 0, cluster.MinTTL - 1, cluster.MaxTTL + 1} {
		_, err := p.Grant(t.Context(), ttl)
		for w.Faulty && errors.Is(err, cluster.ErrUnavailable) {
			_, err = p.Grant(t.Context(), ttl)
		}
		if !errors.Is(err, cluster.ErrLimit) {
			t.Errorf("a lease of %v: %v", ttl, err)
		}
	}
}

// contexts that are over end calls, and change nothing.
func contexts(t *testing.T, w *World) {
	p := w.Open(t)
	w.put(t, p, "/a", "1")
	ctx, stop := context.WithCancel(t.Context())
	stop()
	_, commit := p.Commit(ctx, cluster.Batch{Do: []cluster.Op{cluster.Delete("/a")}})
	_, get := p.Get(ctx, all("/"))
	_, grant := p.Grant(ctx, time.Minute)
	for name, err := range map[string]error{"Commit": commit, "Get": get, "Grant": grant} {
		if !errors.Is(err, context.Canceled) && !w.Faulty || !errors.Is(err, cluster.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := p.Watch(ctx, "", 0, func(cluster.Update) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("Watch: %v", err)
	}
	w.want(t, p, all("/"), "/a=1")
}

func health(t *testing.T, w *World) {
	p := w.Open(t)
	rev := w.put(t, p, "/a", "1")
	h, err := p.Health(t.Context())
	if err != nil || h.Engine == "" {
		t.Fatalf("%+v, %v", h, err)
	}
	if !w.Faulty && (!h.Reached || h.LastError != nil || h.Revision < rev || h.Life == 0 || h.Keys < 1 || h.Bytes < 3) {
		t.Errorf("%+v after revision %d", h, rev)
	}
}

func closing(t *testing.T, w *World) {
	p := w.Open(t)
	w.put(t, p, "/a", "1")
	l := w.watch(t, p, "/", 0)
	l.expect(t, "/a=1")
	for range 2 {
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
	}
	_, commit := p.Commit(t.Context(), cluster.Batch{Do: []cluster.Op{cluster.Delete("/a")}})
	_, get := p.Get(t.Context(), all("/"))
	_, grant := p.Grant(t.Context(), time.Minute)
	_, health := p.Health(t.Context())
	for name, err := range map[string]error{"Commit": commit, "Get": get, "Grant": grant, "Health": health, "Watch": <-l.ended} {
		if !errors.Is(err, cluster.ErrClosed) && (!w.Faulty || !errors.Is(err, cluster.ErrUnavailable)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
