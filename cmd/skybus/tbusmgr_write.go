// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/channel"
	"github.com/skybus-io/skybus/internal/tbusxml"
)

// writeChannels is --write. What stands in the way of any of it is found by a
// dry run, so that nothing is changed then.
func (t *tbusmgr) writeChannels() error {
	d, err := t.openExisting()
	if errors.Is(err, skybus.ErrNoDomain) {
		if t.dryRun {
			return t.tellNew()
		}
		d, err = t.open(skybus.Options{Strict: true, Template: t.xml.Template})
	}
	if err != nil {
		return err
	}
	defer d.Close()
	if have := d.Table().Template(); have != t.xml.Template {
		return fmt.Errorf("%s: <AddrTemplet>: the file has %s, domain %d exists and has %s", t.file, t.xml.Template, d.Key(), have)
	}
	want := wanted(t.xml.Channels)
	before := numbers(d)
	plan, err := d.Table().Configure(want, t.force, true)
	if err != nil {
		return t.refusal(d, plan, before, err)
	}
	if !t.dryRun {
		plan, err = d.Table().Configure(want, t.force, false)
	}
	if tellErr := t.tell(d, plan, before); err == nil {
		err = tellErr
	}
	return t.atLine(err, plan)
}

func wanted(channels []tbusxml.Channel) []channel.Channel {
	var list []channel.Channel
	for _, c := range channels {
		list = append(list, channel.Channel{A: c.A, B: c.B, SendSize: c.SendSize, RecvSize: c.RecvSize, Priority: c.Priority, Desc: c.Desc})
	}
	return list
}

// numbers are those of the list, by Channel.Number.
func numbers(d *skybus.Domain) map[uint32]int {
	m := map[uint32]int{}
	for i, c := range d.Table().Channels() {
		m[c.Number] = i + 1
	}
	return m
}

// refusal says, for each channel that the file has no more, what keeps it from
// being deleted. err is for what it cannot find.
func (t *tbusmgr) refusal(d *skybus.Domain, plan channel.Plan, numbers map[uint32]int, err error) error {
	var errs []error
	for _, c := range plan.Deleted {
		name := fmt.Sprintf("channel %d, %s, is not in %s", numbers[c.Number], joined(d, c), t.file)
		if n := c.HoldsA2B + c.HoldsB2A; n > 0 && !t.force {
			errs = append(errs, fmt.Errorf("%s but holds %s; --force deletes them, nothing was changed", name, count(n, "message")))
		}
		for _, a := range []addr.Addr{c.A, c.B} {
			if e, _ := d.Table().Endpoint(a); e.Bound {
				errs = append(errs, fmt.Errorf("%s but %s is bound by %s; end that process first, nothing was changed", name, d.FormatAddr(a), who(e)))
			}
		}
	}
	if len(errs) == 0 {
		return err
	}
	return errors.Join(errs...)
}

// atLine adds to an error where in the file the channel stands that could not
// be created: the first that the plan did not get to.
func (t *tbusmgr) atLine(err error, plan channel.Plan) error {
	if err == nil {
		return nil
	}
	done := byPair(slices.Concat(plan.Created, plan.Kept))
	for _, c := range t.xml.Channels {
		if _, ok := done[unordered(channel.Channel{A: c.A, B: c.B})]; !ok {
			return fmt.Errorf("%s:%d: <Channels>: %w", t.file, c.Line, err)
		}
	}
	return err
}

// tell writes what --write did with each channel.
func (t *tbusmgr) tell(d *skybus.Domain, plan channel.Plan, before map[uint32]int) error {
	t.warn(d, plan)
	made := byPair(d.Table().Channels())
	for i, c := range plan.Created {
		if m, ok := made[unordered(c)]; ok { // not so in a dry run
			plan.Created[i] = m
		}
	}
	if t.json {
		return t.tellObject(d, plan, before)
	}
	t.tellEach(d, "created", plan.Created)
	t.tellEach(d, "kept", plan.Kept)
	t.tellEach(d, "deleted", plan.Deleted)
	t.printf("domain %d: %d created, %d kept, %d deleted%s\n", d.Key(), len(plan.Created), len(plan.Kept), len(plan.Deleted), t.dryNote())
	return nil
}

