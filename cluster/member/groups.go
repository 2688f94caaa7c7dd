// SPDX-License-Identifier: Apache-2.0

package member

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/skybus-io/skybus/cluster"
	"github.com/skybus-io/skybus/names"
)

// A GroupHost is a host that has members of a group.
type GroupHost struct {
	Host    string
	Members int // 1 or more
}

// A GroupChange says which hosts have members of a group now; none: nobody has.
type GroupChange struct {
	Group string
	Hosts []GroupHost // by name; they are the receiver's
}

// SetGroups says of which groups this host has how many members, in the place of what was said before; those with
// none may be left out. It waits for nothing. Errors: of a group's name; then nothing is changed. What a
// policy or a quota is against is not published, and logged.
func (m *Member) SetGroups(groups map[string]int) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		if err := names.Check(name); err != nil {
			errs = append(errs, fmt.Errorf("group: %w", err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	before := m.own.groups
	m.own.group(groups, &m.settings)
	for _, list := range []map[string]int{before, m.own.groups} {
		for name := range list {
			if before[name] != m.own.groups[name] {
				m.touchGroup(name)
			}
		}
	}
	for _, r := range m.own.refused {
		if r.kind == kindGroup {
			m.notices.say("group "+r.group, "a group is not published", "group", r.group, "err", r.err.Error())
		}
	}
	kick(m.work)
	return nil
}

// Group returns the hosts that have members of a group, this one too, by name; none if nobody has. It asks nobody, and
// answers also while the engine is away.
func (m *Member) Group(name string) []GroupHost {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.groupLocked(name, m.beyondGroups(name))
}

// groupLocked is Group with mu held; beyond are hosts that have said more than they may.
func (m *Member) groupLocked(name string, beyond map[string]bool) (list []GroupHost) {
	for host, e := range m.mirror.groups[name] {
		if host == m.c.Host || beyond[host] || m.mirror.hosts[host] == nil || m.settings.Policy.Name(host, name) != nil {
			continue
		}
		list = append(list, GroupHost{host, e.value.group.Members})
	}
	if n := m.own.groups[name]; n > 0 && m.own.refused[groupKey(name, m.c.Host)] == nil {
		list = append(list, GroupHost{m.c.Host, n})
	}
	slices.SortFunc(list, func(a, b GroupHost) int { return strings.Compare(a.Host, b.Host) })
	return list
}

// beyondGroups returns the hosts of a group for which it is one more than they may have. With mu held.
func (m *Member) beyondGroups(name string) map[string]bool {
	var beyond map[string]bool
	for host, e := range m.mirror.groups[name] {
		_, most := m.settings.Policy.most(host, m.c.Quota)
		if m.mirror.counts[host] <= most {
			continue
		}
		before := 0
		for other, list := range m.mirror.groups {
			if o := list[host]; o != nil && (o.created < e.created || o.created == e.created && other < name) {
				before++
			}
		}
		if before >= most {
			if beyond == nil {
				beyond = map[string]bool{}
			}
			beyond[host] = true
			m.notices.say("groups of "+host, "a host has more groups than it may", "host", host, "most", most)
		}
	}
	return beyond
}

// A groupWatcher is one that is told of groups. It has a list of names to look at, each once: one that
// is slow costs no more than the groups there are.
type groupWatcher struct {
	prefix string
	wake   chan struct{} // full if there is something to look at
	dirty  map[string]bool
}

func (w *groupWatcher) touch(name string) {
	if strings.HasPrefix(name, w.prefix) {
		w.dirty[name] = true
		kick(w.wake)
	}
}

// touchGroup has the watchers look at a group. With mu held.
func (m *Member) touchGroup(name string) {
	for w := range m.watchers {
		w.touch(name)
	}
}

// touchGroups has them look at all, for the hosts that are believed may be others. With mu held.
func (m *Member) touchGroups() {
	if len(m.watchers) == 0 {
		return
	}
	for name := range m.mirror.groups {
		m.touchGroup(name)
	}
	for name := range m.own.groups {
		m.touchGroup(name)
	}
}

// WatchGroups calls f with each group whose name begins with prefix, and again when the hosts that have members, or
// how many, are others, from the calling goroutine, until ctx is over or f returns an error. Changes
// that come while f runs may be told as one. f may call the methods of m. Errors: ctx's, f's,
// cluster.ErrClosed.
func (m *Member) WatchGroups(ctx context.Context, prefix string, f func(GroupChange) error) error {
	w := &groupWatcher{prefix: prefix, wake: make(chan struct{}, 1), dirty: map[string]bool{}}
	m.mu.Lock()
	m.watchers[w] = true
	m.touchGroups()
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		delete(m.watchers, w)
		m.mu.Unlock()
	}()
	told := map[string][]GroupHost{}
	for {
		select {
		case <-w.wake:
		case <-ctx.Done():
			return ctx.Err()
		case <-m.ctx.Done():
			return fmt.Errorf("cluster member: %w", cluster.ErrClosed)
		}
		for _, ch := range m.groupChanges(w) {
			if slices.Equal(told[ch.Group], ch.Hosts) {
				continue
			}
			if told[ch.Group] = slices.Clone(ch.Hosts); len(ch.Hosts) == 0 {
				delete(told, ch.Group)
			}
			if err := f(ch); err != nil {
				return err
			}
		}
	}
}

func (m *Member) groupChanges(w *groupWatcher) (list []GroupChange) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(w.dirty)) {
		list = append(list, GroupChange{name, m.groupLocked(name, m.beyondGroups(name))})
	}
	clear(w.dirty)
	return list
}
