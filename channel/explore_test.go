// SPDX-License-Identifier: Apache-2.0

//go:build skybus_steps

package channel

import (
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
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
		a.stop() // what it has deferred is what the kernel does: it closes files and gives locks back
		e.model.passed(a, killedSite)
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

// explore visits every state; none may be wrong.
func explore(t *testing.T, m model) {
	t.Helper()
	if wrong := exploreUntil(t, m); wrong != "" {
		t.Error(wrong)
	}
}

// exploreUntil visits every state up to the first that is wrong, and says what
// is wrong with it and how it came about.
func exploreUntil(t *testing.T, m model) (wrong string) {
	t.Helper()
	e := &explorer{model: m, seen: map[uint64]bool{}, seed: maphash.MakeSeed()}
	e.hash.SetSeed(e.seed)
	hidden := append(m.private(), private...)
	invariant.SetHook(func(site string) {
		if e.cur != nil && !slices.Contains(hidden, site) {
			e.cur.step(site)
		}
	})
	shm.SetFutex(e.wait, e.wake)
	defer e.leave()
	start := time.Now()
	if wrong = e.search(); wrong != "" {
		wrong += " after:" + e.story()
	}
	t.Logf("%d states, %d runs, %d ends, %d of them with a message that waits for the timeout, %v",
		e.stats.states, e.stats.runs, e.stats.ends, e.stats.stuck, time.Since(start).Round(time.Millisecond))
	return wrong
}

// leave ends the coroutines and unlocks what the dead had locked.
func (e *explorer) leave() {
	for _, a := range e.actors {
		a.stop()
	}
	e.actors = e.model.reset(e)
	invariant.SetHook(nil)
	shm.SetFutex(nil, nil)
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
