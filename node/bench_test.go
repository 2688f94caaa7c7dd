// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"testing"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/actor"
)

// BenchmarkCall is a request and its answer between services of two nodes, 64 bytes each way.
func BenchmarkCall(b *testing.B) {
	for _, w := range []skybus.Wait{skybus.WaitSpin, skybus.WaitAdaptive, skybus.WaitPark} {
		b.Run(w.String(), func(b *testing.B) {
			d := domain(b)
			x, y := begin(b, d, here, Config{Wait: w}), begin(b, d, there, Config{Wait: w})
			p := serve(b, y, actor.Spec{}, echo)
			calls(b, x, p, make([]byte, 64))
		})
	}
}

// BenchmarkCallStruct is the same with a struct.
func BenchmarkCallStruct(b *testing.B) {
	x, y := pair(b)
	calls(b, x, serve(b, y, actor.Spec{}, echo), &order{"ann", 7, actor.PID{}})
}

// calls has a service of x call p, one at a time.
func calls(b *testing.B, x *Node, p actor.PID, v any) {
	b.Helper()
	s := serve(b, x, actor.Spec{}, func(c *actor.Context, m *actor.Message) error {
		for range m.Value.(int) {
			if _, err := c.Call(p, v); err != nil {
				return err
			}
		}
		return c.Reply(nil)
	})
	b.ReportAllocs()
	b.ResetTimer()
	if _, err := x.Runtime().Call(context.Background(), s, b.N); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkLane is what the bus itself takes for a message there and one back.
func BenchmarkLane(b *testing.B) {
	for _, w := range []skybus.Wait{skybus.WaitSpin, skybus.WaitAdaptive, skybus.WaitPark} {
		b.Run(w.String(), func(b *testing.B) {
			d := domain(b)
			x, err := d.Bind(here, skybus.WithWait(w))
			if err != nil {
				b.Fatal(err)
			}
			y, err := d.Bind(there, skybus.WithWait(w))
			if err != nil {
				b.Fatal(err)
			}
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan struct{})
			go func() {
				defer close(done)
				_ = y.Receive(ctx, func(m skybus.Message) error { return y.Send(ctx, m.Src, m.Data) })
			}()
			b.ResetTimer()
			buf := make([]byte, 64)
			for range b.N {
				if err := x.Send(ctx, there, buf); err != nil {
					b.Fatal(err)
				}
				if _, err := x.RecvWith(ctx, skybus.RecvOptions{Buf: buf}); err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			cancel()
			<-done
		})
	}
}

// BenchmarkSend is a message from a service of one node to one of another, until all are
// handled.
func BenchmarkSend(b *testing.B) {
	for _, c := range []struct {
		what string
		v    any
	}{{"64 bytes", make([]byte, 64)}, {"struct", &order{"ann", 7, actor.PID{}}}} {
		b.Run(c.what, func(b *testing.B) {
			x, y := pair(b)
			all := make(chan struct{})
			n := 0
			p := serve(b, y, actor.Spec{}, func(*actor.Context, *actor.Message) error {
				if n++; n == b.N {
					close(all)
				}
				return nil
			})
			s := serve(b, x, actor.Spec{}, func(x *actor.Context, m *actor.Message) error {
				for range m.Value.(int) {
					if err := x.Send(p, c.v); err != nil {
						return err
					}
				}
				return nil
			})
			b.ReportAllocs()
			b.ResetTimer()
			if err := x.Runtime().Send(context.Background(), s, b.N); err != nil {
				b.Fatal(err)
			}
			<-all
		})
	}
}
