// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"fmt"
	"time"

	"github.com/skybus-io/skybus/actor"
)

// A watched is a service whose end a host wants to hear of, for n reasons.
type watched struct {
	m *actor.Monitor
	n int
}

// watch monitors p once more.
func (h *host) watch(c *actor.Context, p actor.PID) error {
	w := h.watched[p]
	if w == nil {
		m, err := c.Monitor(p)
		if err != nil {
			return fmt.Errorf("watch the caller: %w", err)
		}
		w = &watched{m: m}
		h.watched[p] = w
	}
	w.n++
	return nil
}

// unwatch undoes one watch.
func (h *host) unwatch(p actor.PID) {
	w := h.watched[p]
	if w == nil {
		return
	}
	if w.n--; w.n == 0 {
		w.m.Stop()
		delete(h.watched, p)
	}
}

// lost forgets what a service had that has ended. It reports false if that was not watched.
func (h *host) lost(c *actor.Context, p actor.PID) bool {
	if h.watched[p] == nil {
		return false
	}
	delete(h.watched, p)
	for _, st := range h.streams {
		if st.holder == p {
			h.abandon(c, st)
		}
	}
	for _, o := range h.objects {
		if o != nil {
			h.expire(c, o, p)
		}
	}
	return true
}

// renew prolongs the leases of the sender, which is a keeper.
func (h *host) renew(c *actor.Context, m *actor.Message, numbers []uint64) error {
	answer := Renewed{Lease: h.lease}
	until := time.Now().Add(h.lease)
	for _, n := range numbers {
		o := h.find(n)
		if o == nil {
			answer.Gone = append(answer.Gone, n)
			continue
		}
		if o.leases == nil {
			continue
		}
		if _, has := o.leases[m.From]; !has {
			if err := h.watch(c, m.From); err != nil {
				return err
			}
		}
		o.leases[m.From] = until
	}
	return c.Reply(answer)
}

// forget ends the leases of the sender.
func (h *host) forget(c *actor.Context, m *actor.Message, numbers []uint64) error {
	for _, n := range numbers {
		if o := h.find(n); o != nil {
			h.expire(c, o, m.From)
		}
	}
	return nil
}

// expire ends one lease of o, and o with its last one.
func (h *host) expire(c *actor.Context, o *object, holder actor.PID) {
	if _, has := o.leases[holder]; !has {
		return
	}
	delete(o.leases, holder)
	h.unwatch(holder)
	if len(o.leases) == 0 && time.Since(o.born) >= h.lease {
		h.drop(c, o.number)
	}
}

// sweeps has somebody look for leases that are over, from now on.
func (h *host) sweeps(c *actor.Context) {
	if h.sweeper == nil {
		h.sweeper = c.Every(h.lease/3, h.sweep)
	}
}

// sweep ends objects whose leases are over. Without such objects it ends itself.
func (h *host) sweep(c *actor.Context) {
	now, left := time.Now(), false
	for _, o := range h.objects {
		if o == nil || o.leases == nil {
			continue
		}
		for holder, until := range o.leases {
			if now.After(until) {
				delete(o.leases, holder)
				h.unwatch(holder)
			}
		}
		if len(o.leases) == 0 && now.Sub(o.born) >= h.lease {
			h.drop(c, o.number)
		} else {
			left = true
		}
	}
	if !left {
		h.sweeper.Stop()
		h.sweeper = nil
	}
}
