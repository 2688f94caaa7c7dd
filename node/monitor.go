// SPDX-License-Identifier: Apache-2.0

package node

import (
	"slices"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/node/envelope"
)

// A watch is a monitor of a service there by one here, or what this side has of a link.
type watch struct {
	watcher, target actor.PID
	link            bool
}

// A served is who watches there, and what here.
type served struct{ watcher, target actor.Handle }

// A monitor is one of a service here by one there.
type monitor struct {
	session uint64
	m       *actor.Monitor // nil at first
}

func (m monitor) stop() {
	if m.m != nil {
		m.m.Stop()
	}
}

// pruneFrom is how many watches there are at least before it is asked who still hears.
const pruneFrom = 64

// watch notes a watch, but for a link that there is already: its id is 0. Those of services that have ended are taken out now and then: gone are
// to be stopped over there.
func (p *peer) watch(w watch) (id uint64, gone map[uint64]watch) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if w.link && p.linked[w] != 0 {
		return 0, nil
	}
	if p.prune = max(p.prune, pruneFrom); len(p.watches) >= p.prune {
		gone = map[uint64]watch{}
		for id, w := range p.watches {
			if _, there := p.n.rt.Info(actor.PID{Handle: w.watcher.Handle}); !there {
				gone[id] = w
				p.dropWatch(id)
			}
		}
		p.prune = max(2*len(p.watches), pruneFrom)
	}
	p.due(false)
	p.last++
	p.watches[p.last] = w
	if w.link {
		p.linked[w] = p.last
	}
	return p.last, gone
}

// dropWatch takes a watch out. With mu held.
func (p *peer) dropWatch(id uint64) {
	if w := p.watches[id]; w.link {
		delete(p.linked, w)
	}
	delete(p.watches, id)
}

// unlink takes this side's watch of a link out.
func (p *peer) unlink(watcher, target actor.PID) (id uint64, w watch) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w = watch{watcher, target, true}
	id = p.linked[w]
	p.dropWatch(id)
	return id, w
}

// unwatch takes a watch out, if it is that of watcher: one of a process before may have had the
// same number.
func (p *peer) unwatch(id uint64, watcher actor.Handle) (w watch, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if w, ok = p.watches[id]; !ok || w.watcher.Handle != watcher {
		return w, false
	}
	p.dropWatch(id)
	return w, true
}

// told takes a monitor of target for watcher out, which is about to hear of its end, and returns
// its session; 0: there is none any more.
func (p *peer) told(watcher, target actor.Handle) (session uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := served{watcher, target}
	if list := p.serving[key]; len(list) > 0 {
		session = list[0].session
		p.unserve(key, 0)
	}
	return session
}

// unserve takes the i-th monitor of a pair out. With mu held.
func (p *peer) unserve(key served, i int) (m monitor) {
	list := p.serving[key]
	m = list[i]
	if list = slices.Delete(list, i, i+1); len(list) == 0 {
		delete(p.serving, key)
	} else {
		p.serving[key] = list
	}
	return m
}

// stopServing ends the monitors of a process that is gone.
func (p *peer) stopServing() {
	p.mu.Lock()
	all := p.serving
	p.serving = map[served][]monitor{}
	p.mu.Unlock()
	for _, list := range all {
		for _, m := range list {
			m.stop()
		}
	}
}

// Monitor asks the other node to tell of the end of target.
func (r remote) Monitor(watcher, target actor.PID) (stop func(), err error) {
	p, w := r.n.peer(target.Node), watch{watcher: watcher, target: target}
	id, err := r.n.monitor(p, w, envelope.Watched)
	if err != nil {
		return nil, err
	}
	return r.n.stopWatch(p, id, w), nil
}

// stopWatch returns what ends a watch.
func (n *Node) stopWatch(p *peer, id uint64, w watch) func() {
	return func() {
		if _, ok := p.unwatch(id, w.watcher.Handle); ok {
			n.demonitor(p, id, w, envelope.Watched)
		}
	}
}

// Link has a service here and one there end together.
func (r remote) Link(by, target actor.PID) error {
	p := r.n.peer(target.Node)
	id, err := r.n.monitor(p, watch{by, target, true}, envelope.Linked)
	if id == 0 || id&theirs != 0 || err != nil {
		return err
	}
	p.mu.Lock()
	if p.server == 0 {
		p.server = target.Handle.Life()
	}
	p.mu.Unlock()
	r.n.tellOf(p, served{target.Handle, by.Handle}, id|theirs) // behind the Monitor in the lane
	return nil
}

// Unlink undoes Link, of whichever side.
func (r remote) Unlink(by, target actor.PID) {
	p := r.n.peer(target.Node)
	if id, w := p.unlink(by, target); id != 0 {
		r.n.demonitor(p, id, w, envelope.Linked)
	}
}

// monitor has the other node tell of the end of a service.
func (n *Node) monitor(p *peer, w watch, sort uint8) (id uint64, err error) {
	id, gone := p.watch(w)
	for id, w := range gone {
		n.demonitor(p, id, w, envelope.Watched)
	}
	if id == 0 { // there is one
		return 0, nil
	}
	e := envelope.Envelope{Kind: envelope.Monitor, UserKind: sort, To: uint64(w.target.Handle), From: uint64(w.watcher.Handle), Session: id}
	if err = n.control(p, &e, func(err error) {
		if w, ok := p.unwatch(id, w.watcher.Handle); ok {
			n.tellDown(w, actor.Down{Service: w.target, Reason: err})
		}
	}); err != nil {
		p.unwatch(id, w.watcher.Handle)
	}
	return id, err
}

