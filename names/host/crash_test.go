// SPDX-License-Identifier: Apache-2.0

//go:build skybus_steps

package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/skybus-io/skybus/internal/invariant"
	"github.com/skybus-io/skybus/internal/killtest"
	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/names"
)

// A crashCase is a change that a process is killed in, at each step.
type crashCase struct {
	before func(r *Registry) error // what there is
	run    func(r *Registry) error
}

func ask(r *Registry, name string, a int, f names.Flags) error {
	_, err := r.Request(context.Background(), name, owner(a, a), f)
	return err
}

// three names in one table, of which many share buckets, with queues.
func someNames(r *Registry) error {
	for i := range 600 {
		if err := ask(r, fmt.Sprint("n", i), 1, names.AllowReplacement); err != nil {
			return err
		}
	}
	return errors.Join(ask(r, "n7", 2, 0), ask(r, "n7", 3, 0))
}

// nearlyFull leaves room for no other record of its size.
func nearlyFull(r *Registry) error {
	for i := 0; ; i++ {
		if err := ask(r, fmt.Sprint("n", i), 1, 0); err != nil {
			return err
		}
		left := uint64(0)
		err := r.look(func(t *table) error { left = uint64(t.units) - t.word(usedAt).Load(); return nil })
		if err != nil || left == 0 {
			return err
		}
	}
}

// chained is one of someNames that is not the first in its bucket: those that come later, when the table
// has grown, stand before those that were there.
func chained() string {
	buckets := map[uint32]string{}
	for i := range 600 {
		name := fmt.Sprint("n", i)
		b := hashOf(name) & (2048/unitsEach - 1)
		if first, ok := buckets[b]; ok && i >= minUnits {
			return first
		}
		buckets[b] = name
	}
	return ""
}

var crashCases = map[string]crashCase{
	"make":    {func(*Registry) error { return nil }, func(r *Registry) error { return ask(r, "n0", 1, 0) }},
	"add":     {someNames, func(r *Registry) error { return ask(r, "new", 1, 0) }},
	"queue":   {someNames, func(r *Registry) error { return ask(r, "n9", 2, 0) }},
	"replace": {someNames, func(r *Registry) error { return ask(r, "n9", 2, names.Replace) }},
	"hand on": {someNames, func(r *Registry) error { return r.Release(context.Background(), "n7", owner(1, 1)) }},
	"unlink":  {someNames, func(r *Registry) error { return r.Release(context.Background(), chained(), owner(1, 1)) }},
	"remove":  {someNames, func(r *Registry) error { return r.Release(context.Background(), "n8", owner(1, 1)) }},
	"shrink": {func(r *Registry) error {
		err := someNames(r)
		for a := range 20 { // the record is in a large block, and the next one in a part of it
			_, more := r.Request(context.Background(), "n7", owner(1, 100+a), 0)
			err = errors.Join(err, more)
		}
		return errors.Join(err, r.Release(context.Background(), "n7", owner(1, 1)))
	}, func(r *Registry) error { return ask(r, "another.name", 2, 0) }},
	"grow": {nearlyFull, func(r *Registry) error { return ask(r, "new", 2, 0) }},
	"tidy": {func(r *Registry) error {
		err := someNames(r)
		return errors.Join(err, r.look(func(t *table) error { t.begin(); return nil }))
	}, func(r *Registry) error { return ask(r, "new", 2, 0) }},
	"bury": {func(r *Registry) error { return errors.Join(someNames(r), ask(r, "n7", 4, 0), ask(r, "mortal", 4, 0)) },
		func(r *Registry) error { r.bury("n7", "mortal"); return nil }},
}

func init() { roles["crash"] = crashing }

type crashArgs struct {
	Dir, Change string
	At          int // the step to die at
}

// crashing runs a change and dies at one of its steps, which it names.
func crashing(args []byte) error {
	a, err := killtest.Args[crashArgs](args)
	if err != nil {
		return err
	}
	b, err := joinBus(a.Dir)
	if err != nil {
		return err
	}
	r, err := b.open()
	if err != nil {
		return err
	}
	steps := 0
	invariant.SetHook(func(site string) {
		if steps++; steps == a.At {
			fmt.Println(site)
			_ = syscall.Kill(syscall.Getpid(), syscall.SIGKILL)
			select {}
		}
	})
	return crashCases[a.Change].run(r)
}

// TestKilledAtEveryStep: whatever a writer was killed at, readers have all names as they were or as they are
// to be, the next writer need not wait and leaves a table without any fault, and watchers see what there is.
func TestKilledAtEveryStep(t *testing.T) {
	visited := map[string]bool{}
	for name := range crashCases {
		at := 1
		begin := time.Now()
		for killedAt(t, name, at, visited) {
			at++
		}
		t.Logf("%s: killed at %d steps, %v", name, at-1, time.Since(begin))
	}
	want := []string{
		"names.begin", "names.changes", "names.end", "names.fill", "names.free", "names.journal", "names.moved", "names.moving",
		"names.pop", "names.publish", "names.tag", "names.tidy", "names.used",
		"shm.allocated", "shm.bell.ring", "shm.bell.wake", "shm.create", "shm.rename", "shm.renamed",
	}
	for _, site := range want {
		if !visited[site] {
			t.Errorf("nobody died at %s", site)
		}
	}
	for site := range visited {
		if !slices.Contains(want, site) {
			t.Errorf("%s is no known step", site)
		}
	}
}

