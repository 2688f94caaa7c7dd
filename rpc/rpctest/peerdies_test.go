// SPDX-License-Identifier: Apache-2.0

package rpctest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/internal/killtest"
	"github.com/skybus-io/skybus/internal/netlab"
	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/node"
	"github.com/skybus-io/skybus/node/nodetest"
	"github.com/skybus-io/skybus/rpc"
)

// A mourner calls objects of a process that is killed again and again.
type mourner struct {
	*testing.T
	n            *node.Node
	stop         atomic.Bool
	good, failed atomic.Int64
}

// The process that has the objects is killed under calls and streams. Each ends with what it asked for, or one
// error that says what has happened; what is called then is an object of the next process.
func TestKillsOfTheOtherProcess(t *testing.T) {
	testutil.NoLeaks(t)
	rng := testutil.Rand(t)
	d, root := domain(t)
	m := &mourner{T: t, n: startNode(t, d, here)}
	var callers sync.WaitGroup
	for i := range 6 {
		callers.Go(func() {
			if i%2 == 0 {
				m.calls(user{rt: m.n.Runtime()})
				return
			}
			inHandler(t, m.n.Runtime(), func(c *actor.Context) { m.calls(user{c, c.Runtime()}) })
		})
	}
	kills := 0
	for end := time.Now().Add(netlab.Time(t, 5*time.Second)); time.Now().Before(end) || kills == 0; kills++ {
		p := killtest.Start(t, "far", farPlan{root})
		p.Line()
		time.Sleep(time.Duration(rng.Int64N(int64(200 * time.Millisecond))))
		if p.Gone() {
			t.Errorf("the other process has ended by itself: %v", p.Wait())
		}
		p.Kill()
	}
	killtest.Start(t, "far", farPlan{root}).Line()
	before := m.good.Load()
	for end := time.Now().Add(patience); m.good.Load() == before && time.Now().Before(end) && !t.Failed(); {
		time.Sleep(time.Millisecond)
	}
	m.stop.Store(true)
	callers.Wait()
	if kills == 0 || m.good.Load() == 0 {
		t.Errorf("%d kills, and %d calls went well: the test tests too little", kills, m.good.Load())
	}
	t.Logf("%d kills: %d calls and streams went well, %d failed", kills, m.good.Load(), m.failed.Load())
}

// calls calls one object as long as its process lives, then one of the next.
func (m *mourner) calls(u user) {
	for !m.stop.Load() {
		ref, err := m.open(u)
		for err == nil && !m.stop.Load() {
			if err = m.use(bind(u, ref)); err == nil {
				m.good.Add(1)
			}
		}
		if err == nil {
			return
		}
		m.failed.Add(1)
		if !slices.ContainsFunc([]error{node.ErrPeerDied, node.ErrSilent, actor.ErrStalePID}, func(is error) bool { return errors.Is(err, is) }) {
			m.Errorf("a call has ended with: %v", err)
			return
		}
	}
}

// open has the other process, whichever it is, make an object.
func (m *mourner) open(u user) (r rpc.Ref[Account], err error) {
	v, err := u.far().Call(context.Background(), node.At(there), node.Named{Name: nodetest.FarName, Value: nodetest.Start{Kind: "account"}})
	if s, ok := v.(nodetest.Started); err == nil && ok {
		return rpc.RefOf[Account](s.PID), nil
	}
	if err == nil {
		err = fmt.Errorf("the answer is a %T", v)
	}
	return r, err
}

// use calls once, or reads a stream. An answer has to have the number of its call.
func (m *mourner) use(a Account) error {
	number := rand.Int64()
	if number%4 > 0 {
		got, err := a.Pass(context.Background(), number)
		if err == nil && got != number {
			m.Errorf("call %d has got the answer %v: it is somebody else's", number, got)
		}
		return err
	}
	n := 3 * rpc.Window
	seq, err := a.History(context.Background(), n)
	if err != nil {
		return err
	}
	got := 0
	for e, err := range seq {
		if err != nil {
			return err
		}
		if e.Amount != int64(got) {
			m.Errorf("item %d is %v", got, e)
		}
		got++
	}
	if got != n {
		m.Errorf("%d items and no error, want %d", got, n)
	}
	return nil
}
