// SPDX-License-Identifier: Apache-2.0

package member

import (
	"errors"
	"fmt"
	"path"
	"slices"

	"github.com/skybus-io/skybus/addr"
)

// A Policy says which host may publish what; it is to be the same on all hosts. Of its entries
// the first that matches a host's name counts; a host without one may publish nothing. The empty
// Policy lets every host publish everything. It must not be changed once it is in use.
type Policy []Permit

// A Permit is what the hosts may publish that match it.
type Permit struct {
	Hosts    []string      // globs of names, as of path.Match
	Prefixes []addr.Prefix // that what they publish lies in; none: any
	Names    []string      // globs of the names and groups they may have; none: any
	// How many of each, at most; 0: no other bound than the member's Quota.
	MaxRoutes, MaxGroups, MaxNames int
}

// Validate reports every mistake of the policy, each with the number of its entry; nil if there is
// none.
func (p Policy) Validate() error {
	var errs []error
	for i := range p {
		fail := func(format string, args ...any) {
			errs = append(errs, fmt.Errorf("policy entry %d: %w", i+1, fmt.Errorf(format, args...)))
		}
		if len(p[i].Hosts) == 0 {
			fail("no hosts, want one glob or more")
		}
		for _, glob := range slices.Concat(p[i].Hosts, p[i].Names) {
			if _, err := path.Match(glob, ""); err != nil || glob == "" {
				fail("glob %s: want text with *, ? and [a-z]", quote(glob))
			}
		}
		for _, prefix := range p[i].Prefixes {
			if !validPrefix(prefix) {
				fail("prefix %v: want 0 to 32 bits, and no others set", prefix)
			}
		}
		if p[i].MaxRoutes < 0 || p[i].MaxGroups < 0 || p[i].MaxNames < 0 {
			fail("a bound below 0: want 0 for none, or how many at most")
		}
	}
	return errors.Join(errs...)
}

// Name says why a host may not have that global name or group; nil if it may. Any goroutine may call it.
func (p Policy) Name(host, name string) error {
	permit, err := p.of(host)
	if err != nil || permit == nil || len(permit.Names) == 0 || matches(permit.Names, name) {
		return err
	}
	return fmt.Errorf("the policy does not let host %s have name %s", host, quote(name))
}

// MaxNames is how many global names a host may have; 0: any number. Any goroutine may call it.
func (p Policy) MaxNames(host string) int {
	if permit, err := p.of(host); err == nil && permit != nil {
		return permit.MaxNames
	}
	return 0
}

// prefix says why a host may not publish a prefix.
func (p Policy) prefix(host string, prefix addr.Prefix, t addr.Template) error {
	permit, err := p.of(host)
	if err != nil || permit == nil || len(permit.Prefixes) == 0 {
		return err
	}
	if slices.ContainsFunc(permit.Prefixes, func(in addr.Prefix) bool { return within(prefix, in) }) {
		return nil
	}
	return fmt.Errorf("the policy does not let host %s publish %s", host, t.FormatPrefix(prefix))
}

// most is how many routes and groups a host may publish, with q as the bound of all.
func (p Policy) most(host string, q Quota) (routes, groups int) {
	permit, err := p.of(host)
	if err != nil || permit == nil {
		return q.Routes, q.Groups
	}
	return least(permit.MaxRoutes, q.Routes), least(permit.MaxGroups, q.Groups)
}

func least(bound, all int) int {
	if bound == 0 {
		return all
	}
	return min(bound, all)
}

// of returns the entry for a host, nil if everything is allowed.
func (p Policy) of(host string) (*Permit, error) {
	for i := range p {
		if matches(p[i].Hosts, host) {
			return &p[i], nil
		}
	}
	if len(p) == 0 {
		return nil, nil
	}
	return nil, fmt.Errorf("the policy has no entry for host %s", host)
}

func matches(globs []string, text string) bool {
	return slices.ContainsFunc(globs, func(glob string) bool {
		ok, err := path.Match(glob, text)
		return ok && err == nil
	})
}

// within tells whether all addresses of p are in the other one.
func within(p, in addr.Prefix) bool { return p.Bits >= in.Bits && in.Contains(p.Addr) }
