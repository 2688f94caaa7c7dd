// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/internal/tbusxml"
	"github.com/skybus-io/skybus/route"
	"github.com/skybus-io/skybus/shm"
)

// routePlan is what a file changes in a table.
type routePlan struct {
	known bool // there is a table

	created, changed, kept, deleted []ruleObject
}

// writeRules is --write, and without that flag says what it would do.
func (t *trelaymgr) writeRules() error {
	want, err := t.wanted()
	if err != nil {
		return err
	}
	var plan routePlan
	if !t.write {
		if plan, err = t.try(want); err != nil {
			return err
		}
		return t.tell(plan)
	}
	take := func(have *route.Table) error {
		if err := t.sameTemplate(have); err != nil {
			return err
		}
		plan = compare(have.Clone(), want)
		have.Template, have.Hosts, have.Rules = want.Template, want.Hosts, want.Rules
		return nil
	}
	err = route.Update(t.rootDir(), t.key(), shm.Keep, take)
	if errors.Is(err, route.ErrDamaged) {
		t.warnDamaged(err)
		plan = compare(&route.Table{}, want)
		err = route.Store(t.rootDir(), want, shm.Keep)
	}
	if err == nil {
		err = t.tellDomains()
	}
	if err != nil {
		return err
	}
	return t.tell(plan)
}

// try compares the file with the present table and changes nothing.
func (t *trelaymgr) try(want *route.Table) (routePlan, error) {
	have, err := route.Load(t.rootDir(), t.key())
	if errors.Is(err, route.ErrDamaged) {
		t.warnDamaged(err)
		return compare(&route.Table{}, want), nil
	}
	if errors.Is(err, route.ErrNoTable) {
		have, err = &route.Table{}, nil
	}
	if err == nil {
		err = t.sameTemplate(have)
	}
	if err != nil {
		return routePlan{}, err
	}
	return compare(have, want), nil
}

// warnDamaged tells what a table that cannot be read takes with it.
func (t *trelaymgr) warnDamaged(err error) {
	t.warnf("%s; it is replaced whole, and which host this is has to be said again: start skybusd anew", err)
}

// sameTemplate refuses to give the addresses of a table another form: its domains
// have the old one. A table without rules may take any.
func (t *trelaymgr) sameTemplate(have *route.Table) error {
	if len(have.Rules) > 0 && have.Template != t.xml.Template {
		return fmt.Errorf("%s: <AddrTemplet>: the file has %s, route table %d exists and has %s", t.file, t.xml.Template, t.key(), have.Template)
	}
	return nil
}

// wanted makes the table of the file. Errors are all that a table cannot have.
func (t *trelaymgr) wanted() (*route.Table, error) {
	b := tableMaker{
		file: t.file, table: &route.Table{Key: t.key(), Template: t.xml.Template},
		lines: map[string]int{}, addresses: map[string]string{}, warn: t.warnf,
	}
	for _, r := range t.xml.Relays {
		b.relay(r)
	}
	if err := errors.Join(b.errs...); err != nil {
		return nil, err
	}
	if err := b.table.Validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", t.file, err)
	}
	return b.table, nil
}

// tableMaker puts relays into a table.
type tableMaker struct {
	file      string
	table     *route.Table
	lines     map[string]int    // where in the file each host is first, by its name
	addresses map[string]string // of each host, by its name
	errs      []error
	warn      func(format string, args ...any)
}

func (b *tableMaker) fail(r tbusxml.Relay, element, format string, args ...any) {
	b.errs = append(b.errs, fmt.Errorf("%s:%d: <%s>: %w", b.file, r.Line, element, fmt.Errorf(format, args...)))
}

