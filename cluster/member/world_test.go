// SPDX-License-Identifier: Apache-2.0

package member

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/cluster/internal/store"
	"github.com/skybus-io/skybus/cluster/report"
	"github.com/skybus-io/skybus/route"
)

// A world is an engine with hosts.
type world struct {
	t     *testing.T
	e     *engine
	hosts map[string]*host
}

// inWorld runs a test in a bubble, where time passes when nobody has anything to do.
func inWorld(t *testing.T, l store.Limits, test func(*world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, e: newEngine(t, l), hosts: map[string]*host{}}
		t.Cleanup(func() {
			for _, h := range w.hosts {
				h.end()
			}
		})
		test(w)
	})
}

// A host is a member with what a daemon would give it.
type host struct {
	w *world
	c Config
	p *client
	m *Member

	mu      sync.Mutex
	binds   []addr.Addr
	routes  Routes   // as they were last applied
	history []string // of them, as text
	fail    error    // of Apply
	log     bytes.Buffer
}

// join starts a host; change may give it another configuration.
func (w *world) join(name string, change ...func(*Config)) *host {
	w.t.Helper()
	h := w.prepare(name, change...)
	h.start()
	return h
}

// prepare makes a host that is not started.
func (w *world) prepare(name string, change ...func(*Config)) *host {
	h := &host{w: w}
	h.c = Config{
		Cluster: "c", Host: name, Links: []string{name + ".example:7100"}, Incarnation: 1, Fingerprint: strings.Repeat("ab", 32),
		Binds: h.bound, Apply: h.apply,
		Logger: slog.New(slog.NewTextHandler(&lockedWriter{h}, &slog.HandlerOptions{ReplaceAttr: noTime})),
	}
	for _, f := range change {
		f(&h.c)
	}
	w.hosts[name] = h
	return h
}

func noTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

type lockedWriter struct{ h *host }

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.h.mu.Lock()
	defer l.h.mu.Unlock()
	return l.h.log.Write(p)
}

func (h *host) start() {
	h.w.t.Helper()
	h.p = h.w.e.dial(h.c.Host)
	h.c.Provider = h.p
	m, err := Start(h.c)
	if err != nil {
		h.w.t.Fatal(err)
	}
	h.m = m
}

// end closes the host in good order, if it runs.
func (h *host) end() {
	if h.m == nil {
		return
	}
	h.m.Close()
	h.p.Close()
	h.m = nil
}

// kill ends it without a word.
func (h *host) kill() {
	h.p.sever(true)
	h.m.Detach()
	h.p.die()
	h.m = nil
}

func (h *host) bound() []addr.Addr {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.binds)
}

func (h *host) bind(list ...string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.binds = nil
	for _, a := range list {
		h.binds = append(h.binds, addr.MustParse(a))
	}
}

func (h *host) apply(r Routes) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fail != nil {
		return h.fail
	}
	t := route.Table{Key: 1, Template: h.c.Template, Self: h.c.Host, Hosts: r.Hosts, Rules: r.Rules}
	if err := t.Validate(); err != nil {
		h.w.t.Errorf("%s: routes that no table takes: %v", h.c.Host, err)
	}
	h.routes = r
	h.history = append(h.history, h.textLocked())
	return nil
}

// text is the route table in short: "0.0.3.1=west 0.0.4.*=east", those that are published with a +.
func (h *host) text() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.textLocked()
}

func (h *host) textLocked() string {
	var list []string
	for _, r := range h.routes.Rules {
		text := h.c.Template.FormatPrefix(r.Prefix) + "=" + r.Host
		if r.Published {
			text += "+"
		}
		list = append(list, text)
	}
	return strings.Join(list, " ")
}

// alwaysHad tells whether a route was there from when it first was.
func (h *host) alwaysHad(route string) {
	h.w.t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	had := false
	for _, text := range h.history {
		has := strings.Contains(text, route)
		if had && !has {
			h.w.t.Errorf("%s had %q, without %s", h.c.Host, text, route)
		}
		had = had || has
	}
	if !had {
		h.w.t.Errorf("%s never had %s", h.c.Host, route)
	}
}

func (h *host) logged(text string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Count(h.log.String(), text)
}

func (h *host) status() report.Cluster { return h.m.Status(context.Background()) }

// hostOf returns what h says of a host, the zero one if nothing.
func (h *host) hostOf(name string) report.Host {
	for _, r := range h.status().Hosts {
		if r.Name == name {
			return r
		}
	}
	return report.Host{}
}

// stateOf returns what h says of the route of a host.
func (h *host) stateOf(prefix, name string) report.Route {
	for _, r := range h.status().Routes {
		if r.Prefix == prefix && r.Host == name {
			return r
		}
	}
	return report.Route{}
}

// until waits for something, at most for within.
func (w *world) until(within time.Duration, what string, so func() bool) {
	w.t.Helper()
	for end := time.Now().Add(within); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			for _, name := range slices.Sorted(maps.Keys(w.hosts)) {
				if h := w.hosts[name]; h.m != nil {
					w.t.Logf("%s: %s; problems %q", name, h.text(), h.status().Problems)
				}
			}
			w.t.Fatalf("not within %v: %s", within, what)
		}
	}
}

// same waits until all hosts that run have those routes.
func (w *world) same(within time.Duration, want string) {
	w.t.Helper()
	w.until(within, "all have "+want, func() bool {
		for _, h := range w.hosts {
			if h.m != nil && h.text() != want {
				return false
			}
		}
		return true
	})
}

func (w *world) quiet(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func rule(t testing.TB, prefix, host string) route.Rule {
	t.Helper()
	p, err := addr.Default.ParsePrefix(prefix)
	if err != nil {
		t.Fatal(err)
	}
	return route.Rule{Prefix: p, Host: host}
}

func equal(t testing.TB, what string, got, want any) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}
