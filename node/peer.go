// SPDX-License-Identifier: Apache-2.0

package node

import (
	"sync"
	"sync/atomic"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/addr"
)

// A peer is another node, as this one knows it.
type peer struct {
	n    *Node
	addr addr.Addr

	queued atomic.Int32 // messages in line
	alive  atomic.Bool  // it was heard of since the last look

	mu       sync.Mutex // guards all below
	asked    map[question]request
	watches  map[uint64]watch
	linked   map[watch]uint64 // those of watches that are links, by what they are
	last     uint64           // number of the newest watch
	prune    int              // watches at which those are taken out that nobody hears
	serving  map[served][]monitor
	server   uint32 // life that those are of
	first    *later // in line
	end      *later
	sending  bool          // a goroutine does the line
	lineHeld bool          // none is to: a hot restart
	still    chan struct{} // closed when none does, if somebody waits for that
	ponging  bool          // a Pong is in line
	closed   bool
	state
}

// A question is a request that waits for its answer.
type question struct {
	from    actor.Handle
	session uint64
}

// A request is what a question was.
type request struct {
	to  actor.Handle // 0: a name
	era uint64       // of the peer, when it was asked
	l   *later       // while it waits in line
}

func newPeer(n *Node, at addr.Addr) *peer {
	return &peer{n: n, addr: at, asked: map[question]request{}, watches: map[uint64]watch{}, linked: map[watch]uint64{}, serving: map[served][]monitor{}, state: state{era: 1}}
}

// expect notes a request, in line or about to be sent: the answer can be quick.
func (p *peer) expect(from actor.PID, session uint64, to actor.Handle, l *later) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.note(from, session, to, l)
}

// note is expect with mu held.
func (p *peer) note(from actor.PID, session uint64, to actor.Handle, l *later) {
	p.due(to == 0)
	p.asked[question{from.Handle, session}] = request{to: to, era: p.era, l: l}
}

// due begins to count the time, at the next look, if nothing was due before. named: it is due from whichever process
// is there now, which is not the one that was there at the last look if the address was bound since. With mu held.
func (p *peer) due(named bool) {
	if len(p.asked)+len(p.watches) == 0 {
		p.alive.Store(true)
		p.away = 0
	}
	if p.used = true; !p.known || named && !p.far && p.n.e.Binds(p.addr) != p.binds {
		p.see()
	}
}

// answered takes a request out, and reports whether somebody waits for it.
func (p *peer) answered(from actor.Handle, session uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	q := question{from, session}
	_, ok := p.asked[q]
	delete(p.asked, q)
	return ok
}

// forget takes a request out that nobody waits for any more, also from the line. sent: it is on its way.
func (p *peer) forget(from actor.Handle, session uint64) (r request, asked, sent bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	q := question{from, session}
	r, asked = p.asked[q]
	delete(p.asked, q)
	sent = asked && !p.closed && r.l == nil
	if r.l != nil {
		p.drop(r.l)
	}
	return r, asked, sent
}

// hear notes that a node is alive.
func (p *peer) hear() {
	if !p.alive.Load() {
		p.alive.Store(true)
	}
}

// close ends what others wait for.
func (p *peer) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.n.fail(p, only{}, errClosed)
}
