// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"fmt"
	"testing"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/names"
)

// filled returns a registry with n names, and one more that is asked for.
func filled(b *testing.B, n int) *Registry {
	b.Helper()
	bus := newBus(b)
	bus.alive(b, 1)
	r := bus.registry(b)
	for i := range n {
		request(b, r, fmt.Sprintf("service.%d", i), owner(1, i+1), 0, names.Owns)
	}
	return r
}

func BenchmarkOwners(b *testing.B) {
	for _, n := range []int{10, 100_000} {
		b.Run(fmt.Sprint(n, " names"), func(b *testing.B) {
			r := filled(b, n)
			r.binds = binds1
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if list, err := r.Owners(context.Background(), "service.5"); err != nil || len(list) != 1 {
					b.Fatal(list, err)
				}
			}
		})
	}
}

// binds1 is as quick as a domain's.
func binds1(addr.Addr) uint64 { return 1 }

func BenchmarkRequestAndRelease(b *testing.B) {
	for _, n := range []int{10, 100_000} {
		b.Run(fmt.Sprint(n, " names"), func(b *testing.B) {
			r := filled(b, n)
			r.binds = binds1
			b.ReportAllocs()
			for b.Loop() {
				request(b, r, "another", owner(1, 1), 0, names.Owns)
				release(b, r, "another", owner(1, 1))
			}
		})
	}
}

func BenchmarkList(b *testing.B) {
	r := filled(b, 100_000)
	r.binds = binds1
	for b.Loop() {
		if list, err := r.List(context.Background(), "service.77"); err != nil || len(list) == 0 {
			b.Fatal(list, err)
		}
	}
}

// From a change to the call of who watches, in another registry.
func BenchmarkWatch(b *testing.B) {
	r := filled(b, 10)
	r.binds = binds1
	ctx, cancel := context.WithCancel(context.Background())
	seen, over := make(chan names.Change, 64), make(chan error)
	go func() { over <- r.Watch(ctx, "another", func(c names.Change) error { seen <- c; return nil }) }()
	request(b, r, "another", owner(1, 1), 0, names.Owns)
	<-seen
	release(b, r, "another", owner(1, 1))
	<-seen
	for b.Loop() {
		request(b, r, "another", owner(1, 1), 0, names.Owns)
		<-seen
		release(b, r, "another", owner(1, 1))
		<-seen
	}
	cancel()
	want(b, <-over, context.Canceled)
}