func (n *Node) demonitor(p *peer, id uint64, w watch, sort uint8) {
	_ = n.control(p, &envelope.Envelope{Kind: envelope.Demonitor, UserKind: sort, To: uint64(w.target.Handle), From: uint64(w.watcher.Handle), Session: id}, nil)
}

// serve watches a service for one of another node.
func (n *Node) serve(p *peer, e *envelope.Envelope) {
	watcher := actor.PID{Node: p.addr, Handle: actor.Handle(e.From)}
	target, _ := n.target(e) // nobody has the name: it is as good as gone
	key := served{watcher.Handle, target.Handle}
	p.mu.Lock()
	anew := p.server != watcher.Handle.Life()
	p.server = watcher.Handle.Life()
	p.mu.Unlock()
	if anew {
		p.stopServing()
	}
	n.tellOf(p, key, e.Session)
	if e.UserKind == envelope.Linked {
		n.linkBack(p, target, watcher, e.Session)
	}
}

// tellOf has a service of another node hear of the end of one here.
func (n *Node) tellOf(p *peer, key served, session uint64) {
	watcher := actor.PID{Node: p.addr, Handle: key.watcher}
	p.mu.Lock()
	p.serving[key] = append(p.serving[key], monitor{session: session}) // it may end at once
	p.mu.Unlock()
	m, err := n.rt.Monitor(watcher, actor.PID{Node: n.Addr(), Handle: key.target})
	if err != nil {
		n.cfg.Log.Warn("a service cannot be watched", "for", watcher, "err", err)
		return
	}
	p.mu.Lock()
	list := p.serving[key]
	i := slices.IndexFunc(list, func(m monitor) bool { return m.session == session })
	if i >= 0 {
		list[i].m = m
	}
	p.mu.Unlock()
	if i < 0 { // whoever watches was gone meanwhile, or knows already
		m.Stop()
	}
}

// theirs marks the session of a link's half that the other side has chosen: it tells of its end under the
// session under which it hears of the other one's.
const theirs = 1 << 63

// linkBack has a service here end with one of another node that has linked itself to it, and that has
// its node tell of its end since before.
func (n *Node) linkBack(p *peer, here, there actor.PID, session uint64) {
	here.Node = n.Addr()
	if _, ok := n.rt.Info(here); !ok { // the other one knows by now
		return
	}
	id, w := session|theirs, watch{here, there, true}
	p.mu.Lock()
	old, was := p.watches[id] // of a process before
	p.dropWatch(id)
	if p.linked[w] == 0 {
		p.due(false)
		p.watches[id], p.linked[w] = w, id
	}
	p.mu.Unlock()
	if was && old != w {
		n.tellDown(old, actor.Down{Service: old.target, Reason: &CallError{Hop: p.addr, Err: ErrPeerDied}})
	}
}

// unserve ends one watch.
func (n *Node) unserve(p *peer, e *envelope.Envelope) {
	p.mu.Lock()
	var m monitor
	for key, list := range p.ofWatcher(e) {
		if i := slices.IndexFunc(list, func(m monitor) bool { return m.session == e.Session }); i >= 0 {
			m = p.unserve(key, i)
			break
		}
	}
	p.mu.Unlock()
	m.stop()
	if e.UserKind != envelope.Linked {
		return
	}
	here, there := actor.PID{Node: n.Addr(), Handle: actor.Handle(e.To)}, actor.PID{Node: p.addr, Handle: actor.Handle(e.From)}
	if id, w := p.unlink(here, there); id != 0 {
		n.demonitor(p, id, w, envelope.Watched)
	}
}

// ofWatcher returns the monitors that e may mean: a few, unless it has a name, which may be
// another one's by now.
func (p *peer) ofWatcher(e *envelope.Envelope) map[served][]monitor {
	watcher := actor.Handle(e.From)
	if len(e.Name) == 0 {
		key := served{watcher, actor.Handle(e.To)}
		return map[served][]monitor{key: p.serving[key]}
	}
	all := map[served][]monitor{}
	for key, list := range p.serving {
		if key.watcher == watcher {
			all[key] = list
		}
	}
	return all
}

func (n *Node) deliverDown(p *peer, e *envelope.Envelope) {
	r, _, err := envelope.ParseReport(e.Kind, e.Payload)
	if err != nil {
		n.cfg.Log.Error("a Down that cannot be read", "from", n.d.FormatAddr(p.addr), "err", err)
		return
	}
	w, ok := p.unwatch(e.Session, actor.Handle(e.To))
	if !ok {
		n.count.late.Add(1)
		return
	}
	n.tellDown(w, actor.Down{Service: w.target, Name: r.Name, Reason: errorOf(&r)})
}

// tellDown has who watches, or is linked, know of an end.
func (n *Node) tellDown(w watch, d actor.Down) {
	if w.link {
		n.rt.Linked(w.watcher, d)
		return
	}
	to := w.watcher
	if n.rt.Deliver(to, actor.Message{Kind: actor.KindDown, From: d.Service, Value: d}) != nil {
		n.count.late.Add(1)
	}
}
