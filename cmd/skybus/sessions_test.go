// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/gate"
	"github.com/skybus-io/skybus/gate/dial"
	door "github.com/skybus-io/skybus/gate/entry"
	"github.com/skybus-io/skybus/gate/vault"
	"github.com/skybus-io/skybus/node"
)

// gateProgram is "gated HOME WHO...": a gate in domain 1000, until SIGTERM, with a service that says back what comes, and a client for each WHO, which has said
// hello and heard it when "ready" is written. One that is called away-WHO has lost its connection then.
func gateProgram() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := haveGate(ctx, os.Args[1], os.Args[2:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "gated:", err)
		os.Exit(1)
	}
}

func haveGate(ctx context.Context, home string, clients []string) error {
	d, err := skybus.Open(1000, skybus.Options{})
	if err != nil {
		return err
	}
	defer d.Close()
	at, err := addr.Parse(home)
	if err != nil {
		return err
	}
	g, err := gate.Start(d, at, gateConfig(at))
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- g.Serve(l, door.Config{}) }()
	for _, who := range clients {
		c, err := greet(ctx, l.Addr().String(), strings.ReplaceAll(who, "ESC", "\x1b"))
		if err != nil {
			return err
		}
		defer c.Close()
	}
	fmt.Println("ready")
	<-ctx.Done()
	soon, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return errors.Join(g.Close(soon), <-served)
}

func gateConfig(at addr.Addr) gate.Config {
	var out gate.Outbox
	echo := actor.Func(func(c *actor.Context, m *actor.Message) error {
		if p, is := m.Value.(*gate.Packets); is {
			for _, data := range p.Data {
				out.Send(p.Client, gate.Must, data)
			}
		}
		return out.Flush(c)
	})
	return gate.Config{
		Auth: func(_ context.Context, h *gate.Hello) (*gate.Grant, error) {
			return &gate.Grant{Bind: gate.ToName(at, "echo"), Identity: h.Data, Groups: []string{"all"}}, nil
		},
		Node:   node.Config{Services: []actor.Spec{{Name: "echo", New: echo}}},
		Resume: &gate.Resume{Window: time.Hour, Vault: vault.Config{Sessions: 64, Ring: 1 << 16, Sources: 4}},
		Log:    slog.New(slog.DiscardHandler),
	}
}

// greet connects a client that says hello, and hears it.
func greet(ctx context.Context, address, who string) (*dial.Client, error) {
	var cut atomic.Bool
	c, err := dial.Dial(ctx, address, dial.Options{Auth: []byte(who), Resume: true, Connect: func(ctx context.Context, _ string) (net.Conn, error) {
		if cut.Load() {
			return nil, errors.New("it is away")
		}
		return new(net.Dialer).DialContext(ctx, "tcp", address)
	}})
	if err != nil {
		return nil, err
	}
	if err = c.Send(ctx, []byte("hello")); err == nil {
		_, err = c.Recv(ctx)
	}
	if strings.HasPrefix(who, "away-") {
		cut.Store(true)
		c.Cut()
	}
	return c, err
}
