// SPDX-License-Identifier: Apache-2.0

package member

import (
	"fmt"
	"time"
)

// conflict notes that another host has what this one wants to publish. With mu held.
func (m *Member) conflict(key string, w *want, host string) {
	if c := m.own.conflicts[key]; c != nil && c.host == host {
		return
	}
	c := &conflict{w.ident, host}
	m.own.conflicts[key] = c
	m.tellConflict(key, c)
	kick(m.apply)
}

// resolve ends a conflict.
func (m *Member) resolve(key string) {
	if c := m.own.conflicts[key]; c != nil {
		delete(m.own.conflicts, key)
		delete(m.notices.list, "conflict "+key)
		m.c.Logger.Info("a conflict is over", "what", m.about(c.ident), "with", c.host)
		kick(m.apply)
	}
}

// tellConflicts tells those again that last. With mu held.
func (m *Member) tellConflicts(now time.Time) {
	if now.Sub(m.own.told) < time.Second {
		return
	}
	m.own.told = now
	for key, c := range m.own.conflicts {
		m.tellConflict(key, c)
	}
	if m.own.fenced != nil {
		kick(m.work)
	}
}

func (m *Member) tellConflict(key string, c *conflict) {
	verb := "is configured on"
	if e := m.mirror.entries[key]; e != nil && e.value.route != nil && e.value.route.Kind == kindBound {
		verb = "is bound on"
	}
	m.notices.say("conflict "+key, "another host was first",
		"conflict", fmt.Sprintf("%s %s host %s (%s)", m.about(c.ident), verb, c.host, m.linkOf(c.host)))
}

// about names what a key is about.
func (m *Member) about(id ident) string {
	switch {
	case id.kind == kindHost:
		return "host " + id.host
	case id.kind == kindGroup:
		return "group " + id.group
	case id.prefix.IsExact():
		return "address " + m.c.Template.Format(id.prefix.Addr)
	}
	return "prefix " + m.format(id.prefix)
}

// linkOf is where a host is reached, for people.
func (m *Member) linkOf(host string) string {
	if e := m.mirror.hosts[host]; e != nil {
		return e.value.host.Links[0]
	}
	return "not known where"
}
