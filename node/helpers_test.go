// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/node/codec"
)

const patience = 90 * time.Second

// What travels in tests.
type order struct {
	Player string
	Count  int
	Next   actor.PID
}

// The addresses of tests.
var (
	here  = addr.MustParse("0.0.3.1")
	there = addr.MustParse("0.0.3.2")
)

func registry(t testing.TB) *codec.Registry {
	t.Helper()
	r := codec.NewRegistry(codec.Limits{})
	if err := codec.Register[*order](r, "test.order"); err != nil {
		t.Fatal(err)
	}
	return r
}

func domain(t testing.TB) *skybus.Domain {
	t.Helper()
	testutil.NoLeaks(t)
	d, err := skybus.Open(1000, skybus.Options{Root: testutil.Dir(t), AllowUnknown: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func begin(t testing.TB, d *skybus.Domain, at addr.Addr, cfg Config) *Node {
	t.Helper()
	cfg.Codec = registry(t)
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	n, err := Start(d, at, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	return n
}

// pair starts two nodes.
func pair(t testing.TB) (a, b *Node) {
	t.Helper()
	d := domain(t)
	return begin(t, d, here, Config{}), begin(t, d, there, Config{})
}

func soon(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// serve starts a service, and returns its PID as others know it.
func serve(t testing.TB, n *Node, s actor.Spec, f func(c *actor.Context, m *actor.Message) error) actor.PID {
	t.Helper()
	s.New = actor.Func(f)
	p, err := n.Runtime().Start(soon(t), s)
	if err != nil {
		t.Fatal(err)
	}
	if p.Node != n.Addr() {
		t.Fatalf("PID %v is not of %v", p, n.Addr())
	}
	return p
}

func echo(c *actor.Context, m *actor.Message) error { return c.Reply(m.Value) }

func want(t testing.TB, err, kind error) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("got the error %v, want one that is %v", err, kind)
	}
}

// eventually waits until f is true.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not after %v", what, patience)
		}
	}
}

// A list gathers what services get.
type list[T any] struct {
	mu  sync.Mutex
	all []T
}

func (l *list[T]) add(v T) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, v)
}

func (l *list[T]) get() []T {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]T(nil), l.all...)
}
