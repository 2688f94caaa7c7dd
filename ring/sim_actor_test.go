// SPDX-License-Identifier: Apache-2.0

//go:build skybus_steps

package ring

import (
	"fmt"
	"iter"
	"runtime/debug"
)

// An actor is one process of the simulator: a coroutine that stands still at
// the steps of the ring's code, and may be killed there. All actors together run
// on one goroutine's time, so what a step stores is seen by all at once.
type actor struct {
	w    *world
	name string
	main func(a *actor) // one life

	next  func() (struct{}, bool)
	stop  func()
	yield func(struct{}) bool

	left  int  // steps until the next switch
	held  bool // it has the change lock
	lives int
	age   int            // turns of this life
	kills map[string]int // by site
	site  string         // where it stands
}

// crash unwinds a life that ends here.
type crash struct{}

// run lets the actor go on for that many steps; a dead one comes back to life.
func (a *actor) run(steps int) {
	if a.next == nil {
		a.lives++
		a.age = 0
		a.next, a.stop = iter.Pull(a.life)
	}
	a.age++
	a.left = steps
	a.w.running = a
	_, alive := a.next()
	a.w.running = nil
	if !alive {
		a.next, a.stop = nil, nil
	}
}

// life runs main until it is killed. It leaves nothing behind but what is in
// shared memory; the kernel gives its locks back.
func (a *actor) life(yield func(struct{}) bool) {
	defer a.died()
	a.yield, a.site = yield, "start"
	a.main(a)
}

func (a *actor) died() {
	if x := recover(); x != nil && x != (crash{}) {
		a.w.fail("%s: panic: %v\n%s", a.name, x, debug.Stack())
	}
	if a.held {
		a.held, a.w.locked = false, false
	}
}

// kill ends the life where it stands.
func (a *actor) kill() {
	if a.next == nil {
		return
	}
	a.kills[a.site]++
	a.w.trace(a.name, "KILLED at "+a.site)
	a.stop()
	a.next, a.stop = nil, nil
}

// step is a place where the actor may be stopped or killed.
func (a *actor) step(site string) {
	a.site = site
	a.w.trace(a.name, site)
	if a.w.plan.hits(a) {
		a.kills[site]++
		a.w.trace(a.name, "KILLED as planned")
		panic(crash{})
	}
	if a.left--; a.left > 0 && a.w.err == nil {
		return
	}
	if !a.yield(struct{}{}) {
		panic(crash{})
	}
}

// change runs f with the lock that guards changes of the domain's table. If its
// last holder died, what that one left is tidied up first.
func (a *actor) change(f func()) {
	for a.w.locked {
		a.step("sim.lock")
	}
	a.held, a.w.locked = true, true
	if a.w.changing && a.w.idle {
		a.step("sim.recover")
		delete(a.w.files, a.w.gen-1)
		delete(a.w.files, a.w.gen)
	}
	a.w.changing = true
	f()
	a.w.changing = false
	a.held, a.w.locked = false, false
}

// A plan kills one actor when it comes to a site for the nth time.
type plan struct {
	actor, site string
	nth         int
	done        bool
}

func (p *plan) hits(a *actor) bool {
	if p == nil || p.done || p.actor != a.name || p.site != a.site {
		return false
	}
	p.nth--
	p.done = p.nth <= 0
	return p.done
}

// An event is one line of the log that a failure prints.
type event struct{ who, what string }

func (e event) String() string { return fmt.Sprintf("%-9s %s", e.who, e.what) }
