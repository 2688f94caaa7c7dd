// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/channel"
	"github.com/skybus-io/skybus/relay"
	"github.com/skybus-io/skybus/route"
)

const traceHelp = `trace sends nothing. It follows the way that a message from SRC to DST would take
now, and shows how many wait at each place:

  sender      who has SRC bound
  lane        the lane in this domain; what was relayed stays in it until it was
              received, or stored, as the route says
  route       the rule that has DST, and the host that it is on
  connection  the connection that carries the lane to that host; what waits
              there is on the way
  lane        the lane at the other host, if its domain is on this machine and
              named by --far-key, --far-root or both
  receiver    who has DST bound

The last line is the verdict. No daemon is needed for trace itself.`

// traceFlags name the domain at the other host.
type traceFlags struct {
	root string
	key  domainKey
}

func newTraceCommand(a *app) *cobra.Command {
	f := &traceFlags{}
	cmd := &cobra.Command{
		Use:   "trace SRC DST",
		Short: "Show the way of a message, also to another host, and where messages wait",
		Long:  traceHelp,
		Example: "  skybus trace -k 1000 0.0.1.1 0.0.3.1\n" +
			"  skybus trace -k 1000 --far-key 1001 0.0.1.1 0.0.3.1",
		Args:              takes(2, 2, "SRC DST"),
		ValidArgsFunction: a.completeAddresses(2),
		RunE: func(_ *cobra.Command, args []string) error {
			d, err := a.openExisting()
			if err != nil {
				return err
			}
			defer d.Close()
			p, err := pair(d, args)
			if err != nil {
				return err
			}
			return a.trace(d, p, f)
		},
	}
	cmd.Flags().Var(&f.key, "far-key", "`KEY` of the domain at the other host (default: the same key, with --far-root)")
	cmd.Flags().StringVar(&f.root, "far-root", "", "`FOLDER` that holds it (default: the same folder, with --far-key)")
	complete(cmd, "far-key", func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		there := *a
		there.root = f.rootDir(a)
		return there.completeKeys(cmd, args, begun)
	})
	_ = cmd.MarkFlagDirname("far-root") // for shells
	return cmd
}

func (f *traceFlags) rootDir(a *app) string {
	if f.root == "" {
		return a.rootDir()
	}
	return f.root
}

// open opens the domain at the other host, nil if none is named.
func (f *traceFlags) open(a *app, near *skybus.Domain) (*skybus.Domain, error) {
	if f.root == "" && f.key == 0 {
		return nil, nil
	}
	key := f.key
	if key == 0 {
		key = domainKey(near.Key())
	}
	d, err := skybus.Open(int(key), skybus.Options{Root: f.rootDir(a), MustExist: true, Logger: a.log})
	if err != nil {
		return nil, fmt.Errorf("the domain at the other host: %w", err)
	}
	if d.Table().Folder() == near.Table().Folder() {
		d.Close()
		return nil, usagef("--far-key %s, --far-root %s: that is the domain of the sender", key.String(), f.rootDir(a))
	}
	return d, nil
}

func (a *app) trace(d *skybus.Domain, p channel.Pair, f *traceFlags) error {
	far, err := f.open(a, d)
	if err != nil {
		return err
	}
	t := readTrace(d, a.rootDir(), p)
	if far != nil {
		defer far.Close()
		if t.goesFar() {
			e := readTraceEnd(far, f.rootDir(a), p)
			t.far = &e
		} else {
			a.warnf("the domain at the other host is not looked at: the message stays on this one")
		}
	}
	v := t.judge()
	if t.far != nil && t.far.host() != "" && t.far.host() != t.match.Host {
		a.warnf("domain %d is on host %s, and the message goes to %s", t.far.info.Key, t.far.host(), t.match.Host)
	}
	if a.json {
		return a.object(t.object(d, far, v), "  ")
	}
	a.printTrace(t, v)
	return nil
}

// A trace is all that is known of a message's way, at one time.
type trace struct {
	channel.Pair
	near traceEnd
	far  *traceEnd // nil: not looked at

	match  route.Match // the rule that has Dst
	routed bool        // there is one

	status   *relay.Status // what the daemon says, nil without an answer
	askErr   error
	link     *relay.Link // the connection that carries the lane, or would
	position *relay.Hop  // the lane, as the daemon has it
}

// A traceEnd is one of the two domains.
type traceEnd struct {
	info             channel.DomainInfo
	lane             *lane // nil: there is none
	sender, receiver channel.EndpointInfo
	knows            bool // it has an entry of the receiver
	knowsSender      bool
	relay            bool // a relay daemon runs
	routes           *route.Table
	routesErr        error
	format           func(channel.Pair) (src, dst string)
}

func readTraceEnd(d *skybus.Domain, root string, p channel.Pair) traceEnd {
	t := d.Table()
	e := traceEnd{info: t.Info(), relay: t.RelayBound()}
	e.format = func(p channel.Pair) (string, string) { return t.Format(p.Src), t.Format(p.Dst) }
	e.sender, e.knowsSender = t.Endpoint(p.Src)
	e.receiver, e.knows = t.Endpoint(p.Dst)
	if info, ok := t.Lane(p); ok {
		e.lane = &lane{info, e.sender, e.receiver, e.relay}
	}
	e.routes, e.routesErr = routesOf(d, root)
	return e
}

// host is what the routes call the host of the domain, empty if they do not.
func (e *traceEnd) host() string {
	if e.routes == nil {
		return ""
	}
	return e.routes.Self
}

// lookup returns the rule that has an address.
func (e *traceEnd) lookup(a addr.Addr) (route.Match, bool) {
	if e.routes == nil {
		return route.Match{}, false
	}
	return e.routes.Lookup(a)
}

func readTrace(d *skybus.Domain, root string, p channel.Pair) *trace {
	t := &trace{Pair: p, near: readTraceEnd(d, root, p)}
	t.match, t.routed = t.near.lookup(p.Dst)
	if t.goesFar() && t.near.relay {
		t.status, t.askErr = ask(d, askStatus)
		if errors.Is(t.askErr, relay.ErrNoDaemon) {
			t.near.relay, t.askErr = false, nil // it has just ended
		}
	}
	if t.status != nil {
		t.find()
	}
	return t
}

// goesFar reports whether the routes place the destination on another host.
func (t *trace) goesFar() bool { return t.routed && !t.match.Local }

// find looks up, in what the daemon says, the lane and its connection. Of a lane
// that the daemon does not have yet the connection is known all the same.
func (t *trace) find() {
	src, dst := t.near.format(t.Pair)
	for i := range t.status.Hops {
		if h := &t.status.Hops[i]; h.Src == src && h.Dst == dst && h.Host == t.match.Host {
			t.position = h
		}
	}
	var links []*relay.Link
	for i := range t.status.Links {
		if l := &t.status.Links[i]; l.Peer == t.match.Host && l.Direction == linkOut {
			links = append(links, l)
		}
	}
	if len(links) == 0 {
		return
	}
	number := relay.ConnectionOf(t.Pair, len(links))
	if t.position != nil {
		number = t.position.Number
	}
	for _, l := range links {
		if l.Number == number {
			t.link = l
		}
	}
}
