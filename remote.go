// SPDX-License-Identifier: Apache-2.0

package skybus

import (
	"errors"
	"fmt"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/channel"
	"github.com/skybus-io/skybus/relay/wire"
	"github.com/skybus-io/skybus/ring"
	"github.com/skybus-io/skybus/route"
)

// routeView is a view of the route table with that key.
type routeView struct {
	*route.View
	key uint32
}

// routes returns the route table that the domain follows now, nil if there is none.
func (d *Domain) routes() (*route.Table, error) {
	key := d.table.RelayKey()
	if key == 0 {
		return nil, nil
	}
	v := d.view.Load()
	if v == nil || v.key != key {
		v = &routeView{route.NewView(d.opts.Root, key), key}
		d.view.Store(v)
	}
	t, err := v.Table()
	if errors.Is(err, route.ErrNoTable) {
		return nil, nil
	}
	return t, err
}

// isRemote tells whether the routes place an address on another host.
func (d *Domain) isRemote(a addr.Addr) (bool, error) {
	t, err := d.routes()
	if err != nil || t == nil {
		return false, err
	}
	m, ok := t.Lookup(a)
	return ok && !m.Local, nil
}

// durables tells which lanes the routes make durable.
func (d *Domain) durables() channel.Durables {
	return channel.Durables{
		Lane: func(p channel.Pair) (how channel.Durability, durable bool, err error) {
			t, err := d.routes()
			if err != nil || t == nil {
				return how, false, err
			}
			r, ok := t.LookupDurable(p.Src, p.Dst)
			return channel.Durability{Sync: r.Mode == route.Sync, Dir: r.Dir}, ok, nil
		},
		Dirs: func() ([]string, error) {
			t, err := d.routes()
			if err != nil || t == nil {
				return nil, err
			}
			return t.DurableDirs(), nil
		},
	}
}

// mayLive refuses to bind an address that the routes place on another host:
// what others send to it goes there. A process that has kept its address over exec goes on with it whatever another
// host has published meanwhile: the daemons tell of the conflict.
func (d *Domain) mayLive(a addr.Addr, kept bool) error {
	t, err := d.routes()
	if err != nil || t == nil {
		return err
	}
	m, ok := t.Lookup(a)
	switch {
	case !ok, m.Local:
		return nil
	case m.Published && m.Prefix.Bits == 32 && kept:
		return nil
	case m.Published && m.Prefix.Bits == 32:
		h, _ := t.Host(m.Host)
		return &elsewhereError{d.FormatAddr(a), m.Host, h.Address}
	}
	return fmt.Errorf("%s: %w here: rule %s of relay key %d places it on host %s", d.FormatAddr(a), ErrNoRoute,
		d.table.Template().FormatPrefix(m.Prefix), t.Key, m.Host)
}

// An elsewhereError is an ErrBoundElsewhere.
type elsewhereError struct{ addr, host, link string }

func (e *elsewhereError) Error() string {
	at := ""
	if e.link != "" {
		at = " (" + e.link + ")"
	}
	return "address " + e.addr + " is bound on host " + e.host + at
}

func (e *elsewhereError) Is(err error) bool { return err == ErrBoundElsewhere }

// A Gap tells of messages from Src that will never arrive: a host has lost its
// memory, or somebody has discarded them.
type Gap struct {
	// From and To are the sequences of the first and the last one. To 0 means that
	// nobody knows how many there were; then sequences begin anew.
	From, To uint64
	// Reason says what happened, for people.
	Reason string
}

// gapOf reads a GAP record.
func gapOf(rec *ring.Record) *Gap {
	g, err := wire.ParseGap(rec.Data)
	if err != nil {
		return &Gap{Reason: "a gap that cannot be read: " + err.Error()}
	}
	return &Gap{From: g.From, To: g.To, Reason: g.Text}
}
