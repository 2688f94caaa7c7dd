// SPDX-License-Identifier: Apache-2.0

package route

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/shm"
)

// The layout of a table's segment; docs/format/route.md has it as a table. What
// is called At is an offset: bodyAt in the header's body, restAt behind the
// header, hostAt and ruleAt in an entry.
//
//	 0         128        192      256               256 + 320 hosts
//	+---------+----------+--------+-----------------+----------------+-------------------+
//	| header  | template | self   | hosts, 320 each | rules, 112 each| durable, 256 each |
//	+---------+----------+--------+-----------------+----------------+-------------------+
//	  shm       64         64
const (
	bodyAtKey        = 0
	bodyAtHosts      = 4
	bodyAtGeneration = 8
	bodyAtRules      = 16
	bodyAtSum        = 20
	bodyAtDurable    = 24
	bodyEnd          = 28

	restAtTemplate = 0
	restAtSelf     = 64
	restAtHosts    = 128

	hostAtName    = 0
	hostAtAddress = 64
	hostSize      = 320

	ruleAtAddr     = 0
	ruleAtBits     = 4
	ruleAtRelease  = 5
	ruleAtPriority = 6
	ruleAtFlags    = 7
	ruleAtHost     = 8
	ruleAtZero4    = 12
	ruleAtDesc     = 16
	ruleSize       = 112

	flagPublished = 1 << 0

	durableAtFrom     = 0
	durableAtTo       = 4
	durableAtFromBits = 8
	durableAtToBits   = 9
	durableAtMode     = 10
	durableAtZero     = 11
	durableAtDir      = 16
	durableSize       = 256

	// selfHost stands, in a rule, for the host Self that Hosts do not have.
	selfHost = 1<<32 - 1

	// maxRest is the size of the largest table without its header.
	maxRest = restAtHosts + MaxHosts*hostSize + MaxRules*ruleSize + MaxDurable*durableSize
)

// Each text has a 0 behind it.
var (
	_ = [1]struct{}{}[hostAtAddress-hostAtName-MaxName-1]
	_ = [1]struct{}{}[hostSize-hostAtAddress-MaxAddress-1]
	_ = [1]struct{}{}[ruleSize-ruleAtDesc-MaxDesc-1]
	_ = [1]struct{}{}[restAtHosts-restAtSelf-MaxName-1]
	_ = [1]struct{}{}[durableSize-durableAtDir-MaxDir-1]
)

var (
	magic      = shm.Magic([]byte("SKYROUTE"))
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	le         = binary.LittleEndian
)

// content is a table as bytes: the body of the segment's header, and what stands
// behind the header.
type content struct {
	body [shm.BodySize]byte
	rest []byte
}

// encode writes a valid table, with the generation given.
func (t *Table) encode(generation uint64) content {
	c := content{rest: make([]byte, restAtHosts+len(t.Hosts)*hostSize+len(t.Rules)*ruleSize+len(t.Durable)*durableSize)}
	copy(c.rest[restAtTemplate:restAtSelf], t.Template.String())
	copy(c.rest[restAtSelf:restAtHosts], t.Self)
	numbers := make(map[string]uint32, len(t.Hosts))
	at := c.rest[restAtHosts:]
	for i, h := range t.Hosts {
		numbers[h.Name] = uint32(i)
		copy(at[hostAtName:hostAtAddress], h.Name)
		copy(at[hostAtAddress:hostSize], h.Address)
		at = at[hostSize:]
	}
	for i := range t.Rules {
		t.Rules[i].encode(at[:ruleSize], numbers)
		at = at[ruleSize:]
	}
	for i := range t.Durable {
		t.Durable[i].encode(at[:durableSize])
		at = at[durableSize:]
	}
	le.PutUint32(c.body[bodyAtKey:], t.Key)
	le.PutUint32(c.body[bodyAtHosts:], uint32(len(t.Hosts)))
	le.PutUint64(c.body[bodyAtGeneration:], generation)
	le.PutUint32(c.body[bodyAtRules:], uint32(len(t.Rules)))
	le.PutUint32(c.body[bodyAtDurable:], uint32(len(t.Durable)))
	le.PutUint32(c.body[bodyAtSum:], c.sum())
	return c
}

func (r *Rule) encode(entry []byte, numbers map[string]uint32) {
	host, ok := numbers[r.Host]
	if !ok {
		host = selfHost
	}
	le.PutUint32(entry[ruleAtAddr:], uint32(r.Prefix.Addr))
	entry[ruleAtBits] = r.Prefix.Bits
	entry[ruleAtRelease] = uint8(r.Release)
	entry[ruleAtPriority] = r.Priority
	if r.Published {
		entry[ruleAtFlags] = flagPublished
	}
	le.PutUint32(entry[ruleAtHost:], host)
	copy(entry[ruleAtDesc:ruleSize], r.Desc)
}

// sum is the checksum of what the header's own does not cover.
func (c *content) sum() uint32 { return crc32.Checksum(c.rest, castagnoli) }

// checkSum compares the checksum with the one that the body has.
func (c *content) checkSum() error {
	if said, is := le.Uint32(c.body[bodyAtSum:]), c.sum(); said != is {
		return damaged("its checksum is %#08x, the bytes give %#08x", said, is)
	}
	return nil
}

