// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"encoding/binary"
	"fmt"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/node"
)

// A Target is the service that a session is bound to: a PID, or whoever has a name at an address when a message arrives. It is
// comparable; the zero Target is none.
//
//	                        To(pid)                                      ToName(at, name)
//	its process dies        the session ends (frame.CodeService)         what comes waits for the next one at the address
//	its service ends        the same                                     the same, if nobody has the name when something is sent; elsewhere
//	                                                                     that is found out within about a second, and what came is lost, and logged there
type Target struct {
	PID  actor.PID // To; of ToName the node's
	Name string    // ToName
}

// To returns the target that is one service, of any process.
func To(pid actor.PID) Target { return Target{PID: pid} }

// ToName returns the target that is whoever has a name at an address: the messages wait in their lanes while no process has that.
func ToName(at addr.Addr, name string) Target { return Target{PID: node.At(at), Name: name} }

// IsZero reports whether t is none.
func (t Target) IsZero() bool { return t == Target{} }

// String returns the PID, or the address and the name.
func (t Target) String() string {
	if t.Name == "" {
		return t.PID.String()
	}
	return fmt.Sprintf("%v/%s", t.PID.Node, t.Name)
}

// value returns what is sent to t.PID so that t gets v.
func (t Target) value(v any) any {
	in, ok := v.(*incoming)
	switch {
	case ok && t.Name == "":
		return &in.Packets
	case ok:
		in.to = t.Name
		return in
	case t.Name == "":
		return v
	}
	return node.Named{Name: t.Name, Value: v}
}

// check reports what is wrong with a target that a program has given.
func (t Target) check() error {
	switch {
	case t.IsZero():
		return fmt.Errorf("no target: want a PID or a name")
	case t.Name == "" && t.PID.Handle == 0:
		return fmt.Errorf("target %v: want a PID of a service, or a name", t)
	case t.Name != "" && (t.PID.Handle != 0 || t.PID.Node.IsNone()):
		return fmt.Errorf("target %v: want the name at the address of a node", t)
	}
	return nil
}

// appendTarget appends the form that goes over the bus and into vaults.
func appendTarget(dst []byte, t Target) []byte {
	dst = binary.AppendUvarint(dst, uint64(t.PID.Node))
	dst = binary.AppendUvarint(dst, uint64(t.PID.Handle))
	return appendText(dst, t.Name)
}

func (r *reader) target() Target {
	var t Target
	n := r.number()
	if n > 1<<32-1 {
		r.fail()
	}
	t.PID.Node = addr.Addr(n)
	t.PID.Handle = actor.Handle(r.number())
	t.Name = r.text()
	return t
}

// parseTarget reads what appendTarget has written.
func parseTarget(b []byte) (Target, error) {
	r := reader{b: b}
	t := r.target()
	return t, r.end()
}

// MarshalBinary is for the bus.
func (t Target) MarshalBinary() ([]byte, error) { return appendTarget(nil, t), nil }

// UnmarshalBinary reads what MarshalBinary returns.
func (t *Target) UnmarshalBinary(b []byte) (err error) {
	*t, err = parseTarget(b)
	return err
}
