// SPDX-License-Identifier: Apache-2.0

//go:build skybus_steps

package ring

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/skybus-io/skybus/internal/invariant"
)

// A file is the segment of one generation.
type file struct {
	gen     uint32
	r       Region
	seqs    map[uint64]uint64 // position to sequence of the records committed there
	claimed uint64            // marks as seen last, which only grow (R6)
	rel     uint64
}

// A world is what all processes share: the segments, the lane's entry in the
// table, the change lock. Beside it stands the book of what must come of it.
type world struct {
	rng     *rand.Rand
	files   map[uint32]*file
	gen     uint32 // of the entry: the lowest generation, or one before it
	lastSeq uint64 // of the entry
	idle    bool   // of the entry: given back
	maxSize uint64
	mood    mood

	locked   bool // the change lock is held
	changing bool // a change was begun and has not come to its end

	book    book
	plan    *plan
	running *actor
	actors  []*actor
	err     error

	log  [80]event
	logN int

	grown, closed, full int // how often
}

// A mood is how often things happen in a world: one time in so many.
type mood struct{ crash, grow, giveBack int }

func newWorld(seed uint64) *world {
	w := &world{rng: rand.New(rand.NewPCG(seed, 0)), files: map[uint32]*file{}, gen: 1}
	w.maxSize = MinSize << w.rng.IntN(4)
	w.mood = mood{crash: 1 << (4 + w.rng.IntN(10)), grow: 2 << (2 * w.rng.IntN(3)), giveBack: 3 << (2 * w.rng.IntN(3))}
	w.book.next = 1
	w.files[1] = w.newFile(1, MinSize, 1)
	w.add("producer", func(a *actor) { (&producer{w: w, a: a}).live() })
	w.add("consumer", func(a *actor) { (&consumer{w: w, a: a}).live() })
	w.add("watcher", func(a *actor) { (&onlooker{w: w, a: a}).live() })
	return w
}

func (w *world) add(name string, main func(a *actor)) {
	w.actors = append(w.actors, &actor{w: w, name: name, main: main, kills: map[string]int{}})
}

// newFile makes a segment out of noise, complete but for its name (R10).
func (w *world) newFile(gen uint32, size, seq uint64) *file {
	data := make([]byte, size)
	for i := 0; i < len(data); i += 8 {
		binary.LittleEndian.PutUint64(data[i:], w.rng.Uint64())
	}
	r, err := NewRegion(make([]byte, MarksSize), data)
	if err != nil {
		w.fail("%v", err)
	}
	r.Format(seq)
	return &file{gen: gen, r: r, seqs: map[uint64]uint64{}}
}

// fail notes what went wrong first.
func (w *world) fail(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf(format, args...)
	}
}

// give up is fail for an actor that cannot go on.
func (w *world) giveUp(format string, args ...any) {
	w.fail(format, args...)
	panic(crash{})
}

// hook is called at every step of the code under test.
func (w *world) hook(site string) {
	a := w.running
	if a == nil {
		return // a check that looks from outside
	}
	w.book.note(site)
	w.checkMarks()
	a.step(site)
}

// quietly runs f as if time stood still.
func (w *world) quietly(f func()) {
	a := w.running
	w.running = nil
	f()
	w.running = a
}

// run lets the actors go on in turn, each for a few steps, and kills some.
func (w *world) run(turns int) {
	defer invariant.SetHook(nil)
	invariant.SetHook(w.hook)
	var share [3]int // how often each has its turn
	for i := 0; i < turns && w.err == nil; i++ {
		if i%150 == 0 {
			share = [3]int{1 + w.rng.IntN(8), 1 + w.rng.IntN(8), w.rng.IntN(4)}
		}
		w.turn(share)
	}
	w.killAll()
}

func (w *world) turn(share [3]int) {
	a := w.actors[0]
	for i, n := 0, w.rng.IntN(share[0]+share[1]+share[2]); i < len(share); i++ {
		if n -= share[i]; n < 0 {
			a = w.actors[i]
			break
		}
	}
	steps := 1
	if w.rng.IntN(4) == 0 {
		steps += w.rng.IntN(60)
	}
	a.run(steps)
	w.accident(a)
	if w.rng.IntN(16) == 0 {
		w.checkChain()
	}
}

// accident kills a, or everybody, now and then. Who has just begun, and who is
// about to change files, is in more danger.
func (w *world) accident(a *actor) {
	switch n := w.rng.IntN(w.mood.crash * 8); {
	case n < 8:
		a.kill()
	case n == 8:
		w.killAll()
	case a.lives > 1 && a.age < 12 && n%16 == 0, fileSites[a.site] && n%8 == 0:
		a.kill()
	}
}

func (w *world) killAll() {
	for _, a := range w.actors {
		a.kill()
	}
}

// finish brings both sides back, without any more accidents, and takes what is left.
func (w *world) finish() error {
	defer invariant.SetHook(nil)
	invariant.SetHook(w.hook)
	w.plan = nil
	w.add("reviver", func(a *actor) { (&producer{w: w, a: a}).attach() })
	w.add("drainer", func(a *actor) { (&consumer{w: w, a: a}).drain() })
	w.add("tidier", func(a *actor) { a.change(func() {}) })
	for _, a := range w.actors[3:] {
		for alive := true; alive && w.err == nil; alive = a.next != nil {
			a.run(1 << 30)
		}
	}
	w.killAll()
	w.checkChain()
	if w.err == nil && w.book.next != w.book.committed+1 {
		w.fail("at the end: %d committed, shown up to %d", w.book.committed, w.book.next-1)
	}
	if len(w.files) > 1 {
		w.fail("at the end %d segments are left", len(w.files))
	}
	return w.err
}

func (w *world) trace(who, what string) {
	w.log[w.logN%len(w.log)] = event{who, what}
	w.logN++
}

// history returns the last steps.
func (w *world) history() string {
	var b strings.Builder
	for i := max(0, w.logN-len(w.log)); i < w.logN; i++ {
		fmt.Fprintln(&b, w.log[i%len(w.log)])
	}
	return b.String()
}

// first returns the lowest generation that exists, as a process that attaches finds it.
func (w *world) first() *file {
	if f := w.files[w.gen]; f != nil {
		return f
	}
	return w.files[w.gen+1]
}
