// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"testing"
	"time"

	"github.com/skybus-io/skybus/cluster"
	"github.com/skybus-io/skybus/cluster/clustertest"
	"github.com/skybus-io/skybus/cluster/etcd/etcdtest"
	"github.com/skybus-io/skybus/internal/testutil"
)

func TestElections(t *testing.T) {
	testutil.NoLeaks(t)
	s := etcdtest.Start(t, 1, nil)
	clustertest.RunElections(t, func(t *testing.T) clustertest.Arena {
		wipeKeys(t, s)
		w := clustertest.World{Open: func(t *testing.T) cluster.Provider { return dial(t, s, Options{}) }}
		return clustertest.Arena{World: w, Rand: testutil.Rand(t)}
	})
}

// Tokens grow over a wiped etcd, whose revisions begin at 1 again: for a process that knows the life before, and
// for one that does not.
func TestTokensGrowOverAWipe(t *testing.T) {
	testutil.NoLeaks(t)
	s := etcdtest.Start(t, 1, nil)
	elections := func() *cluster.Elections {
		e, err := cluster.NewElections(dial(t, s, Options{}), cluster.ElectionsConfig{Cluster: "test", TTL: cluster.MaxTTL})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { e.Close() })
		return e
	}
	e := elections()
	last := uint64(0)
	for round := range 4 {
		if round == 3 {
			e.Close()
			e = elections() // it knows nothing
		}
		l, err := e.Campaign(t.Context(), "n", "x")
		if err != nil {
			t.Fatal(err)
		}
		if l.Token() <= last {
			t.Errorf("round %d: token %d after %d", round, l.Token(), last)
		}
		last = l.Token()
		s.Wipe()
		select {
		case <-l.Lost():
		case <-time.After(3 * time.Minute):
			t.Fatalf("round %d: the leader has not heard that etcd was wiped", round)
		}
	}
}