func (t *tbusmgr) tellEach(d *skybus.Domain, verb string, channels []channel.Channel) {
	for _, c := range channels {
		note := ""
		if n := c.HoldsA2B + c.HoldsB2A; n > 0 && verb == "deleted" {
			note = "  with " + count(n, "message")
		}
		t.printf("%s%s\n", described(verb, joined(d, c), sizes(c.SendSize, c.SizeA2B), sizes(c.RecvSize, c.SizeB2A), c.Desc), note)
	}
}

func (t *tbusmgr) dryNote() string {
	if t.dryRun {
		return " (dry run, nothing was changed)"
	}
	return ""
}

// described is the line about one channel.
func described(verb, addresses, send, recv, desc string) string {
	return strings.TrimRight(fmt.Sprintf("%-7s  %s  %s, %s  %s", verb, addresses, send, recv, printable(desc)), " ")
}

// warn says what is not as the file has it.
func (t *tbusmgr) warn(d *skybus.Domain, plan channel.Plan) {
	if !d.Table().Strict() {
		t.warnf("domain %d was not made from a file: it takes messages outside of its channels too", d.Key())
	}
	have := byPair(plan.Kept)
	for _, c := range plan.Resized {
		k := have[unordered(c)]
		if k.A != c.A {
			k.SendSize, k.RecvSize = k.RecvSize, k.SendSize
		}
		t.warnf("%s:%d: <Channels>: %s keeps its sizes %d, %d; the file asks for %d, %d: delete the channel, then write again",
			t.file, t.line(c), joined(d, c), k.SendSize, k.RecvSize, c.SendSize, c.RecvSize)
	}
}

// unordered names a channel whichever way round it is given.
func unordered(c channel.Channel) channel.Pair {
	return channel.Pair{Src: min(c.A, c.B), Dst: max(c.A, c.B)}
}

func byPair(channels []channel.Channel) map[channel.Pair]channel.Channel {
	m := map[channel.Pair]channel.Channel{}
	for _, c := range channels {
		m[unordered(c)] = c
	}
	return m
}

func (t *tbusmgr) tellObject(d *skybus.Domain, plan channel.Plan, before map[uint32]int) error {
	objects := func(channels []channel.Channel, number map[uint32]int) []channelObject {
		list := []channelObject{}
		for _, c := range channels {
			list = append(list, t.object(d, number[c.Number], c))
		}
		return list
	}
	after := numbers(d)
	return t.app.object(struct {
		Created []channelObject `json:"created"`
		Kept    []channelObject `json:"kept"`
		Deleted []channelObject `json:"deleted"`
		Resized []channelObject `json:"resized"` // kept with another size than this, which the file asks for
		DryRun  bool            `json:"dry_run"`
	}{objects(plan.Created, after), objects(plan.Kept, after), objects(plan.Deleted, before), objects(plan.Resized, nil), t.dryRun}, "  ")
}

// line is where a channel stands in the file.
func (t *tbusmgr) line(c channel.Channel) int {
	for _, x := range t.xml.Channels {
		if x.A == c.A && x.B == c.B {
			return x.Line
		}
	}
	return 0
}

// tellNew is a dry run of making the domain.
func (t *tbusmgr) tellNew() error {
	for _, c := range t.xml.Channels {
		f := t.xml.Template.Format
		t.printf("%s\n", described("created", f(c.A)+" <-> "+f(c.B), size(c.SendSize), size(c.RecvSize), c.Desc))
	}
	t.printf("domain %d, new: %d created, 0 kept, 0 deleted%s\n", t.xml.Key, len(t.xml.Channels), t.dryNote())
	return nil
}
