// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"math/bits"
	"time"
)

// Delays are counted in buckets, 16 to each power of two: the counts lie in the
// ledger of the consumer, so that they outlive it.
const (
	subBits = 4
	buckets = 64 << subBits
)

// bucketOf returns the bucket of a delay in ns.
func bucketOf(ns int64) int {
	v := uint64(max(ns, 0))
	if v < 1<<subBits {
		return int(v)
	}
	shift := bits.Len64(v) - 1 - subBits
	return (shift+1)<<subBits + int(v>>shift)&(1<<subBits-1)
}

// bottomOf returns the smallest delay of a bucket.
func bottomOf(bucket int) time.Duration {
	if bucket < 1<<subBits {
		return time.Duration(bucket)
	}
	shift := bucket>>subBits - 1
	return time.Duration(1<<subBits+bucket&(1<<subBits-1)) << shift
}

// delays are counts by bucket.
type delays [buckets]uint64

// since returns the counts that came after an earlier state.
func (d *delays) since(before *delays) (diff delays) {
	for i := range d {
		diff[i] = d[i] - before[i]
	}
	return diff
}

func (d *delays) total() (n uint64) {
	for _, c := range d {
		n += c
	}
	return n
}

// quantile returns the delay that the fraction q of all stays below, 0 if there
// are none.
func (d *delays) quantile(q float64) time.Duration {
	left := uint64(q * float64(d.total()))
	last := 0
	for i, c := range d {
		if c == 0 {
			continue
		}
		if last = i; c > left {
			break
		}
		left -= c
	}
	return bottomOf(last)
}
