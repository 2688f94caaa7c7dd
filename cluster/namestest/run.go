// SPDX-License-Identifier: Apache-2.0

package namestest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/skybus-io/skybus/names"
)

// A Setup is what a test works on: one or more views of one empty registry, as processes have them,
// and at least three owners that live. Owner i asks by registry i modulo their number.
type Setup struct {
	Registries []names.Registry
	Owners     []names.Owner
	Rand       *rand.Rand
	// Settle waits until every view has seen what was done; nil if there is nothing to wait for.
	Settle func()
}

func (s *Setup) of(i int) names.Registry { return s.Registries[i%len(s.Registries)] }

func (s *Setup) settle() {
	if s.Settle != nil {
		s.Settle()
	}
}

// Run runs all tests; each gets a Setup of its own, which open has the test clean up.
func Run(t *testing.T, open func(t *testing.T) Setup) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, *Setup)
	}{
		{"rules", rules}, {"refusals", refusals}, {"list", list}, {"watch", watch}, {"random", random}, {"race", race},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := open(t)
			test.run(t, &s)
		})
	}
}

// A step is a request, or a release if want is empty or an error of one, and what comes of it.
type step struct {
	owner int
	flags string // of a, r, n; "-" is a release
	want  string // owns, waits, taken, none: no error, not
	queue string // afterwards
}

// rules are those of D-Bus, each on a name of its own.
func rules(t *testing.T, s *Setup) {
	for i, test := range []struct {
		title string
		steps []step
	}{
		{"the first one owns, others wait in order", []step{{0, "", "owns", "0"}, {1, "", "waits", "01"}, {2, "", "waits", "012"}}},
		{"the next one owns when the owner goes", []step{{0, "", "owns", "0"}, {1, "", "waits", "01"}, {2, "", "waits", "012"}, {0, "-", "", "12"}, {2, "-", "", "1"}, {1, "-", "", ""}}},
		{"asking again changes nothing", []step{{0, "", "owns", "0"}, {1, "", "waits", "01"}, {2, "", "waits", "012"}, {1, "", "waits", "012"}, {0, "", "owns", "012"}}},
		{"no queue", []step{{0, "", "owns", "0"}, {1, "n", "taken", "0"}, {2, "n", "taken", "0"}}},
		{"one that waits asks not to wait", []step{{0, "", "owns", "0"}, {1, "", "waits", "01"}, {2, "", "waits", "012"}, {1, "n", "taken", "02"}}},
		{"replace without leave", []step{{0, "", "owns", "0"}, {1, "r", "waits", "01"}}},
		{"replace without leave, no queue", []step{{0, "", "owns", "0"}, {1, "rn", "taken", "0"}}},
		{"replace", []step{{0, "a", "owns", "0"}, {2, "", "waits", "02"}, {1, "r", "owns", "102"}, {1, "-", "", "02"}}},
		{"replace one that does not wait", []step{{0, "an", "owns", "0"}, {2, "", "waits", "02"}, {1, "r", "owns", "12"}, {0, "-", "not", "12"}}},
		{"replace from the queue", []step{{0, "a", "owns", "0"}, {1, "", "waits", "01"}, {2, "", "waits", "012"}, {2, "r", "owns", "201"}}},
		{"leave is taken back", []step{{0, "a", "owns", "0"}, {0, "", "owns", "0"}, {1, "rn", "taken", "0"}}},
		{"leave is given later", []step{{0, "", "owns", "0"}, {1, "r", "waits", "01"}, {0, "a", "owns", "01"}, {2, "r", "owns", "201"}}},
		{"replaced in turn", []step{{0, "a", "owns", "0"}, {1, "ar", "owns", "10"}, {2, "ar", "owns", "210"}, {0, "r", "owns", "021"}}},
		{"release of nothing", []step{{0, "-", "not", ""}, {0, "", "owns", "0"}, {1, "-", "not", "0"}}},
	} {
		t.Run(test.title, func(t *testing.T) {
			name := fmt.Sprintf("rule.%d", i)
			for _, st := range test.steps {
				s.step(t, name, st)
			}
		})
	}
}

