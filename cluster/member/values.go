// SPDX-License-Identifier: Apache-2.0

package member

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/route"
)

// Bounds of values, in bytes, and of what is in them.
const (
	maxHostValue  = 16 << 10
	maxOtherValue = 4 << 10
	maxLinks      = 8
	valueVersion  = 1
)

// States of a host in its own words.
const (
	stateHere = "here"
	stateLeft = "left"
)

// What a route comes from, in the words of its host.
const (
	kindBound      = "bound"
	kindConfigured = "configured"
)

// hostValue is what a host says of itself.
type hostValue struct {
	V           int      `json:"v"`
	Links       []string `json:"links"`
	Fingerprint string   `json:"fingerprint,omitempty"`
	Incarnation uint64   `json:"incarnation"`
	Template    string   `json:"template"`
	State       string   `json:"state"`
}

// routeValue is what a host says of a prefix that it has.
type routeValue struct {
	V        int           `json:"v"`
	Host     string        `json:"host"`
	Kind     string        `json:"kind"`
	Release  route.Release `json:"release,omitempty"`
	Priority uint8         `json:"priority,omitempty"`
	Desc     string        `json:"desc,omitempty"`
	To       string        `json:"to,omitempty"`
}

// groupValue is what a host says of a group that it has members of.
type groupValue struct {
	V       int `json:"v"`
	Members int `json:"members"`
}

// A value is what a key says, of the kind that the key has; the other pointers are nil. It is never
// changed.
type value struct {
	host  *hostValue
	route *routeValue
	group *groupValue
}

// parseValue reads what belongs to a key. It believes nothing; what it returns is within the bounds.
func parseValue(id ident, data []byte) (v value, err error) {
	switch id.kind {
	case kindHost:
		v.host = &hostValue{}
		err = decode(data, maxHostValue, v.host)
		if err == nil {
			err = v.host.check()
		}
	case kindRoute:
		v.route = &routeValue{}
		err = decode(data, maxOtherValue, v.route)
		if err == nil {
			err = v.route.check(id.prefix)
		}
	default:
		v.group = &groupValue{}
		err = decode(data, maxOtherValue, v.group)
		if err == nil && (v.group.V < valueVersion || v.group.Members < 1) {
			err = fmt.Errorf("version %d, %d members: want 1 or more of each", v.group.V, v.group.Members)
		}
	}
	if err != nil {
		return value{}, err
	}
	return v, nil
}

func decode(data []byte, most int, into any) error {
	if len(data) > most {
		return fmt.Errorf("a value of %d bytes, want at most %d", len(data), most)
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("a value that is no JSON of its kind: %w", err)
	}
	return nil
}

func (h *hostValue) check() error {
	if h.V < valueVersion {
		return fmt.Errorf("version %d, want 1 or more", h.V)
	}
	if h.State != stateHere && h.State != stateLeft {
		return fmt.Errorf("state %s, want %q or %q", quote(h.State), stateHere, stateLeft)
	}
	if h.Incarnation == 0 {
		return errors.New("incarnation 0, want 1 or more")
	}
	if _, err := addr.ParseTemplate(h.Template); err != nil {
		return err
	}
	return errors.Join(checkLinks(h.Links), checkFingerprint(h.Fingerprint))
}

func checkLinks(links []string) error {
	if len(links) < 1 || len(links) > maxLinks {
		return fmt.Errorf("%d links, want 1 to %d HOST:PORT", len(links), maxLinks)
	}
	for _, l := range links {
		if err := (route.Host{Name: "x", Address: l}).Validate(); err != nil {
			return fmt.Errorf("link: %w", err)
		}
	}
	return nil
}

func checkFingerprint(text string) error {
	if b, err := hex.DecodeString(text); text != "" && (err != nil || len(b) != 32) {
		return fmt.Errorf("fingerprint %s, want 64 hexadecimal digits", quote(text))
	}
	return nil
}

func (r *routeValue) check(p addr.Prefix) error {
	if r.V < valueVersion {
		return fmt.Errorf("version %d, want 1 or more", r.V)
	}
	if r.Kind != kindBound && r.Kind != kindConfigured {
		return fmt.Errorf("kind %s, want %q or %q", quote(r.Kind), kindBound, kindConfigured)
	}
	if r.Kind == kindBound && !p.IsExact() {
		return fmt.Errorf("a prefix of %d bits is bound, want 32", p.Bits)
	}
	if r.To != "" && !validHost(r.To) {
		return fmt.Errorf("to %s, want the name of a host", quote(r.To))
	}
	rule := r.rule(p)
	return rule.Validate(wide)
}

// wide is a template that has every address: which ones a reader takes is up to its own.
var wide = addr.MustTemplate("32")

// rule is what a route table says of it.
func (r *routeValue) rule(p addr.Prefix) route.Rule {
	return route.Rule{Prefix: p, Host: r.Host, Release: r.Release, Priority: r.Priority, Desc: r.Desc, Published: true}
}

// encode writes a value. What it is given can always be written.
func encode(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		return nil // a release that does not exist: Config's check has seen to it
	}
	return data
}
