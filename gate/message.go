// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/skybus-io/skybus/gate/frame"
	"github.com/skybus-io/skybus/node/codec"
)

// ServiceName is the name that the gate's service has at its home.
const ServiceName = "gate"

// MaxBatch is how many packets a Packets has at most.
const MaxBatch = 256

// An Opened says that a session has begun: its client was let in, and packets will come.
type Opened struct {
	Client   Client
	Identity []byte // of the Grant
	Remote   string // the client's address and port, of whatever network
	Again    bool   // it may have come before: the gate's process was killed before the first packets
}

// Packets are what a client has sent, in order: what one read of its connection has brought, MaxBatch at most. They are the
// receiver's.
type Packets struct {
	Client Client
	First  uint64 // the number of the first one among all that the client has sent in this session, from 1
	// Again says that these may have come before, with the same numbers: the gate's process was killed when it had sent them
	// and not yet noted that. A service that must not do things twice remembers the number of the last packet of each session that it has
	// handled. (Message.Again tells of the service's own process, not of the gate's.)
	Again bool
	Data  [][]byte
}

// A Slow says that a client takes less than it is sent, or that it has caught up. Many do so now and then; nothing has to be done about
// it, but a service may send less meanwhile.
type Slow struct {
	Client Client
	Over   bool // above the soft mark; else it is below the low mark again
	Queued int  // bytes that wait at the gate
}

// An Away says that the connection of a session is lost. What is sent to it waits, as far as it has room, for its client to
// come back. After a death of the gate's process it may come twice.
type Away struct {
	Client Client
}

// A Resumed says that the client of a session is back, and has got what it had missed.
type Resumed struct {
	Client Client
}

// A Closed says that a session has ended: nothing comes from it any more, and what is sent to it is dropped. It may come twice after
// a death of the gate's process.
type Closed struct {
	Client Client
	Code   frame.Code // why; 0: the client has left
	Reason string     // for people
}

// Register makes the messages of this package known to a registry, so that they travel. Start does so for the registry of its
// node; the processes of services call it before they start theirs. To do it again is no error. nil: codec.Default. Errors: the names are taken.
func Register(r *codec.Registry) error {
	if r == nil {
		r = codec.Default
	}
	return errors.Join(
		codec.Register[*Opened](r, "gate.Opened"),
		codec.Register[*Packets](r, "gate.Packets"),
		codec.Register[*Slow](r, "gate.Slow"),
		codec.Register[*Away](r, "gate.Away"),
		codec.Register[*Resumed](r, "gate.Resumed"),
		codec.Register[*Closed](r, "gate.Closed"),
		codec.Register[*Deliver](r, "gate.Deliver"),
		codec.Register[*Ask](r, "gate.Ask"),
		codec.Register[*Hello](r, "gate.Hello"),
		codec.Register[*Grant](r, "gate.Grant"),
	)
}

// MarshalBinary is for the bus.
func (p *Packets) MarshalBinary() ([]byte, error) {
	n := clientSize + 3*binary.MaxVarintLen64
	for _, d := range p.Data {
		n += len(d) + binary.MaxVarintLen32
	}
	b := appendClient(make([]byte, 0, n), p.Client)
	b = binary.AppendUvarint(b, p.First)
	again := uint64(0)
	if p.Again {
		again = 1
	}
	b = binary.AppendUvarint(b, again)
	b = binary.AppendUvarint(b, uint64(len(p.Data)))
	for _, d := range p.Data {
		b = appendBytes(b, d)
	}
	return b, nil
}

// UnmarshalBinary reads what MarshalBinary returns. It copies b once.
func (p *Packets) UnmarshalBinary(b []byte) error {
	r := reader{b: append([]byte(nil), b...)}
	p.Client = r.client()
	p.First = r.number()
	p.Again = r.number() != 0
	n := r.count(1)
	p.Data = make([][]byte, 0, n)
	for range n {
		p.Data = append(p.Data, r.bytes())
	}
	if err := r.end(); err != nil {
		return fmt.Errorf("packets: %w", err)
	}
	return nil
}
