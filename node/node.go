// SPDX-License-Identifier: Apache-2.0

package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/cluster"
	"github.com/skybus-io/skybus/names"
	"github.com/skybus-io/skybus/node/codec"
)

// A Config is how a node is to be. The zero Config is a good one.
type Config struct {
	// Actor is the runtime's; its Node, Life and Remote are the node's to set.
	Actor actor.Config
	// Services are started before the first message is taken: what waits for their names in
	// the lanes finds them.
	Services []actor.Spec
	// Types are what services are made of that go on after a hot restart and are none of Services, by their
	// Spec.Type: see Restart.
	Types []actor.Spec
	// Codec knows the types that travel; nil: codec.Default.
	Codec *codec.Registry
	// Patience is how long a node of another host may be silent while calls wait for it; 0: 5 s. For one of
	// this host the kernel tells within half a second.
	Patience time.Duration
	// Cluster has the names that all hosts know; nil: there are none, ErrNoCluster.
	Cluster names.Registry
	// Elections choose leaders among the services of all hosts; nil: there are none, ErrNoElections. It must be
	// closed after the node.
	Elections *cluster.Elections
	// Wait is how the node waits for messages.
	Wait skybus.Wait
	// Log gets what no caller hears of; nil: slog.Default.
	Log *slog.Logger
}

// A Node is a process's services on the bus. All methods may be called by any goroutine.
type Node struct {
	cfg   Config
	d     *skybus.Domain
	e     *skybus.Endpoint
	rt    *actor.Runtime
	life  uint32
	codec *codec.Registry
	self  actor.PID // of the service that the node has for others

	mu    sync.Mutex                          // of those that write peers
	peers atomic.Pointer[map[addr.Addr]*peer] // replaced when one is added

	count    counters
	ctx      context.Context
	cancel   context.CancelFunc
	done     sync.WaitGroup // the node's goroutines
	stopping atomic.Bool    // what comes stays for the next one
	closing  sync.Once
	holdings heldNames

	taking  sync.Mutex // of those that end it
	endTake func()     // returns when nothing is taken any more; nil: nothing is
	restart restart
}

// Stats count what a node has done.
type Stats struct {
	Sent          uint64 // envelopes
	Received      uint64
	Late          uint64 // answers that nobody waited for any more
	Refused       uint64 // messages that came, and went back
	Malformed     uint64 // envelopes that were none
	Optional      uint64 // envelopes of a later version that may be passed over
	EarlyReleases uint64 // messages that were released before they were handled
}

type counters struct{ sent, received, late, refused, malformed, optional atomic.Uint64 }

// Start binds the address and runs services there; after a Restart it goes on with those of the program
// before. Errors: those of Domain.Bind; ErrRestart, what the program before has handed over is not for this node, or this
// version of the package: the address is free then, and a second Start begins anew. Close ends it.
func Start(d *skybus.Domain, at addr.Addr, cfg Config) (*Node, error) {
	cfg.Patience = cmp.Or(max(cfg.Patience, 0), 5*time.Second)
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.Codec == nil {
		cfg.Codec = codec.Default
	}
	h, err := inherit(d, at)
	if err != nil {
		return nil, fmt.Errorf("node: %w", err)
	}
	e, err := d.Bind(at, h.bindBy(skybus.WithWait(cfg.Wait))...)
	if err != nil {
		h.drop()
		return nil, fmt.Errorf("node: %w", err)
	}
	n := &Node{cfg: cfg, d: d, e: e, codec: cfg.Codec, life: h.life()}
	n.restart.init()
	n.peers.Store(&map[addr.Addr]*peer{})
	n.ctx, n.cancel = context.WithCancel(context.Background())
	cfg.Actor.Node, cfg.Actor.Life, cfg.Actor.Remote = at, n.life, remote{n}
	cfg.Actor.Events.Ended = n.ended(cfg.Actor.Events.Ended)
	n.rt = actor.New(cfg.Actor)
	if err := errors.Join(register(cfg.Codec), n.begin(h)); err != nil {
		n.Close()
		return nil, fmt.Errorf("node: %w", err)
	}
	n.done.Add(1)
	go n.watch()
	if h != nil {
		n.done.Go(n.adoptNames)
	}
	if err := n.take(); err != nil {
		n.Close()
		return nil, fmt.Errorf("node: %w", err)
	}
	return n, nil
}

func (n *Node) spawn(list []actor.Spec) error {
	for i := range list {
		if _, err := n.rt.Spawn(list[i]); err != nil {
			return fmt.Errorf("service %d, %q: %w", i, list[i].Name, err)
		}
	}
	return nil
}

// newLife returns a number that no process before is likely to have had: one in 16
// million.
func newLife() uint32 { return 1 + rand.Uint32N(1<<24-1) }

// Runtime returns what runs the node's services. It ends with the node.
func (n *Node) Runtime() *actor.Runtime { return n.rt }

// Addr returns the address that the node has bound.
func (n *Node) Addr() addr.Addr { return n.e.Addr() }

// Stats returns what was counted so far.
func (n *Node) Stats() Stats {
	c := &n.count
	return Stats{Sent: c.sent.Load(), Received: c.received.Load(), Late: c.late.Load(), Refused: c.refused.Load(),
		Malformed: c.malformed.Load(), Optional: c.optional.Load(), EarlyReleases: n.e.EarlyReleases()}
}

// Shutdown has all services end when they have done what they have, until ctx is over, and
// ends the node. Messages that come meanwhile wait in their lanes for the next one to bind the address, and
// so does what those had not handled that are killed. Errors: those of actor.Runtime.Shutdown. Not for handlers.
func (n *Node) Shutdown(ctx context.Context) error {
	n.restart.end()
	n.stopping.Store(true)
	killing, kill := context.WithCancel(context.Background())
	defer kill()
	stop := context.AfterFunc(ctx, func() {
		n.endReceive() // first: what a killed service releases is not handled
		kill()
	})
	defer stop()
	err := n.rt.Shutdown(killing)
	n.Close()
	return err
}

// Close kills all services and gives the address back. What they had not handled
// comes again. Calls that wait fail with skybus.ErrClosed. It returns when all is over, also where another goroutine has
// begun it. Not for handlers: it waits for them.
func (n *Node) Close() {
	n.restart.end()
	n.closing.Do(n.end)
}

func (n *Node) end() {
	n.endReceive() // first: what a killed service releases is not handled
	n.e.Close()
	n.cancel()
	n.closePeers()
	n.rt.Close()
	n.done.Wait()
	n.releaseNames()
}

// endReceive returns when nothing is taken, and nothing released, any more.
func (n *Node) endReceive() {
	n.taking.Lock()
	defer n.taking.Unlock()
	if n.endTake != nil {
		n.endTake()
		n.endTake = nil
	}
}

// closePeers has those that wait for other nodes know that they do so in vain.
func (n *Node) closePeers() {
	for _, p := range n.allPeers() {
		p.close()
	}
}

// errClosed is what is left to say when the node has been closed.
var errClosed = fmt.Errorf("node: %w", skybus.ErrClosed)

// peer returns what the node knows of another one.
func (n *Node) peer(at addr.Addr) *peer {
	if p := (*n.peers.Load())[at]; p != nil {
		return p
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	all := *n.peers.Load()
	if p := all[at]; p != nil {
		return p
	}
	p := newPeer(n, at)
	more := maps.Clone(all)
	more[at] = p
	n.peers.Store(&more)
	return p
}

func (n *Node) allPeers() []*peer {
	return slices.Collect(maps.Values(*n.peers.Load()))
}
