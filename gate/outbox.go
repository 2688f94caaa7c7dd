// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/gate/frame"
	"github.com/skybus-io/skybus/gate/queue"
	"github.com/skybus-io/skybus/node"
)

// largest is how many bytes a Deliver has at most, unless one op alone has more.
const largest = 128 << 10

// An Outbox collects what a service has for clients, and Flush sends it: one message to each home, whatever it is and
// however many clients it is for. What was put in earlier is done earlier. Nothing happens before Flush.
//
// It also knows the groups that the service has made: see Join. One service uses it, in its handlers; the zero Outbox is ready. Packets are
// copied when they are put in.
type Outbox struct {
	parcels map[addr.Addr]*parcel
	order   []*parcel // those with something in them
	groups  map[string]*Group
	joined  map[Client][]*Group
	wrong   []error // for Flush
}

// A parcel is what waits for a home.
type parcel struct {
	home addr.Addr
	full [][]byte // messages that have their size
	ops  []byte
}

// Send has a client get a packet. What is for a session that has ended is dropped.
func (o *Outbox) Send(c Client, kind Kind, packet []byte) {
	o.put(c.Home, &op{code: opSend, kind: kind, packet: packet}, c)
}

// SendNewest has a client get a packet, unless it gets a newer one of the same key first: then that takes its place. It is for
// what changes all the time, such as positions. A client that is away does not get it.
func (o *Outbox) SendNewest(c Client, key uint64, packet []byte) {
	o.put(c.Home, &op{code: opSend, kind: queue.Newest, key: key, packet: packet}, c)
}

// Broadcast has many clients get one packet. It goes once to each home. clients stays as it is.
func (o *Outbox) Broadcast(clients []Client, kind Kind, packet []byte) {
	o.broadcast(clients, op{code: opSend, kind: kind, packet: packet})
}

// BroadcastNewest is Broadcast for SendNewest.
func (o *Outbox) BroadcastNewest(clients []Client, key uint64, packet []byte) {
	o.broadcast(clients, op{code: opSend, kind: queue.Newest, key: key, packet: packet})
}

func (o *Outbox) broadcast(clients []Client, what op) {
	for len(clients) > 0 {
		home := clients[0].Home
		n := 1
		for n < len(clients) && clients[n].Home == home {
			n++
		}
		if n == len(clients) {
			o.put(home, &what, clients...)
			return
		}
		if slices.IndexFunc(clients[n:], func(c Client) bool { return c.Home == home }) >= 0 {
			break
		}
		o.put(home, &what, clients[:n]...)
		clients = clients[n:]
	}
	byHome := map[addr.Addr][]Client{}
	for _, c := range clients {
		byHome[c.Home] = append(byHome[c.Home], c)
	}
	for home, list := range byHome {
		o.put(home, &what, list...)
	}
}

// Join makes a client a member of a group, here and at its gate: what comes behind it goes to it, too. To join again changes nothing, and is
// what a service does after a restart for those that it had: the gate knows them still. A session is in at most 512 bytes of groups with
// Config.Resume, names and one byte more each; one that would be in more ends with frame.CodeService.
//
// The members of one group are those of one service: two services that use the same name share it at the gates, and so each reaches those of the
// other where it has members itself.
func (o *Outbox) Join(c Client, group string) {
	g := o.groups[group]
	if g == nil {
		g = &Group{name: group, members: map[Client]struct{}{}, homes: map[addr.Addr]int{}}
		if o.groups == nil {
			o.groups, o.joined = map[string]*Group{}, map[Client][]*Group{}
		}
		o.groups[group] = g
	}
	if g.add(c) {
		o.joined[c] = append(o.joined[c], g)
	}
	o.put(c.Home, &op{code: opJoin, group: []byte(group)}, c)
}

// Leave ends a membership.
func (o *Outbox) Leave(c Client, group string) {
	if g := o.groups[group]; g != nil && g.remove(c) {
		o.joined[c] = slices.DeleteFunc(o.joined[c], func(x *Group) bool { return x == g })
		if len(o.joined[c]) == 0 {
			delete(o.joined, c)
		}
		o.tidy(g)
	}
	o.put(c.Home, &op{code: opLeave, group: []byte(group)}, c)
}

// Forget takes a client out of all groups. It is for sessions that are Closed: their gate has done the same.
func (o *Outbox) Forget(c Client) {
	for _, g := range o.joined[c] {
		g.remove(c)
		o.tidy(g)
	}
	delete(o.joined, c)
}

func (o *Outbox) tidy(g *Group) {
	if g.Len() == 0 {
		delete(o.groups, g.name)
	}
}

// Group returns a group that has members, else nil.
func (o *Outbox) Group(name string) *Group { return o.groups[name] }

// ToGroup has all members of a group get a packet, but for some. It goes once to each home that has members.
func (o *Outbox) ToGroup(group string, kind Kind, packet []byte, except ...Client) {
	o.spread(group, op{code: opSpread, kind: kind, packet: packet}, except)
}

