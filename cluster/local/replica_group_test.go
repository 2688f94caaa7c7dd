// SPDX-License-Identifier: Apache-2.0

package local

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skybus-io/skybus/cluster"
)

// A quay is a Provider whose batches wait to be let go.
type quay struct {
	cluster.Provider
	let chan struct{} // one for each batch

	mu   sync.Mutex
	gone []string // keys of each batch that was let go
}

func (q *quay) Commit(ctx context.Context, b cluster.Batch) (uint64, error) {
	select {
	case <-q.let:
	case <-ctx.Done():
		return 0, fmt.Errorf("%w: %w", cluster.ErrUnavailable, ctx.Err())
	}
	keys := make([]string, len(b.Do))
	for i := range b.Do {
		keys[i] = strings.TrimPrefix(b.Do[i].Key, "/skybus/default/")
	}
	q.mu.Lock()
	q.gone = append(q.gone, strings.Join(keys, " "))
	q.mu.Unlock()
	return q.Provider.Commit(ctx, b)
}

// newQuay returns a quay and a replica behind it, of which one batch at a time is on its way.
func newQuay(t *testing.T) (*quay, *Replica) {
	_, up := upstream(t, Limits{})
	q := &quay{Provider: up, let: make(chan struct{}, 100)}
	r := newSite(t, q, "/skybus/default/", ReplicaOptions{Commits: 1})
	time.Sleep(time.Second) // until it is connected
	return q, r
}

// claimOf is a batch that puts a claim of nobody in particular if nobody has the name.
func claimOf(name, owner string) cluster.Batch {
	root := "/skybus/default/names/" + name + "/"
	return cluster.Batch{If: []cluster.Compare{{Key: root, Prefix: true}}, Do: []cluster.Op{cluster.Put(root+owner, []byte("{}"), 0)}}
}

func candidateOf(name, owner string) cluster.Batch {
	key := "/skybus/default/elections/" + name + "/" + owner
	return cluster.Batch{If: []cluster.Compare{{Key: key}}, Do: []cluster.Op{cluster.Put(key, []byte("{}"), 0)}}
}

// TestBatchesThatGoTogether has batches wait behind a first one, and looks in how many they go.
func TestBatchesThatGoTogether(t *testing.T) {
	large := cluster.Batch{}
	for i := range smallOps + 1 {
		large.Do = append(large.Do, cluster.Put(fmt.Sprintf("/skybus/default/names/n%d/1", i), nil, 0))
	}
	wide := claimOf("wide", "1")
	wide.Do[0].Value = make([]byte, smallBytes)
	for _, test := range []struct {
		name  string
		waits []cluster.Batch
		gone  []string // after the first
		fails []int    // with ErrCompare
	}{
		{"several names", []cluster.Batch{claimOf("a", "1"), claimOf("b", "1"), claimOf("c", "1")}, []string{"names/a/1 names/b/1 names/c/1"}, nil},
		{"a name twice", []cluster.Batch{claimOf("a", "1"), claimOf("a", "2"), claimOf("b", "1")}, []string{"names/a/1 names/b/1", "names/a/2"}, []int{1}},
		{
			"one that fails", []cluster.Batch{claimOf("first", "9"), claimOf("a", "1"), claimOf("b", "1")},
			[]string{"names/first/9 names/a/1 names/b/1", "names/first/9", "names/a/1", "names/b/1"}, []int{0},
		},
		{"candidates", []cluster.Batch{candidateOf("a", "1"), candidateOf("a", "2"), claimOf("a", "1")}, []string{"elections/a/1", "elections/a/2", "names/a/1"}, nil},
		{"a large one", []cluster.Batch{claimOf("a", "1"), large, claimOf("b", "1")}, []string{"names/a/1 names/b/1", "names/n0/1 names/n1/1 names/n2/1 names/n3/1 names/n4/1"}, nil},
		{"much", []cluster.Batch{claimOf("a", "1"), wide}, []string{"names/a/1", "names/wide/1"}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q, r := newQuay(t)
				c := r.Provider(Options{})
				defer c.Close()
				var done sync.WaitGroup
				errs := make([]error, len(test.waits))
				done.Go(func() {
					if _, err := c.Commit(t.Context(), claimOf("first", "1")); err != nil {
						t.Error(err)
					}
				})
				synctest.Wait()
				for i, b := range test.waits {
					done.Go(func() { _, errs[i] = c.Commit(t.Context(), b) })
					synctest.Wait()
				}
				for range 10 {
					q.let <- struct{}{}
				}
				done.Wait()
				for i, err := range errs {
					fails := false
					for _, k := range test.fails {
						fails = fails || k == i
					}
					if fails != errors.Is(err, cluster.ErrCompare) || !fails && err != nil {
						t.Errorf("batch %d: %v", i+1, err)
					}
				}
				if got, want := strings.Join(q.gone, "; "), strings.Join(append([]string{"names/first/1"}, test.gone...), "; "); got != want {
					t.Errorf("there went %s\nwant %s", got, want)
				}
			})
		})
	}
}

// Whoever does not wait any longer is told whether its batch may have been done.
func TestABatchThatDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, r := newQuay(t)
		begin := func(name string, patience time.Duration) chan error {
			done := make(chan error, 1)
			go func() {
				ctx, stop := context.WithTimeout(t.Context(), patience)
				defer stop()
				l, _, err := r.leased(t.Context())
				if err == nil {
					_, err = r.carry(ctx, claimOf(name, "1"), l)
				}
				done <- err
			}()
			synctest.Wait()
			return done
		}
		first, second, third := begin("a", time.Second), begin("b", time.Second), begin("c", time.Minute)
		if err := <-first; !errors.Is(err, cluster.ErrUnavailable) || !strings.Contains(err.Error(), "may have been done") {
			t.Errorf("one on its way: %v", err)
		}
		if err := <-second; !errors.Is(err, cluster.ErrUnavailable) || !strings.Contains(err.Error(), "it was not done") {
			t.Errorf("one that has waited: %v", err)
		}
		q.let <- struct{}{}
		q.let <- struct{}{}
		if err := <-third; err != nil {
			t.Error(err)
		}
		if got := strings.Join(q.gone, "; "); got != "names/a/1; names/c/1" {
			t.Errorf("there went %s", got)
		}
	})
}
