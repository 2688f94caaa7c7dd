// SPDX-License-Identifier: Apache-2.0

package host

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/skybus-io/skybus/names"
)

// Watch calls f for each name that begins with prefix and has an owner, sorted, and then for each change, in
// order, until ctx is over; in other processes within milliseconds of the change, or of a
// death within about lookEach. What came between two looks is told as one change; one whose
// Old and New are equal says that another process at the same address has the name. f runs in
// the caller's goroutine and may use the registry. Errors: ctx's cause; f's; os.ErrClosed; ErrDamaged.
func (r *Registry) Watch(ctx context.Context, prefix string, f func(names.Change) error) error {
	woken, stop, err := r.join()
	if err != nil {
		return err
	}
	defer stop()
	if err := r.with(ctx, func(*table) error { return nil }); err != nil { // there must be a bell
		return err
	}
	w := &watch{r: r, prefix: prefix, seen: map[uint32][]known{}, lives: map[lifeKey]int{}}
	if err := w.begin(ctx); err != nil {
		return err
	}
	for changes := w.all(); ; {
		for _, c := range changes {
			if err := f(c); err != nil {
				return err
			}
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-r.done:
			return errClosed
		case <-woken:
		}
		if changes, err = w.next(); err != nil {
			return err
		}
		if err := w.tend(); err != nil {
			return err
		}
	}
}

// A known is what a watch has seen of a name.
type known struct {
	name    string
	claims  []names.Claim
	changed uint64
}

// A watch is one Watch. Its goroutine alone uses it.
type watch struct {
	r      *Registry
	prefix string
	t      *table             // that was looked at last
	at     uint64             // its changes that were seen
	seen   map[uint32][]known // by hash
	lives  map[lifeKey]int    // how many claims each process has
	looked time.Time          // for the dead
	cut    uint64             // mutation that was odd then
}

// begin looks until it sees no dead.
func (w *watch) begin(ctx context.Context) error {
	for {
		if _, err := w.next(); err != nil {
			return err
		}
		dead, err := w.dead()
		if err != nil || len(dead) == 0 {
			return err
		}
		for part := range slices.Chunk(dead, buryMost) {
			if err := w.r.with(ctx, func(t *table) error { return w.r.editAll(t, part) }); err != nil {
				return err
			}
		}
	}
}

// all returns what there is.
func (w *watch) all() (list []names.Change) {
	for _, l := range w.seen {
		for _, k := range l {
			list = append(list, names.Change{Name: k.name, New: k.claims[0].Owner})
		}
	}
	slices.SortFunc(list, func(a, b names.Change) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

// next returns what has changed since the last look.
func (w *watch) next() (list []names.Change, err error) {
	err = w.r.look(func(t *table) error {
		if t == nil || t != w.t || !w.follow(t, &list) {
			w.t = t
			if err := w.rescan(t, &list); err != nil {
				w.t = nil // half of it was seen
				return err
			}
		}
		return nil
	})
	return list, err
}

// follow looks at the names that the journal tells of. It reports false when that does not go back far
// enough, or something is wrong: then everything is to be looked at.
func (w *watch) follow(t *table, list *[]names.Change) bool {
	last := t.word(changesAt).Load()
	if last < w.at || last-w.at > journalSize {
		return false
	}
	for n := w.at + 1; n <= last; n++ {
		j := t.word(journalAt + 8*int(n%journalSize)).Load()
		if j>>32 != n&wordMask {
			return false
		}
		hash := uint32(j)
		records, err := t.read(t.bucketAt(hash), hash, false)
		if err != nil {
			return false
		}
		for _, d := range w.update(hash, records) {
			*list = append(*list, d.change)
		}
		w.at = n
	}
	return true
}

// rescan looks at everything. t may be nil.
func (w *watch) rescan(t *table, list *[]names.Change) error {
	now, at := map[uint32][]record{}, uint64(0)
	if t != nil {
		at = t.word(changesAt).Load() // first: what is changed from now on is seen again
		if err := t.each(func(bucket []record) error {
			for _, r := range bucket {
				if strings.HasPrefix(r.name, w.prefix) {
					now[hashOf(r.name)] = append(now[hashOf(r.name)], r)
				}
			}
			return nil
		}); err != nil {
			return err
		}
	}
	var all []difference
	for hash := range w.seen {
		if now[hash] == nil {
			all = append(all, w.update(hash, nil)...)
		}
	}
	for hash, records := range now {
		all = append(all, w.update(hash, records)...)
	}
	slices.SortFunc(all, func(a, b difference) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.change.Name, b.change.Name))
	})
	for _, d := range all {
		*list = append(*list, d.change)
	}
	w.at = at
	return nil
}

