// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"sync"
	"sync/atomic"
)

// A handle is three numbers: the process's incarnation, how often the place was given
// away before, and the place.
const (
	indexBits = 24
	reuseBits = 16
	lifeBits  = 24

	pageBits = 12
	pageSize = 1 << pageBits
	maxIndex = 1<<indexBits - 1
)

// A table finds services by handle, without a lock. The place of one that is gone is
// used again, under the next handle.
type table struct {
	pages [(maxIndex + 1) / pageSize]atomic.Pointer[page]
	life  uint32 // the incarnation

	mu   sync.Mutex
	used uint32   // places given away so far; place 0 never is
	free []uint32 // places that are empty again
	live int
}

// A page is a part of the table. How often a place was used is kept while it is empty.
type page struct {
	at    [pageSize]atomic.Pointer[service]
	reuse [pageSize]uint16
}

// index is the place that a handle names.
func (h Handle) index() uint32 { return uint32(h) & maxIndex }

// Life returns Config.Life of the process that has given it away.
func (h Handle) Life() uint32 { return uint32(h >> (indexBits + reuseBits)) }

// find returns the service that has h, or nil.
func (t *table) find(h Handle) *service {
	p := t.pages[h.index()/pageSize].Load()
	if p == nil {
		return nil
	}
	s := p.at[h.index()%pageSize].Load()
	if s == nil || s.handle != h {
		return nil
	}
	return s
}

// add gives s a handle. It reports false when the table is full.
func (t *table) add(s *service) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	var i uint32
	if n := len(t.free); n > 0 {
		i = t.free[n-1]
		t.free = t.free[:n-1]
	} else if t.used < maxIndex {
		t.used++
		i = t.used
	} else {
		return false
	}
	p := t.pages[i/pageSize].Load()
	if p == nil {
		p = new(page)
		t.pages[i/pageSize].Store(p)
	}
	s.handle = Handle(t.life)<<(indexBits+reuseBits) | Handle(p.reuse[i%pageSize])<<indexBits | Handle(i)
	p.at[i%pageSize].Store(s)
	t.live++
	return true
}

// remove takes the handle of s away for ever. A place that was used as often as can be
// stays empty.
func (t *table) remove(s *service) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := s.handle.index()
	p := t.pages[i/pageSize].Load()
	p.at[i%pageSize].Store(nil)
	t.live--
	if p.reuse[i%pageSize]++; p.reuse[i%pageSize] != 0 {
		t.free = append(t.free, i)
	}
}

// each calls f with every service, in the order of their places, until it returns false.
func (t *table) each(f func(*service) bool) {
	t.mu.Lock()
	used := t.used
	t.mu.Unlock()
	for i := uint32(1); i <= used; i++ {
		if p := t.pages[i/pageSize].Load(); p != nil {
			if s := p.at[i%pageSize].Load(); s != nil && !f(s) {
				return
			}
		}
	}
}

func (t *table) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.live
}
