// SPDX-License-Identifier: Apache-2.0

package client

import (
	"time"

	"github.com/skybus-io/skybus/gate/queue"
)

// Stats are the counters of a connection, and how it is now.
type Stats struct {
	PacketsIn, BytesIn uint64 // of the client, without frames
	Batches            uint64 // in which they were handed over

	// Queue has what waits, was written, and was not. Bytes are those on the wire, before TLS; packets of
	// the WebSocket protocol count.
	Queue queue.Stats

	Over      bool  // the client is slow now
	OverSince int64 // Now, if Over
	Flushing  bool  // the flusher exists

	Throttled    uint64        // times that the client had to wait because of Rate
	ThrottledFor time.Duration // in all
}

// Stats returns the counters.
func (c *Conn) Stats() Stats {
	s := Stats{
		PacketsIn: c.packetsIn.Load(), BytesIn: c.bytesIn.Load(), Batches: c.batches.Load(),
	}
	if r := c.rate; r != nil {
		s.Throttled, s.ThrottledFor = uint64(r.throttled.Load()), time.Duration(r.throttledFor.Load())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s.Queue, s.Flushing = c.q.Stats(), c.flushing
	if since, over := c.q.Over(); over {
		s.Over, s.OverSince = true, since
	}
	return s
}
