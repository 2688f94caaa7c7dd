// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/skybus-io/skybus/gate/frame"
	"github.com/skybus-io/skybus/gate/queue"
)

// A Kind says how much a packet matters: Must or Droppable. (Newest ones have functions of their own, for they need a key.)
type Kind = queue.Kind

// The kinds.
const (
	// Must arrive, unless the session ends. With Config.Resume they are numbered, and sent again to a client that was away.
	Must = queue.Must
	// Droppable are dropped while their client is slow or away.
	Droppable = queue.Droppable
)

// A Deliver is what an Outbox sends to a home: an order of packets and changes, done one after the other. Programs make it with an Outbox, or with
// Spread.
type Deliver struct {
	Ops []byte // see op
}

// An op is one thing that a Deliver orders:
//
//	code      u8, one of the below
//	kind      u8, for send, spread and shared; key, LEB128, where it is queue.Newest
//	group     text, for spread, shared, join and leave
//	clients   LEB128 how many, then each as the signed difference to the one before; of spread those who are left out; of
//	          shared these as they are, for they may be of any home
//	packet    bytes, for send, spread and shared; code, LEB128, and text for kick; target for bind
type op struct {
	code   byte
	kind   queue.Kind
	key    uint64
	group  []byte
	ids    idList
	packet []byte
	end    frame.Code
	text   string
	target Target
	except []Client // of shared
}

// The codes of ops. They stand in lanes, and in those of other versions of the program: none is ever changed.
const (
	opSend byte = iota + 1
	opSpread
	opJoin
	opLeave
	opKick
	opBind
	opShared
	opEnd
)

// opRoom is what most ops take beside texts, packets and more than one client.
const opRoom = 24

// appendOp appends o; its ids are those of clients, all of one home.
func appendOp(dst []byte, o *op, clients []Client) []byte {
	if need := opRoom + len(o.packet) + len(o.group) + len(o.text) + 4*len(clients); cap(dst)-len(dst) < need {
		dst = slices.Grow(dst, max(need, len(dst))) // twice as much, if there was something
	}
	dst = append(dst, o.code)
	if o.hasPacket() {
		dst = append(dst, byte(o.kind))
		if o.kind == queue.Newest {
			dst = binary.AppendUvarint(dst, o.key)
		}
	}
	if o.hasGroup() {
		dst = appendBytes(dst, o.group)
	}
	dst = binary.AppendUvarint(dst, uint64(len(clients)))
	last := uint64(0)
	for _, c := range clients {
		if o.code == opShared {
			dst = appendClient(dst, c)
			continue
		}
		dst = binary.AppendVarint(dst, int64(c.ID-last))
		last = c.ID
	}
	switch {
	case o.hasPacket():
		dst = appendBytes(dst, o.packet)
	case o.code == opKick:
		dst = appendText(binary.AppendUvarint(dst, uint64(o.end)), o.text)
	case o.code == opBind:
		dst = appendTarget(dst, o.target)
	}
	return dst
}

func (o *op) hasPacket() bool { return o.code == opSend || o.code == opSpread || o.code == opShared }
func (o *op) hasGroup() bool {
	return o.code == opSpread || o.code == opShared || o.code == opJoin || o.code == opLeave
}

// op takes the next op, whose bytes lie in what is read. It reports false at the end, and after a fault.
func (r *reader) op(o *op) bool {
	if len(r.b) == 0 {
		return false
	}
	*o = op{code: r.byte()}
	if o.code == 0 || o.code >= opEnd {
		r.fail()
		return false
	}
	if o.hasPacket() {
		o.kind = queue.Kind(r.byte())
		if o.kind > queue.Newest {
			r.fail()
		} else if o.kind == queue.Newest {
			o.key = r.number()
		}
	}
	if o.hasGroup() {
		o.group = r.bytes()
	}
	if o.code == opShared {
		for n := r.count(clientSize); n > 0; n-- {
			o.except = append(o.except, r.client())
		}
	} else {
		o.ids = r.ids()
	}
	switch {
	case o.hasPacket():
		o.packet = r.bytes()
	case o.code == opKick:
		o.end = frame.Code(r.number())
		o.text = r.text()
	case o.code == opBind:
		o.target = r.target()
	}
	return !r.bad
}

// An idList are the numbers of clients, as they lie in a message that was checked.
type idList struct {
	b    []byte
	n    int
	last uint64
}

// ids takes a list, and checks it.
func (r *reader) ids() idList {
	l := idList{n: r.count(1), b: r.b}
	for range l.n {
		if _, n := binary.Varint(r.b); n > 0 {
			r.b = r.b[n:]
		} else {
			r.fail()
			return idList{}
		}
	}
	return l
}

// next takes the next number; false: there is none.
func (l *idList) next() (uint64, bool) {
	if l.n == 0 {
		return 0, false
	}
	d, n := binary.Varint(l.b)
	l.b, l.n, l.last = l.b[n:], l.n-1, l.last+uint64(d)
	return l.last, true
}

// check reads d from beginning to end: what is wrong anywhere keeps all of it from being done.
func (d *Deliver) check() (ops int, err error) {
	r := reader{b: d.Ops}
	var o op
	for r.op(&o) {
		ops++
	}
	if err := r.end(); err != nil {
		return ops, fmt.Errorf("deliver of %d bytes, op %d: %w", len(d.Ops), ops, err)
	}
	return ops, nil
}

// Spread makes a message for a group that gates share (Config.Shared): who sends it to the node.SharedGroup of that name
// reaches all members at all gates. kind is that of the packet, which is copied; except are left out. Such a message goes to the gates that
// live: what is sent while a gate is dead, its clients miss.
func Spread(group string, kind Kind, packet []byte, except ...Client) *Deliver {
	o := op{code: opShared, kind: kind, group: []byte(group), packet: packet}
	return &Deliver{Ops: appendOp(nil, &o, except)}
}

// SpreadNewest is Spread of a packet that replaces the one of its key that a client still waits for.
func SpreadNewest(group string, key uint64, packet []byte, except ...Client) *Deliver {
	o := op{code: opShared, kind: queue.Newest, key: key, group: []byte(group), packet: packet}
	return &Deliver{Ops: appendOp(nil, &o, except)}
}
