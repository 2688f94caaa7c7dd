// SPDX-License-Identifier: Apache-2.0

package addr

import "cmp"

// Addr is the address of an endpoint on the bus.
type Addr uint32

// None is address 0: no address. It can be written and read ("0.0.0.0"), so
// that tools can show it, but nothing can be bound to it; whoever accepts an
// address from outside checks [Addr.IsNone].
const None Addr = 0

// Parse reads an address written after the [Default] template.
func Parse(s string) (Addr, error) { return Default.Parse(s) }

// MustParse is Parse for addresses written in a program. It panics if s is none.
func MustParse(s string) Addr {
	a, err := Parse(s)
	if err != nil {
		panic(err)
	}
	return a
}

// Compare orders addresses by their number, which under any template is also
// the order of their segments from left to right. It fits slices.SortFunc.
func Compare(a, b Addr) int { return cmp.Compare(a, b) }

// IsNone tells whether a is [None].
func (a Addr) IsNone() bool { return a == None }

// String writes the address after the [Default] template.
func (a Addr) String() string { return Default.Format(a) }

// MarshalText writes the address after the [Default] template. It never fails.
func (a Addr) MarshalText() ([]byte, error) {
	return Default.Append(nil, a), nil
}

// UnmarshalText reads what [Addr.MarshalText] writes. On an error the address
// keeps its value.
func (a *Addr) UnmarshalText(text []byte) error {
	v, err := Parse(string(text))
	if err != nil {
		return err
	}
	*a = v
	return nil
}
