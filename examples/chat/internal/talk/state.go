// SPDX-License-Identifier: Apache-2.0

package talk

import "context"

// A State is what a talker knows at a moment.
type State struct {
	Counts Counts
	Faults Faults
	Own    []Own // as they were said
	Rooms  map[string]Room
}

// A Room is one that a talker is in.
type Room struct {
	Joined      bool
	Last, Saved uint64
	Count       int
}

// State returns a copy of what the talker knows.
func (t *Talker) State() State {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := State{Counts: t.counts, Faults: t.faults, Rooms: map[string]Room{}}
	for name, r := range t.rooms {
		s.Rooms[name] = Room{r.joined, r.last, r.saved, r.count}
	}
	for _, o := range t.order {
		s.Own = append(s.Own, *o)
	}
	return s
}

// Name returns what the talker is called.
func (t *Talker) Name() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.name
}

// Until waits until ok is true of what the talker knows. Errors: ctx's cause.
func (t *Talker) Until(ctx context.Context, ok func(*State) bool) error {
	for {
		t.mu.Lock()
		news := t.news
		t.mu.Unlock()
		if s := t.State(); ok(&s) {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-news:
		}
	}
}

// Unsaved returns how many own messages are not known to be on disk, those aside that were refused.
func (s *State) Unsaved() (n int) {
	for i := range s.Own {
		if !s.Own[i].Saved && s.Own[i].Failed == "" {
			n++
		}
	}
	return n
}

// Bad reports whether there is a fault.
func (f Faults) Bad() bool { return f != Faults{} }

// Add adds up the faults of several talkers.
func (f *Faults) Add(g Faults) {
	f.Doubled += g.Doubled
	f.Gaps += g.Gaps
	f.Changed += g.Changed
	f.Malformed += g.Malformed
}