// decode reads a table and believes nothing: what it returns is valid, and is
// what encode would write as these bytes. Errors wrap ErrDamaged.
func (c *content) decode(key uint32) (*Table, error) {
	hosts, rules, err := c.counts(key)
	if err != nil {
		return nil, err
	}
	t := &Table{Key: key, Generation: le.Uint64(c.body[bodyAtGeneration:])}
	if t.Generation == 0 {
		return nil, damaged("its generation is 0, want 1 or more")
	}
	if err := t.decodeTexts(c.rest); err != nil {
		return nil, err
	}
	split := restAtHosts + hosts*hostSize
	if err := t.decodeHosts(c.rest[restAtHosts:split], hosts); err != nil {
		return nil, err
	}
	if err := t.decodeRules(c.rest[split:], rules); err != nil {
		return nil, err
	}
	if err := t.decodeDurable(c.rest[split+rules*ruleSize:]); err != nil {
		return nil, err
	}
	if err := t.Validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return t, nil
}

// counts returns how many hosts and rules there are. The bytes are as many as
// those take.
func (c *content) counts(key uint32) (hosts, rules int, err error) {
	if err := c.checkSum(); err != nil {
		return 0, 0, err
	}
	h, r, d := le.Uint32(c.body[bodyAtHosts:]), le.Uint32(c.body[bodyAtRules:]), le.Uint32(c.body[bodyAtDurable:])
	if k := le.Uint32(c.body[bodyAtKey:]); k != key {
		return 0, 0, damaged("it is of key %d, want %d", k, key)
	}
	if h > MaxHosts || r > MaxRules {
		return 0, 0, damaged("%d hosts and %d rules, want at most %d and %d", h, r, MaxHosts, MaxRules)
	}
	if d > MaxDurable {
		return 0, 0, damaged("%d durable rules, want at most %d", d, MaxDurable)
	}
	if want := restAtHosts + int(h)*hostSize + int(r)*ruleSize + int(d)*durableSize; len(c.rest) != want {
		return 0, 0, damaged("%d hosts, %d rules and %d durable rules take %d bytes, there are %d", h, r, d, want, len(c.rest))
	}
	if !zero(c.body[bodyEnd:]) {
		return 0, 0, damaged("the header's body does not end with zeros")
	}
	return int(h), int(r), nil
}

func (t *Table) decodeTexts(rest []byte) error {
	template, err := text(rest[restAtTemplate:restAtSelf])
	if err != nil {
		return fmt.Errorf("template: %w", err)
	}
	if t.Template, err = addr.ParseTemplate(template); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if short := t.Template.String(); short != template {
		return damaged("template %q is written %q", template, short)
	}
	if t.Self, err = text(rest[restAtSelf:restAtHosts]); err != nil {
		return fmt.Errorf("self: %w", err)
	}
	return nil
}

func (t *Table) decodeHosts(b []byte, n int) error {
	for i := range n {
		entry := b[i*hostSize : (i+1)*hostSize]
		name, nameErr := text(entry[hostAtName:hostAtAddress])
		address, addressErr := text(entry[hostAtAddress:hostSize])
		if err := errors.Join(nameErr, addressErr); err != nil {
			return fmt.Errorf("host %d: %w", i+1, err)
		}
		t.Hosts = append(t.Hosts, Host{Name: name, Address: address})
	}
	return nil
}

func (t *Table) decodeRules(b []byte, n int) error {
	if n > 0 {
		t.Rules = make([]Rule, n)
	}
	selfListed := false
	for _, h := range t.Hosts {
		selfListed = selfListed || h.Name == t.Self
	}
	for i := range n {
		entry := b[i*ruleSize : (i+1)*ruleSize]
		host := le.Uint32(entry[ruleAtHost:])
		r := &t.Rules[i]
		switch {
		case host < uint32(len(t.Hosts)):
			r.Host = t.Hosts[host].Name
		case host == selfHost && t.Self != "" && !selfListed:
			r.Host = t.Self
		default:
			return fmt.Errorf("rule %d: %w", i+1, damaged("host number %d, there are %d", host, len(t.Hosts)))
		}
		if err := r.decode(entry); err != nil {
			return fmt.Errorf("rule %d: %w", i+1, err)
		}
	}
	return nil
}

// decode reads all of an entry but the host.
func (r *Rule) decode(entry []byte) (err error) {
	r.Prefix = addr.Prefix{Addr: addr.Addr(le.Uint32(entry[ruleAtAddr:])), Bits: entry[ruleAtBits]}
	r.Release = Release(entry[ruleAtRelease])
	r.Priority = entry[ruleAtPriority]
	r.Published = entry[ruleAtFlags]&flagPublished != 0
	if entry[ruleAtFlags]&^flagPublished != 0 || !zero(entry[ruleAtZero4:ruleAtDesc]) {
		return damaged("bytes that want to be 0 are not")
	}
	r.Desc, err = text(entry[ruleAtDesc:ruleSize])
	return err
}

// text reads a text with the zeros that fill its field.
func text(field []byte) (string, error) {
	n := 0
	for n < len(field) && field[n] != 0 {
		n++
	}
	if n == len(field) || !zero(field[n:]) {
		return "", damaged("text %s is not ended by zeros", quote(string(field)))
	}
	return string(field[:n]), nil
}

func zero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrDamaged, fmt.Errorf(format, args...))
}
