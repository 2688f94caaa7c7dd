// SPDX-License-Identifier: Apache-2.0

package node

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/node/envelope"
)

// begin starts the node's services, or has those go on that h has.
func (n *Node) begin(h *inheritance) error {
	if h == nil {
		if err := n.serveNode(); err != nil {
			return err
		}
		return n.spawn(n.cfg.Services)
	}
	run, err := n.rt.Restore(&h.Actor, n.specOf)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRestart, err)
	}
	n.restart.before = ledgerOf(h.Lanes)
	for i := range h.Peers {
		n.restorePeer(&h.Peers[i])
	}
	n.self = actor.PID{Node: n.Addr(), Handle: h.Self}
	if _, there := n.rt.Info(n.self); !there {
		run() // for Close, which waits for them
		return fmt.Errorf("%w: the node's own service was not handed over", ErrRestart)
	}
	err = n.spawn(n.others(&h.Actor))
	run() // they may look for the others
	return err
}

// specOf returns what a service is to be made of that goes on.
func (n *Node) specOf(typ string) (actor.Spec, bool) {
	if typ == serviceName {
		return n.ownSpec(), true
	}
	for _, list := range [][]actor.Spec{n.cfg.Services, n.cfg.Types} {
		for i := range list {
			if cmp.Or(list[i].Type, list[i].Name) == typ {
				return list[i], true
			}
		}
	}
	return actor.Spec{}, false
}

// others returns those of Services that do not go on: the new program has them anew.
func (n *Node) others(st *actor.State) []actor.Spec {
	names := n.rt.Names()
	there := map[string]bool{}
	for i := range st.Services {
		if _, alive := n.rt.Info(actor.PID{Handle: st.Services[i].Handle}); alive {
			there[st.Services[i].Type] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(n.cfg.Services), func(s actor.Spec) bool {
		if _, taken := names[s.Name]; taken && s.Name != "" {
			return true
		}
		return there[cmp.Or(s.Type, s.Name)]
	})
}

// handed describes a peer.
func (p *peer) handed() handedPeer {
	line := p.waiting()
	p.mu.Lock()
	defer p.mu.Unlock()
	h := handedPeer{Addr: p.addr, Era: p.era, Life: p.life, Known: p.known, Far: p.far, Binds: p.binds, Bound: p.bound, Last: p.last, Server: p.server, Line: line}
	for id, w := range p.watches {
		h.Watches = append(h.Watches, handedWatch{ID: id, Watcher: w.watcher.Handle, Target: w.target.Handle, Link: w.link})
	}
	for key, list := range p.serving {
		for _, m := range list {
			h.Serving = append(h.Serving, handedServing{Watcher: key.watcher, Target: key.target, Session: m.session})
		}
	}
	return h
}

// restorePeer goes on with what the program before knew of another node. What waits for it comes first.
func (n *Node) restorePeer(h *handedPeer) {
	p := n.peer(h.Addr)
	p.mu.Lock()
	p.era, p.life, p.known, p.far, p.binds, p.bound = h.Era, h.Life, h.Known, h.Far, h.Binds, h.Bound
	p.last, p.server = h.Last, h.Server
	p.mu.Unlock()
	for _, b := range h.Line {
		p.line(&later{b: b, sent: func(err error) {
			if err != nil && !errors.Is(err, skybus.ErrClosed) {
				n.cfg.Log.Warn("a message from before the restart could not be sent", "to", n.d.FormatAddr(p.addr), "err", err)
			}
		}})
	}
	for _, w := range h.Watches {
		n.restoreWatch(p, w)
	}
	for _, s := range h.Serving {
		n.restoreServing(p, s)
	}
}

// restoreWatch has a service go on to watch one there, or nobody, if it has ended.
func (n *Node) restoreWatch(p *peer, h handedWatch) {
	w := watch{watcher: actor.PID{Node: n.Addr(), Handle: h.Watcher}, target: actor.PID{Node: p.addr, Handle: h.Target}, link: h.Link}
	if _, there := n.rt.Info(w.watcher); !there {
		n.demonitor(p, h.ID, w, envelope.Watched)
		return
	}
	p.mu.Lock()
	p.due(false)
	p.watches[h.ID] = w
	if w.link {
		p.linked[w] = h.ID
	}
	p.mu.Unlock()
	if !w.link {
		n.rt.AddMonitor(h.Watcher, w.target, n.stopWatch(p, h.ID, w))
	}
}

// restoreServing has a service there go on to watch one here, or know that it has ended.
func (n *Node) restoreServing(p *peer, s handedServing) {
	watcher, target := actor.PID{Node: p.addr, Handle: s.Watcher}, actor.PID{Node: n.Addr(), Handle: s.Target}
	key := served{s.Watcher, s.Target}
	p.mu.Lock()
	p.serving[key] = append(p.serving[key], monitor{session: s.Session})
	p.mu.Unlock()
	if _, there := n.rt.Info(target); !there {
		down := actor.Down{Service: target, Reason: actor.ErrNotCarried}
		_ = remote{n}.Send(watcher, &actor.Message{Kind: actor.KindDown, From: target, Value: down}) // else it is logged
		return
	}
	m, err := n.rt.Monitor(watcher, target)
	if err != nil {
		n.cfg.Log.Warn("a service cannot be watched", "for", watcher, "err", err)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.serving[key] {
		if p.serving[key][i].session == s.Session {
			p.serving[key][i].m = m
		}
	}
}
