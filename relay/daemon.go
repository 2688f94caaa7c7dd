// SPDX-License-Identifier: Apache-2.0

package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skybus-io/skybus/channel"
	"github.com/skybus-io/skybus/relay/link"
	"github.com/skybus-io/skybus/relay/wire"
	"github.com/skybus-io/skybus/route"
)

// retryLane is how long a lane that was refused waits until it is opened again.
const retryLane = 2 * time.Second

// A Daemon relays the lanes of one domain. Its methods are safe for concurrent use.
//
// Lock order: a conn's mu before mu.
type Daemon struct {
	c           Config
	log         *slog.Logger
	relay       *channel.Relay
	view        *route.View
	incarnation uint64
	began       time.Time
	epoch       int64 // of the sessions' clock, ns
	listener    net.Listener
	control     net.Listener

	newLanes *bucket
	tell     *bucket
	refusals atomic.Uint64
	guests   atomic.Int64
	bellRung atomic.Uint32
	anyWoken atomic.Bool  // woken is not empty
	turned   atomic.Int64 // when the pump last went round, by now

	done sync.WaitGroup
	ctx  context.Context //nolint:containedctx // the daemon's own life
	quit context.CancelFunc
	stop chan struct{} // somebody asks the daemon to end
	once sync.Once

	reloaded chan struct{}

	mu      sync.Mutex // guards the following
	links   map[string]*peer
	accepts map[guest]*conn
	inbound map[uint32]inboundLane // by the bit that tells of releases
	woken   []*lane                // for the pump to look after
	reload  bool                   // the routes are to be looked at at once

	routes *route.Table // those in force

	lanes   map[uint32]*lane // the pump's: by their bits
	hot     []*lane          // the pump's: lanes that are polled
	touched []*conn          // the pump's: to be flushed when its turn ends
}

// A peer is another host to which lanes lead.
type peer struct {
	route.Host
	conns []*conn
	stop  context.CancelFunc
}

// guest names a connection from another host.
type guest struct {
	host   string
	number int
}

type inboundLane struct {
	c  *conn
	in *link.Inbound
}

// Start makes this process the relay of the domain. It returns when it is ready:
// it listens, and connections are being made. Errors: channel.ErrInUse if
// the domain has a relay.
func Start(c Config) (*Daemon, error) {
	c.setDefaults()
	if err := c.check(); err != nil {
		return nil, err
	}
	d := &Daemon{
		c: c, log: c.Logger, view: route.NewView(c.Root, c.RelayKey), began: time.Now(), stop: make(chan struct{}), reloaded: make(chan struct{}, 1),
		newLanes: newBucket(c.Limits.NewLanes), tell: newBucket(10),
		links: map[string]*peer{}, accepts: map[guest]*conn{}, inbound: map[uint32]inboundLane{}, lanes: map[uint32]*lane{},
	}
	d.epoch = d.began.UnixNano()
	d.incarnation = uint64(d.began.UnixMilli())<<20 | rand.Uint64N(1<<20)
	d.ctx, d.quit = context.WithCancel(context.Background())
	if err := d.start(); err != nil {
		d.quit()
		d.close()
		return nil, err
	}
	return d, nil
}

func (d *Daemon) start() (err error) {
	if _, err := d.view.Table(); err != nil && !errors.Is(err, route.ErrNoTable) {
		return err
	}
	if d.relay, err = d.c.Table.BindRelay(); err != nil {
		return fmt.Errorf("domain %d: %w", d.c.Table.Key(), err)
	}
	d.c.Table.SetRoutes(d.isRemote)
	if err := d.c.Table.SetRelayKey(d.c.RelayKey); err != nil {
		return err
	}
	if d.c.Listen != "" {
		if d.listener, err = net.Listen("tcp", d.c.Listen); err != nil {
			return err
		}
	}
	if err := d.listenControl(); err != nil {
		return err
	}
	if d.c.Prepare != nil {
		if err := d.c.Prepare(); err != nil {
			return err
		}
	}
	d.applyRoutes()
	d.turned.Store(d.now())
	d.done.Add(2)
	go d.pump()
	go d.serveControl()
	if d.listener != nil {
		d.done.Add(1)
		go d.accept(d.ctx, d.listener)
	}
	return nil
}

// Addr returns where the daemon listens, nil if it does not.
func (d *Daemon) Addr() net.Addr {
	if d.listener == nil {
		return nil
	}
	return d.listener.Addr()
}

// Alive reports whether the pump has gone round lately: it does so once a second
// when it has nothing to do.
func (d *Daemon) Alive() bool { return d.now()-d.turned.Load() < int64(10*time.Second) }

// Stopping is closed when somebody has asked the daemon to end; Close does it.
func (d *Daemon) Stopping() <-chan struct{} { return d.stop }

// Reload looks at the routes at once; the daemon itself does so once a second.
func (d *Daemon) Reload() {
	d.mu.Lock()
	d.reload = true
	d.mu.Unlock()
	d.relay.Bell().Ring()
}

// Close ends all connections in good order and lets the next relay in. What is in
// the lanes stays there.
func (d *Daemon) Close() {
	d.quit()
	d.relay.Bell().Ring()
	d.close()
}

func (d *Daemon) close() {
	if d.listener != nil {
		d.listener.Close()
	}
	if d.control != nil {
		d.control.Close()
	}
	d.done.Wait()
	for _, l := range d.lanes {
		l.source.Close()
	}
	if d.relay != nil {
		d.relay.Close()
	}
}

func (d *Daemon) askToStop() { d.once.Do(func() { close(d.stop) }) }

func (d *Daemon) addGuest(c *conn) *wire.Notice {
	key := guest{c.host, c.number}
	d.mu.Lock()
	old := d.accepts[key]
	if old != nil && old.newest > c.newest {
		d.mu.Unlock()
		return &wire.Notice{Code: wire.CodeReplaced, Text: "a later incarnation of that daemon is connected"}
	}
	d.accepts[key] = c
	d.mu.Unlock()
	if old == nil {
		return nil
	}
	old.mu.Lock() // its lanes are closed before ours are opened
	defer old.mu.Unlock()
	if old.sess != nil {
		old.sess.End(wire.Notice{Code: wire.CodeReplaced, Text: "by a later one"})
		old.sess.Close()
		old.sock.Close()
	}
	return nil
}

func (d *Daemon) removeGuest(c *conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if key := (guest{c.host, c.number}); d.accepts[key] == c {
		delete(d.accepts, key)
	}
}

func (d *Daemon) addInbound(c *conn, in *link.Inbound) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.inbound[in.Sink().(*channel.Sink).Slot()] = inboundLane{c, in}
}

func (d *Daemon) removeInbound(in *link.Inbound) {
	d.mu.Lock()
	defer d.mu.Unlock()
	slot := in.Sink().(*channel.Sink).Slot()
	if d.inbound[slot].in == in {
		delete(d.inbound, slot)
	}
}

// again has the pump look after a lane.
func (d *Daemon) again(l *lane) {
	d.mu.Lock()
	d.woken = append(d.woken, l)
	d.anyWoken.Store(true)
	d.mu.Unlock()
	d.wake()
}

// wake ends the pump's sleep.
func (d *Daemon) wake() {
	bell := d.relay.Bell()
	if e := bell.Sleeping(); e != 0 && d.bellRung.Swap(e) != e {
		bell.Ring()
	}
}
