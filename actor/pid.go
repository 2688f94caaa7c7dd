// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/skybus-io/skybus/addr"
)

// A Handle names a service within its process. It is never used again: the lower 24
// bits are a place in a table, the 16 above count how often that was given away, and the
// upper ones are Config.Life.
type Handle uint64

// A PID names a service wherever it is. It is comparable; the zero PID is nobody.
type PID struct {
	Node   addr.Addr // the process, as the bus knows it; none: this one
	Handle Handle
}

// IsZero reports whether p is nobody.
func (p PID) IsZero() bool { return p == PID{} }

// String returns ":1f" for a service of this process and "0.0.3.1/1f" for one of
// another, with the default template.
func (p PID) String() string {
	if p.Node.IsNone() {
		return fmt.Sprintf(":%x", uint64(p.Handle))
	}
	return fmt.Sprintf("%s/%x", p.Node, uint64(p.Handle))
}

// ParsePID reads what String returns.
func ParsePID(s string) (PID, error) {
	node, handle, ok := strings.Cut(s, "/")
	if !ok || node == "" {
		node = ""
		if handle, ok = strings.CutPrefix(s, ":"); !ok {
			return PID{}, fmt.Errorf("PID %q: want :1f or 0.0.3.1/1f", s)
		}
	}
	var p PID
	if node != "" {
		a, err := addr.Parse(node)
		if err != nil {
			return PID{}, fmt.Errorf("PID %q: %w", s, err)
		}
		p.Node = a
	}
	n, err := strconv.ParseUint(handle, 16, 64)
	if err != nil || n == 0 {
		return PID{}, fmt.Errorf("PID %q: handle %q: want a hexadecimal number from 1", s, handle)
	}
	p.Handle = Handle(n)
	return p, nil
}

// MarshalText is String; the zero PID is empty.
func (p PID) MarshalText() ([]byte, error) {
	if p.IsZero() {
		return nil, nil
	}
	return []byte(p.String()), nil
}

// UnmarshalText reads what MarshalText returns: what ParsePID reads, and "0.0.3.1/0", the process as such, which
// is a target for those that name their service otherwise (see Addressed).
func (p *PID) UnmarshalText(text []byte) (err error) {
	s := string(text)
	if s == "" {
		*p = PID{}
		return nil
	}
	if node, ok := strings.CutSuffix(s, "/0"); ok {
		a, err := addr.Parse(node)
		if err == nil && a.IsNone() {
			err = fmt.Errorf("%s is no address of a process", node)
		}
		if err != nil {
			return fmt.Errorf("PID %q: %w", s, err)
		}
		*p = PID{Node: a}
		return nil
	}
	*p, err = ParsePID(s)
	return err
}
