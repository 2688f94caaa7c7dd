// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"fmt"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/skybus-io/skybus/actor"
)

// A hot restart keeps the objects of a service whose handler, or which itself, is an actor.Carrier: its Restore exports them again
// with ExportAs, under their numbers, and Refs stay valid. Leases go on. Streams do not: who ranges over one gets ErrNoStream, or
// actor.ErrNotCarried.

// keeperType is the Spec.Type of keepers.
const keeperType = "skybus.rpc.keeper"

// Types returns what node.Config.Types of a program is to have besides its own, if its services are to hold objects of other
// processes over a hot restart.
func Types() []actor.Spec {
	return []actor.Spec{keeperSpec(nil)}
}

// ExportAs makes v the object that t named before a hot restart, for a Restore: with the methods of T, permanent or with its leases as
// it was. Errors: ErrNoHost; ErrNoObject, the service had no such object, or has it again already; v is nil.
func ExportAs[T any](c *actor.Context, v T, t Target) error {
	if any(v) == nil {
		return fmt.Errorf("export: the object is nil")
	}
	h := hostOf(c)
	if h == nil {
		return fmt.Errorf("export %T from %v: %w", v, c.Self(), ErrNoHost)
	}
	number := t.target().Number
	before, ok := h.before[number]
	if !ok {
		return fmt.Errorf("export %T again: %w", v, h.noObject(number))
	}
	delete(h.before, number)
	o := exported(v)
	o.number = number
	if number&leased != 0 {
		o.born, o.leases = before.Born, map[actor.PID]time.Time{}
		for _, l := range before.Leases {
			o.leases[l.Holder] = l.Until
		}
		h.sweeps(c)
	}
	h.objects[uint32(number)] = o
	return nil
}

// A carriedHost is a host's snapshot.
type carriedHost struct {
	Serial  uint32
	Places  uint32
	Objects []carriedObject
	Inner   []byte
}

type carriedObject struct {
	Number uint64
	Born   time.Time
	Leases []carriedLease
}

type carriedLease struct {
	Holder actor.PID
	Until  time.Time
}

// A carrying is a host whose service goes on after a hot restart.
type carrying struct {
	*host
	inner actor.Carrier
}

// carries returns h as what it is: one that is carried if of, the program's own handler, is.
func (h *host) carries(of any) actor.Handler {
	if inner, ok := of.(actor.Carrier); ok {
		return &carrying{h, inner}
	}
	return h
}

// mode has times keep their nanoseconds.
var mode = func() cbor.EncMode {
	m, err := cbor.EncOptions{Time: cbor.TimeRFC3339Nano}.EncMode()
	if err != nil {
		panic(fmt.Sprintf("rpc: options of the encoder: %v", err)) // they are constants
	}
	return m
}()

// Snapshot is actor.Carrier's.
func (h *carrying) Snapshot(c *actor.Context) ([]byte, error) {
	inner, err := h.inner.Snapshot(c)
	if err != nil {
		return nil, err
	}
	s := carriedHost{Serial: h.serial, Places: uint32(len(h.objects)), Inner: inner}
	for i, o := range h.objects {
		if o == nil || i == 0 {
			continue
		}
		k := carriedObject{Number: o.number, Born: o.born}
		for holder, until := range o.leases {
			k.Leases = append(k.Leases, carriedLease{holder, until})
		}
		s.Objects = append(s.Objects, k)
	}
	return mode.Marshal(s)
}

// Restore is actor.Carrier's.
func (h *carrying) Restore(c *actor.Context, snapshot []byte) error {
	var s carriedHost
	if err := cbor.Unmarshal(snapshot, &s); err != nil {
		return fmt.Errorf("objects before the restart: %w", err)
	}
	h.enter(c)
	h.serial, h.before = s.Serial, map[uint64]carriedObject{}
	h.objects = append(h.objects, make([]*object, max(int(s.Places)-len(h.objects), 0))...)
	for _, o := range s.Objects {
		if uint32(o.Number) >= s.Places || uint32(o.Number) == 0 {
			return fmt.Errorf("objects before the restart: number %x is beyond %d", o.Number, s.Places)
		}
		h.before[o.Number] = o
	}
	h.watchAgain(c)
	err := h.inner.Restore(c, s.Inner)
	if err != nil {
		hosts.CompareAndDelete(h.key, h.host)
	}
	for number, o := range h.before { // nobody has them any more
		for _, l := range o.Leases {
			h.unwatch(l.Holder)
		}
		delete(h.before, number)
	}
	for i := len(h.objects) - 1; i > 0; i-- {
		if h.objects[i] == nil {
			h.free = append(h.free, uint32(i))
		}
	}
	return err
}

// watchAgain takes over the watches of those that have leases. Others are the handler's.
func (h *host) watchAgain(c *actor.Context) {
	holders := map[actor.PID]int{}
	for _, o := range h.before {
		for _, l := range o.Leases {
			holders[l.Holder]++
		}
	}
	for _, m := range c.Monitors() {
		if p := m.Target(); holders[p] > 0 && h.watched[p] == nil {
			h.watched[p] = &watched{m: m, n: holders[p]}
		} else {
			c.Runtime().AddMonitor(c.Self().Handle, p, m.Stop)
		}
	}
}

// enter has others find the host.
func (h *host) enter(c *actor.Context) {
	h.self = c.Self()
	h.key = hostKey{c.Runtime(), h.self.Handle}
	hosts.Store(h.key, h)
}

// keeperSpec is what k's service is made of; nil: after a hot restart, of one of the program before.
func keeperSpec(k *keeper) actor.Spec {
	return actor.Spec{
		New: func() actor.Handler {
			return &keeping{k: k, hosts: map[actor.PID]*heldHost{}, holders: map[actor.PID]*holderWatch{}}
		},
		Type:    keeperType,
		Mailbox: actor.Mailbox{Capacity: actor.Unbounded},
	}
}

// Snapshot is actor.Carrier's: what is held, and by whom.
func (g *keeping) Snapshot(*actor.Context) ([]byte, error) {
	var list []carriedHolding
	for pid, host := range g.hosts {
		for number, holders := range host.objects {
			for by := range holders {
				list = append(list, carriedHolding{pid, number, by})
			}
		}
	}
	return cbor.Marshal(list)
}

// A carriedHolding is a holding as plain data.
type carriedHolding struct {
	PID    actor.PID
	Number uint64
	By     actor.PID
}

// Restore is actor.Carrier's.
func (g *keeping) Restore(c *actor.Context, snapshot []byte) error {
	g.k = &keeper{rt: c.Runtime(), pid: c.Self()}
	g.k.once.Do(func() {})
	var list []carriedHolding
	if err := cbor.Unmarshal(snapshot, &list); err != nil {
		return fmt.Errorf("objects held before the restart: %w", err)
	}
	keepers.LoadOrStore(c.Runtime(), g.k)
	for _, m := range c.Monitors() {
		m.Stop() // hold watches them again
	}
	for _, k := range list {
		h := holding{k.PID, k.Number, k.By}
		g.k.held.Store(h, true)
		g.hold(c, h)
	}
	return nil
}
