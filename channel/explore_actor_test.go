// SPDX-License-Identifier: Apache-2.0

//go:build skybus_steps

package channel

import (
	"fmt"
	"hash/maphash"
	"iter"
	"sync/atomic"
	"time"
)

// An actor is one process.
type actor struct {
	name   string
	run    func(a *actor)        // its code
	local  func(h *maphash.Hash) // its own memory, as it is between steps
	mortal bool

	e      *explorer
	resume func() (string, bool)
	stop   func()
	yield  func(string) bool

	site   string // the step it is about to make
	trail  uint64 // the steps since its last checkpoint
	answer int    // what choose returns
	parked *atomic.Uint32
	over   bool // it has come to its end
	dead   bool
}

// killedSite is what a model is told of instead of a step.
const killedSite = "killed"

// A decision is what happens next: an actor makes its step, choosing an answer
// if it is at a choice, or is killed.
type decision struct {
	who    int
	answer int
	kill   bool
	wake   bool // a parked actor, for no reason
}

const choiceSite = "choice" // followed by the number of answers

// choose lets the explorer try all answers from 0 to n-1.
func (a *actor) choose(n int) int {
	a.step(fmt.Sprint(choiceSite, n))
	return a.answer
}

// checkpoint says that nothing counts of what was done before but what local
// and the shared memory show.
func (a *actor) checkpoint() { a.trail = 0 }

// killed is what a dead actor's code panics with, to get out of its coroutine.
type killed struct{}

// private are steps whose store, or load, no other actor of any model can see or
// change: they are made together with the step before.
var private = []string{
	"ring.tx.inner", "ring.tx.innerword", "ring.tx.tailzero", "ring.tx.tailseq",
	"ring.tx.committed", "ring.tx.writing", "ring.rx.claimed", "ring.rx.done",
}

func (a *actor) step(site string) {
	a.site = site
	a.trail = a.trail*1099511628211 + maphash.String(a.e.seed, site)
	if !a.yield(site) {
		panic(killed{})
	}
}

func (a *actor) start(e *explorer) {
	a.e = e
	a.resume, a.stop = iter.Pull(func(yield func(string) bool) {
		defer func() {
			if p := recover(); p != nil && p != (killed{}) {
				panic(p)
			}
		}()
		a.yield = yield
		a.run(a)
	})
	a.advance()
}

// advance runs the actor's code up to its next step.
func (a *actor) advance() {
	a.e.cur = a
	_, ok := a.resume()
	a.e.cur = nil
	a.over = !ok
}

// wait and wake stand in for the futex.
func (e *explorer) wait(word *atomic.Uint32, val uint32, _ time.Duration) {
	if word.Load() != val {
		return
	}
	e.cur.parked = word
	e.cur.step("parked")
}

func (e *explorer) wake(word *atomic.Uint32) (n int) {
	for _, a := range e.actors {
		if a.parked == word {
			a.parked = nil
			n++
		}
	}
	return n
}
