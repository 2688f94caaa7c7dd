// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// dialing is how long a daemon on this machine may take to accept.
const dialing = 2 * time.Second

// A cable is the network between the two hosts: daemons connect to each other
// through it, and it can be cut. It is two small proxies on loopback, and
// understands nothing of what it carries. Its methods are safe for concurrent use.
type cable struct {
	ends    [2]net.Listener // by host: what leads to it
	running sync.WaitGroup

	mu     sync.Mutex      // guards all below
	daemon [2]string       // by host: where its daemon listens; empty while it does not
	down   bool            // cut, or closed
	joined map[*joint]bool // what is carried now
}

// A joint is one connection: the part from the daemon that dialled, and the one
// to the daemon that listens.
type joint [2]*net.TCPConn

// newCable lays a cable that leads nowhere yet.
func newCable() (*cable, error) {
	c := &cable{joined: map[*joint]bool{}}
	for i := range c.ends {
		l, err := net.Listen("tcp", loopback)
		if err != nil {
			c.close()
			return nil, fmt.Errorf("the cable between the hosts: %w", err)
		}
		c.ends[i] = l
		c.running.Go(func() { c.accept(i) })
	}
	return c, nil
}

// address is where others reach host i's daemon.
func (c *cable) address(i int) string { return c.ends[i].Addr().String() }

// lead has the cable lead to host i's daemon at address; empty is to none.
func (c *cable) lead(i int, address string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.daemon[i] = address
}

// cut drops all connections, with what is in their buffers, and refuses new ones
// until mend. It returns how many there were.
func (c *cable) cut() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.down = true
	n := len(c.joined)
	for j := range c.joined {
		j.reset()
	}
	clear(c.joined)
	return n
}

// mend lets new connections through.
func (c *cable) mend() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.down = false
}

// close takes the cable away.
func (c *cable) close() {
	c.cut()
	for _, l := range c.ends {
		if l != nil {
			l.Close()
		}
	}
	c.running.Wait()
}

// accept serves host i's end until it is closed.
func (c *cable) accept(i int) {
	for {
		conn, err := c.ends[i].Accept()
		if err != nil {
			return // closed: a listener on loopback has no other errors that pass
		}
		c.running.Go(func() { c.join(conn.(*net.TCPConn), i) })
	}
}

// join carries a connection to host i's daemon until it ends.
func (c *cable) join(from *net.TCPConn, i int) {
	c.mu.Lock()
	address := c.daemon[i]
	refused := c.down || address == ""
	c.mu.Unlock()
	if refused {
		reset(from)
		return
	}
	to, err := net.DialTimeout("tcp", address, dialing)
	if err != nil {
		reset(from)
		return
	}
	j := &joint{from, to.(*net.TCPConn)}
	c.mu.Lock()
	if c.down { // cut meanwhile
		j.reset()
	} else {
		c.joined[j] = true
	}
	c.mu.Unlock()
	c.carry(j)
}

// carry copies both ways until both are done.
func (c *cable) carry(j *joint) {
	var back sync.WaitGroup
	back.Go(func() { j.copy(0, 1) })
	j.copy(1, 0)
	back.Wait()
	c.mu.Lock()
	delete(c.joined, j)
	c.mu.Unlock()
	for _, conn := range j {
		conn.Close()
	}
}

// copy carries one way. An orderly end goes on to the other side; a broken
// connection breaks both ways.
func (j *joint) copy(to, from int) {
	if _, err := io.Copy(j[to], j[from]); err != nil {
		j.reset()
		return
	}
	_ = j[to].CloseWrite()
}

func (j *joint) reset() {
	for _, conn := range j {
		reset(conn)
	}
}

// reset ends a connection at once: what was written and not yet read is gone.
func reset(c *net.TCPConn) {
	_ = c.SetLinger(0)
	c.Close()
}
