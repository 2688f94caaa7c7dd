// SPDX-License-Identifier: Apache-2.0

package relay

import (
	"errors"
	"fmt"
	"time"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/channel"
	"github.com/skybus-io/skybus/relay/link"
	"github.com/skybus-io/skybus/relay/wire"
	"github.com/skybus-io/skybus/ring"
)

// host is what a session asks of the daemon. It is called with its conn's mu held.
type host struct {
	c    *conn
	peer string // as its certificate says; empty without one
}

// Greet judges a peer by what routes and certificate say of it. A new connection
// of a host takes the place of the old one with the same number (L17).
func (h *host) Greet(hello *wire.Hello) *wire.Notice {
	c, d := h.c, h.c.d
	if h.peer != "" && h.peer != hello.Host {
		return &wire.Notice{Code: wire.CodeIdentity, Text: fmt.Sprintf("it calls itself %q, its certificate %q", hello.Host, h.peer)}
	}
	if c.dials {
		return nil
	}
	c.host, c.number, c.of = hello.Host, int(hello.Conn), int(hello.Conns)
	if t, err := d.view.Table(); err != nil {
		return &wire.Notice{Code: wire.CodeIdentity, Text: "this side has no routes"}
	} else if _, ok := t.Host(hello.Host); !ok {
		return &wire.Notice{Code: wire.CodeIdentity, Text: fmt.Sprintf("no route of host %q leads to a host %q", d.c.Host, hello.Host)}
	}
	c.newest = hello.Incarnation
	return d.addGuest(c)
}

// Join tells a newcomer what the cluster is called and where its engine is. No route needs to lead to it.
func (h *host) Join(j *wire.Join) (*wire.Joined, *wire.Notice) {
	c, d := h.c, h.c.d
	c.host = j.Host
	if h.peer != "" && h.peer != j.Host {
		return nil, &wire.Notice{Code: wire.CodeIdentity, Text: fmt.Sprintf("it calls itself %q, its certificate %q", j.Host, h.peer)}
	}
	if d.c.Cluster == nil {
		return nil, &wire.Notice{Code: wire.CodeNoCluster, Text: fmt.Sprintf("host %q", d.c.Host)}
	}
	told, err := d.c.Cluster(j.Host)
	if err != nil {
		return nil, &wire.Notice{Code: wire.CodeNoCluster, Text: fmt.Sprintf("host %q: %v", d.c.Host, err)}
	}
	return told, nil
}

// Admit lets a peer send only from and to addresses that the routes give it (L15).
func (h *host) Admit(src, dst addr.Addr) *wire.Notice {
	d := h.c.d
	format := d.c.Table.Format
	t, err := d.view.Table()
	if err != nil {
		return &wire.Notice{Code: wire.CodeNoRoute, Text: err.Error()}
	}
	if m, ok := t.Lookup(src); !ok || m.Local || m.Rule.Host != h.c.host {
		where := "this side has no route there"
		if ok {
			where = fmt.Sprintf("for this side it is on host %q", m.Rule.Host)
		}
		return &wire.Notice{Code: wire.CodeNotYours, Text: fmt.Sprintf("source %s: %s", format(src), where)}
	}
	if m, ok := t.Lookup(dst); ok && !m.Local {
		return &wire.Notice{Code: wire.CodeNoRoute, Text: fmt.Sprintf("destination %s: for this side it is on host %q", format(dst), m.Rule.Host)}
	}
	if !d.c.Table.Template().Contains(max(src, dst)) {
		return &wire.Notice{Code: wire.CodeNoRoute, Text: "no addresses of this template"}
	}
	return nil
}

// Sink opens the mirrored lane.
func (h *host) Sink(src, dst addr.Addr) (link.Sink, error) {
	k, err := h.c.d.relay.Sink(channel.Pair{Src: src, Dst: dst})
	if errors.Is(err, channel.ErrNoLane) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return k, nil
}

// MakeSink makes it, so many a second.
func (h *host) MakeSink(src, dst addr.Addr, epoch, seq, size uint64, gap []byte) (link.Sink, error) {
	d := h.c.d
	if !d.newLanes.take(time.Now()) {
		return nil, fmt.Errorf("%w: other hosts may make %d lanes a second", channel.ErrBudget, d.c.Limits.NewLanes)
	}
	k, err := d.relay.MakeSink(channel.Pair{Src: src, Dst: dst}, epoch, seq, size, gap)
	if err != nil {
		return nil, err
	}
	return k, nil
}

// Code tells the peer of an error.
func (h *host) Code(err error) wire.Code {
	for _, k := range []struct {
		err  error
		code wire.Code
	}{
		{channel.ErrBudget, wire.CodeBudget}, {channel.ErrNoRoute, wire.CodeNoRoute}, {channel.ErrTooBig, wire.CodeTooBig},
		{channel.ErrDamaged, wire.CodeDamaged}, {channel.ErrInUse, wire.CodeNotYours},
	} {
		if errors.Is(err, k.err) {
			return k.code
		}
	}
	return wire.CodeBudget
}

// Look has the relay's inbox tell anew of what the lane's reader releases.
func (h *host) Look(in *link.Inbound) { h.c.d.relay.Cool(in.Sink().(*channel.Sink).Slot()) }

// Opened has the pump tell the session of what the lane's reader releases.
func (h *host) Opened(in *link.Inbound) { h.c.d.addInbound(h.c, in) }

// Closed ends that.
func (h *host) Closed(in *link.Inbound) { h.c.d.removeInbound(in) }

// Woken has the pump look after a lane again.
func (h *host) Woken(st *link.Stream) { h.c.d.again(st.Owner.(*lane)) }

// Refused has the lane try again later: routes, budgets and damaged lanes change.
func (h *host) Refused(st *link.Stream, n wire.Notice) {
	l := st.Owner.(*lane)
	l.stream, l.retry = nil, time.Now().Add(retryLane)
	text := n.Code.String() + ": " + n.Text
	if l.refusal != text {
		h.c.d.log.Warn("a lane is not taken", "lane", h.c.d.c.Table.FormatPair(l.Pair), "host", h.c.host, "error", text)
	}
	l.refusal = text
}

// Undeliverable saves a record that the far side will never take.
func (h *host) Undeliverable(st *link.Stream, rec *ring.Record) error {
	d := h.c.d
	name := fmt.Sprintf("%08x-%08x-%d", uint32(st.Src), uint32(st.Dst), rec.Seq)
	path, err := saveUndeliverable(d.c.Undeliverable, name, rec.Data)
	args := []any{"lane", d.c.Table.FormatPair(st.Owner.(*lane).Pair), "sequence", rec.Seq, "bytes", len(rec.Data), "file", path}
	if err != nil {
		d.log.Error("a message is larger than the far side takes, and cannot be saved", append(args, "error", err.Error())...)
		return err
	}
	d.log.Warn("a message is larger than the far side takes: it was saved", args...)
	return nil
}

// Lost tells the operator what the receiver is told, too.
func (h *host) Lost(src, dst addr.Addr, g *wire.Gap) {
	d := h.c.d
	d.log.Warn("messages are lost", "lane", d.c.Table.FormatPair(channel.Pair{Src: src, Dst: dst}), "from", g.From, "to", g.To, "reason", g.Text)
}
