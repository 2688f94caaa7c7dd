// SPDX-License-Identifier: Apache-2.0

package route

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"github.com/skybus-io/skybus/addr"
)

// The limits of a table. Lengths are in bytes.
const (
	MaxKey      = 1<<31 - 1 // largest relay key; the smallest is 1
	MaxRules    = 65536
	MaxHosts    = 4096
	MaxName     = 63  // of a host's name
	MaxAddress  = 255 // of a host's address
	MaxDesc     = 95  // of a rule's description
	MaxPriority = 7
	MaxDurable  = 4096 // rules for durable lanes
	MaxDir      = 239  // of a durable rule's folder
)

var (
	// ErrNoTable means that there is no route table of that key.
	ErrNoTable = errors.New("no such route table")
	// ErrDamaged means that the bytes in shared memory break a rule of the format.
	ErrDamaged = errors.New("route table is damaged")
)

// A Release says what makes a relayed message's place in its sender's lane free.
type Release uint8

const (
	// Consumed means that the process at the far side has taken it: it survives
	// the loss of the far host.
	Consumed Release = iota
	// Stored means that it lies in the far side's lane: senders have room sooner, and
	// what the far process had not taken is lost with its host.
	Stored
)

var releases = []string{Consumed: "consumed", Stored: "stored"}

// ParseRelease reads "consumed" or "stored".
func ParseRelease(s string) (Release, error) {
	if i := slices.Index(releases, s); i >= 0 {
		return Release(i), nil
	}
	return 0, fmt.Errorf("release %q: want %s", s, strings.Join(releases, " or "))
}

// String writes the policy as [ParseRelease] reads it, and one that does not
// exist as its number.
func (r Release) String() string {
	if int(r) < len(releases) {
		return releases[r]
	}
	return fmt.Sprintf("release(%d)", uint8(r))
}

// MarshalText writes the policy as [Release.String] does. It fails for one that
// does not exist.
func (r Release) MarshalText() ([]byte, error) {
	if int(r) >= len(releases) {
		return nil, fmt.Errorf("release %d: want 0 to %d", uint8(r), len(releases)-1)
	}
	return []byte(releases[r]), nil
}

// UnmarshalText reads what [Release.MarshalText] writes. On an error the policy
// keeps its value.
func (r *Release) UnmarshalText(text []byte) error {
	v, err := ParseRelease(string(text))
	if err == nil {
		*r = v
	}
	return err
}

// A Host is a host of the cluster whose relay daemon can be reached.
type Host struct {
	// Name tells it from all others, also in its certificate: 1 to MaxName bytes
	// of [a-zA-Z0-9._-].
	Name string
	// Address is the HOST:PORT that is dialled, at most MaxAddress bytes. An
	// IPv6 address has brackets. It is not resolved here.
	Address string
}

// HostName returns the name of a host of which nothing but the address is known: the
// address with a '_' for each byte that a name must not have. It may be too
// long for a name, and two addresses may give the same; [Table.Validate] tells.
func HostName(address string) string {
	name := []byte(address)
	for i, c := range name {
		if !nameByte(c) {
			name[i] = '_'
		}
	}
	return string(name)
}

// ShortDesc makes a rule's Desc of any text: valid UTF-8, cut at a whole character
// where it is too long.
func ShortDesc(text string) string {
	text = strings.ToValidUTF8(text, string(utf8.RuneError))
	if len(text) <= MaxDesc {
		return text
	}
	end := MaxDesc
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end]
}

// A Rule says behind which host the addresses of one prefix live.
type Rule struct {
	Prefix  addr.Prefix
	Host    string // name of a Host of the table, or the table's Self
	Release Release
	// Priority is 0 to MaxPriority; streams with a higher one have more turns.
	Priority uint8
	// Desc is free text, at most MaxDesc bytes of UTF-8 without a 0.
	Desc string
	// Published means that the cluster says so, and not a configuration: the Host itself has
	// published that it has these addresses. An exact one is bound there.
	Published bool
}

// A Table is one state of the routes of a relay key. It must not be changed once
// others see it, nor after its first Lookup; [Update] and [Table.Clone] give one
// that may be. What may not be changed is safe for concurrent use.
type Table struct {
	// Key is the relay key, 1..MaxKey.
	Key uint32
	// Generation counts the changes of the table from 1. It is 0 in a table that
	// was never stored. Store and Update set it themselves.
	Generation uint64
	// Template is how the addresses are written.
	Template addr.Template
	// Self is the name of the host that the domains following this table are on,
	// or "" while nobody has said so. Hosts need not have it.
	Self string
	// Hosts and Rules keep their order. No two hosts have the same name and no
	// two rules the same prefix; one prefix may lie inside another.
	Hosts []Host
	Rules []Rule
	// Durable says which lanes are files on a disk. No two have the same pair of
	// prefixes; they keep their order.
	Durable []Durable

	index atomic.Pointer[index] // made by the first look-up
}

// Clone returns a copy that the caller may change: of the table as it is, with
// its generation.
func (t *Table) Clone() *Table {
	return &Table{
		Key: t.Key, Generation: t.Generation, Template: t.Template, Self: t.Self,
		Hosts: slices.Clone(t.Hosts), Rules: slices.Clone(t.Rules), Durable: slices.Clone(t.Durable),
	}
}
