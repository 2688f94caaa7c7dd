// SPDX-License-Identifier: Apache-2.0

package client

import (
	"fmt"
	"time"

	"github.com/skybus-io/skybus/gate/frame"
	"github.com/skybus-io/skybus/gate/queue"
)

// Defaults of Options.
const (
	DefaultMaxPacket  = 64<<10 - 1
	DefaultBeforeAuth = 4 << 10
)

// Options are what many connections have in common. The zero value of each field is its
// default.
type Options struct {
	// Framing is how packets are cut out of a stream; default frame.Length2. On WebSocket
	// one message is one packet, and Framing means nothing.
	Framing frame.Framing

	// MaxPacket is how many bytes a packet from the client may have, default 65,535;
	// BeforeAuth holds until Authenticated, default 4 KB, at most MaxPacket.
	MaxPacket, BeforeAuth int

	// Marks are those of the queue of each connection.
	Marks queue.Marks

	// Budget counts the packets that the connections make themselves; see Setup.Budget. nil: not counted.
	Budget *queue.Budget

	// Rate bounds what a client sends. Zero: no bound.
	Rate Rate

	// UserTimeout ends a connection whose bytes the peer does not acknowledge for
	// so long (TCP_USER_TIMEOUT). 0: the system's default, some 15 minutes.
	UserTimeout time.Duration

	// OnSlow is called when a connection goes above the soft mark (over) and when it is
	// below the low mark again; queued is how many bytes wait. No lock is held; calls for one connection
	// may come from several goroutines at once, and so in another order than that of the edges: Stats says how
	// it is now. May be nil.
	OnSlow func(c *Conn, over bool, queued int)

	// OnKick is called once when a connection kicks itself: the queue's hard limit was
	// reached, or Overdue has found it. No lock is held. May be nil.
	OnKick func(c *Conn, reason error)
}

// A Rate bounds packets and bytes in a second by two token buckets. A client that sends
// more is not refused: its connection is not read until there are tokens again, so that TCP makes it wait.
// Stats counts that. A read is not split: it may lead below zero, and is paid for afterwards.
type Rate struct {
	Packets, PacketBurst int // a second; at once. 0: no bound; burst default: one second's
	Bytes, ByteBurst     int // payload, a second; at once
}

// A Setup is Options, checked. Any number of connections share it.
type Setup struct {
	opt   Options
	plain *queue.Form // in Options.Framing
}

// Prepare checks options and fills in their defaults. The error names the one that is wrong.
func Prepare(o Options) (*Setup, error) {
	if o.Framing == nil {
		o.Framing = frame.Length2
	}
	if o.MaxPacket == 0 {
		o.MaxPacket = DefaultMaxPacket
	}
	if o.BeforeAuth == 0 {
		o.BeforeAuth = min(DefaultBeforeAuth, o.MaxPacket)
	}
	if o.MaxPacket < 0 || o.BeforeAuth < 0 || o.BeforeAuth > o.MaxPacket {
		return nil, fmt.Errorf("client: MaxPacket %d, BeforeAuth %d: want 0 < BeforeAuth <= MaxPacket", o.MaxPacket, o.BeforeAuth)
	}
	marks, err := o.Marks.WithDefaults()
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	o.Marks = marks
	if o.Rate, err = o.Rate.withDefaults(); err != nil {
		return nil, err
	}
	return &Setup{opt: o, plain: framed(o.Framing)}, nil
}

// Options returns the options with their defaults.
func (s *Setup) Options() Options { return s.opt }

// Budget returns that of the options, for packets: queue.New(s.Budget(), payload). It may be nil.
func (s *Setup) Budget() *queue.Budget { return s.opt.Budget }