func (b *tableMaker) relay(r tbusxml.Relay) {
	address := r.HostPort()
	name := route.HostName(address)
	if len(b.table.Rules) == route.MaxRules {
		b.fail(r, "Relays", "is one more than a table takes, which is %d", route.MaxRules)
	}
	b.table.Rules = append(b.table.Rules, route.Rule{Prefix: r.Prefix, Host: name, Desc: b.desc(r)})
	if known, ok := b.addresses[name]; ok {
		if known != address {
			b.fail(r, "MConn", "%s gives the host's name %s, as %s does in line %d", address, name, known, b.lines[name])
		}
		return
	}
	b.addresses[name], b.lines[name] = address, r.Line
	if len(name) > route.MaxName {
		b.fail(r, "MConn", "%s has %d bytes, as a host's name it may have %d", address, len(name), route.MaxName)
	}
	if len(b.table.Hosts) == route.MaxHosts {
		b.fail(r, "MConn", "%s is one host more than a table takes, which is %d", address, route.MaxHosts)
	}
	b.table.Hosts = append(b.table.Hosts, route.Host{Name: name, Address: address})
}

// desc shortens a description to what a rule takes, at a whole character.
func (b *tableMaker) desc(r tbusxml.Relay) string {
	text := route.ShortDesc(r.Desc)
	if len(text) < len(r.Desc) {
		b.warn("%s:%d: <Desc>: has %d bytes, the first %d are taken", b.file, r.Line, len(r.Desc), len(text))
	}
	return text
}

// compare says what becomes of each rule, by its prefix. The rules of want are in the
// order of the file, deleted ones in that of the table.
func compare(have, want *route.Table) routePlan {
	plan := routePlan{known: have.Generation > 0}
	old := make(map[addr.Prefix]route.Rule, len(have.Rules))
	for _, r := range have.Rules {
		old[r.Prefix] = r
	}
	after := want.Clone()
	after.Self = have.Self
	for i, r := range after.Rules {
		o := ruleOf(after, i+1, r)
		before, ok := old[r.Prefix]
		delete(old, r.Prefix)
		switch {
		case !ok:
			plan.created = append(plan.created, o)
		case before == r && ruleOf(have, 0, before).Address == o.Address:
			plan.kept = append(plan.kept, o)
		default:
			plan.changed = append(plan.changed, o)
		}
	}
	for i, r := range have.Rules {
		if _, gone := old[r.Prefix]; gone {
			plan.deleted = append(plan.deleted, ruleOf(have, i+1, r))
		}
	}
	return plan
}

// tell writes what --write did, or would do, with each rule.
func (t *trelaymgr) tell(plan routePlan) error {
	if t.json {
		return t.tellObject(plan)
	}
	t.tellEach("created", plan.created)
	t.tellEach("changed", plan.changed)
	t.tellEach("kept", plan.kept)
	t.tellEach("deleted", plan.deleted)
	fresh, note := "", ""
	if !plan.known {
		fresh = ", new"
	}
	if !t.write {
		note = " (nothing was changed; --write does it)"
	}
	t.printf("route table %d%s: %d created, %d changed, %d kept, %d deleted%s\n", t.key(), fresh,
		len(plan.created), len(plan.changed), len(plan.kept), len(plan.deleted), note)
	return nil
}

func (t *trelaymgr) tellEach(verb string, rules []ruleObject) {
	for _, o := range rules {
		line := fmt.Sprintf("%-7s  %s behind %s (%s), %s  %s", verb, o.Prefix, o.Host, orDash(o.Address), o.Release, printable(o.Desc))
		t.printf("%s\n", strings.TrimRight(line, " "))
	}
}

func (t *trelaymgr) tellObject(plan routePlan) error {
	some := func(list []ruleObject) []ruleObject { return append([]ruleObject{}, list...) } // null would be no list
	return t.app.object(struct {
		Created []ruleObject `json:"created"`
		Changed []ruleObject `json:"changed"`
		Kept    []ruleObject `json:"kept"`
		Deleted []ruleObject `json:"deleted"` // with their old numbers
		DryRun  bool         `json:"dry_run"`
	}{some(plan.created), some(plan.changed), some(plan.kept), some(plan.deleted), !t.write}, "  ")
}