func (s *Setup) step(t *testing.T, name string, st step) {
	t.Helper()
	o := s.Owners[st.owner]
	var err error
	var got string
	if st.flags == "-" {
		err = s.of(st.owner).Release(t.Context(), name, o)
	} else {
		var standing names.Standing
		standing, err = s.of(st.owner).Request(t.Context(), name, o, flags(st.flags))
		got = map[names.Standing]string{names.Owns: "owns", names.Waits: "waits"}[standing]
	}
	switch {
	case errors.Is(err, names.ErrTaken):
		got = "taken"
	case errors.Is(err, names.ErrNotOwner):
		got = "not"
	case err != nil:
		got = err.Error()
	}
	if got != st.want {
		t.Fatalf("owner %d with %q: %s, want %s", st.owner, st.flags, got, st.want)
	}
	if queue := s.queue(t, s.of(st.owner), name); st.want != "taken" && st.want != "not" && queue != st.queue {
		t.Fatalf("owner %d with %q sees the queue %q at once, want %q", st.owner, st.flags, queue, st.queue)
	}
	s.settle()
	for i, r := range s.Registries {
		if queue := s.queue(t, r, name); queue != st.queue {
			t.Fatalf("after owner %d with %q view %d has queue %q, want %q", st.owner, st.flags, i, queue, st.queue)
		}
	}
}

