// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/actor"
)

// Whoever waits for another node when this one is closed, or its domain, is told.
func TestCloseEndsWaits(t *testing.T) {
	for _, c := range []struct {
		what string
		end  func(n *Node)
	}{
		{"the node", func(n *Node) { n.Close() }},
		{"the domain", func(n *Node) { _ = n.d.Close() }},
		{"the endpoint", func(n *Node) { _ = n.e.Close() }},
	} {
		t.Run(c.what, func(t *testing.T) {
			a, b := pair(t)
			p := serve(t, b, actor.Spec{}, func(c *actor.Context, _ *actor.Message) error { return c.Sleep(time.Hour) })
			const n = 20
			done := make(chan error, n)
			for range n {
				go func() {
					_, err := a.Runtime().Call(context.Background(), p, 1)
					done <- err
				}()
			}
			eventually(t, "the calls", func() bool { return b.Stats().Received >= n })
			c.end(a)
			for range n {
				select {
				case err := <-done:
					if !errors.Is(err, skybus.ErrClosed) && !errors.Is(err, ErrPeerDied) {
						t.Errorf("the call: %v", err)
					}
				case <-time.After(patience):
					t.Fatal("a call waits for ever")
				}
			}
			_, err := a.Runtime().Call(context.Background(), p, 1)
			want(t, err, skybus.ErrClosed)
			time.Sleep(2 * lookEach) // it looks at nothing that is gone
		})
	}
}

// All that close a node return when it is closed.
func TestCloseTwice(t *testing.T) {
	d := domain(t)
	n := begin(t, d, here, Config{})
	release := make(chan struct{})
	p := serve(t, n, actor.Spec{}, func(*actor.Context, *actor.Message) error { <-release; return nil })
	if err := n.Runtime().Send(soon(t), p, 1); err != nil {
		t.Fatal(err)
	}
	var work sync.WaitGroup
	for range 4 {
		work.Go(func() {
			n.Close()
			again, err := Start(d, here, Config{Codec: registry(t)})
			switch {
			case err == nil:
				again.Close()
			case !errors.Is(err, skybus.ErrInUse): // another of the four has it
				t.Error(err)
			}
		})
	}
	time.Sleep(5 * time.Millisecond)
	close(release)
	work.Wait()
}

// flood has a service of n send numbered messages, most of them at most, to a name at there, until stop is
// closed, and returns how many were sent.
func flood(t *testing.T, n *Node, most int64, stop chan struct{}) (sent func() int64) {
	t.Helper()
	done := make(chan int64, 1)
	go func() {
		for i := int64(0); ; i++ {
			if i == most {
				<-stop
			}
			select {
			case <-stop:
				done <- i
				return
			default:
			}
			if err := n.Runtime().Send(context.Background(), At(there), Named{"sink", i + 1}); err != nil {
				t.Error(err)
				done <- i
				return
			}
		}
	}()
	return func() int64 { return <-done }
}

// However a node ends under load, what it has not handled comes to the next one: nothing is
// missing but what was counted as released early, and nothing is handled twice but what says so.
func TestNothingIsLostWhenANodeEnds(t *testing.T) {
	for _, c := range []struct {
		what string
		end  func(n *Node)
		slow time.Duration
	}{
		{"Close", func(n *Node) { n.Close() }, 0},
		{"Close with slow handlers", func(n *Node) { n.Close() }, time.Millisecond},
		{"Shutdown", func(n *Node) {
			if err := n.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
		}, 0},
		{"Shutdown that takes too long", func(n *Node) {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Millisecond)
			defer cancel()
			_ = n.Shutdown(ctx)
		}, time.Millisecond},
	} {
		t.Run(c.what, func(t *testing.T) {
			const lives = 12
			d := domain(t)
			a := begin(t, d, here, Config{})
			var mu sync.Mutex
			handled, fresh := map[int64]int{}, map[int64]int{}
			spec := func() actor.Spec {
				return actor.Spec{Name: "sink", Mailbox: actor.Mailbox{Capacity: 300}, New: actor.Func(func(x *actor.Context, m *actor.Message) error {
					if k := m.Value.(int64); c.slow > 0 && k%8 == 0 {
						if x.Sleep(c.slow) != nil { // killed: not handled
							return nil
						}
					}
					mu.Lock()
					defer mu.Unlock()
					handled[m.Value.(int64)]++
					if !m.Again {
						fresh[m.Value.(int64)]++
					}
					return nil
				})}
			}
			stop := make(chan struct{})
			sent := flood(t, a, 1<<22, stop)
			early := uint64(0)
			for range lives {
				b := begin(t, d, there, Config{Services: []actor.Spec{spec()}})
				time.Sleep(10 * time.Millisecond)
				c.end(b)
				early += b.Stats().EarlyReleases
			}
			close(stop)
			begin(t, d, there, Config{Services: []actor.Spec{spec()}})
			n := sent()
			eventually(t, "all to be handled", func() bool {
				mu.Lock()
				defer mu.Unlock()
				return handled[n] > 0 && uint64(len(handled))+early >= uint64(n)
			})
			mu.Lock()
			defer mu.Unlock()
			for k := int64(1); k <= n; k++ {
				if handled[k] == 0 && early == 0 || fresh[k] > 1 {
					t.Fatalf("message %d of %d was handled %d times, %d of them without a flag", k, n, handled[k], fresh[k])
				}
			}
			t.Logf("%d messages in %d lives, %d released early", n, lives+1, early)
		})
	}
}