// killedAt returns false if the change has fewer steps.
func killedAt(t *testing.T, name string, at int, visited map[string]bool) bool {
	t.Helper()
	dir := filepath.Join(testutil.Dir(t), "d")
	check(t, os.Mkdir(dir, 0o700))
	b, err := joinBus(dir)
	check(t, err)
	defer b.locks.Close()
	b.alive(t, 4)
	c := crashCases[name]
	r, err := b.open()
	check(t, err)
	defer r.Close()
	check(t, c.before(r))
	if name == "bury" {
		b.end(4)
	}
	before := snapshot(t, r)
	l := &log{}
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan error, 1)
	defer cancel()
	watched := !slices.Contains([]string{"bury", "tidy", "make"}, name) // who watches would do that itself
	if watched {
		go func() { over <- r.Watch(ctx, "", l.add) }()
		eventually(t, "the first look", func() bool { return len(l.get()) >= len(before) })
	}

	p := killtest.Start(t, "crash", crashArgs{dir, name, at})
	site, _ := p.Out.ReadString('\n')
	check(t, p.Wait())
	killed := p.Killed()
	what := fmt.Sprintf("%s, killed at %.20q", name, site)
	if killed {
		visited[site[:len(site)-1]] = true
	}
	after := snapshot(t, r)                                  // by who had the old table open
	if err := c.run(r); !errors.Is(err, names.ErrNotOwner) { // the next one, which may find it done
		check(t, err)
	}
	done := snapshot(t, r)
	if !equal(after, before) && !equal(after, done) {
		t.Fatalf("%s: readers have neither what was nor what is to be", what)
	}
	if !killed && !equal(after, done) {
		t.Fatalf("%s: it was not done", name)
	}
	sound(t, r)
	if watched {
		eventually(t, what+": the watch", func() bool { return equal(replay(l.get()), firsts(done)) })
		cancel()
		want(t, <-over, context.Canceled)
	}
	return killed && !t.Failed()
}

// snapshot is all that there is.
func snapshot(t *testing.T, r *Registry) map[string][]names.Owner {
	t.Helper()
	all := map[string][]names.Owner{}
	check(t, r.look(func(tab *table) error {
		if tab == nil {
			return nil
		}
		return tab.each(func(list []record) error {
			for _, rec := range list {
				living, err := r.census().living(rec.claims)
				check(t, err)
				for _, c := range living {
					all[rec.name] = append(all[rec.name], c.Owner)
				}
			}
			return nil
		})
	}))
	return all
}

func equal(a, b map[string][]names.Owner) bool {
	for name, list := range a {
		if !slices.Equal(list, b[name]) {
			return false
		}
	}
	return len(a) == len(b)
}

func firsts(all map[string][]names.Owner) map[string][]names.Owner {
	first := map[string][]names.Owner{}
	for name, list := range all {
		first[name] = list[:1]
	}
	return first
}

// replay is what a watcher knows in the end.
func replay(list []names.Change) map[string][]names.Owner {
	all := map[string][]names.Owner{}
	for _, c := range list {
		if all[c.Name] = []names.Owner{c.New}; c.New.IsZero() {
			delete(all, c.Name)
		}
	}
	return all
}

// While a goroutine makes a larger table, others of the process read the old one.
func TestReadersWaitForNobody(t *testing.T) {
	testutil.NoLeaks(t)
	b := newBus(t)
	b.alive(t, 2)
	r, other := b.registry(t), b.registry(t)
	check(t, nearlyFull(r))
	at, on := make(chan struct{}), make(chan struct{})
	invariant.SetHook(func(site string) {
		if site == "shm.rename" {
			close(at)
			<-on
		}
	})
	defer invariant.SetHook(nil)
	over := make(chan error)
	go func() { over <- ask(r, "new", 2, 0) }()
	<-at
	for _, r := range []*Registry{r, other} {
		if list := owners(t, r, "n0"); len(list) != 1 {
			t.Errorf("a reader finds %v", list)
		}
		if list, err := r.List(t.Context(), "new"); err != nil || len(list) > 0 {
			t.Errorf("a reader finds %v, %v", list, err)
		}
	}
	invariant.SetHook(nil)
	close(on)
	check(t, <-over)
	for _, r := range []*Registry{r, other} {
		if list := owners(t, r, "new"); len(list) != 1 {
			t.Errorf("a reader finds %v", list)
		}
	}
	sound(t, r)
}
