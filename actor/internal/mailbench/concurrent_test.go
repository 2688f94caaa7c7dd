// SPDX-License-Identifier: Apache-2.0

package mailbench

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/skybus-io/skybus/internal/testutil"
)

// roundSize is how many messages each sender sends before all of them are waited for.
const roundSize = 8

// TestConcurrent has senders at work at once. Each time a sender is told to schedule
// the reader it does, on a goroutine of its own, so that the order between two
// turns is what the mailbox itself gives.
func TestConcurrent(t *testing.T) {
	messages := 40_000
	if testing.Short() {
		messages = 8_000
	}
	for _, senders := range []int{1, 4, 64} {
		each(t, func(t *testing.T, d Design) {
			t.Run(fmt.Sprintf("%d_senders", senders), func(t *testing.T) {
				testutil.NoLeaks(t)
				c := &cluster{t: t, box: d.New(64), next: make([]uint64, senders)}
				rng := testutil.Rand(t)
				for rounds := messages / senders / roundSize; rounds > 0 && !t.Failed(); rounds-- {
					c.round(rng.Uint64())
				}
			})
		})
	}
}

// A cluster is one mailbox, its senders, and what its reader has seen.
type cluster struct {
	t   *testing.T
	box Mailbox

	scheduled atomic.Int64 // turns that a Put asked for
	slept     atomic.Int64 // turns that have ended
	turn      atomic.Int64 // the one that began last
	turns     sync.WaitGroup

	sent  int      // by each sender in the rounds before
	next  []uint64 // the reader's: by sender, the number that comes next
	taken int
}

// round has each sender send, and looks at what is left when all have gone: a wake-up
// that got lost shows only if no later message makes up for it.
func (c *cluster) round(seed uint64) {
	var senders sync.WaitGroup
	for id := range c.next {
		senders.Go(func() { c.send(id, rand.New(rand.NewPCG(seed, uint64(id)))) })
	}
	senders.Wait()
	c.turns.Wait()
	c.sent += roundSize
	if want := c.sent * len(c.next); c.taken != want {
		c.t.Errorf("took %d messages, want %d", c.taken, want)
	}
	if c.scheduled.Load() != c.slept.Load() || c.scheduled.Load() == 0 {
		c.t.Errorf("scheduled %d times, slept %d times", c.scheduled.Load(), c.slept.Load())
	}
}

// send pauses between messages now and then, so that the reader gets to sleep.
func (c *cluster) send(id int, rng *rand.Rand) {
	for n := c.sent; n < c.sent+roundSize; n++ {
		if c.box.Put(Message{From: PID{Node: uint32(id)}, Session: uint64(n)}) {
			turn := c.scheduled.Add(1)
			c.turns.Go(func() { c.take(turn) })
		}
		for rng.IntN(8) == 0 {
			runtime.Gosched()
		}
	}
}

// take is what a worker does in a turn: it takes messages until there are none. The
// reader's fields are under no lock: with -race it shows if the mailbox does not
// order the turns.
func (c *cluster) take(turn int64) {
	c.turn.Store(turn)
	for {
		m, ok := c.box.Take()
		if !ok { // the next turn may have begun
			c.slept.Add(1)
			return
		}
		if now := c.turn.Load(); now != turn {
			c.t.Errorf("turn %d began during turn %d", now, turn)
		}
		id := m.From.Node
		if m.Session != c.next[id] {
			c.t.Errorf("sender %d: message %d, want %d", id, m.Session, c.next[id])
		}
		c.next[id] = m.Session + 1
		c.taken++
	}
}
