// SPDX-License-Identifier: Apache-2.0

package services

import (
	"errors"
	"sync/atomic"

	"github.com/skybus-io/skybus/bench/internal/result"
)

const countShards = 64 // counters that members share, or counting would be what is measured

// A countdown tells when every service has handled one message. Services count in it at the same time.
type countdown struct {
	shards [countShards]struct {
		left atomic.Int64
		_    [120]byte
	}
	open atomic.Int64
	zero chan struct{} // gets a value when all have counted
}

// reset makes it wait for n services, numbered from 0.
func (c *countdown) reset(n int) {
	if c.zero == nil {
		c.zero = make(chan struct{}, 1)
	}
	c.open.Store(int64(min(n, countShards)))
	for i := range c.shards {
		c.shards[i].left.Store(int64((n - i + countShards - 1) / countShards))
	}
}

func (c *countdown) done(self int) {
	if c.shards[self%countShards].left.Add(-1) == 0 && c.open.Add(-1) == 0 {
		select {
		case c.zero <- struct{}{}:
		default: // some have counted twice, which fails the run elsewhere
		}
	}
}

func measureBroadcast(r Runtime, o *Options) (result.Line, error) {
	var v verdict
	var left countdown
	had := make([]uint64, o.Size) // by member: the last message; each is the member's own
	s, err := r.Start(o.Size, func(_ Context, self int, m *Message) {
		if had[self]++; had[self] != m.N {
			v.fail("member %d: message %d arrived where %d was due", self, m.N, had[self])
		}
		left.done(self)
	})
	if err != nil {
		return result.Line{}, err
	}
	meter := newMeter(o)
	for more, n := true, uint64(1); more; n++ {
		left.reset(o.Size)
		s.Broadcast(&Message{N: n}) // a new one: a member that gets the old one again is found out
		if err := errors.Join(await(left.zero, o.patience(), "members that have not had a message"), v.get()); err != nil {
			return result.Line{}, err
		}
		more = meter.Add(uint64(o.Size))
	}
	return meter.line(), s.Stop()
}
