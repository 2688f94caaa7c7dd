// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"fmt"
	"testing"

	"github.com/skybus-io/skybus/cluster"
	"github.com/skybus-io/skybus/cluster/clustertest"
	"github.com/skybus-io/skybus/cluster/etcd/etcdtest"
	"github.com/skybus-io/skybus/cluster/namestest"
	"github.com/skybus-io/skybus/internal/testutil"
)

// The same on the etcd that this machine has, which may be an older one.
func TestConformanceOfProgram(t *testing.T) {
	testutil.NoLeaks(t)
	s := etcdtest.StartProgram(t, 1)
	clustertest.Run(t, func(t *testing.T) clustertest.World {
		wipeKeys(t, s)
		return clustertest.World{Open: func(t *testing.T) cluster.Provider { return dial(t, s, Options{}) }, Forget: forget}
	})
	run := 0
	namestest.Run(t, func(t *testing.T) namestest.Setup {
		run++
		return namesOn(t, s, fmt.Sprint("c", run))
	})
	s.Wipe()
	c := dial(t, s, Options{})
	if _, err := c.Get(t.Context(), cluster.Query{Key: "/a"}); err != nil {
		t.Error(err)
	}
}
