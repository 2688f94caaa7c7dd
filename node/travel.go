// SPDX-License-Identifier: Apache-2.0

package node

import (
	"math"
	"time"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/node/envelope"
)

// left is how long the caller of m still waits, in microseconds; 0: for ever. One whose time is over has an instant: its
// Cancel follows.
func left(m *actor.Message) int64 {
	end, ok := m.Deadline()
	if !ok {
		return 0
	}
	return max(time.Until(end).Microseconds(), 1)
}

// ends is until when the caller of a request waits; zero: for ever.
func ends(e *envelope.Envelope) time.Time {
	if e.Kind != envelope.Call || e.Left == 0 {
		return time.Time{}
	}
	return time.Now().Add(time.Duration(min(e.Left, math.MaxInt64/int64(time.Microsecond))) * time.Microsecond)
}

// Load is how many requests of this process another node has not answered, and how many messages wait to be sent there.
func (r remote) Load(node addr.Addr) int {
	p := r.n.peer(node)
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.asked) + int(p.queued.Load())
}
