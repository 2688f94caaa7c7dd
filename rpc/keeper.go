// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/skybus-io/skybus/actor"
)

// A keeper is a service of a runtime that renews the leases of all its services: one message
// a host and third of its lease time. It is started when the first one is needed.
type keeper struct {
	rt   *actor.Runtime
	pid  actor.PID
	once sync.Once
	held sync.Map // holding: what it was told
}

// A holding is an object that a service holds; the zero PID is the runtime itself.
type holding struct {
	pid    actor.PID
	number uint64
	by     actor.PID
}

// keepers holds the *keeper of each *actor.Runtime that has one.
var keepers sync.Map

func keeperOf(rt *actor.Runtime) *keeper {
	v, ok := keepers.Load(rt)
	if !ok {
		v, _ = keepers.LoadOrStore(rt, &keeper{rt: rt})
	}
	k := v.(*keeper)
	k.once.Do(func() {
		var err error
		k.pid, err = rt.Spawn(keeperSpec(k))
		if err != nil { // the runtime ends
			keepers.CompareAndDelete(rt, k)
		}
	})
	return k
}

// What a keeper is told. These stay in the process.
type (
	holdIt  struct{ holding }
	letItGo struct{ holding }
)

// hold has by hold o from now on.
func hold(rt *actor.Runtime, o Object, by actor.PID) {
	k, h := keeperOf(rt), holding{o.PID, o.Number, by}
	if _, known := k.held.Load(h); known {
		return
	}
	if _, known := k.held.LoadOrStore(h, true); !known && rt.TrySend(k.pid, holdIt{h}) != nil {
		k.held.Delete(h)
	}
}

// letGo ends that.
func letGo(rt *actor.Runtime, o Object, by actor.PID) {
	v, ok := keepers.Load(rt)
	if !ok {
		return
	}
	k, h := v.(*keeper), holding{o.PID, o.Number, by}
	if _, known := k.held.LoadAndDelete(h); known {
		_ = rt.TrySend(k.pid, letItGo{h}) // if the keeper is gone its leases are, too
	}
}

// keeping is the keeper's handler.
type keeping struct {
	k       *keeper
	hosts   map[actor.PID]*heldHost
	holders map[actor.PID]*holderWatch
}

// A heldHost is a service of which objects are held.
type heldHost struct {
	objects map[uint64]map[actor.PID]bool // by whom
	fresh   []uint64                      // not renewed yet
	timer   *actor.Timer
}

type holderWatch struct {
	m *actor.Monitor
	n int
}

// firstRetry is when a host is asked again whose mailbox was full; later it is a third of the lease.
const firstRetry = time.Second

// Stop is Stopper's.
func (g *keeping) Stop(*actor.Context, error) { keepers.CompareAndDelete(g.k.rt, g.k) }

// Handle is Handler's.
func (g *keeping) Handle(c *actor.Context, m *actor.Message) error {
	switch v := m.Value.(type) {
	case holdIt:
		g.hold(c, v.holding)
	case letItGo:
		g.letGo(c, v.holding)
	case actor.Down:
		g.lost(c, v.Service)
	}
	return nil
}

func (g *keeping) hold(c *actor.Context, h holding) {
	host := g.hosts[h.pid]
	if host == nil {
		host = &heldHost{objects: map[uint64]map[actor.PID]bool{}}
		g.hosts[h.pid] = host
	}
	by := host.objects[h.number]
	if by == nil {
		by = map[actor.PID]bool{}
		host.objects[h.number] = by
		if host.fresh = append(host.fresh, h.number); len(host.fresh) == 1 {
			c.Fork(func(c *actor.Context) { // behind those that are bound at the same time
				fresh := host.fresh
				host.fresh = nil
				g.renew(c, h.pid, host, fresh)
			})
		}
	}
	if by[h.by] {
		return
	}
	by[h.by] = true
	if h.by.IsZero() {
		return
	}
	w := g.holders[h.by]
	if w == nil {
		m, err := c.Monitor(h.by)
		if err != nil {
			return
		}
		w = &holderWatch{m: m}
		g.holders[h.by] = w
	}
	w.n++
}

// renew prolongs the leases of objects of a host, and sees to the next time.
func (g *keeping) renew(c *actor.Context, pid actor.PID, host *heldHost, numbers []uint64) {
	numbers = slices.DeleteFunc(numbers, func(n uint64) bool { return host.objects[n] == nil }) // let go since
	if len(numbers) == 0 || g.hosts[pid] != host {
		return
	}
	v, err := c.Call(pid, Renew{numbers})
	if g.hosts[pid] != host { // meanwhile
		return
	}
	again := firstRetry
	if r, ok := plain[Renewed](v); err == nil && ok {
		again = r.Lease / 3
		for _, n := range r.Gone {
			g.gone(pid, host, n)
		}
	} else if !errors.Is(err, actor.ErrMailboxFull) {
		for _, n := range numbers { // there is no such service, or it hosts nothing
			g.gone(pid, host, n)
		}
	}
	if g.hosts[pid] == host && host.timer == nil {
		host.timer = c.After(again, func(c *actor.Context) {
			host.timer = nil
			g.renew(c, pid, host, host.numbers())
		})
	}
}

func (h *heldHost) numbers() []uint64 {
	list := make([]uint64, 0, len(h.objects))
	for n := range h.objects {
		list = append(list, n)
	}
	return list
}

// gone forgets an object that is not there any more.
func (g *keeping) gone(pid actor.PID, host *heldHost, number uint64) {
	for by := range host.objects[number] {
		g.k.held.Delete(holding{pid, number, by})
		g.unwatch(by)
	}
	g.forget(pid, host, number)
}

func (g *keeping) forget(pid actor.PID, host *heldHost, number uint64) {
	delete(host.objects, number)
	if len(host.objects) > 0 {
		return
	}
	delete(g.hosts, pid)
	if host.timer != nil {
		host.timer.Stop()
	}
}

func (g *keeping) unwatch(by actor.PID) {
	if w := g.holders[by]; w != nil {
		if w.n--; w.n == 0 {
			w.m.Stop()
			delete(g.holders, by)
		}
	}
}

// letGo tells the host when nobody here holds the object any more.
func (g *keeping) letGo(c *actor.Context, h holding) {
	host := g.hosts[h.pid]
	if host == nil || !host.objects[h.number][h.by] {
		return
	}
	g.unwatch(h.by)
	delete(host.objects[h.number], h.by)
	if len(host.objects[h.number]) == 0 {
		g.forget(h.pid, host, h.number)
		_ = c.Send(h.pid, Forget{[]uint64{h.number}})
	}
}

// lost lets go what a service held that has ended.
func (g *keeping) lost(c *actor.Context, by actor.PID) {
	if g.holders[by] == nil {
		return
	}
	for pid, host := range g.hosts {
		for number, holders := range host.objects {
			if holders[by] {
				h := holding{pid, number, by}
				g.k.held.Delete(h)
				g.letGo(c, h)
			}
		}
	}
}
