// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"time"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/node/envelope"
)

// How often others are looked at while somebody waits for them.
const (
	lookEach = 250 * time.Millisecond
	awayMost = 2 // looks that find nobody at the address before it counts as an end
)

// A state is what is known of the process that has a peer's address. The peer's mu guards it.
type state struct {
	era   uint64 // grows when the process is found to be another one
	life  uint32 // as its last Pong in this era said; 0: none has come
	away  int    // how often in a row nobody had bound it
	quiet int    // looks since it was heard of, or something began to be due
	used  bool   // something was asked since the last look

	known bool   // what follows was looked at lately
	far   bool   // it is on another host
	binds uint64 // how often the address was bound
	bound bool
}

// see looks at the address, and begins another era if the process is another one, or gone. With
// mu held.
func (p *peer) see() {
	info, far, err := p.n.e.Other(p.addr)
	if err != nil {
		p.far, p.known = true, false // by its silence alone
		return
	}
	if p.known && !p.far && !far {
		ends := int64(info.Binds - p.binds) // of those that were bound
		if p.bound {
			ends++
		}
		if info.Bound {
			ends--
		}
		if ends > 0 {
			p.era++
			p.life = 0
		}
	}
	if !p.known {
		p.life = 0
	}
	p.known, p.far, p.binds, p.bound = true, far, info.Binds, info.Bound
}

// watch looks after the nodes that calls and monitors wait for.
func (n *Node) watch() {
	defer n.done.Done()
	t := time.NewTicker(lookEach)
	defer t.Stop()
	for {
		select {
		case <-n.ctx.Done():
			return
		case <-t.C:
		}
		n.restart.look.Lock()
		for _, p := range n.allPeers() {
			n.look(p)
		}
		n.restart.look.Unlock()
	}
}

// look asks whether a node is alive that something is due from, or goes to.
func (n *Node) look(p *peer) {
	p.mu.Lock()
	waits := len(p.asked)+len(p.watches) > 0
	if !waits && !p.used && len(p.serving) == 0 {
		p.known = false
		p.mu.Unlock()
		return
	}
	p.used = false
	if p.quiet++; p.alive.Swap(false) {
		p.quiet = 0
	}
	era := p.era
	p.see()
	if p.bound || p.far {
		p.away = 0
	} else {
		p.away++
	}
	never := !p.far && p.binds == 0 && !p.bound // it has not come yet
	gone, anew := p.away >= awayMost && !never, p.era != era
	asks := (p.far || p.life == 0) && waits
	silent := asks && time.Duration(p.quiet)*lookEach > n.cfg.Patience // a clock would count a stop of this process, too
	p.mu.Unlock()
	switch {
	case gone:
		n.fail(p, only{}, &CallError{Hop: p.addr, Err: ErrPeerDied})
		p.stopServing()
		return
	case silent:
		n.fail(p, only{}, &CallError{Hop: p.addr, Err: silence(never)})
		return
	case anew:
		n.fail(p, only{names: true}, &CallError{Hop: p.addr, Err: ErrPeerDied})
		p.stopServing()
	}
	if asks && !never {
		n.ping(p) // its answer says who is who
	}
}

// silence is why nothing comes from a node. never: nobody had its address, ever.
func silence(never bool) error {
	if never {
		return fmt.Errorf("%w: nobody has bound its address yet", ErrSilent)
	}
	return ErrSilent
}

// ping asks a node which life it is in. With no room it is asked again at the next look.
func (n *Node) ping(p *peer) {
	p.mu.Lock()
	era := p.era
	p.mu.Unlock()
	e := envelope.Envelope{Kind: envelope.Ping, From: uint64(n.life), Session: era}
	if b, err := e.Append(nil); err == nil && p.queued.Load() == 0 {
		_ = n.e.TrySend(p.addr, b)
	}
}

// pong answers a Ping. One at a time waits in line: who asks does so again.
func (n *Node) pong(p *peer, e *envelope.Envelope) {
	p.mu.Lock()
	busy := p.ponging
	p.ponging = true
	p.mu.Unlock()
	if busy {
		return
	}
	over := func(error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.ponging = false
	}
	queued, err := n.answer(p, &later{b: n.pongTo(e), sent: over})
	if err != nil || !queued {
		over(err)
	}
}

func (n *Node) pongTo(ping *envelope.Envelope) []byte {
	e := envelope.Envelope{Kind: envelope.Pong, To: ping.From, From: uint64(n.life), Session: ping.Session}
	b, _ := e.Append(nil) // a Pong may have any of that
	return b
}

// hearPong fails what waits for a process that had the address before.
func (n *Node) hearPong(p *peer, e *envelope.Envelope) {
	life := uint32(e.From)
	if e.To != uint64(n.life) || life == 0 {
		return
	}
	p.mu.Lock()
	if e.Session != p.era { // it was asked of another process
		p.mu.Unlock()
		return
	}
	known := p.life == life
	anew := p.life != 0 && !known
	if anew {
		p.era++
	}
	p.life = life
	p.mu.Unlock()
	n.fail(p, only{life: life, known: known, names: true}, &CallError{Hop: p.addr, Err: ErrPeerDied})
	if anew {
		p.stopServing()
	}
}

// only says what has failed: all if it is zero, else what was asked of a handle that is not of
// this life, if that is known, and with names what was asked by name in an era before. known: so it was when it was
// asked.
type only struct {
	life  uint32
	known bool
	names bool
}

// stale reports whether a handle's process had surely ended before it was asked.
func (o only) stale(h actor.Handle) bool {
	return o.life != 0 && h != 0 && (o.known || h.Life() == 0)
}

func (o only) has(h actor.Handle, older bool) bool {
	switch {
	case o == only{}:
		return true
	case h == 0:
		return o.names && older
	}
	return o.life != 0 && h.Life() != o.life
}

// fail ends what waits for a node.
func (n *Node) fail(p *peer, o only, why error) {
	p.mu.Lock()
	var died, stale []question
	for q, r := range p.asked {
		if !o.has(r.to, r.era < p.era) {
			continue
		}
		if o.stale(r.to) {
			stale = append(stale, q)
		} else {
			died = append(died, q)
		}
		delete(p.asked, q)
		if r.l != nil {
			p.drop(r.l)
		}
	}
	var watches []watch
	for id, w := range p.watches {
		if o.has(w.target.Handle, false) {
			watches = append(watches, w)
			p.dropWatch(id)
		}
	}
	p.mu.Unlock()
	n.endRequests(died, why)
	n.endRequests(stale, &CallError{Hop: p.addr, Err: actor.ErrStalePID})
	for _, w := range watches {
		n.tellDown(w, actor.Down{Service: w.target, Reason: why})
	}
}

// endRequests ends requests with an error.
func (n *Node) endRequests(asked []question, why error) {
	for _, q := range asked {
		_ = n.rt.Deliver(actor.PID{Handle: q.from}, actor.Message{Kind: actor.KindError, Session: q.session, Value: why}) // who is gone waits no more
	}
}
