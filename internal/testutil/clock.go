// SPDX-License-Identifier: Apache-2.0

package testutil

import (
	"sync/atomic"
	"time"
)

// clockTick is what a Clock counts in.
const clockTick = 5 * time.Millisecond

// A Clock counts time for a bound that tells a mistake from a busy machine: while the machine stands still, or has no
// turn for this process, the clock stands still, too.
type Clock struct {
	ticks atomic.Int64
	stop  chan struct{}
}

// StartClock starts a clock, which runs until Stop.
func StartClock() *Clock {
	c := &Clock{stop: make(chan struct{})}
	go func() {
		for {
			select {
			case <-c.stop:
				return
			case <-time.After(clockTick): // no ticker: it would catch up
				c.ticks.Add(1)
			}
		}
	}()
	return c
}

// Stop stops the clock, and returns what it has counted. It is called once.
func (c *Clock) Stop() time.Duration {
	c.stop <- struct{}{}
	return time.Duration(c.ticks.Load()) * clockTick
}
