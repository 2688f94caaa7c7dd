// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/internal/testutil"
)

var waits = []skybus.Wait{skybus.WaitAdaptive, skybus.WaitPark, skybus.WaitSpin}

// A handler that blocks its worker, with half of a lane behind it, does not keep what comes through that
// lane for others from them: after a moment somebody comes to the door, releases the oldest, and goes on.
func TestBlockedHandlerDoesNotHoldUpItsLane(t *testing.T) {
	for _, wait := range waits {
		for _, workers := range []int{1, 2} {
			t.Run(fmt.Sprintf("%v, %d workers", wait, workers), func(t *testing.T) { blockedLane(t, wait, workers, 700) })
		}
	}
	t.Run("messages of more than a third of the lane", func(t *testing.T) {
		blockedLane(t, skybus.WaitAdaptive, 2, 3000)
	})
}

// blockedLane sends messages of size bytes to a service that blocks, and then one to another service.
func blockedLane(t *testing.T, wait skybus.Wait, workers, size int) {
	d := narrow(t)
	release := make(chan struct{})
	open := sync.OnceFunc(func() { close(release) })
	blocks := actor.Spec{Name: "blocks", New: actor.Func(func(*actor.Context, *actor.Message) error { <-release; return nil })}
	frees := actor.Spec{Name: "frees", New: actor.Func(func(*actor.Context, *actor.Message) error { open(); return nil })}
	begin(t, d, there, Config{Wait: wait, Actor: actor.Config{Workers: workers}, Services: []actor.Spec{blocks, frees}})
	t.Cleanup(open)
	a := begin(t, d, here, Config{})
	ctx := soon(t)
	for range 60 { // more than the lane has room for: who sends waits
		if err := a.Runtime().Send(ctx, At(there), Named{"blocks", strings.Repeat("x", size)}); err != nil {
			t.Fatalf("send: %v", err)
		}
	}
	if err := a.Runtime().Send(ctx, At(there), Named{"frees", 1}); err != nil {
		t.Fatalf("send: %v", err)
	}
	select {
	case <-release:
	case <-ctx.Done():
		t.Fatal("what came behind the blocked one was not handled")
	}
}

// A domain, or an endpoint, that is closed while all workers are in handlers that block is noticed: calls that wait end.
func TestEndpointClosedWhileAllHandlersBlock(t *testing.T) {
	for _, wait := range waits {
		for _, c := range []struct {
			what string
			end  func(n *Node) error
		}{
			{"the endpoint", func(n *Node) error { return n.e.Close() }},
			{"the domain", func(n *Node) error { return n.d.Close() }},
		} {
			for _, workers := range []int{1, 2} {
				t.Run(fmt.Sprintf("%v, %s, %d workers", wait, c.what, workers), func(t *testing.T) {
					d := domain(t)
					a := begin(t, d, here, Config{Wait: wait, Actor: actor.Config{Workers: workers}})
					b := begin(t, d, there, Config{})
					far := serve(t, b, actor.Spec{}, func(c *actor.Context, _ *actor.Message) error { return c.Sleep(time.Hour) })
					done := make(chan error, 1)
					go func() {
						_, err := a.Runtime().Call(context.Background(), far, 1)
						done <- err
					}()
					eventually(t, "the call", func() bool { return b.Stats().Received > 0 })
					release := make(chan struct{})
					defer close(release)
					var blocked atomic.Int32
					for range workers {
						p := serve(t, a, actor.Spec{}, func(*actor.Context, *actor.Message) error { blocked.Add(1); <-release; return nil })
						if err := b.Runtime().Send(soon(t), p, 1); err != nil {
							t.Fatal(err)
						}
					}
					eventually(t, "the handlers", func() bool { return int(blocked.Load()) == workers })
					if err := c.end(a); err != nil {
						t.Error(err)
					}
					select {
					case err := <-done:
						if !errors.Is(err, skybus.ErrClosed) && !errors.Is(err, ErrPeerDied) {
							t.Errorf("the call: %v", err)
						}
					case <-time.After(patience):
						t.Fatal("the call waits for ever")
					}
				})
			}
		}
	}
}

