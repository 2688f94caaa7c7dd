// SPDX-License-Identifier: Apache-2.0

package local

import (
	"context"
	"fmt"
	"testing"

	"github.com/skybus-io/skybus/cluster"
	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/names"
)

// benchNames has an engine on a socket and n names that one client has registered at once.
func benchNames(b *testing.B, n int) (*cluster.Names, *Client) {
	b.Helper()
	folder := testutil.Dir(b)
	e := NewEngine(Limits{})
	s, err := e.Serve(folder, ServerConfig{})
	if err != nil {
		b.Fatal(err)
	}
	c, err := Dial(folder, Options{})
	if err != nil {
		b.Fatal(err)
	}
	list, err := cluster.NewNames(c, cluster.NamesConfig{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		list.Close()
		c.Close()
		s.Close()
		e.Close()
	})
	for i := range n {
		if _, err := list.Request(b.Context(), fmt.Sprintf("name.%d", i), owner(1), 0); err != nil {
			b.Fatal(err)
		}
	}
	return list, c
}

func BenchmarkOwners(b *testing.B) {
	n, _ := benchNames(b, 1000)
	b.ReportAllocs()
	for b.Loop() {
		if list, err := n.Owners(context.Background(), "name.500"); err != nil || len(list) != 1 {
			b.Fatal(list, err)
		}
	}
}

func BenchmarkRequestAndRelease(b *testing.B) {
	n, _ := benchNames(b, 1000)
	for b.Loop() {
		if _, err := n.Request(context.Background(), "x", owner(2), 0); err != nil {
			b.Fatal(err)
		}
		if err := n.Release(context.Background(), "x", owner(2)); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkChangeSeen is from a request of one client to what a watch of another one tells.
func BenchmarkChangeSeen(b *testing.B) {
	n, c := benchNames(b, 1000)
	m, err := cluster.NewNames(c, cluster.NamesConfig{})
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	seen := make(chan names.Change)
	go func() {
		_ = m.Watch(ctx, "x", func(ch names.Change) error {
			select {
			case seen <- ch:
			case <-ctx.Done():
			}
			return nil
		})
	}()
	for b.Loop() {
		go func() { _, _ = n.Request(ctx, "x", owner(2), 0) }()
		<-seen
		go func() { _ = n.Release(ctx, "x", owner(2)) }()
		<-seen
	}
}
