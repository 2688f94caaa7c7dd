// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/gate/client"
	"github.com/skybus-io/skybus/gate/entry"
	"github.com/skybus-io/skybus/gate/frame"
	"github.com/skybus-io/skybus/gate/queue"
	"github.com/skybus-io/skybus/node"
)

type (
	pid     = actor.PID
	monitor = actor.Monitor
)

// A Gate lets clients in and has their sessions. Any goroutine may call its methods, but no handler those that wait: Close and Serve.
type Gate struct {
	d      *skybus.Domain
	cfg    Config
	log    *slog.Logger
	setup  *client.Setup // of connections that are handed over
	budget *queue.Budget
	entry  *entry.Server
	own    *home
	count  counters
	loops  sync.WaitGroup

	closing chan struct{} // closed first of all
	done    chan struct{} // closed last of all
	err     error         // of Close

	relieving sync.Mutex // held by the one who kicks for the budget

	mu      sync.Mutex
	homes   map[addr.Addr]*home
	resting map[addr.Addr]rest // homes that were given back
	closed  bool
}

// errMemory is why the client with the longest queue is kicked.
var errMemory = errors.New("too many bytes wait for all clients together, and most of them for this one")

// Start binds the address, which is the home of the gate's sessions, starts a node there with the gate's service, and goes on with the sessions
// that were there before, if there is a Resume. Another gate that has adopted the home is asked to give it back. Clients
// are let in by Serve. Errors: what is wrong with cfg; those of node.Start and vault.Open. Close ends it.
func Start(d *skybus.Domain, at addr.Addr, cfg Config) (*Gate, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := Register(cfg.Node.Codec); err != nil {
		return nil, fmt.Errorf("gate: %w", err)
	}
	g := &Gate{
		d: d, cfg: cfg, log: cfg.Log, budget: cfg.Client.Budget, closing: make(chan struct{}), done: make(chan struct{}),
		homes: map[addr.Addr]*home{}, resting: map[addr.Addr]rest{},
	}
	g.cfg.Client.OnSlow = g.onSlow
	if g.setup, err = client.Prepare(g.cfg.Client); err != nil {
		return nil, fmt.Errorf("gate: %w", err)
	}
	if g.entry, err = entry.New(g.entryOptions()); err != nil {
		return nil, fmt.Errorf("gate: %w", err)
	}
	own, err := g.reclaim(at)
	if err != nil {
		g.entry.Close()
		return nil, fmt.Errorf("gate at %v: %w", at, err)
	}
	g.mu.Lock()
	g.own, g.homes[at] = own, own
	g.mu.Unlock()
	if len(cfg.Adopt) > 0 {
		g.loops.Add(1)
		go g.adopt()
	}
	return g, nil
}

func (g *Gate) entryOptions() entry.Options {
	e := &g.cfg.Entry
	return entry.Options{
		Start: g.accept, Client: g.setup, Connections: e.Connections, PerAddress: e.PerAddress,
		FirstByte: e.FirstByte, TLS: e.TLS, Upgrade: e.Upgrade, Auth: e.Auth, HalfPacket: e.HalfPacket,
		Tick: g.tick, Log: g.log,
	}
}

// Node returns the gate's node, which ends with it: for further services of the process.
func (g *Gate) Node() *node.Node { return g.own.n }

// Addr returns the home of the sessions that begin at this gate.
func (g *Gate) Addr() addr.Addr { return g.own.addr }

// Homes returns the homes that this gate has at present: its own, and those it has adopted.
func (g *Gate) Homes() []addr.Addr {
	var list []addr.Addr
	for _, h := range g.all() {
		list = append(list, h.addr)
	}
	slices.Sort(list)
	return list
}

// home returns a home that this process has, nil for another one.
func (g *Gate) home(at addr.Addr) *home {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.homes[at]
}

func (g *Gate) all() (list []*home) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, h := range g.homes {
		list = append(list, h)
	}
	return list
}

// Serve lets in clients that connect to l, until the gate is closed, and returns nil then. l is closed in any case. Any number of listeners may be
// served. Errors: those of entry.Server.Serve.
func (g *Gate) Serve(l net.Listener, cfg entry.Config) error { return g.entry.Serve(l, cfg) }

// Close ends the gate in good order: nobody is let in any more, clients get what waits for them and then frame.CodeClosing, services
// get Closed (or Away, with Resume: the sessions stay in the vault, for the next process at this address, or one that adopts it), then the node is shut down.
// When ctx is over, what is left is ended as it is; the error says so. To close it again waits for the first one.
func (g *Gate) Close(ctx context.Context) error {
	g.mu.Lock()
	first := !g.closed
	g.closed = true
	g.mu.Unlock()
	if first {
		defer close(g.done)
		close(g.closing)
		g.err = g.close(ctx)
		return g.err
	}
	<-g.done
	return g.err
}

func (g *Gate) close(ctx context.Context) error {
	g.loops.Wait()
	g.entry.Stop()
	homes := g.all()
	for _, h := range homes {
		h.leave(frame.CodeClosing, "the gate stops")
	}
	err := g.entry.Shutdown(ctx)
	var errs []error
	if err != nil {
		errs = append(errs, fmt.Errorf("gate: %w", err))
	}
	for _, h := range homes {
		if err := h.end(ctx, true); err != nil {
			errs = append(errs, fmt.Errorf("gate: home %v: %w", h.addr, err))
		}
	}
	return errors.Join(errs...)
}

// tick is called four times a second.
func (g *Gate) tick() {
	now := time.Now()
	for _, h := range g.all() {
		h.expire(now)
		h.askNames()
	}
	g.relieve()
}

// relieve kicks the clients with the longest queues until the budget is kept.
func (g *Gate) relieve() {
	if !g.budget.Over() {
		return
	}
	g.relieving.Lock() // or the next one would be kicked for what the first one gives back
	defer g.relieving.Unlock()
	for g.budget.Over() {
		l := g.longest()
		if l == nil {
			return
		}
		g.count.relieved.Add(1)
		l.conn.Kick(errMemory)
	}
}

// longest returns the connection for which the most waits; nil: nothing does.
func (g *Gate) longest() (l *link) {
	most := 0
	for _, h := range g.all() {
		h.mu.Lock()
		for _, s := range h.sessions {
			if s.link != nil && s.link.conn.Err() == nil {
				if n := s.link.conn.Queued(); n > most {
					l, most = s.link, n
				}
			}
		}
		h.mu.Unlock()
	}
	return l
}

// Kick ends a session as Outbox.Kick does. Errors: ErrNoSession.
func (g *Gate) Kick(c Client, code frame.Code, reason string) error {
	if code == 0 {
		code = frame.CodeKicked
	}
	if h := g.home(c.Home); h != nil {
		h.mu.Lock()
		defer h.mu.Unlock()
		if s := h.sessions[c.ID]; s != nil {
			h.endLocked(s, code, reason)
			return nil
		}
	}
	return fmt.Errorf("kick %v: %w", c, ErrNoSession)
}
