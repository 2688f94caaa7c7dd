// SPDX-License-Identifier: Apache-2.0

package entry

import (
	"github.com/skybus-io/skybus/gate/client"
	"github.com/skybus-io/skybus/gate/queue"
)

// send sends a packet to a client.
func send(c *client.Conn, b []byte) {
	p := queue.Borrow(nil, b)
	defer p.Release()
	c.Send(p, queue.Must, 0)
	c.Flush()
}
