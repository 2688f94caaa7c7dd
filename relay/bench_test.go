// SPDX-License-Identifier: Apache-2.0

package relay_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/relay"
	"github.com/skybus-io/skybus/route"
	"github.com/skybus-io/skybus/shm"
)

const (
	benchSrc = addr.Addr(0x101)
	benchDst = addr.Addr(0x201)
)

// twoHosts starts two daemons on loopback, each with a domain of its own.
func twoHosts(t testing.TB) (a, b *skybus.Domain) {
	t.Helper()
	var doms [2]*skybus.Domain
	var daemons [2]*relay.Daemon
	names := [2]string{"a", "b"}
	roots := [2]string{testutil.Dir(t), testutil.Dir(t)}
	for i := range doms {
		d, err := skybus.Open(1, skybus.Options{Root: roots[i], AllowUnknown: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { d.Close() })
		doms[i] = d
		r, err := relay.Start(relay.Config{Table: d.Table(), Root: roots[i], Host: names[i], Listen: "127.0.0.1:0", RelayKey: 1})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(r.Close)
		daemons[i] = r
	}
	for i := range doms {
		other := 1 - i
		p := addr.Exact(benchDst)
		if other == 0 {
			p = addr.Exact(benchSrc)
		}
		table := &route.Table{
			Key: 1, Self: names[i], Hosts: []route.Host{{Name: names[other], Address: daemons[other].Addr().String()}},
			Rules: []route.Rule{{Prefix: p, Host: names[other]}},
		}
		if err := route.Store(roots[i], table, shm.Keep); err != nil {
			t.Fatal(err)
		}
		daemons[i].Reload()
	}
	return doms[0], doms[1]
}

func benchBind(t testing.TB, d *skybus.Domain, a addr.Addr) *skybus.Endpoint {
	t.Helper()
	e, err := d.Bind(a)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// BenchmarkOneWay sends from one host to the other; b.N messages are received.
func BenchmarkOneWay(b *testing.B) {
	for _, size := range []int{64, 1024, 16384} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			da, db := twoHosts(b)
			from, to := benchBind(b, da, benchSrc), benchBind(b, db, benchDst)
			ctx, stop := context.WithTimeout(context.Background(), 2*time.Minute)
			defer stop()
			waitRoute(b, from)
			if err := from.Send(ctx, benchDst, nil); err != nil {
				b.Fatal(err)
			}
			if _, err := to.Recv(ctx); err != nil { // the link is up
				b.Fatal(err)
			}
			b.SetBytes(int64(size))
			done := make(chan error, 1)
			go func() {
				n := 0
				done <- to.Receive(ctx, func(skybus.Message) error {
					if n++; n == b.N {
						return errDone
					}
					return nil
				})
			}()
			payload := make([]byte, size)
			b.ResetTimer()
			for range b.N {
				if err := from.Send(ctx, benchDst, payload); err != nil {
					b.Fatal(err)
				}
			}
			if err := <-done; err != errDone { //nolint:errorlint // made here
				b.Fatal(err)
			}
		})
	}
}

var errDone = fmt.Errorf("done")

// waitRoute waits until the sender's domain has the route.
func waitRoute(t testing.TB, e *skybus.Endpoint) {
	t.Helper()
	for range 500 {
		if _, err := e.LastSeq(benchDst); err == nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("no route")
}
