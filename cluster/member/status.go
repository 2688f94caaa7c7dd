// SPDX-License-Identifier: Apache-2.0

package member

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/skybus-io/skybus/cluster"
	"github.com/skybus-io/skybus/cluster/report"
)

// Status reports what this host knows of its cluster. How the engine is run and how many names there are
// is for the caller to add. It asks the engine how it is, for a second at most.
func (m *Member) Status(ctx context.Context) report.Cluster {
	ctx, stop := context.WithTimeout(ctx, cluster.Heartbeat)
	health, err := m.c.Provider.Health(ctx)
	stop()
	if err != nil && health.LastError == nil {
		health.LastError = err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	c := m.sit()
	r := report.Cluster{
		Name: m.c.Cluster, Host: m.c.Host, FromDisk: m.fromDisk, Engine: engineReport(&health), Hosts: m.hostReports(c, now), Routes: m.routeReports(c, now),
		Problems: m.notices.problems(),
	}
	if age := now.Sub(m.heard); m.fromDisk || age > staleAfter {
		r.Age, r.Stale = age, true
	}
	return r
}

func engineReport(h *cluster.Health) report.Engine {
	e := report.Engine{
		About: h.Engine, Reached: h.Reached, Age: h.Age, Revision: h.Revision, Keys: h.Keys, Leases: h.Leases, Bytes: h.Bytes,
		Members: []report.Member{}, Alarms: []string{},
	}
	if h.Life != 0 {
		e.Life = fmt.Sprintf("%016x", h.Life)
	}
	if h.LastError != nil {
		e.Error = h.LastError.Error()
	}
	return e
}

// hostReports tells of all hosts, this one first. With mu held.
func (m *Member) hostReports(c *court, now time.Time) []report.Host {
	routes := map[string]int{}
	for _, e := range m.mirror.entries {
		if e.kind == kindRoute {
			routes[e.owner]++
		}
	}
	home := report.Host{
		Name: m.c.Host, Links: slices.Clone(m.c.Links), Fingerprint: m.c.Fingerprint, Incarnation: m.c.Incarnation, Template: m.c.Template.String(),
		State: report.HostHere, Routes: routes[m.c.Host],
	}
	if e := m.mirror.hosts[m.c.Host]; e != nil {
		home.Age = now.Sub(e.learnt)
	}
	if m.own.fenced != nil {
		home.State, home.Error = report.HostRefused, m.own.fenced.Error()
	}
	list := []report.Host{home}
	for _, name := range slices.Sorted(maps.Keys(m.mirror.hosts)) {
		if name != m.c.Host {
			list = append(list, m.hostReport(m.mirror.hosts[name], routes[name], c.passed[name], now))
		}
	}
	return list
}

func (m *Member) hostReport(e *entry, routes int, passed *passedOver, now time.Time) report.Host {
	v := e.value.host
	h := report.Host{
		Name: e.host, Links: slices.Clone(v.Links), Fingerprint: v.Fingerprint, Incarnation: v.Incarnation, Template: v.Template,
		State: report.HostKnown, Age: now.Sub(e.learnt), Routes: routes,
	}
	if e.doubted() {
		h.State = report.HostDoubted
	}
	if passed != nil {
		h.PassedOver, h.Error = passed.count, passed.first.Error()
	}
	if e.refused != nil {
		h.State, h.Error = report.HostRefused, e.refused.Error()
	}
	return h
}

// routeReports tells of all routes, by prefix and host. With mu held.
func (m *Member) routeReports(c *court, now time.Time) []report.Route {
	sorted := slices.SortedFunc(slices.Values(c.list), func(a, b verdict) int {
		return cmp.Or(cmp.Compare(a.rule.Prefix.Addr, b.rule.Prefix.Addr), cmp.Compare(a.rule.Prefix.Bits, b.rule.Prefix.Bits),
			cmp.Compare(a.source, b.source), cmp.Compare(a.rule.Host, b.rule.Host))
	})
	list := make([]report.Route, 0, len(sorted))
	for _, v := range sorted {
		r := report.Route{
			Prefix: m.format(v.rule.Prefix), Host: v.rule.Host, Source: v.source, State: v.state, Conflict: v.conflict, To: v.to,
		}
		if !v.learnt.IsZero() {
			r.Age = now.Sub(v.learnt)
		}
		if v.err != nil {
			r.Error = v.err.Error()
		}
		list = append(list, r)
	}
	return list
}

// A Peer is a host as a newcomer needs to know it.
type Peer struct {
	Host  string   `json:"host"`
	Links []string `json:"links"`
}

// Peers returns up to most hosts for one that wants to join, this one first, then by name. Hosts that
// are in doubt or leave are not among them.
func (m *Member) Peers(most int) []Peer {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := []Peer{{m.c.Host, slices.Clone(m.c.Links)}}
	for _, name := range slices.Sorted(maps.Keys(m.mirror.hosts)) {
		if e := m.mirror.hosts[name]; name != m.c.Host && e.mayDie() && e.refused == nil {
			list = append(list, Peer{name, slices.Clone(e.value.host.Links)})
		}
	}
	return list[:min(max(most, 0), len(list))]
}
