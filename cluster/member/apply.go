// SPDX-License-Identifier: Apache-2.0

package member

import (
	"slices"
	"time"
)

// applyAll hands routes on whenever they have changed. One that takes long to work them out, for there
// are many, leaves more time between.
func (m *Member) applyAll(last Routes) {
	for {
		select {
		case <-m.apply:
		case <-m.ctx.Done():
			return
		}
		began := time.Now()
		m.mu.Lock()
		next := m.routes()
		m.mu.Unlock()
		if !next.equal(&last) {
			if err := m.c.Apply(next); err != nil {
				m.say("apply", "routes cannot be put in force: the last ones stay", "err", err.Error())
				m.pause(time.Second)
				kick(m.apply)
				continue
			}
			last = next
		}
		if m.store != nil {
			kick(m.store.dirty)
		}
		m.pause(max(applyEvery, 4*time.Since(began)))
	}
}

func (r *Routes) equal(o *Routes) bool {
	return slices.Equal(r.Hosts, o.Hosts) && slices.Equal(r.Rules, o.Rules)
}
