// SPDX-License-Identifier: Apache-2.0

package route

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/skybus-io/skybus/addr"
)

// A Mode says when a durable lane's message is on disk; docs/format/durable.md
// tells what each survives.
type Mode uint8

const (
	// Sync has it there before Send returns.
	Sync Mode = iota
	// Async brings it there within about a second.
	Async
)

var modes = []string{Sync: "sync", Async: "async"}

// ParseMode reads "sync" or "async".
func ParseMode(s string) (Mode, error) {
	if i := slices.Index(modes, s); i >= 0 {
		return Mode(i), nil
	}
	return 0, fmt.Errorf("mode %q: want %s", s, strings.Join(modes, " or "))
}

// String writes the mode as [ParseMode] reads it, and one that does not exist as
// its number.
func (m Mode) String() string {
	if int(m) < len(modes) {
		return modes[m]
	}
	return fmt.Sprintf("mode(%d)", uint8(m))
}

// A Durable rule makes lanes durable when they are made: those from an address of
// one prefix to an address of another.
type Durable struct {
	From, To addr.Prefix
	Mode     Mode
	// Dir is the folder for the files: an absolute path without superfluous parts,
	// at most MaxDir bytes of UTF-8 without a 0.
	Dir string
}

// LookupDurable returns the rule for the lane from one address to another, or false
// if it has none: of several that fit the one with the longest To counts, of
// those the one with the longest From. It looks at all rules. Any goroutine may call it.
func (t *Table) LookupDurable(from, to addr.Addr) (d Durable, ok bool) {
	for _, r := range t.Durable {
		if first(from, r.From.Bits) != r.From.Addr || first(to, r.To.Bits) != r.To.Addr {
			continue
		}
		if !ok || r.To.Bits > d.To.Bits || r.To.Bits == d.To.Bits && r.From.Bits > d.From.Bits {
			d, ok = r, true
		}
	}
	return d, ok
}

// DurableDirs lists the folders of all durable rules, each once, in their order.
func (t *Table) DurableDirs() (dirs []string) {
	for _, r := range t.Durable {
		if !slices.Contains(dirs, r.Dir) {
			dirs = append(dirs, r.Dir)
		}
	}
	return dirs
}

// durable checks the rules for durable lanes.
func (v *validator) durable() {
	if n := len(v.table.Durable); n > MaxDurable {
		v.fail("durable rules: there are %d, want at most %d", n, MaxDurable)
	}
	seen := map[[2]addr.Prefix]int{}
	for i := range v.table.Durable {
		d := &v.table.Durable[i]
		v.durableRule(i+1, d)
		pair := [2]addr.Prefix{d.From, d.To}
		if first, twice := seen[pair]; twice {
			v.fail("durable rule %d: its prefixes are those of durable rule %d", i+1, first)
			continue
		}
		seen[pair] = i + 1
	}
}

func (v *validator) durableRule(number int, d *Durable) {
	fail := func(format string, args ...any) {
		v.fail("durable rule %d, %s to %s: %w", number, v.table.Template.FormatPrefix(d.From), v.table.Template.FormatPrefix(d.To),
			fmt.Errorf(format, args...))
	}
	if problem := v.table.checkPrefix(d.From); problem != "" {
		fail("from: %s", problem)
	}
	if problem := v.table.checkPrefix(d.To); problem != "" {
		fail("to: %s", problem)
	}
	if int(d.Mode) >= len(modes) {
		fail("mode %d: want 0 to %d", uint8(d.Mode), len(modes)-1)
	}
	switch {
	case len(d.Dir) > MaxDir || !utf8.ValidString(d.Dir) || strings.IndexByte(d.Dir, 0) >= 0:
		fail("dir %s of %d bytes: want at most %d bytes of UTF-8 without a 0", quote(d.Dir), len(d.Dir), MaxDir)
	case !filepath.IsAbs(d.Dir) || filepath.Clean(d.Dir) != d.Dir:
		fail("dir %s: want an absolute path without superfluous parts", quote(d.Dir))
	}
}

// encode writes the rule into its entry.
func (d *Durable) encode(entry []byte) {
	le.PutUint32(entry[durableAtFrom:], uint32(d.From.Addr))
	le.PutUint32(entry[durableAtTo:], uint32(d.To.Addr))
	entry[durableAtFromBits] = d.From.Bits
	entry[durableAtToBits] = d.To.Bits
	entry[durableAtMode] = uint8(d.Mode)
	copy(entry[durableAtDir:durableSize], d.Dir)
}

// decode reads an entry.
func (d *Durable) decode(entry []byte) (err error) {
	d.From = addr.Prefix{Addr: addr.Addr(le.Uint32(entry[durableAtFrom:])), Bits: entry[durableAtFromBits]}
	d.To = addr.Prefix{Addr: addr.Addr(le.Uint32(entry[durableAtTo:])), Bits: entry[durableAtToBits]}
	d.Mode = Mode(entry[durableAtMode])
	if !zero(entry[durableAtZero:durableAtDir]) {
		return damaged("bytes that want to be 0 are not")
	}
	d.Dir, err = text(entry[durableAtDir:durableSize])
	return err
}

// decodeDurable reads the entries, which b consists of.
func (t *Table) decodeDurable(b []byte) error {
	var errs []error
	for n := 0; len(b) > 0; b = b[durableSize:] {
		var d Durable
		n++
		if err := d.decode(b[:durableSize]); err != nil {
			errs = append(errs, fmt.Errorf("durable rule %d: %w", n, err))
		}
		t.Durable = append(t.Durable, d)
	}
	return errors.Join(errs...)
}