// NewestToGroup is ToGroup for SendNewest.
func (o *Outbox) NewestToGroup(group string, key uint64, packet []byte, except ...Client) {
	o.spread(group, op{code: opSpread, kind: queue.Newest, key: key, packet: packet}, except)
}

func (o *Outbox) spread(group string, what op, except []Client) {
	g := o.groups[group]
	if g == nil {
		return
	}
	what.group = []byte(group)
	for home := range g.homes {
		var out []Client
		for _, c := range except {
			if c.Home == home {
				out = append(out, c)
			}
		}
		o.put(home, &what, out...)
	}
}

// Kick ends a session: its client gets what was put in before, then the reason, and does not come back. code 0 is frame.CodeKicked; the
// program's own are from frame.CodeProgram on. The service gets Closed.
func (o *Outbox) Kick(c Client, code frame.Code, reason string) {
	if code == 0 {
		code = frame.CodeKicked
	}
	o.put(c.Home, &op{code: opKick, end: code, text: reason}, c)
}

// Bind has the packets of a client go to another service from now on. What is on its way to the one that had it, that one still gets: a
// service that hands a client over tells the new one by itself what it has to know, before it flushes. The new one gets no Opened, but Packets,
// whose First goes on, Away, Resumed, Slow and Closed. A target that is none is an error of Flush.
func (o *Outbox) Bind(c Client, to Target) {
	if err := to.check(); err != nil {
		o.wrong = append(o.wrong, fmt.Errorf("gate: bind %v: %w", c, err))
		return
	}
	o.put(c.Home, &op{code: opBind, target: to}, c)
}

func (o *Outbox) put(home addr.Addr, what *op, clients ...Client) {
	p := o.parcels[home]
	if p == nil {
		if o.parcels == nil {
			o.parcels = map[addr.Addr]*parcel{}
		}
		p = &parcel{home: home}
		o.parcels[home] = p
	}
	if len(p.ops) == 0 && len(p.full) == 0 {
		o.order = append(o.order, p)
	}
	before := len(p.ops)
	p.ops = appendOp(p.ops, what, clients)
	if before > 0 && len(p.ops) > largest {
		last := slices.Clone(p.ops[before:])
		p.full = append(p.full, p.ops[:before:before])
		p.ops = last
	}
}

// Pending reports whether there is something to flush.
func (o *Outbox) Pending() bool { return len(o.order) > 0 }

// Discard drops what is to be flushed. Groups stay as they are.
func (o *Outbox) Discard() {
	for _, p := range o.order {
		p.full, p.ops = nil, p.ops[:0]
	}
	o.order = o.order[:0]
}

// Flush sends what was put in. It may wait, as Context.Send does, while a lane is full: the service handles other messages meanwhile, and what those flush
// comes behind. Errors: those of Context.Send, joined; what was for a home that cannot be reached is dropped then, the rest is sent. A home whose process is
// dead is no error: its lane has room.
func (o *Outbox) Flush(c *actor.Context) error {
	return o.flush(c.Send)
}

// FlushFrom is Flush for goroutines that are no handlers, with the runtime of any node. It waits until ctx is over.
func (o *Outbox) FlushFrom(ctx context.Context, rt *actor.Runtime) error {
	return o.flush(func(to actor.PID, v any) error { return rt.Send(ctx, to, v) })
}

func (o *Outbox) flush(send func(to actor.PID, v any) error) error {
	errs := o.wrong
	o.wrong = nil
	// All is taken out before the first message goes: others may put in more while one waits.
	type letter struct {
		home addr.Addr
		ops  []byte
	}
	var few [4]letter
	letters := few[:0]
	for _, p := range o.order {
		for _, ops := range p.full {
			letters = append(letters, letter{p.home, ops})
		}
		letters = append(letters, letter{p.home, p.ops})
		p.full, p.ops = nil, nil // they are the receiver's, if that is in this process
	}
	o.order = o.order[:0]
	for _, l := range letters {
		err := send(node.At(l.home), &order{Deliver{Ops: l.ops}})
		if err != nil {
			errs = append(errs, fmt.Errorf("gate at %v: %w", l.home, err))
		}
	}
	return errors.Join(errs...)
}

// An order is a Deliver on its way to a home.
type order struct{ Deliver }

// Addressee is for package actor.
func (o *order) Addressee() (name string, v any) { return ServiceName, &o.Deliver }

// An Ask is a packet whose sender waits until the client has room: see SendWait.
type Ask struct {
	Client Client
	Kind   Kind
	Packet []byte
}

// SendWait sends a packet to a client and waits while that is slow: until the packet is queued when the queue is below the low mark. Meanwhile the
// service handles other messages. What the service flushes meanwhile is not held up, and so may arrive before. The packet is the gate's from now on.
// Errors: those of Context.Call; one with the text of ErrNoSession if the session has ended.
func SendWait(c *actor.Context, to Client, kind Kind, packet []byte) error {
	_, err := c.Call(node.At(to.Home), node.Named{Name: ServiceName, Value: &Ask{Client: to, Kind: kind, Packet: packet}})
	return err
}
