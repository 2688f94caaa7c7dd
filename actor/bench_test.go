// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"context"
	"testing"

	"github.com/skybus-io/skybus/internal/invariant"
)

func benchRuntime(b *testing.B) *Runtime {
	b.Helper()
	rt := New(Config{})
	b.Cleanup(rt.Close)
	b.ReportAllocs()
	return rt
}

func mustSpawn(b *testing.B, rt *Runtime, f HandlerFunc) PID {
	b.Helper()
	p, err := rt.Spawn(Spec{New: Func(f)})
	if err != nil {
		b.Fatal(err)
	}
	return p
}

// BenchmarkAsk is a request and its answer between two services.
func BenchmarkAsk(b *testing.B) {
	rt := benchRuntime(b)
	echo := mustSpawn(b, rt, func(c *Context, m *Message) error { return c.Reply(m.Value) })
	v := new(int)
	asker := mustSpawn(b, rt, func(c *Context, m *Message) error {
		for range m.Value.(int) {
			if _, err := c.Call(echo, v); err != nil {
				return err
			}
		}
		return c.Reply(nil)
	})
	b.ResetTimer()
	if _, err := rt.Call(context.Background(), asker, b.N); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkFanIn is four goroutines that send to one service.
func BenchmarkFanIn(b *testing.B) {
	rt := benchRuntime(b)
	n, most, done := 0, b.N/4*4, make(chan struct{})
	s := mustSpawn(b, rt, func(*Context, *Message) error {
		if n++; n == most {
			close(done)
		}
		return nil
	})
	v := new(int)
	b.ResetTimer()
	for range 4 {
		go func() {
			for range b.N / 4 {
				if err := rt.Send(context.Background(), s, v); err != nil {
					b.Error(err)
				}
			}
		}()
	}
	if most > 0 {
		<-done
	}
}

// BenchmarkSpawn starts services that do nothing, and ends them.
func BenchmarkSpawn(b *testing.B) {
	rt := benchRuntime(b)
	for range b.N {
		mustSpawn(b, rt, func(*Context, *Message) error { return nil })
	}
}

// BenchmarkGroup sends to a group of 10,000; an operation is one delivery.
func BenchmarkGroup(b *testing.B) {
	const members = 10_000
	rt := benchRuntime(b)
	g, err := rt.NewGroup()
	if err != nil {
		b.Fatal(err)
	}
	for range members {
		if err := g.Join(mustSpawn(b, rt, func(*Context, *Message) error { return nil })); err != nil {
			b.Fatal(err)
		}
	}
	v := new(int)
	b.ResetTimer()
	for i := 0; i < b.N; i += members {
		if err := rt.Send(context.Background(), g.PID(), v); err != nil {
			b.Fatal(err)
		}
	}
}

// A send and a call allocate nothing.
func TestNoAllocations(t *testing.T) {
	if invariant.Enabled {
		t.Skip("invariants ask for the goroutine's number, which allocates")
	}
	rt := New(Config{Workers: 1})
	defer rt.Close()
	echo, err := rt.Spawn(Spec{New: Func(func(c *Context, m *Message) error {
		if m.IsCall() {
			return c.Reply(m.Value)
		}
		return nil
	})})
	if err != nil {
		t.Fatal(err)
	}
	v := new(int)
	allocs := make(chan float64, 2)
	_, err = rt.Spawn(Spec{New: func() Handler { return allocating{echo, v, allocs} }})
	if err != nil {
		t.Fatal(err)
	}
	for _, what := range []string{"a call", "a send"} {
		if n := <-allocs; n >= 1 {
			t.Errorf("%s allocates %v times", what, n)
		}
	}
}

type allocating struct {
	to     PID
	v      *int
	allocs chan<- float64
}

func (a allocating) Handle(*Context, *Message) error { return nil }

func (a allocating) Start(c *Context) error {
	a.allocs <- testing.AllocsPerRun(1000, func() {
		if _, err := c.Call(a.to, a.v); err != nil {
			panic(err)
		}
	})
	a.allocs <- testing.AllocsPerRun(1000, func() {
		if err := c.Send(a.to, a.v); err != nil {
			panic(err)
		}
	})
	return nil
}
