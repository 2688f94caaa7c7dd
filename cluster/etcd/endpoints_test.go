// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"sync"
	"testing"

	"github.com/skybus-io/skybus/cluster"
	"github.com/skybus-io/skybus/cluster/etcd/etcdtest"
	"github.com/skybus-io/skybus/internal/testutil"
)

// A client goes where the servers have moved to, before and after it has reached one.
func TestSetEndpoints(t *testing.T) {
	testutil.NoLeaks(t)
	s := etcdtest.Start(t, 1, nil)
	c, err := Dial(Options{Cluster: "test", Endpoints: []string{"127.0.0.1:1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, bad := range [][]string{nil, {"nowhere"}, {"https://127.0.0.1:2"}} {
		if err := c.SetEndpoints(bad); err == nil {
			t.Errorf("endpoints %v are taken", bad)
		}
	}
	if err := c.SetEndpoints(s.Endpoints()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Get(t.Context(), cluster.Query{Key: "/a"}); err != nil {
		t.Fatal(err)
	}
	s.Members[0].Proxy.Cut()
	if err := c.SetEndpoints(s.Direct()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Get(t.Context(), cluster.Query{Key: "/a"}); err != nil {
		t.Error(err)
	}
}

// Servers are asked how they are while the endpoints change.
func TestSetEndpointsWhileMembersAreAsked(t *testing.T) {
	s := etcdtest.Start(t, 1, nil)
	c := dial(t, s, Options{})
	done := make(chan struct{})
	var asked sync.WaitGroup
	asked.Go(func() {
		for range 20 {
			if _, _, err := c.Members(t.Context()); err != nil {
				t.Error(err)
			}
		}
		close(done)
	})
	for {
		select {
		case <-done:
			asked.Wait()
			return
		default:
			if err := c.SetEndpoints(s.Endpoints()); err != nil {
				t.Error(err)
			}
		}
	}
}
