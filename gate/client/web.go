// SPDX-License-Identifier: Apache-2.0

package client

import (
	"github.com/skybus-io/skybus/gate/frame"
)

// A webSocket is what a Conn keeps for the WebSocket protocol. Its reader belongs to the goroutine that reads.
type webSocket struct {
	reader frame.WSReader
	text   bool
	deaf   bool // a rule was broken: what comes is thrown away
	closed bool // the client has sent its close frame. The Conn's lock guards it
}

// takeWeb makes packets of WebSocket frames and hands them over.
func (c *Conn) takeWeb(b []byte) (taken int, err error) {
	if c.ws.deaf {
		return len(b), nil
	}
	list := batches.Get().(*batch)
	defer batches.Put(list)
	whole := false
	for err == nil {
		m, n, werr := c.ws.reader.Next(b[taken:], c.maxPacket())
		taken += n
		if werr != nil {
			if err = c.give(list); err == nil {
				err = c.webFailed(werr)
			}
			taken = len(b)
			break
		}
		if m.Opcode == frame.OpContinuation {
			err = c.give(list)
			break
		}
		whole = true
		err = c.takeMessage(list, &m, b[taken:])
	}
	c.Flush() // pongs
	c.markHalf(taken < len(b) || c.ws.reader.Pending(), whole)
	return taken, err
}

// takeMessage does what a message or a control frame asks for.
func (c *Conn) takeMessage(list *batch, m *frame.WSMessage, behind []byte) error {
	switch m.Opcode {
	case frame.OpPing:
		c.pong(m.Payload)
	case frame.OpClose:
		if err := c.give(list); err != nil {
			return err
		}
		c.webClosed(m)
	case frame.OpText, frame.OpBinary:
		payload := m.Payload
		if m.Compressed {
			var err error
			if payload, err = inflate(payload, c.maxPacket(), m.Opcode == frame.OpText); err != nil {
				return c.inflateFailed(list, err)
			}
		}
		return c.add(list, payload, behind)
	}
	return nil
}

// pong answers a ping, unless so much waits that the client cannot be waiting for this
// answer: a client that sends pings and reads nothing gets no memory for it.
func (c *Conn) pong(payload []byte) {
	var buf [2 + frame.MaxWSControl]byte
	wire := append(frame.AppendWSHeader(buf[:0], true, false, frame.OpPong, len(payload)), payload...)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == open && c.q.Bytes() <= c.set.opt.Marks.Soft {
		c.controlLocked(wire)
	}
}

// webClosed goes on with the close handshake: the client has begun or answered it.
func (c *Conn) webClosed(m *frame.WSMessage) {
	c.mu.Lock()
	c.ws.closed = true
	shut := c.shut
	c.mu.Unlock()
	if shut {
		c.stop(nil, false) // our frame has been written, and this is the answer
		return
	}
	c.closeAfterFlush(&CloseError{Code: m.Code, Text: string(m.Payload)}, closeTime, m.Code, "")
}

// webFailed tells the client which rule it has broken, and throws away what else comes.
func (c *Conn) webFailed(err error) error {
	if !c.isOpen() {
		return err
	}
	code, text := closeCode(err)
	c.ws.deaf = true
	c.ws.reader = frame.WSReader{} // with the fragments it holds
	c.closeAfterFlush(err, closeTime, code, text)
	return nil
}

func (c *Conn) inflateFailed(list *batch, err error) error {
	if gerr := c.give(list); gerr != nil {
		return gerr
	}
	return c.webFailed(err)
}
