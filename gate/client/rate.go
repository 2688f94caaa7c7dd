// SPDX-License-Identifier: Apache-2.0

package client

import (
	"fmt"
	"sync/atomic"
	"time"
)

// withDefaults returns r with its defaults, or what is wrong with it.
func (r Rate) withDefaults() (Rate, error) {
	if r.Packets < 0 || r.PacketBurst < 0 || r.Bytes < 0 || r.ByteBurst < 0 {
		return r, fmt.Errorf("client: rate %+v: want nothing below 0", r)
	}
	if r.PacketBurst == 0 {
		r.PacketBurst = r.Packets
	}
	if r.ByteBurst == 0 {
		r.ByteBurst = r.Bytes
	}
	return r, nil
}

// A limiter is two token buckets. One goroutine uses it.
type limiter struct {
	packets, bytes bucket

	throttled, throttledFor atomic.Int64 // how often a batch had to wait, and how long in all
}

func newLimiter(r Rate, now int64) *limiter {
	return &limiter{packets: newBucket(r.Packets, r.PacketBurst, now), bytes: newBucket(r.Bytes, r.ByteBurst, now)}
}

// take takes tokens, and returns how long to wait until there were as many.
func (l *limiter) take(packets, bytes int, now int64) time.Duration {
	return time.Duration(max(l.packets.take(packets, now), l.bytes.take(bytes, now)))
}

// A bucket holds tokens, and fewer than none when more were taken than there were.
type bucket struct {
	rate, burst, tokens float64 // tokens a second; at most; now. rate 0: no bound
	at                  int64   // ns
}

func newBucket(rate, burst int, now int64) bucket {
	return bucket{rate: float64(rate), burst: float64(burst), tokens: float64(burst), at: now}
}

// take takes n tokens, and returns in how many ns none of them is owed.
func (b *bucket) take(n int, now int64) int64 {
	if b.rate == 0 {
		return 0
	}
	b.tokens = min(b.tokens+float64(now-b.at)/1e9*b.rate, b.burst) - float64(n)
	b.at = now
	if b.tokens >= 0 {
		return 0
	}
	return int64(-b.tokens / b.rate * 1e9)
}
