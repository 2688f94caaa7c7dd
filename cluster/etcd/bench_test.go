// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/skybus-io/skybus/cluster"
	"github.com/skybus-io/skybus/cluster/etcd/etcdtest"
	"github.com/skybus-io/skybus/internal/testutil"
)

// register asks for n names, many at a time.
func register(t testing.TB, r *cluster.Names, n int) {
	t.Helper()
	var done sync.WaitGroup
	const workers = 64
	for w := range workers {
		done.Go(func() {
			for i := w; i < n; i += workers {
				if _, err := r.Request(t.Context(), fmt.Sprintf("name.%d", i), owner(1), 0); err != nil {
					t.Errorf("name %d: %v", i, err)
					return
				}
			}
		})
	}
	done.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// manyNames registers n names one by one, has the lease lost so that all are registered again in batches, and has another
// client list them. It says what each took.
func manyNames(t testing.TB, s *etcdtest.Cluster, n int) (one, again, list time.Duration) {
	t.Helper()
	c := dial(t, s, Options{})
	r := newNames(t, c, cluster.NamesConfig{Cluster: "test", TTL: time.Minute})
	begun := time.Now()
	register(t, r, n)
	one = time.Since(begun)

	c.mu.Lock()
	var leases []*lease
	for l := range c.leases {
		leases = append(leases, l)
	}
	c.mu.Unlock()
	begun = time.Now()
	for _, l := range leases {
		if err := l.Revoke(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	soon(t, "all names are there again", func() bool {
		time.Sleep(time.Duration(n) * time.Microsecond) // to count them is work
		h, err := c.Health(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return h.Keys >= n+2 // and the life, and a client
	})
	again = time.Since(begun)

	other := newNames(t, dial(t, s, Options{}), cluster.NamesConfig{Cluster: "test"})
	begun = time.Now()
	soon(t, "another client lists all", func() bool {
		all, err := other.List(t.Context(), "name.")
		if err != nil {
			t.Fatal(err)
		}
		return len(all) == n
	})
	return one, again, time.Since(begun)
}

func TestManyNames(t *testing.T) {
	testutil.NoLeaks(t)
	one, again, list := manyNames(t, etcdtest.Start(t, 1, nil), 2000)
	t.Logf("2,000 names: one by one %v, again %v, listed %v", one, again, list)
}

// BenchmarkNames100000 says how long it takes to register 100,000 names, to register them again, and to list them.
func BenchmarkNames100000(b *testing.B) {
	for b.Loop() {
		one, again, list := manyNames(b, etcdtest.Start(b, 1, nil), 100_000)
		b.ReportMetric(one.Seconds(), "s/requests")
		b.ReportMetric(again.Seconds(), "s/again")
		b.ReportMetric(list.Seconds(), "s/list")
	}
}

// BenchmarkCommit is a batch of one put, on one server without fsync.
func BenchmarkCommit(b *testing.B) {
	c := dial(b, etcdtest.Start(b, 1, nil), Options{})
	for b.Loop() {
		if _, err := c.Commit(b.Context(), cluster.Batch{Do: []cluster.Op{cluster.Put("/a", nil, 0)}}); err != nil {
			b.Fatal(err)
		}
	}
}
