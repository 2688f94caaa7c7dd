// SPDX-License-Identifier: Apache-2.0

// Package room has the services of a room process.
//
// A shard has a part of all rooms: it numbers what is said, sends it to the
// store and then to everyone in the room, and knows who that is. A front takes the packets
// of clients and passes them on to the shards that have the rooms.
//
// Both may be killed at any time. What they were about to do comes again,
// flagged (package node); a shard knows by the packets' numbers what it has done, for those are
// written with the messages. README.md of the example has the cases.
package room

import (
	"errors"
	"log/slog"
	"time"

	"github.com/skybus-io/skybus/examples/chat/internal/wire"
	"github.com/skybus-io/skybus/gate"
	"github.com/skybus-io/skybus/node/codec"
)

// A Config is for all services of a room process.
type Config struct {
	Plan Plan // set by Plan.Services
	Log  *slog.Logger
	// Tick is how often changes of presence go out; 0: 250 ms.
	Tick time.Duration
}

// Ops are what one client wants of one shard, in order.
type Ops struct {
	Client gate.Client
	Items  []Item
}

// An Item is a packet with its number. Numbers of a client only grow.
type Item struct {
	Number  uint64
	Request wire.Request
}

// A Session tells all shards what has become of one.
type Session struct {
	Client gate.Client
	State  State
}

// A State is what has become of a session.
type State uint8

// The states.
const (
	Back   State = iota + 1 // it has a connection again
	Away                    // it has lost it
	Closed                  // it is over
)

// A Directory tells all fronts what rooms a shard has.
type Directory struct {
	Shard int
	Rooms []wire.Room
}

// Register makes the messages of the package known to r.
func Register(r *codec.Registry) error {
	return errors.Join(
		codec.Register[*Ops](r, "chat.Ops"),
		codec.Register[*Session](r, "chat.Session"),
		codec.Register[*Directory](r, "chat.Directory"),
	)
}
