// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/skybus-io/skybus/bench/internal/peer"
)

// The subjects. A server knows who listens to one a moment after the listener has said so, and learns it in the
// order of saying: whoever answers at hello has been heard with everything before it.
const (
	data   = "bench.data"
	back   = "bench.back"
	credit = "bench.credit"
	hello  = "bench.hello"
)

// client is one process's connection.
type client struct {
	nc     *nats.Conn
	stream *stream // nil for plain NATS
}

func connect(url, kind string) *client {
	nc, err := nats.Connect(url, nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		peer.Die("nats: %v", err)
	}))
	peer.Must("connect", err)
	c := &client{nc: nc}
	if kind == jetStream {
		c.stream = newStream(nc)
	}
	return c
}

// listen calls handle with each message of a subject, one after the other.
func (c *client) listen(subject string, handle nats.MsgHandler) {
	sub, err := c.nc.Subscribe(subject, handle)
	peer.Must("subscribe", err)
	peer.Must("lift the limits", sub.SetPendingLimits(-1, -1)) // credit bounds what is pending
}

func (c *client) publish(subject string, payload []byte) {
	peer.Must("publish", c.nc.Publish(subject, payload))
}

// beHeard lets the other side know that it may begin.
func (c *client) beHeard() {
	c.listen(hello, func(m *nats.Msg) { peer.Must("answer", m.Respond(nil)) })
}

// greet returns when the other side listens.
func (c *client) greet() {
	for limit := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		_, err := c.nc.Request(hello, nil, time.Second)
		if err == nil {
			return
		}
		if !errors.Is(err, nats.ErrNoResponders) || time.Now().After(limit) {
			peer.Must("greet the other process", err)
		}
	}
}

// produce sends as fast as credit allows, until it is killed.
func (c *client) produce(o *peer.Options) {
	granted := make(chan struct{}, 4)
	c.listen(credit, func(*nats.Msg) { granted <- struct{}{} })
	c.greet()
	publish := func(m []byte) { c.publish(data, m) }
	if c.stream != nil {
		publish = c.stream.publish
	}
	half := window(o) / 2
	message := make([]byte, o.Size)
	for n := uint64(1); ; n++ {
		peer.Stamp(message, n)
		publish(message)
		if n%half == 0 && n > half {
			<-granted
		}
	}
}

// consume counts what comes.
func (c *client) consume(o *peer.Options) float64 {
	m, half := peer.NewMeter(o), window(o)/2
	rate := make(chan float64, 1)
	n, done := uint64(0), false
	take := func(payload []byte) (more bool) { // false: the connection may be closed already
		if n++; done {
			return false
		}
		peer.Check(payload, n)
		if n%half == 0 {
			c.publish(credit, nil)
		}
		if done = !m.Add(); done {
			rate <- m.PerSecond()
		}
		return !done
	}
	if c.stream != nil {
		c.stream.consume(take)
	} else {
		c.listen(data, func(m *nats.Msg) { take(m.Data) })
	}
	c.beHeard()
	return <-rate
}

// answer sends back what comes until the process is killed.
func (c *client) answer(kind string) {
	send := func(m *nats.Msg) { c.publish(back, m.Data) }
	if kind == request {
		send = func(m *nats.Msg) { peer.Must("respond", m.Respond(m.Data)) }
	}
	c.listen(data, send)
	c.beHeard()
	select {}
}

func (c *client) ask(kind string, o *peer.Options, h *peer.Histogram) float64 {
	if kind == request {
		c.greet()
		return peer.PingPong(o, h, c.requester(o))
	}
	answers := make(chan []byte, 1)
	c.listen(back, func(m *nats.Msg) { answers <- m.Data })
	c.greet()
	message := make([]byte, o.Size)
	return peer.PingPong(o, h, func(n uint64) {
		peer.Stamp(message, n)
		c.publish(data, message)
		peer.Check(<-answers, n)
	})
}

// requester returns a function that makes a request with a payload of its own, and checks the reply.
func (c *client) requester(o *peer.Options) func(n uint64) {
	message := make([]byte, o.Size)
	return func(n uint64) {
		peer.Stamp(message, n)
		reply, err := c.nc.Request(data, message, patience)
		peer.Must("request", err)
		if len(reply.Data) != len(message) {
			peer.Die("the reply has %d bytes", len(reply.Data))
		}
		peer.Check(reply.Data, n)
	}
}

// requestAtOnce has as many goroutines make requests as there are to be under way.
func (c *client) requestAtOnce(o *peer.Options) float64 {
	c.greet()
	t := peer.NewTally(o)
	for i := range t.Callers() {
		go t.Loop(i, c.requester(o))
	}
	return t.PerSecond()
}