// A handler may close the endpoint, or the domain, that its message came by.
func TestHandlerClosesWhatItsMessageCameBy(t *testing.T) {
	for _, wait := range waits {
		for _, what := range []string{"the endpoint", "the domain"} {
			for _, workers := range []int{1, 2} {
				t.Run(fmt.Sprintf("%v, %s, %d workers", wait, what, workers), func(t *testing.T) {
					root := testutil.Dir(t)
					testutil.NoLeaks(t)
					open := func() *skybus.Domain {
						d, err := skybus.Open(1000, skybus.Options{Root: root, AllowUnknown: true})
						if err != nil {
							t.Fatal(err)
						}
						t.Cleanup(func() { d.Close() })
						return d
					}
					a, b := begin(t, open(), here, Config{}), begin(t, open(), there, Config{Wait: wait, Actor: actor.Config{Workers: workers}})
					done := make(chan error, 1)
					p := serve(t, b, actor.Spec{}, func(*actor.Context, *actor.Message) error {
						if what == "the domain" {
							done <- b.d.Close()
						} else {
							done <- b.e.Close()
						}
						return nil
					})
					if err := a.Runtime().Send(soon(t), p, 1); err != nil {
						t.Fatal(err)
					}
					select {
					case err := <-done:
						if err != nil {
							t.Error(err)
						}
					case <-time.After(patience):
						t.Fatal("the handler does not return")
					}
					eventually(t, "the address to be free", func() bool {
						again, err := Start(a.d, there, Config{Codec: registry(t)})
						if err == nil {
							again.Close()
						}
						return err == nil
					})
				})
			}
		}
	}
}

// A domain that is closed while a node starts leaves no worker that polls in vain.
func TestDomainClosedWhileANodeStarts(t *testing.T) {
	rng := testutil.Rand(t)
	took := time.Millisecond // what a Start takes, more or less
	for range 150 {
		d, err := skybus.Open(1000, skybus.Options{Root: testutil.Dir(t), AllowUnknown: true})
		if err != nil {
			t.Fatal(err)
		}
		closed := make(chan struct{})
		after := time.Duration(rng.Int64N(int64(2 * took)))
		go func() {
			defer close(closed)
			time.Sleep(after)
			d.Close()
		}()
		began := time.Now()
		n, err := Start(d, here, Config{Codec: registry(t)})
		took = (7*took + time.Since(began)) / 8
		<-closed
		if err != nil {
			want(t, err, skybus.ErrClosed)
			continue
		}
		eventually(t, "the node to take nothing any more", func() bool {
			n.taking.Lock()
			defer n.taking.Unlock()
			return n.endTake == nil
		})
		n.Close()
	}
}

// Many nodes of one process call each other in a ring.
func TestHundredNodesInOneProcess(t *testing.T) {
	const nodes = 100
	d := domain(t)
	all := make([]*Node, nodes)
	pids := make([]actor.PID, nodes)
	at := func(i int) addr.Addr { return addr.MustParse(fmt.Sprintf("0.0.9.%d", i+1)) }
	for i := range nodes {
		all[i] = begin(t, d, at(i), Config{Actor: actor.Config{Workers: 2}})
		pids[i] = serve(t, all[i], actor.Spec{}, func(c *actor.Context, m *actor.Message) error {
			left := m.Value.(int64)
			if left == 0 {
				return c.Reply(int64(0))
			}
			v, err := c.Call(pids[(i+1)%nodes], left-1)
			if err != nil {
				return err
			}
			return c.Reply(v.(int64) + 1)
		})
	}
	var work sync.WaitGroup
	for k := range 8 {
		work.Go(func() {
			const steps = 3 * nodes
			v, err := all[k*nodes/8].Runtime().Call(soon(t), pids[k*nodes/8], int64(steps))
			if err != nil || v != int64(steps) {
				t.Errorf("ring %d: %v, %v", k, v, err)
			}
		})
	}
	work.Wait()
}
