// SPDX-License-Identifier: Apache-2.0

package route

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/skybus-io/skybus/addr"
)

// Validate reports everything that keeps the table from being stored, each
// mistake with the host or the rule, by its number from 1, that has it; nil if
// there is none. [errors.Join] has joined them. It changes nothing.
func (t *Table) Validate() error {
	v := validator{table: t}
	if t.Key < 1 || t.Key > MaxKey {
		v.fail("key %d: want 1 to %d", t.Key, MaxKey)
	}
	if t.Self != "" && !validName(t.Self) {
		v.fail("self %s: %s", quote(t.Self), wantName)
	}
	if n := len(t.Hosts); n > MaxHosts {
		v.fail("hosts: there are %d, want at most %d", n, MaxHosts)
	}
	if n := len(t.Rules); n > MaxRules {
		v.fail("rules: there are %d, want at most %d", n, MaxRules)
	}
	v.hosts()
	v.rules()
	v.durable()
	return errors.Join(v.errs...)
}

// validator collects mistakes.
type validator struct {
	table *Table
	names map[string]int // number of each host
	errs  []error
}

func (v *validator) fail(format string, args ...any) {
	v.errs = append(v.errs, fmt.Errorf(format, args...))
}

func (v *validator) hosts() {
	v.names = make(map[string]int, len(v.table.Hosts))
	for i, h := range v.table.Hosts {
		if !validName(h.Name) {
			v.fail("host %d: name %s: %s", i+1, quote(h.Name), wantName)
		}
		if problem := checkAddress(h.Address); problem != "" {
			v.fail("host %d, %s: address %s %s", i+1, quote(h.Name), quote(h.Address), problem)
		}
		if first, twice := v.names[h.Name]; twice {
			v.fail("host %d: name %s is that of host %d", i+1, quote(h.Name), first)
			continue
		}
		v.names[h.Name] = i + 1
	}
}

func (v *validator) rules() {
	seen := make(map[addr.Prefix]int, len(v.table.Rules))
	for i := range v.table.Rules {
		r := &v.table.Rules[i]
		v.rule(i+1, r)
		if first, twice := seen[r.Prefix]; twice {
			v.fail("rule %d: prefix %s is that of rule %d", i+1, v.table.Template.FormatPrefix(r.Prefix), first)
			continue
		}
		seen[r.Prefix] = i + 1
	}
}

func (v *validator) rule(number int, r *Rule) {
	fail := func(err error) {
		v.fail("rule %d, %s: %w", number, v.table.Template.FormatPrefix(r.Prefix), err)
	}
	if problem := v.table.checkPrefix(r.Prefix); problem != "" {
		fail(errors.New(problem))
	}
	if _, ok := v.names[r.Host]; !ok && !v.table.isSelf(r.Host) {
		fail(fmt.Errorf("host %s is not among the table's hosts", quote(r.Host)))
	}
	r.mistakes(fail)
}

// mistakes finds what is wrong with a rule beside its prefix and its host.
func (r *Rule) mistakes(fail func(error)) {
	if int(r.Release) >= len(releases) {
		fail(fmt.Errorf("release %d: want 0 to %d", uint8(r.Release), len(releases)-1))
	}
	if r.Priority > MaxPriority {
		fail(fmt.Errorf("priority %d: want 0 to %d", r.Priority, MaxPriority))
	}
	if len(r.Desc) > MaxDesc || !utf8.ValidString(r.Desc) || strings.IndexByte(r.Desc, 0) >= 0 {
		fail(fmt.Errorf("desc %s of %d bytes: want at most %d bytes of UTF-8 without a 0", quote(r.Desc), len(r.Desc), MaxDesc))
	}
}

// Validate reports what keeps a table whose addresses are of that template from having the rule,
// whatever else it has; nil if nothing does. Any goroutine may call it.
func (r *Rule) Validate(template addr.Template) error {
	var errs []error
	t := Table{Template: template}
	if problem := t.checkPrefix(r.Prefix); problem != "" {
		errs = append(errs, fmt.Errorf("prefix %s: %s", template.FormatPrefix(r.Prefix), problem))
	}
	if !validName(r.Host) {
		errs = append(errs, fmt.Errorf("host %s: %s", quote(r.Host), wantName))
	}
	r.mistakes(func(err error) { errs = append(errs, err) })
	return errors.Join(errs...)
}

// Validate reports what keeps a table from having the host, whatever else it has; nil if nothing
// does. Any goroutine may call it.
func (h Host) Validate() error {
	var errs []error
	if !validName(h.Name) {
		errs = append(errs, fmt.Errorf("name %s: %s", quote(h.Name), wantName))
	}
	if problem := checkAddress(h.Address); problem != "" {
		errs = append(errs, fmt.Errorf("address %s %s", quote(h.Address), problem))
	}
	return errors.Join(errs...)
}

// checkPrefix says what is wrong with a prefix, or nothing.
func (t *Table) checkPrefix(p addr.Prefix) string {
	switch {
	case p.Bits > 32:
		return fmt.Sprintf("prefix of %d bits: want 0 to 32", p.Bits)
	case p.Addr != first(p.Addr, p.Bits):
		return fmt.Sprintf("address %#x has bits behind the prefix, want %#x", uint32(p.Addr), uint32(first(p.Addr, p.Bits)))
	case !t.Template.Contains(p.Addr):
		return fmt.Sprintf("address %#x is outside of template %s, which has %d bits", uint32(p.Addr), t.Template, t.Template.Bits())
	case p.IsExact() && p.Addr.IsNone():
		return "is no address, nothing can be bound to it"
	}
	return ""
}

const wantName = "want 1 to 63 bytes of a-z, A-Z, 0-9, '.', '_' and '-'"

// validName tells whether s can be the name of a host.
func validName(s string) bool {
	for i := range len(s) {
		if !nameByte(s[i]) {
			return false
		}
	}
	return s != "" && len(s) <= MaxName
}

// nameByte tells whether the name of a host may have that byte.
func nameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-'
}

// checkAddress says what is wrong with a HOST:PORT, or nothing.
func checkAddress(s string) string {
	if len(s) > MaxAddress {
		return fmt.Sprintf("has %d bytes, want at most %d", len(s), MaxAddress)
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return "has a byte that is not visible ASCII"
		}
	}
	colon := strings.LastIndexByte(s, ':')
	if colon < 0 {
		return "has no port, want HOST:PORT"
	}
	if !validHost(s[:colon]) {
		return "has no valid host, want a name, an IPv4 address or an IPv6 address in brackets"
	}
	if n, err := strconv.ParseUint(s[colon+1:], 10, 16); err != nil || n == 0 {
		return "has no valid port, want 1 to 65535"
	}
	return ""
}

// validHost looks at the form alone: whether the host exists shows when it is dialled.
func validHost(host string) bool {
	if inner, ok := strings.CutPrefix(host, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		return ok && strings.Contains(inner, ":") && !strings.ContainsAny(inner, "[]/")
	}
	return host != "" && !strings.ContainsAny(host, ":[]/")
}

// maxQuoted is how much of a refused text an error shows, in bytes.
const maxQuoted = 64

func quote(s string) string {
	if len(s) > maxQuoted {
		return strconv.Quote(s[:maxQuoted]) + "…"
	}
	return strconv.Quote(s)
}