// A difference is a change with its number; 0: nobody knows it.
type difference struct {
	change names.Change
	at     uint64
}

// update notes what the names of a hash are now, and returns how they differ from before.
func (w *watch) update(hash uint32, records []record) (list []difference) {
	var now []known
	for _, r := range records {
		if strings.HasPrefix(r.name, w.prefix) {
			now = append(now, known{r.name, r.claims, r.changed})
		}
	}
	before := w.seen[hash]
	for _, k := range now {
		old := lookFor(before, k.name)
		if old.owner() != k.owner() {
			list = append(list, difference{names.Change{Name: k.name, Old: old.owner().Owner, New: k.owner().Owner}, k.changed})
		}
	}
	for _, k := range before {
		if gone := lookFor(now, k.name); gone.name == "" {
			list = append(list, difference{names.Change{Name: k.name, Old: k.owner().Owner}, 0})
		}
	}
	w.count(before, -1)
	w.count(now, 1)
	if w.seen[hash] = now; len(now) == 0 {
		delete(w.seen, hash)
	}
	return list
}

func lookFor(list []known, name string) known {
	for _, k := range list {
		if k.name == name {
			return k
		}
	}
	return known{}
}

// owner returns who has the name, without the flags, which are no part of who that is.
func (k *known) owner() (c names.Claim) {
	if len(k.claims) > 0 {
		c = names.Claim{Owner: k.claims[0].Owner, Life: k.claims[0].Life}
	}
	return c
}

func (w *watch) count(list []known, n int) {
	for _, k := range list {
		for _, c := range k.claims {
			key := lifeKey{c.Addr, c.Life}
			if w.lives[key] += n; w.lives[key] == 0 {
				delete(w.lives, key)
			}
		}
	}
}

// dead returns the names with a claim of a process that is not alive.
func (w *watch) dead() (list []string, err error) {
	alive, some := w.r.census(), false
	err = w.r.look(func(*table) error {
		for key := range w.lives {
			is, err := alive.alive(&names.Claim{Owner: names.Owner{Addr: key.addr}, Life: key.life})
			if err != nil {
				return err
			}
			some = some || !is
		}
		return nil
	})
	if err != nil || !some {
		return nil, err
	}
	for _, l := range w.seen {
		for _, k := range l {
			if slices.ContainsFunc(k.claims, func(c names.Claim) bool { return !alive.seen[lifeKey{c.Addr, c.Life}] }) {
				list = append(list, k.name)
			}
		}
	}
	slices.Sort(list)
	return list, nil
}

// tend takes out the dead, and has a change that was cut off put right, now and then.
func (w *watch) tend() error {
	if time.Since(w.looked) < lookEach*9/10 {
		return nil
	}
	w.looked = time.Now()
	dead, err := w.dead()
	if err != nil {
		return err
	}
	w.r.bury(dead...)
	cut := uint64(0)
	err = w.r.look(func(t *table) error {
		if t != nil {
			cut = t.word(mutationAt).Load()
		}
		return nil
	})
	if cut&1 == 1 && cut == w.cut && w.r.tryEnter() {
		err = w.r.change(func(*table) error { return nil })
		w.r.leave()
	}
	w.cut = cut
	return err
}
