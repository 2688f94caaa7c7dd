// SPDX-License-Identifier: Apache-2.0

// Package store keeps what was said, and who is in which room, in an SQLite
// file, and is the service of the store's process.
//
// Rooms send an Append for what they have accepted. The store gathers what has
// come, writes it in one transaction, and sends a Saved back for each Append
// when the file system has confirmed that. An Append is released from its lane
// no sooner: when the process is killed before, it comes again. To write it
// twice changes nothing.
package store

import (
	"errors"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/examples/chat/internal/wire"
	"github.com/skybus-io/skybus/node"
	"github.com/skybus-io/skybus/node/codec"
)

// A Row is a message with the number of the packet that it came in.
type Row struct {
	wire.Message
	Packet uint64
}

// A Change is of a room's members: one that comes or has another name, or one that goes.
// Packet is the number of the member's last packet that the room has handled.
type Change struct {
	ID     string
	Name   string
	Packet uint64
	Gone   bool
}

// An Append has the store write rows and changes of one room, in this order. It is no request:
// the answer is a Saved, to whoever is called Back.Name at Back.At when it is written.
type Append struct {
	Room    string
	Rows    []Row
	Changes []Change
	Back    Address
}

// An Address is a service by its node and name.
type Address struct {
	At   addr.Addr
	Name string
}

// Named returns whom to send v to, and as what.
func (a Address) Named(v any) (actor.PID, node.Named) {
	return node.At(a.At), node.Named{Name: a.Name, Value: v}
}

// A Saved says which messages of a room are on disk now. It may come more than once.
type Saved struct {
	Room  string
	Marks []Mark
}

// A Mark is a message by its number, and whose it is.
type Mark struct {
	N    uint64
	From string
}

// A Heads asks for the rooms behind After, in the order of their names. All that the caller
// has sent before is written when the answer comes.
type Heads struct {
	After string
	Limit int
}

// RoomHeads answer a Heads.
type RoomHeads struct{ Rooms []Head }

// A Head is a room and the number of its last message.
type Head struct {
	Room string
	Last uint64
}

// A Members asks for the members of a room behind After, in the order of their IDs.
type Members struct {
	Room, After string
	Limit       int
}

// RoomMembers answer a Members.
type RoomMembers struct{ Members []Change }

// A Page asks for messages of a room: the last Limit ones with a number below
// Before (0: the newest), or, with Forward, the first ones from Before on.
type Page struct {
	Room    string
	Before  uint64
	Limit   int
	Forward bool
}

// Messages answer a Page, in ascending order.
type Messages struct{ Rows []Row }

// Register makes the messages of the package known to r.
func Register(r *codec.Registry) error {
	return errors.Join(
		codec.Register[*Append](r, "chat.Append"),
		codec.Register[*Saved](r, "chat.Saved"),
		codec.Register[*Heads](r, "chat.Heads"),
		codec.Register[*RoomHeads](r, "chat.RoomHeads"),
		codec.Register[*Members](r, "chat.Members"),
		codec.Register[*RoomMembers](r, "chat.RoomMembers"),
		codec.Register[*Page](r, "chat.Page"),
		codec.Register[*Messages](r, "chat.Messages"),
	)
}
