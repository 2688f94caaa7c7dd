// SPDX-License-Identifier: Apache-2.0

package queue

import "sync/atomic"

// A Budget counts the bytes of packets that queues hold, each packet once with all
// its forms, and some 128 bytes for the packet itself. The zero value has no limit; nil counts nothing. Any goroutine
// may use it.
type Budget struct {
	Limit int64 // bytes; 0: none. Set before it is used

	used atomic.Int64
	most atomic.Int64
}

// Used returns the bytes that are held now.
func (b *Budget) Used() int64 {
	if b == nil {
		return 0
	}
	return b.used.Load()
}

// Most returns the largest value that Used has had.
func (b *Budget) Most() int64 {
	if b == nil {
		return 0
	}
	return b.most.Load()
}

// Over reports whether more is held than the limit. Queues do not look at it: whoever has
// them all chooses the longest.
func (b *Budget) Over() bool { return b != nil && b.Limit > 0 && b.used.Load() > b.Limit }

func (b *Budget) add(n int) {
	if b == nil {
		return
	}
	now := b.used.Add(int64(n))
	for n > 0 {
		most := b.most.Load()
		if now <= most || b.most.CompareAndSwap(most, now) {
			return
		}
	}
}
