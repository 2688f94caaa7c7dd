// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/examples/chat/internal/page"
	"github.com/skybus-io/skybus/examples/chat/internal/room"
	"github.com/skybus-io/skybus/examples/chat/internal/wire"
	"github.com/skybus-io/skybus/gate"
	"github.com/skybus-io/skybus/gate/client"
	"github.com/skybus-io/skybus/gate/entry"
	"github.com/skybus-io/skybus/gate/frame"
	"github.com/skybus-io/skybus/node"
)

// closing is how long a gate that ends gives its clients to take what waits for them.
const closing = 2 * time.Second

func runGate(ctx context.Context, args []string) error {
	var p place
	f := newFlags("gate")
	p.flags(f)
	number := f.Int("number", 0, "`WHICH` gate, from 0")
	listen := f.String("listen", "127.0.0.1:7080", "`ADDRESS` for packets, WebSocket and the page")
	perAddress := f.Int("per-address", 0, "most `CONNECTIONS` from one address; 0: 1024")
	if err := f.Parse(args); err != nil {
		return err
	}
	if *number < 0 || *number >= p.gates {
		return fmt.Errorf("-number is %d, want 0 to %d", *number, p.gates-1)
	}
	if err := noArgs(f); err != nil {
		return err
	}
	name := fmt.Sprintf("gate %d", *number+1)
	log := newLog(name)
	d, err := p.open(log)
	if err != nil {
		return err
	}
	defer d.Close()
	l, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	g, err := gate.Start(d, gateAddr(*number), gate.Config{
		Node:   node.Config{Actor: actor.Config{Events: actor.Log(log)}},
		Auth:   letIn(p.plan()),
		Resume: &gate.Resume{},
		Adopt:  p.otherGates(*number),
		Client: client.Options{
			MaxPacket: wire.MaxPacket,
			Rate:      client.Rate{Packets: 50, PacketBurst: 200, Bytes: 64 << 10, ByteBurst: 256 << 10},
		},
		Entry: gate.EntryLimits{PerAddress: *perAddress},
		Log:   log,
	})
	if err != nil {
		return errors.Join(err, l.Close())
	}
	serving := make(chan error, 1)
	go func() {
		serving <- g.Serve(l, entry.Config{Handler: page.Handler(), WebSocket: entry.WebSocket{Paths: []string{"/gate"}}})
	}()
	err = attend(ctx, name, g.Node().Runtime(), l.Addr().String())
	end, cancel := context.WithTimeout(context.Background(), closing)
	defer cancel()
	return errors.Join(err, g.Close(end), <-serving)
}

// otherGates returns the homes that gate i takes over while their process is dead.
func (p *place) otherGates(i int) (list []addr.Addr) {
	for other := range p.gates {
		if other != i {
			list = append(list, gateAddr(other))
		}
	}
	return list
}

// letIn lets everybody in who says a name: {"name":"Ann"}. Which front a session gets does not matter, as long as it keeps it.
func letIn(plan *room.Plan) func(context.Context, *gate.Hello) (*gate.Grant, error) {
	return func(_ context.Context, h *gate.Hello) (*gate.Grant, error) {
		var who struct{ Name string }
		if err := json.Unmarshal(h.Data, &who); err != nil {
			return nil, &gate.Refusal{Code: frame.CodeMalformed, Why: `want {"name":"..."} to begin with`}
		}
		if err := wire.CheckName(who.Name); err != nil {
			return nil, &gate.Refusal{Why: err.Error()}
		}
		front := plan.Front(h.Remote)
		return &gate.Grant{Bind: gate.ToName(front.At, front.Name), Identity: []byte(strings.Clone(who.Name))}, nil
	}
}
