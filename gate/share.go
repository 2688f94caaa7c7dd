// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"github.com/skybus-io/skybus/node"
)

// A share is a home's part of a group that nodes have in common. Joining takes a while, and nobody waits for it: what is sent meanwhile the home
// does not get.
type share struct {
	scope node.Scope
	quit  chan struct{} // closed when the group has no members here any more
}

// shareLocked has the home join the shared group of that name, if it is one.
func (h *home) shareLocked(g *group) {
	if h.g.cfg.Shared == nil {
		return
	}
	scope, is := h.g.cfg.Shared(g.name)
	if !is {
		return
	}
	s := &share{scope: scope, quit: make(chan struct{})}
	g.shared = s
	h.shares.Add(1)
	go h.join(g.name, s)
}

// join is a member until the group has none here.
func (h *home) join(name string, s *share) {
	defer h.shares.Done()
	<-h.started // the node is there
	for h.ctx.Err() == nil {
		shared, err := h.n.SharedGroup(h.ctx, s.scope, name)
		if err == nil {
			if err = shared.Join(h.pid); err == nil {
				select {
				case <-s.quit:
				case <-h.ctx.Done():
				}
				shared.Close()
				return
			}
			shared.Close()
		}
		// One that has just ended may still have the name.
		h.g.log.Warn("a shared group cannot be joined yet", "home", h.addr, "group", name, "err", err)
		select {
		case <-s.quit:
			return
		default:
			pause(h.ctx, shareAgain)
		}
	}
}

func (h *home) unshareLocked(g *group) {
	if g.shared != nil {
		close(g.shared.quit)
		g.shared = nil
	}
}
