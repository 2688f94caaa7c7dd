// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"

	"github.com/skybus-io/skybus/cluster"
	"github.com/skybus-io/skybus/cluster/etcd/etcdtest"
	"github.com/skybus-io/skybus/internal/testutil"
)

// patient is a context against a test that hangs.
func patient(t *testing.T) context.Context {
	ctx, stop := context.WithTimeout(t.Context(), 90*time.Second)
	t.Cleanup(stop)
	return ctx
}

// A full quota refuses what puts, says so by name, and nothing else: what is there is read, watched, renewed and
// deleted.
func TestQuotaUsedUp(t *testing.T) {
	testutil.NoLeaks(t)
	s := etcdtest.Start(t, 1, func(cfg *embed.Config) { cfg.QuotaBackendBytes = 8 << 20 })
	c := dial(t, s, Options{})
	begun, turns := time.Now(), testutil.StartClock()
	le, err := c.Grant(t.Context(), 2*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	fill := cluster.Batch{Do: []cluster.Op{cluster.Put("/fill", bytes.Repeat([]byte{1}, cluster.MaxValue), 0)}}
	for i := 0; err == nil; i++ {
		if _, err = c.Commit(t.Context(), fill); i == 1000 {
			t.Fatal("a quota of 8 MiB takes 64 MiB")
		}
	}
	if !errors.Is(err, cluster.ErrUnavailable) || !strings.Contains(err.Error(), "quota of disk space is used up") {
		t.Errorf("%v", err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer stop()
	if _, err := c.Grant(ctx, time.Minute); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "quota of disk space is used up") {
		t.Errorf("Grant: %v", err)
	}
	h, err := c.Health(t.Context())
	if err != nil || !h.Reached {
		t.Errorf("%+v, %v", h, err)
	}
	_, alarms, err := c.Members(t.Context())
	if err != nil || len(alarms) != 1 || alarms[0] != "NOSPACE at m0" {
		t.Errorf("alarms %q, %v", alarms, err)
	}
	if snap, err := c.Get(t.Context(), cluster.Query{Key: "/fill"}); err != nil || len(snap.KVs) != 1 {
		t.Errorf("%v", err)
	}
	time.Sleep(le.TTL() + time.Second) // it is renewed meanwhile
	rev, err := c.Commit(t.Context(), cluster.Batch{Do: []cluster.Op{cluster.Delete("/fill")}})
	if err != nil {
		t.Fatal(err)
	}
	e, ctx := c.etcd(), patient(t)
	if _, err := e.Compact(ctx, int64(rev)); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Defragment(ctx, c.servers()[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := e.AlarmDisarm(ctx, &clientv3.AlarmMember{}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Commit(t.Context(), fill); err != nil {
		t.Error(err)
	}
	_, err = c.Commit(t.Context(), cluster.Batch{Do: []cluster.Op{cluster.Put("/renewed", nil, le.ID())}})
	if stood := time.Since(begun) - turns.Stop(); err != nil && !(errors.Is(err, cluster.ErrLeaseLost) && stood > le.TTL()/3) {
		t.Error(err)
	}
}

// A lease of a server that is silent is lost when its TTL has passed by the clock of this process, counted from when
// renewal was asked for; one that comes back in time keeps it.
func TestLeaseByOwnClock(t *testing.T) {
	testutil.NoLeaks(t)
	s := etcdtest.Start(t, 1, nil)
	c := dial(t, s, Options{Patience: 200 * time.Millisecond})
	long, err := c.Grant(t.Context(), cluster.MaxTTL)
	if err != nil {
		t.Fatal(err)
	}
	before := time.Now()
	short, err := c.Grant(t.Context(), 2*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	s.Members[0].Proxy.Stall()
	<-short.Lost()
	if took := time.Since(before); took < short.TTL() {
		t.Errorf("lost after %v, its TTL is %v", took, short.TTL())
	}
	s.Members[0].Proxy.Mend()
	if _, err := c.Commit(patient(t), cluster.Batch{Do: []cluster.Op{cluster.Put("/long", nil, long.ID())}}); err != nil && !errors.Is(err, cluster.ErrUnavailable) {
		t.Error(err)
	}
	select {
	case <-long.Lost():
		t.Error("the other lease is lost, too")
	default:
	}
}

// A slow server is as good as a quick one while it answers within Patience.
func TestSlowServer(t *testing.T) {
	testutil.NoLeaks(t)
	s := etcdtest.Start(t, 1, nil)
	s.Members[0].Proxy.Delay(150 * time.Millisecond)
	c := dial(t, s, Options{Patience: 90 * time.Second})
	var told []string
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	begun := make(chan bool, 1)
	go func() {
		ended <- c.Watch(ctx, "/", 0, func(u cluster.Update) error {
			if u.Snapshot {
				begun <- true
				return nil
			}
			for i := range u.Events {
				told = append(told, u.Events[i].Key)
			}
			if len(told) == 10 {
				stop()
			}
			return nil
		})
	}()
	<-begun
	var want []string
	for i := range 10 {
		want = append(want, fmt.Sprintf("/%d", i))
		if _, err := c.Commit(t.Context(), cluster.Batch{If: []cluster.Compare{{Key: want[i]}}, Do: []cluster.Op{cluster.Put(want[i], nil, 0)}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-ended; !errors.Is(err, context.Canceled) || fmt.Sprint(told) != fmt.Sprint(want) {
		t.Errorf("told %v, want %v; %v", told, want, err)
	}
	s.Members[0].Proxy.Mend()
}

// Whatever becomes of the connections, no batch is done twice, what was said to be done is, and what was said to have
// failed a compare has not been done.
func TestNoBatchTwice(t *testing.T) {
	etcdtest.NoLeaks(t)
	rng := testutil.Rand(t)
	s := etcdtest.Start(t, 3, nil)
	c := dial(t, s, Options{Patience: 500 * time.Millisecond})
	calm := make(chan struct{})
	seed := rng.Uint64()
	go func() {
		defer close(calm)
		disturb(s, rand.New(rand.NewPCG(seed, 0)))
	}()
	const workers = 4
	var work sync.WaitGroup
	var outcomes [workers]map[string]error
	for w := range workers {
		outcomes[w] = map[string]error{}
		work.Go(func() {
			for i := 0; !isClosed(calm); i++ {
				k := fmt.Sprintf("/%d/%d", w, i)
				_, outcomes[w][k] = c.Commit(t.Context(), cluster.Batch{If: []cluster.Compare{{Key: k}}, Do: []cluster.Op{cluster.Put(k, nil, 0)}})
			}
		})
	}
	work.Wait()
	r, err := get(t, c)
	if err != nil {
		t.Fatal(err)
	}
	versions := map[string]int64{}
	for _, kv := range r.Kvs {
		versions[string(kv.Key)] = kv.Version
	}
	done, unknown := 0, 0
	for _, of := range outcomes {
		for k, err := range of {
			switch {
			case versions[k] > 1:
				t.Errorf("%s was put %d times", k, versions[k])
			case err == nil && versions[k] == 0:
				t.Errorf("%s is not there, and was said to be", k)
			case err == nil:
				done++
			case !errors.Is(err, cluster.ErrUnavailable):
				t.Errorf("%s: %v", k, err)
			default:
				unknown++
			}
		}
	}
	t.Logf("%d batches done, %d of unknown outcome", done, unknown)
	if done == 0 {
		t.Error("no batch was done")
	}
}

// get reads all keys as etcd has them, as soon as it can be reached.
func get(t *testing.T, c *Client) (*clientv3.GetResponse, error) {
	t.Helper()
	if _, err := c.Get(patient(t), cluster.Query{Key: "/a"}); err != nil {
		return nil, err
	}
	return c.etcd().Get(patient(t), "\x00", clientv3.WithFromKey())
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// disturb cuts, stalls and delays connections at random, one server's at a time or all, and mends them in the end.
func disturb(s *etcdtest.Cluster, rng *rand.Rand) {
	for range 60 {
		first, last := rng.IntN(3), 0
		if last = first; rng.IntN(3) == 0 {
			first, last = 0, 2
		}
		fault := rng.IntN(3)
		for _, m := range s.Members[first : last+1] {
			switch fault {
			case 0:
				m.Proxy.Cut()
			case 1:
				m.Proxy.Stall()
			case 2:
				m.Proxy.Delay(time.Duration(rng.IntN(20)) * time.Millisecond)
			}
		}
		time.Sleep(time.Duration(rng.IntN(100)) * time.Millisecond)
		for _, m := range s.Members[first : last+1] {
			m.Proxy.Mend()
		}
		time.Sleep(time.Duration(rng.IntN(30)) * time.Millisecond)
	}
}

// What others change in the same etcd moves its revision: a watch says soon that it has nothing to tell of that. Each
// round would take a heartbeat otherwise, and all of them longer than the test may take.
func TestWatchAmongOthers(t *testing.T) {
	testutil.NoLeaks(t)
	s := etcdtest.Start(t, 1, nil)
	c := dial(t, s, Options{})
	var mu sync.Mutex
	told := uint64(0)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- c.Watch(ctx, "/skybus/test/", 0, func(u cluster.Update) error {
			mu.Lock()
			defer mu.Unlock()
			if len(u.Events) > 0 && !u.Snapshot {
				t.Errorf("told %+v", u)
			}
			told = u.Revision
			return nil
		})
	}()
	begun := time.Now()
	for range 200 {
		rev, err := c.Commit(t.Context(), cluster.Batch{Do: []cluster.Op{cluster.Put("/others", nil, 0)}})
		if err != nil {
			t.Fatal(err)
		}
		soon(t, "the revision is told", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return told >= rev || time.Since(begun) > 120*time.Second
		})
	}
	if took := time.Since(begun); took > 120*time.Second {
		t.Errorf("200 revisions took %v", took)
	}
	t.Logf("200 revisions took %v", time.Since(begun))
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the watch ended with %v", err)
	}
}

// A batch of all that is allowed, with as many compares, is one that etcd takes; of those that do not hold one is named.
func TestBigBatches(t *testing.T) {
	testutil.NoLeaks(t)
	s := etcdtest.Start(t, 1, nil)
	c := dial(t, s, Options{})
	le, err := c.Grant(t.Context(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	var b cluster.Batch
	for i := range cluster.MaxOps {
		k := fmt.Sprintf("/%d", i)
		b.If = append(b.If, cluster.Compare{Key: k, Prefix: i == 0})
		value := bytes.Repeat([]byte{byte(i)}, cluster.MaxBatch/cluster.MaxOps-20+cluster.MaxHead)
		b.Do = append(b.Do, cluster.Put(k, value, le.ID()))
	}
	b.Head = cluster.MaxHead
	rev, err := c.Commit(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	for i := range b.If {
		b.If[i] = cluster.Compare{Key: b.Do[i].Key, Revision: rev}
	}
	b.If[7].Revision = 0
	_, err = c.Commit(t.Context(), b)
	if want := fmt.Sprintf(`key "/7" has revision %d, want 0`, rev); !errors.Is(err, cluster.ErrCompare) || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %s", err, want)
	}
	b.If[7].Revision, b.If[cluster.MaxOps-1].Revision = rev, 0
	if _, err = c.Commit(t.Context(), b); !errors.Is(err, cluster.ErrCompare) || !strings.Contains(err.Error(), "one of 120 conditions") {
		t.Errorf("%v", err)
	}
	b.If[cluster.MaxOps-1].Revision = rev
	if _, err = c.Commit(t.Context(), b); err != nil {
		t.Error(err)
	}
}

// A server that is compacted between two pages, or while a watch has no connection, has no gap in what is told.
func TestCompactedMeanwhile(t *testing.T) {
	testutil.NoLeaks(t)
	s := etcdtest.Start(t, 1, nil)
	c := dial(t, s, Options{Patience: time.Second})
	direct, err := clientv3.New(clientv3.Config{Endpoints: []string{s.Direct()[0]}})
	if err != nil {
		t.Fatal(err)
	}
	defer direct.Close()
	begun, ended := make(chan bool, 1), make(chan error, 1)
	go func() {
		ended <- c.Watch(t.Context(), "/", 0, func(u cluster.Update) error {
			if u.Snapshot {
				begun <- true
			} else if len(u.Events) > 0 {
				t.Errorf("told %+v", u)
			}
			return nil
		})
	}()
	<-begun
	s.Members[0].Proxy.Cut()
	for range 3 {
		r, err := direct.Put(t.Context(), "/a", "x")
		if err == nil {
			_, err = direct.Compact(t.Context(), r.Header.Revision)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	s.Members[0].Proxy.Mend()
	if err := <-ended; !errors.Is(err, cluster.ErrCompacted) {
		t.Errorf("the watch ended with %v", err)
	}
	if snap, err := c.Get(t.Context(), cluster.Query{Key: "/a"}); err != nil || len(snap.KVs) != 1 {
		t.Errorf("%+v, %v", snap, err)
	}
}

// The servers are told of one by one, those that are away too.
func TestMembers(t *testing.T) {
	etcdtest.NoLeaks(t)
	s := etcdtest.Start(t, 3, nil)
	c := dial(t, s, Options{Patience: 3 * time.Second})
	away := (s.Leader() + 1) % 3
	s.Members[away].Stop()
	soon(t, "each says what it is", func() bool { // a server of a busy machine may be silent for so long, and another one lead then
		leader := s.Leader()
		members, alarms, err := c.Members(patient(t))
		if err != nil || len(members) != 3 || len(alarms) != 0 {
			t.Fatalf("%+v, %q, %v", members, alarms, err)
		}
		for _, m := range members {
			i := int(m.Name[1] - '0')
			if m.Healthy != (i != away) || m.Leader != (i == leader) || (m.Error == "") != m.Healthy || m.Healthy && m.DBBytes == 0 || m.ID == "" {
				t.Logf("%+v; %d is away, %d leads", m, away, leader)
				return false
			}
		}
		return true
	})
}
