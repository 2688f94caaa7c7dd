// SPDX-License-Identifier: Apache-2.0

//go:build skybus_steps

package channel

import (
	"fmt"
	"hash/maphash"
	"iter"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skybus-io/skybus/internal/invariant"
	"github.com/skybus-io/skybus/shm"
)

// An explorer runs the actors of a model in every order of their steps. An actor
// is real code in a coroutine, which stops at each invariant.Step. There is no
// way back from a step, so a path is taken again from the start for each branch
// of it; a state that was seen before is not followed again.
type explorer struct {
	t     *testing.T
	model model

	actors []*actor
	cur    *actor // whose code runs now; nil: nobody's
	died   bool   // one actor at most is killed

	seen  map[uint64]bool
	seed  maphash.Seed
	hash  maphash.Hash
	path  []decision
	stats struct{ states, runs, ends, stuck int }
}

// A model is a number of actors around some shared memory.
type model interface {
	// reset puts the memory back to the start and returns the actors.
	reset(e *explorer) []*actor
	// blocked reports whether a cannot make its next step, and passed is told of
	// the step that it makes.
	blocked(a *actor) bool
	passed(a *actor, site string)
	// private are more steps that no other actor can notice.
	private() []string
	// shared writes the shared memory that the actors can see.
	shared(h *maphash.Hash)
	// end judges a state in which nobody can go on: what is wrong, or nothing.
	// stuck tells of a message that only a timeout will find, as it may be.
	end(e *explorer) (wrong string, stuck bool)
}

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
	"ring.tx.committed", "ring.rx.claimed", "ring.rx.done", "ring.walk",
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

func (e *explorer) reset() {
	for _, a := range e.actors {
		a.stop()
	}
	e.died = false
	e.actors = e.model.reset(e)
	for _, a := range e.actors {
		a.start(e)
	}
}

func (e *explorer) apply(d decision) {
	a := e.actors[d.who]
	switch {
	case d.kill:
		a.dead, e.died = true, true
		return
	case d.wake:
		a.parked = nil
		return
	}
	a.answer = d.answer
	e.model.passed(a, a.site)
	a.advance()
}

// spurious lists what can happen at any time and must not be counted upon.
func (e *explorer) spurious() (list []decision) {
	for i, a := range e.actors {
		if a.parked != nil && !a.dead {
			list = append(list, decision{who: i, wake: true})
		}
	}
	return list
}

// choices lists what can happen next. A choice is nobody else's business, so
// nothing is tried before it.
func (e *explorer) choices() (list []decision) {
	for i, a := range e.actors {
		if a.over || a.dead || a.parked != nil || e.model.blocked(a) {
			continue
		}
		if n, ok := strings.CutPrefix(a.site, choiceSite); ok {
			return []decision{{who: i}, {who: i, answer: 1}}[:n[0]-'0']
		}
		list = append(list, decision{who: i})
		if a.mortal && !e.died {
			list = append(list, decision{who: i, kill: true})
		}
	}
	return list
}

// state is the hash of everything that decides about the future.
func (e *explorer) state() uint64 {
	e.hash.Reset()
	e.model.shared(&e.hash)
	for _, a := range e.actors {
		e.hash.WriteString(a.site)
		maphash.WriteComparable(&e.hash, [4]any{a.trail, a.over, a.dead, a.parked != nil})
		a.local(&e.hash)
	}
	return e.hash.Sum64()
}

// explore visits every state, and stops at the first that is wrong.
func explore(t *testing.T, m model) *explorer {
	e := &explorer{t: t, model: m, seen: map[uint64]bool{}, seed: maphash.MakeSeed()}
	e.hash.SetSeed(e.seed)
	hidden := append(m.private(), private...)
	invariant.SetHook(func(site string) {
		if e.cur != nil && !slices.Contains(hidden, site) {
			e.cur.step(site)
		}
	})
	shm.SetFutex(e.wait, e.wake)
	defer func() {
		for _, a := range e.actors {
			a.stop()
		}
		e.actors = m.reset(e) // unlocks what the dead had locked
		invariant.SetHook(nil)
		shm.SetFutex(nil, nil)
	}()
	start := time.Now()
	wrong := e.search()
	t.Logf("%d states, %d runs, %d ends, %d of them with a message that waits for the timeout, %v",
		e.stats.states, e.stats.runs, e.stats.ends, e.stats.stuck, time.Since(start).Round(time.Millisecond))
	if wrong != "" {
		t.Errorf("%s after:%s", wrong, e.story())
	}
	return e
}

// replay takes the path from the start.
func (e *explorer) replay() {
	e.reset()
	e.stats.runs++
	for _, d := range e.path {
		e.apply(d)
	}
}

// isNew reports whether the state is met for the first time.
func (e *explorer) isNew() bool {
	state := e.state()
	if e.seen[state] {
		return false
	}
	e.seen[state] = true
	e.stats.states++
	return true
}

// judge has the model look at a state in which nobody can go on.
func (e *explorer) judge() (wrong string) {
	e.stats.ends++
	wrong, stuck := e.model.end(e)
	if stuck {
		e.stats.stuck++
	}
	return wrong
}

// search goes through the tree of decisions, depth first.
func (e *explorer) search() (wrong string) {
	var open [][]decision // untried decisions at each point of the path
	for {
		e.replay()
		for e.isNew() {
			list := e.choices()
			if len(list) == 0 {
				if wrong := e.judge(); wrong != "" {
					return wrong
				}
				e.replay()
			}
			if list = append(list, e.spurious()...); len(list) == 0 {
				break
			}
			open = append(open, list[1:])
			e.path = append(e.path, list[0])
			e.apply(list[0])
		}
		for len(open) > 0 && len(open[len(open)-1]) == 0 {
			open = open[:len(open)-1]
			e.path = e.path[:len(open)]
		}
		if len(open) == 0 {
			return ""
		}
		last := len(open) - 1
		e.path[last], open[last] = open[last][0], open[last][1:]
	}
}

// story tells the path step by step.
func (e *explorer) story() string {
	var b strings.Builder
	path := e.path
	e.reset()
	for _, d := range path {
		a := e.actors[d.who]
		what := a.site
		switch {
		case d.kill:
			what = "is killed before " + what
		case d.wake:
			what = "wakes up for no reason"
		}
		fmt.Fprintf(&b, "\n  %-8s %s %d", a.name, what, d.answer)
		e.apply(d)
	}
	return b.String()
}
