// SPDX-License-Identifier: Apache-2.0

// Package namestest says what every names.Registry does, for the tests of those that are one: the
// rules of the queue one by one, and random requests against a model.
//
//	namestest.Run(t, func(t *testing.T) namestest.Setup { ... })
package namestest

import (
	"slices"

	"github.com/skybus-io/skybus/names"
)

// A Model has the queues of names in the plainest way. It is not safe for concurrent use.
type Model map[string][]place

type place struct {
	owner names.Owner
	flags names.Flags
}

// Request does what names.Registry's should.
func (m Model) Request(name string, o names.Owner, f names.Flags) (names.Standing, error) {
	q := m[name]
	at := slices.IndexFunc(q, func(p place) bool { return p.owner == o })
	if at == 0 || len(q) == 0 {
		m[name] = append([]place{{o, f}}, q[min(1, len(q)):]...)
		return names.Owns, nil
	}
	if f&names.Replace != 0 && q[0].flags&names.AllowReplacement != 0 {
		rest := slices.DeleteFunc(slices.Clone(q), func(p place) bool { return p.owner == o })
		if rest[0].flags&names.NoQueue != 0 {
			rest = rest[1:]
		}
		m[name] = append([]place{{o, f}}, rest...)
		return names.Owns, nil
	}
	if f&names.NoQueue != 0 {
		m.remove(name, o)
		return 0, names.ErrTaken
	}
	if at > 0 {
		q[at].flags = f
	} else {
		m[name] = append(q, place{o, f})
	}
	return names.Waits, nil
}

// Release does what names.Registry's should.
func (m Model) Release(name string, o names.Owner) error {
	if !m.remove(name, o) {
		return names.ErrNotOwner
	}
	return nil
}

func (m Model) remove(name string, o names.Owner) bool {
	q := slices.DeleteFunc(slices.Clone(m[name]), func(p place) bool { return p.owner == o })
	found := len(q) < len(m[name])
	if m[name] = q; len(q) == 0 {
		delete(m, name)
	}
	return found
}

// RemoveOwners takes all that match out, as their death does.
func (m Model) RemoveOwners(dead func(names.Owner) bool) {
	for name, q := range m {
		for _, p := range slices.Clone(q) {
			if dead(p.owner) {
				m.remove(name, p.owner)
			}
		}
	}
}

// Owners returns a name's owner and its queue.
func (m Model) Owners(name string) (list []names.Owner) {
	for _, p := range m[name] {
		list = append(list, p.owner)
	}
	return list
}
