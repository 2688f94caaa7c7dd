// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strconv"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/console"
	"github.com/skybus-io/skybus/examples/chat/internal/crew"
	"github.com/skybus-io/skybus/examples/chat/internal/room"
	"github.com/skybus-io/skybus/examples/chat/internal/store"
	"github.com/skybus-io/skybus/gate"
	"github.com/skybus-io/skybus/node"
	"github.com/skybus-io/skybus/node/codec"
)

// A place says where the processes meet, and how many there are. All of them must be told the same.
type place struct {
	root  string
	key   uint
	rooms int
	gates int
}

// The addresses: gates 0.0.1.*, room processes 0.0.2.*, the store 0.0.3.1.
const (
	gateNet  = 1 << 8
	roomNet  = 2 << 8
	storeNet = 3 << 8

	shardsEach = 2 // room services of a room process
	mostEach   = 8
)

func (p *place) flags(f *flag.FlagSet) {
	f.StringVar(&p.root, "root", "", "`FOLDER` of the bus; default: SKYBUS_ROOT, or /dev/shm")
	f.UintVar(&p.key, "key", 7000, "`NUMBER` of the bus there")
	f.IntVar(&p.rooms, "rooms", 2, "how many room processes there are")
	f.IntVar(&p.gates, "gates", 1, "how many gates there are")
}

func (p *place) check() error {
	for _, n := range []struct {
		what string
		n    int
	}{{"rooms", p.rooms}, {"gates", p.gates}} {
		if n.n < 1 || n.n > mostEach {
			return fmt.Errorf("-%s is %d, want 1 to %d", n.what, n.n, mostEach)
		}
	}
	return nil
}

// args returns the flags that tell another process the same.
func (p *place) args() []string {
	return []string{"-root", p.root, "-key", strconv.FormatUint(uint64(p.key), 10), "-rooms", strconv.Itoa(p.rooms), "-gates", strconv.Itoa(p.gates)}
}

func (p *place) plan() *room.Plan {
	plan := &room.Plan{Shards: shardsEach * p.rooms, Store: storeNet + 1}
	for i := range p.rooms {
		plan.Rooms = append(plan.Rooms, roomAddr(i))
	}
	return plan
}

func gateAddr(i int) addr.Addr { return addr.Addr(gateNet + 1 + i) }
func roomAddr(i int) addr.Addr { return addr.Addr(roomNet + 1 + i) }

// open joins the bus.
func (p *place) open(log *slog.Logger) (*skybus.Domain, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	if err := errors.Join(gate.Register(codec.Default), store.Register(codec.Default), room.Register(codec.Default)); err != nil {
		return nil, err
	}
	// A room may send to a gate, or to the store, before that has been there for the first time.
	return skybus.Open(int(p.key), skybus.Options{Root: p.root, AllowUnknown: true, Logger: log})
}

// serve runs services at an address until the process is to end.
func (p *place) serve(ctx context.Context, name string, at addr.Addr, services []actor.Spec) error {
	log := newLog(name)
	d, err := p.open(log)
	if err != nil {
		return err
	}
	defer d.Close()
	n, err := node.Start(d, at, node.Config{Services: services, Actor: actor.Config{Events: actor.Log(log)}, Log: log})
	if err != nil {
		return err
	}
	defer n.Close()
	err = attend(ctx, name, n.Runtime(), "")
	end, cancel := context.WithTimeout(context.Background(), closing)
	defer cancel()
	return errors.Join(err, n.Shutdown(end)) // what has come is still done
}

// attend opens the process's console, says that it is ready, and returns when it is to end.
func attend(ctx context.Context, name string, rt *actor.Runtime, said string) error {
	signal.Ignore(os.Interrupt)
	k, err := console.New(rt, console.Config{Name: "chat " + name})
	if err != nil {
		return err
	}
	l, err := k.Listen(ctx, "")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- k.Serve(ctx, l) }()
	err = crew.Child(ctx, said)
	cancel()
	return errors.Join(err, <-done)
}

func runRoom(ctx context.Context, args []string) error {
	var p place
	f := newFlags("room")
	p.flags(f)
	number := f.Int("number", 0, "`WHICH` room process, from 0")
	if err := f.Parse(args); err != nil {
		return err
	}
	if *number < 0 || *number >= p.rooms {
		return fmt.Errorf("-number is %d, want 0 to %d", *number, p.rooms-1)
	}
	if err := errors.Join(noArgs(f), p.check()); err != nil {
		return err
	}
	name := fmt.Sprintf("room %d", *number+1)
	return p.serve(ctx, name, roomAddr(*number), p.plan().Services(*number, room.Config{Log: newLog(name)}))
}

func runStore(ctx context.Context, args []string) error {
	var p place
	f := newFlags("store")
	p.flags(f)
	data := f.String("data", "chat.db", "SQLite `FILE`; made if it is not there")
	fresh := f.Bool("fresh", false, "forget who was in the rooms: no gate knows them any more")
	if err := f.Parse(args); err != nil {
		return err
	}
	if err := noArgs(f); err != nil {
		return err
	}
	db, err := store.Open(*data)
	if err != nil {
		return err
	}
	defer db.Close()
	if *fresh {
		if err := db.Forget(); err != nil {
			return err
		}
	}
	return p.serve(ctx, "store", p.plan().Store, []actor.Spec{{Name: store.Name, New: store.New(db, newLog("store"))}})
}
