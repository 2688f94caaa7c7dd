// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/gate/client"
	"github.com/skybus-io/skybus/gate/frame"
)

const (
	// askEach is how often a node is asked whether somebody has a name there, while messages are sent to that.
	askEach = time.Second
	// askMost is how long the next question waits at most after several that nobody has answered: each leaves a record in a lane.
	askMost = time.Minute
)

// A farName is a name at another address that sessions are bound to. A send there says that the message is in the lane, and no more: the node has nobody to
// tell that it found no service. So it is asked, now and then while something is sent, who has the name.
type farName struct {
	sent atomic.Bool // something was sent since the last answer

	// Guarded by the home's mu.
	sessions int
	asking   bool
	next     int64 // not before, by client.Now
	pause    time.Duration
}

// bindNameLocked notes that s is bound to a name. Those of the own node need no question: a send finds out.
func (h *home) bindNameLocked(s *session) {
	if s.target.PID.Node == h.addr {
		return
	}
	f := h.names[s.target]
	if f == nil {
		f = &farName{pause: askEach}
		h.names[s.target] = f
	}
	f.sessions++
	s.far = f
}

func (h *home) unbindNameLocked(s *session) {
	f := s.far
	if f == nil {
		return
	}
	s.far = nil
	if f.sessions--; f.sessions == 0 {
		delete(h.names, s.target)
	}
}

// wasSent notes that a message is on its way.
func (f *farName) wasSent() {
	if f != nil && !f.sent.Load() { // one write for many readers of connections
		f.sent.Store(true)
	}
}

// askNames has those nodes asked where a name was sent to. It is called four times a second.
func (h *home) askNames() {
	now := client.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	for to, f := range h.names {
		if f.sent.Load() && !f.asking && now >= f.next && h.mayAnswer(to) {
			f.sent.Store(false)
			f.asking = true
			h.asks.Add(1)
			go h.askName(to, f)
		}
	}
}

// mayAnswer reports whether the target's process may be there. One of this host that is gone gets what waits for it when it comes again, and is asked then; of
// another host nothing is known, and the address was never bound here.
func (h *home) mayAnswer(to Target) bool {
	info, known := h.g.d.Table().Endpoint(to.PID.Node)
	return !known || info.Bound || info.Binds == 0
}

// askName asks who has a name, and ends the sessions that are bound to it if nobody has.
func (h *home) askName(to Target, f *farName) {
	defer h.asks.Done()
	<-h.started // the node is there
	_, err := h.n.Lookup(h.ctx, to.PID.Node, to.Name)
	h.mu.Lock()
	defer h.mu.Unlock()
	f.asking = false
	switch {
	case err == nil:
		f.pause = askEach
	case errors.Is(err, actor.ErrNoService):
		f.pause = askEach
		for _, s := range h.sessions {
			if s.far == f && !h.closed {
				h.endLocked(s, frame.CodeService, "its service is not there")
			}
		}
	default: // the process has ended, or is silent: what was sent waits for the next one
		f.sent.Store(true)
		f.pause = min(2*f.pause, askMost)
	}
	f.next = client.Now() + int64(f.pause)
}
