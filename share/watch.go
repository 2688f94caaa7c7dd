// SPDX-License-Identifier: Apache-2.0

package share

// A watcher tells one function of versions. Its fields are guarded by the
// table's mu.
type watcher[T any] struct {
	t       *Table[T]
	fn      func(old, current *Version[T])
	told    *Version[T] // the last one that fn was called with
	running bool        // a goroutine calls fn, and looks for a newer version after it
	stopped bool
}

// Watch has fn called after each change of the table, with the version that it
// was called with before (at first the one that is current during Watch) and
// the one that is current now.
//
// Calls come in order and one at a time, each in a goroutine of its own that
// holds no lock: fn may take its time, write to the table, or stop its watch.
// While it runs, changes are gathered, and the next call tells of the newest one
// alone: current.Number() may be larger than old.Number() by more than one. The
// last version is never missed.
//
// After stop has returned at most one call still comes or runs, one that a change
// before it has set off. To stop twice does no harm. A panic in fn is one of the
// program, as in any goroutine.
//
// A table keeps the version that a watcher was told last until it is told of a
// newer one. A table that nobody else refers to is collected with its watchers.
func (t *Table[T]) Watch(fn func(old, current *Version[T])) (stop func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	// A version stored after this load finds the watcher: publish takes mu later.
	w := &watcher[T]{t: t, fn: fn, told: t.current.Load()}
	if t.watchers == nil {
		t.watchers = make(map[*watcher[T]]struct{})
	}
	t.watchers[w] = struct{}{}
	return w.stop
}

func (w *watcher[T]) stop() {
	w.t.mu.Lock()
	defer w.t.mu.Unlock()
	w.stopped = true
	delete(w.t.watchers, w)
}

// wakeLocked has fn called if there is news and no goroutine that will see it.
func (w *watcher[T]) wakeLocked() {
	if current := w.t.current.Load(); !w.running && !w.stopped && current != w.told {
		old := w.told
		w.running, w.told = true, current
		go w.call(old, current)
	}
}

func (w *watcher[T]) call(old, current *Version[T]) {
	defer w.called() // also when fn ends its goroutine
	w.fn(old, current)
}

func (w *watcher[T]) called() {
	w.t.mu.Lock()
	defer w.t.mu.Unlock()
	w.running = false
	w.wakeLocked()
}
