// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/bench/internal/peer"
	"github.com/skybus-io/skybus/node"
	"github.com/skybus-io/skybus/node/codec"
)

// An order is a struct of five fields as a game's services send them.
type order struct {
	Seq    uint64
	Player string
	Item   int32
	X, Y   float64
}

const turn = 256 // messages that the sender sends before it lets others run

// newOrder returns one that has size bytes when it is encoded, with any Seq that takes 9 of them.
func newOrder(size int) *order {
	o := &order{Seq: firstSeq, Item: 4711, X: 17.25, Y: -3.5}
	o.Player = strings.Repeat("x", max(0, size-encoded(o)))
	if n := encoded(o); n != size {
		peer.Die("a struct of %d bytes: its fields take at least %d", size, n)
	}
	return o
}

// firstSeq is large enough for all further ones to be encoded with 8 bytes.
const firstSeq = 1 << 40

func encoded(o *order) int {
	data, _, _, err := codec.Default.Append(nil, o)
	peer.Must("encode", err)
	return len(data)
}

// A sink is the service that is sent to. It counts, and checks that no message is lost, doubled or swapped.
type sink struct{ rate chan float64 }

func (s *sink) services(b *bench) []actor.Spec {
	if b.kind == kindCall {
		return nil
	}
	s.rate = make(chan float64, 1)
	m, due, done := peer.NewMeter(b.Options), uint64(firstSeq), false
	return []actor.Spec{{Name: serviceName, New: actor.Func(func(_ *actor.Context, msg *actor.Message) error {
		if due++; done {
			return nil
		}
		switch v := msg.Value.(type) {
		case []byte:
			peer.Check(v, due)
		case *order:
			if v.Seq != due {
				peer.Die("message %d arrived where %d was due", v.Seq, due)
			}
		}
		if done = !m.Add(); done {
			s.rate <- m.PerSecond()
		}
		return nil
	})}}
}

// produce has a service send for ever.
func (b *bench) produce(n *node.Node, to actor.PID) {
	next := b.messages()
	tell(n, service(n, func(c *actor.Context, _ *actor.Message) error {
		for range turn {
			if err := c.Send(to, next()); err != nil {
				peer.Die("send: %v", err)
			}
		}
		return c.Send(c.Self(), nil)
	}), nil)
}

// messages returns what makes the next message. The value is used again: it has been encoded when Send returns.
func (b *bench) messages() func() any {
	if b.kind == kindStruct {
		o := newOrder(b.Size)
		return func() any { o.Seq++; return o }
	}
	payload, n := make([]byte, b.Size), uint64(firstSeq)
	var boxed any = payload
	return func() any { n++; peer.Stamp(payload, n); return boxed }
}
