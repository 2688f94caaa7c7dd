// SPDX-License-Identifier: Apache-2.0

package entry

import (
	"net/netip"
	"sync"
)

// caps counts connections, in all and for each address.
type caps struct {
	most, each int // negative: no limit

	mu    sync.Mutex
	total int
	by    map[netip.Addr]int // by holder; no entry is 0
}

func newCaps(most, each int) *caps {
	return &caps{most: most, each: each, by: make(map[netip.Addr]int)}
}

// holder returns whom a connection from a counts for: an IPv4 address by itself, an
// IPv6 address with all of its /64, which one household or one server has; the
// zero Addr, which has no limit, where there is no IP address.
func holder(a netip.Addr) netip.Addr {
	a = a.Unmap()
	if !a.Is6() {
		return a
	}
	b := a.As16()
	clear(b[8:])
	return netip.AddrFrom16(b)
}

// enter counts one more connection of a holder, or says which cap is reached.
func (c *caps) enter(h netip.Addr) (Reason, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.most >= 0 && c.total >= c.most {
		return Full, false
	}
	if !c.addLocked(h) {
		return FullAddress, false
	}
	c.total++
	return 0, true
}

// hold counts a connection that has entered for nobody for a holder.
func (c *caps) hold(h netip.Addr) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.addLocked(h)
}

func (c *caps) addLocked(h netip.Addr) bool {
	if !h.IsValid() {
		return true
	}
	n := c.by[h]
	if c.each >= 0 && n >= c.each {
		return false
	}
	c.by[h] = n + 1
	return true
}

// force counts one more connection of a holder above any cap.
func (c *caps) force(h netip.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total++
	if h.IsValid() {
		c.by[h]++
	}
}

// leave ends a connection that has entered, and is held for h.
func (c *caps) leave(h netip.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total--
	if !h.IsValid() {
		return
	}
	if n := c.by[h] - 1; n > 0 {
		c.by[h] = n
	} else {
		delete(c.by, h)
	}
}

// count returns how many connections there are, and of how many holders.
func (c *caps) count() (total, holders int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.total, len(c.by)
}
