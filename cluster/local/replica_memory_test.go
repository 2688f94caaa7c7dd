// SPDX-License-Identifier: Apache-2.0

package local

import (
	"context"
	"fmt"
	"runtime"
	"testing"

	"github.com/skybus-io/skybus/cluster"
	"github.com/skybus-io/skybus/internal/testutil"
)

// A crowd is an engine that has many names, told at once, and then each put once more.
type crowd struct {
	cluster.Provider
	n    int
	told chan struct{} // closed when all is told
}

func (p *crowd) events(after uint64) []cluster.Event {
	list := make([]cluster.Event, p.n)
	for i := range list {
		rev := after + uint64(i)
		list[i].KV = cluster.KV{
			Key:   fmt.Sprintf("/skybus/default/names/service.%d/%08x-%x", i, 0x301+i%1000, i),
			Value: joinValue(cluster.LeaseID(1+i%1000), []byte(`{"v":1,"pos":0}`)), Lease: 77, Created: rev, Modified: rev,
		}
	}
	return list
}

func (p *crowd) Watch(ctx context.Context, _ string, _ uint64, f func(cluster.Update) error) error {
	n := uint64(p.n)
	if err := f(cluster.Update{Snapshot: true, Events: p.events(1), Revision: n, Life: 1}); err != nil {
		return err
	}
	if err := f(cluster.Update{Events: p.events(n + 1), Revision: 2 * n, Life: 1}); err != nil {
		return err
	}
	close(p.told)
	<-ctx.Done()
	return ctx.Err()
}

// A daemon that has 100,000 names, and a log that is full, has less than 100 MB on its heap for them.
func TestTheMemoryOf100000Names(t *testing.T) {
	testutil.NoLeaks(t)
	heap := func() float64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc) / 1e6
	}
	before := heap()
	e := NewEngine(Limits{})
	defer e.Close()
	lender := e.Provider(Options{}) // for the host's lease
	defer lender.Close()
	p := &crowd{Provider: lender, n: 100_000, told: make(chan struct{})}
	r := newRoot(t, p, "west")
	<-p.told
	used := heap() - before
	h := r.Health()
	t.Logf("%d keys of %.1f MB, with the log %.1f MB", h.Keys, float64(h.Bytes)/1e6, used)
	if h.Keys != p.n || used > 100 {
		t.Errorf("%d keys take %.1f MB, want %d in less than 100 MB", h.Keys, used, p.n)
	}
	runtime.KeepAlive(r)
}
