// SPDX-License-Identifier: Apache-2.0

package nodetest

import (
	"log/slog"
	"testing"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/node"
	"github.com/skybus-io/skybus/route"
	"github.com/skybus-io/skybus/shm"
)

// durable opens a domain whose lanes to the far side are kept in dir.
func durable(t *testing.T, dir string, mode route.Mode) *skybus.Domain {
	t.Helper()
	root := testutil.Dir(t)
	to, err := addr.Default.ParsePrefix("0.0.2.*")
	if err != nil {
		t.Fatal(err)
	}
	if err := route.Store(root, &route.Table{Key: key, Durable: []route.Durable{{To: to, Mode: mode, Dir: dir}}}, shm.Keep); err != nil {
		t.Fatal(err)
	}
	d, err := open(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	if err := d.Table().SetRelayKey(key); err != nil {
		t.Fatal(err)
	}
	return d
}

// nodeWith starts a node, until the test ends.
func nodeWith(t *testing.T, d *skybus.Domain, at addr.Addr, services ...actor.Spec) *node.Node {
	t.Helper()
	n, err := node.Start(d, at, node.Config{Log: slog.New(slog.DiscardHandler), Patience: short, Services: services})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	return n
}

// What was sent to a name through a durable lane outlives the host: the service that has the name afterwards gets
// it, flagged and in order. A caller of the life before is nobody: what it asked is handled, and its answer is dropped.
func TestDurableLanes(t *testing.T) {
	for _, mode := range []route.Mode{route.Sync, route.Async} {
		t.Run(mode.String(), func(t *testing.T) {
			testutil.NoLeaks(t)
			dir := testutil.Dir(t)
			before := durable(t, dir, mode)
			a := nodeWith(t, before, here)
			const n = 50
			for i := range int64(n) {
				if err := a.Runtime().Send(t.Context(), node.At(there), node.Named{Name: "sink", Value: i}); err != nil {
					t.Fatal(err)
				}
			}
			_, err := a.Runtime().CallTimeout(patience, node.At(there), node.Named{Name: "sink", Value: int64(n)})
			if !isAny(err, []error{node.ErrPeerDied, node.ErrSilent}) {
				t.Errorf("a call of nobody: %v", err)
			}
			a.Close()
			before.Close()

			after := durable(t, dir, mode) // all that was in shared memory is gone
			got := make(chan actor.Message, 2*n)
			b := nodeWith(t, after, there, actor.Spec{Name: "sink", New: actor.Func(func(c *actor.Context, m *actor.Message) error {
				got <- *m
				if m.IsCall() {
					return c.Reply(nil)
				}
				return nil
			})})
			s := &side{T: t}
			for i := range int64(n + 1) {
				if m := await(s, "a message", got); m.Value != i || !m.Again || m.IsCall() != (i == n) {
					t.Fatalf("message %d is %+v", i, m)
				}
			}
			next := nodeWith(t, after, here)
			if _, err := next.Runtime().CallTimeout(patience, node.At(there), node.Named{Name: "sink", Value: int64(-1)}); err != nil {
				t.Errorf("a call of the life after: %v", err)
			}
			if m := await(s, "the call", got); m.Value != int64(-1) || m.Again {
				t.Errorf("the call is %+v", m)
			}
			s.eventually("the late answer", func() bool { return next.Stats().Late >= 1 })
			if st := b.Stats(); st.Malformed+st.Refused > 0 {
				t.Errorf("counted: %+v", st)
			}
			time.Sleep(time.Millisecond)
			if len(got) > 0 {
				t.Errorf("more than was sent: %+v", <-got)
			}
		})
	}
}