// queue writes the owners by their numbers.
func (s *Setup) queue(t *testing.T, r names.Registry, name string) (text string) {
	t.Helper()
	list, err := r.Owners(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range list {
		text += fmt.Sprint(slices.Index(s.Owners, o))
	}
	return text
}

func flags(text string) (f names.Flags) {
	for i, letter := range "arn" {
		if strings.ContainsRune(text, letter) {
			f |= []names.Flags{names.AllowReplacement, names.Replace, names.NoQueue}[i]
		}
	}
	return f
}

// refusals are of names that are none, and of contexts that are over.
func refusals(t *testing.T, s *Setup) {
	r, o := s.of(0), s.Owners[0]
	for _, name := range []string{"", "a b", "a/b", ":a", "a\n", strings.Repeat("a", names.MaxName+1)} {
		if _, err := r.Request(t.Context(), name, o, 0); err == nil {
			t.Errorf("name %.20q can be requested", name)
		}
		if err := r.Release(t.Context(), name, o); err == nil {
			t.Errorf("name %.20q can be released", name)
		}
	}
	if _, err := r.Request(t.Context(), "nobody", names.Owner{}, 0); err == nil {
		t.Error("nobody can have a name")
	}
	longest := strings.Repeat("é", names.MaxName/2)
	if st, err := r.Request(t.Context(), longest, o, 0); err != nil || st != names.Owns {
		t.Errorf("the longest name: %v, %v", st, err)
	}
}

func list(t *testing.T, s *Setup) {
	for i, name := range []string{"b.2", "a.1", "b.1", "c", "b"} {
		if _, err := s.of(i%3).Request(t.Context(), name, s.Owners[i%3], 0); err != nil {
			t.Fatal(err)
		}
	}
	s.settle()
	for prefix, want := range map[string]string{"": "a.1 b b.1 b.2 c", "b": "b b.1 b.2", "b.": "b.1 b.2", "x": "", "c": "c"} {
		for i, r := range s.Registries {
			got, err := r.List(t.Context(), prefix)
			if err != nil {
				t.Fatal(err)
			}
			var found []string
			for _, ch := range got {
				found = append(found, ch.Name)
				if ch.New.IsZero() || !ch.Old.IsZero() {
					t.Errorf("%+v in a list", ch)
				}
			}
			if text := strings.Join(found, " "); text != want {
				t.Errorf("view %d: names with %q: %q, want %q", i, prefix, text, want)
			}
		}
	}
}

// watch wants what there is, and then each change, and nothing of other names.
func watch(t *testing.T, s *Setup) {
	last := len(s.Registries) - 1
	if _, err := s.of(0).Request(t.Context(), "w.old", s.Owners[0], 0); err != nil {
		t.Fatal(err)
	}
	s.settle()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	told := make(chan names.Change)
	ended := make(chan error, 1)
	go func() {
		ended <- s.Registries[last].Watch(ctx, "w.", func(ch names.Change) error {
			select {
			case told <- ch:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	expect := func(name string, from, to int) {
		t.Helper()
		owner := func(i int) (o names.Owner) {
			if i >= 0 {
				o = s.Owners[i]
			}
			return o
		}
		if ch, want := <-told, (names.Change{Name: name, Old: owner(from), New: owner(to)}); ch != want {
			t.Fatalf("told %+v, want %+v", ch, want)
		}
	}
	expect("w.old", -1, 0)
	s.do(t, 1, "w.new", "a")
	expect("w.new", -1, 1)
	s.do(t, 0, "other", "")
	s.do(t, 2, "w.new", "r")
	expect("w.new", 1, 2)
	s.do(t, 0, "w.new", "")
	s.do(t, 2, "w.new", "-")
	expect("w.new", 2, 1)
	s.do(t, 0, "w.old", "-")
	expect("w.old", 0, -1)
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the watch ended with %v", err)
	}
	wrong := errors.New("enough")
	if err := s.Registries[last].Watch(t.Context(), "w.", func(names.Change) error { return wrong }); !errors.Is(err, wrong) {
		t.Errorf("a watch whose function failed ended with %v", err)
	}
}

func (s *Setup) do(t *testing.T, owner int, name, f string) {
	t.Helper()
	var err error
	if f == "-" {
		err = s.of(owner).Release(t.Context(), name, s.Owners[owner])
	} else {
		_, err = s.of(owner).Request(t.Context(), name, s.Owners[owner], flags(f))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// random does what comes, one after the other, and compares with the model.
func random(t *testing.T, s *Setup) {
	m := Model{}
	for i := range 400 {
		name, owner := fmt.Sprintf("n%d", s.Rand.IntN(4)), s.Rand.IntN(len(s.Owners))
		r, o := s.of(owner), s.Owners[owner]
		if s.Rand.IntN(3) == 0 {
			want := m.Release(name, o)
			if err := r.Release(t.Context(), name, o); !errors.Is(err, want) {
				t.Fatalf("step %d: owner %d releases %s: %v, want %v", i, owner, name, err, want)
			}
		} else {
			f := names.Flags(s.Rand.IntN(8))
			want, wantErr := m.Request(name, o, f)
			if got, err := r.Request(t.Context(), name, o, f); got != want || !errors.Is(err, wantErr) {
				t.Fatalf("step %d: owner %d requests %s with %b: %v, %v; want %v, %v", i, owner, name, f, got, err, want, wantErr)
			}
		}
		s.settle()
		if got, err := r.Owners(t.Context(), name); err != nil || !slices.Equal(got, m.Owners(name)) {
			t.Fatalf("step %d: %s has the owners %v, %v; want %v", i, name, got, err, m.Owners(name))
		}
	}
	s.settle()
	for i, r := range s.Registries {
		for n := range 4 {
			name := fmt.Sprintf("n%d", n)
			if got, err := r.Owners(t.Context(), name); err != nil || !slices.Equal(got, m.Owners(name)) {
				t.Fatalf("view %d: %s has the owners %v, %v; want %v", i, name, got, err, m.Owners(name))
			}
		}
	}
}

// race has all owners ask at once, and release, over and over: of those that ask not to wait, one at
// a time is told that it owns the name.
func race(t *testing.T, s *Setup) {
	var mu sync.Mutex
	holder, taken := -1, 0
	var all sync.WaitGroup
	for i := range s.Owners {
		all.Go(func() {
			for range 20 {
				_, err := s.of(i).Request(t.Context(), "crown", s.Owners[i], names.NoQueue)
				switch {
				case errors.Is(err, names.ErrTaken):
					continue
				case err != nil:
					t.Error(err)
					return
				}
				mu.Lock()
				if holder >= 0 {
					t.Errorf("owners %d and %d both have the name", holder, i)
				}
				holder = i
				taken++
				mu.Unlock()
				mu.Lock()
				holder = -1
				mu.Unlock()
				if err := s.of(i).Release(t.Context(), "crown", s.Owners[i]); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if taken == 0 {
		t.Error("nobody ever had the name")
	}
}
