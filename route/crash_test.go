// SPDX-License-Identifier: Apache-2.0

//go:build skybus_steps

package route

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/skybus-io/skybus/internal/invariant"
	"github.com/skybus-io/skybus/internal/killtest"
	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/shm"
)

// changes are what a process is killed in, at each step. A change begins with
// the table of sample or without one, and leaves another one or none.
var changes = map[string]struct {
	begins bool // with a table
	ends   bool // with a table: self is "new"
	run    func(root string) error
}{
	"make":    {false, true, storeNew},
	"replace": {true, true, storeNew},
	"update": {true, true, func(root string) error {
		return Update(root, key, shm.Keep, func(tab *Table) error { tab.Self = "new"; return nil })
	}},
	"remove": {true, false, func(root string) error { return Remove(root, key) }},
	"refuse": {false, false, func(root string) error {
		err := Update(root, key, shm.Keep, func(*Table) error { return errRefused })
		if !errors.Is(err, errRefused) {
			return fmt.Errorf("got %w", err)
		}
		return nil
	}},
}

var errRefused = errors.New("refused")

func storeNew(root string) error {
	tab := newTable()
	return Store(root, tab, shm.Keep)
}

func newTable() *Table { return &Table{Key: key, Self: "new", Hosts: []Host{{"h", "h:1"}}} }

func init() { roles["crash"] = crashing }

type crashArgs struct {
	Root, Change string
	At           int // the step to die at
}

// crashing runs a change and dies at one of its steps, which it names.
func crashing(args []byte) error {
	a, err := killtest.Args[crashArgs](args)
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
	return changes[a.Change].run(a.Root)
}

// TestKilledAtEveryStep: whatever a writer was killed at, readers have the old
// table or the new one, or none where there was or will be none; the next writer
// need not wait and tidies up.
func TestKilledAtEveryStep(t *testing.T) {
	top := testutil.Dir(t)
	visited := map[string]bool{}
	for name := range changes {
		at := 1
		for killedAt(t, top, name, at, visited) {
			at++
		}
	}
	want := []string{
		"route.folder", "route.locked", "route.lockfile", "route.removed", "route.replaced", "route.unnamed",
		"shm.allocated", "shm.create", "shm.rename", "shm.renamed",
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
func killedAt(t *testing.T, top, name string, at int, visited map[string]bool) bool {
	t.Helper()
	change := changes[name]
	root := filepath.Join(top, fmt.Sprintf("%s-%d", name, at))
	check(t, os.Mkdir(root, 0o700))
	if change.begins {
		check(t, Store(root, sample(t), shm.Keep))
	}
	v := NewView(root, key)
	before, _ := v.Table() // nil without one

	p := killtest.Start(t, "crash", crashArgs{root, name, at})
	site, _ := p.Out.ReadString('\n')
	check(t, p.Wait())
	if !p.Killed() {
		wantEnd(t, root, v, change.ends)
		return false
	}
	site = site[:len(site)-1]
	visited[site] = true
	what := fmt.Sprintf("%s, killed at %s", name, site)

	after, err := v.Table()
	switch {
	case errors.Is(err, ErrNoTable):
		if change.begins && change.ends {
			t.Fatalf("%s: no table", what)
		}
	case err != nil:
		t.Fatalf("%s: %v", what, err)
	case after == before:
	case !change.ends || !isNew(after, before):
		t.Fatalf("%s: got %+v", what, after)
	}
	if err := change.run(root); err != nil && (change.ends || !errors.Is(err, ErrNoTable)) {
		t.Fatalf("%s: the next one: %v", what, err)
	}
	wantEnd(t, root, v, change.ends)
	return true
}

// isNew tells whether got is what the change makes of before.
func isNew(got, before *Table) bool {
	want := newTable()
	if before != nil {
		want.Generation = before.Generation
		if len(got.Rules) > 0 { // an update
			want = before.Clone()
			want.Self = "new"
		}
	}
	want.Generation++
	return same(got, want)
}

// wantEnd looks at what a complete change has left, and no file more.
func wantEnd(t *testing.T, root string, v *View, table bool) {
	t.Helper()
	got, err := v.Table()
	if !table {
		if !errors.Is(err, ErrNoTable) {
			t.Errorf("got %+v, %v", got, err)
		}
		wantFiles(t, root)
		return
	}
	if err != nil || got.Self != "new" {
		t.Errorf("got %+v, %v", got, err)
	}
	wantFiles(t, root, lockName, tableName)
}
