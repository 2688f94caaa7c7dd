// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skybus-io/skybus/addr"
)

// A network joins runtimes as a bus does: a message for a node goes to its runtime, and
// what that refuses comes back.
type network struct {
	mu    sync.Mutex
	nodes map[addr.Addr]*Runtime
	kinds []Kind // that were carried
	down  map[PID][]PID
	err   error // of all sends
	stops int
}

// A port is the Remote of one of them.
type port struct {
	net  *network
	node addr.Addr
}

// newNetwork returns two runtimes on one network.
func newNetwork(t *testing.T) (net *network, here, there *Runtime) {
	t.Helper()
	net = &network{nodes: map[addr.Addr]*Runtime{}, down: map[PID][]PID{}}
	for _, node := range []addr.Addr{addr.MustParse("0.0.0.1"), addr.MustParse("0.0.0.2")} {
		rt := New(Config{Node: node, Remote: &port{net, node}, Events: Events{Ended: net.ended(node)}})
		t.Cleanup(rt.Close)
		net.nodes[node] = rt
	}
	return net, net.nodes[addr.MustParse("0.0.0.1")], net.nodes[addr.MustParse("0.0.0.2")]
}

func (p *port) Send(to PID, m *Message) error {
	p.net.mu.Lock()
	defer p.net.mu.Unlock()
	p.net.kinds = append(p.net.kinds, m.Kind)
	if p.net.err != nil {
		return p.net.err
	}
	own := *m
	if !own.From.IsZero() && own.From.Node.IsNone() {
		own.From.Node = p.node
	}
	rt := p.net.nodes[to.Node]
	if rt == nil {
		return ErrNoService
	}
	go func() { // the other process refuses it later
		if err := rt.Deliver(to, own); err != nil && own.IsCall() && own.Kind != KindReply && own.Kind != KindError {
			_ = p.net.nodes[own.From.Node].Deliver(own.From, Message{Kind: KindError, Session: own.Session, Value: err})
		}
	}()
	return nil
}

func (p *port) SendLater(to PID, m *Message, sent func(error)) func() bool {
	err := p.Send(to, m)
	if sent != nil {
		sent(err)
	}
	return func() bool { return false }
}

func (p *port) Forget(PID, uint64) {}

func (p *port) Monitor(watcher, target PID) (func(), error) {
	p.net.mu.Lock()
	defer p.net.mu.Unlock()
	if p.net.err != nil {
		return nil, p.net.err
	}
	watcher.Node = p.node
	p.net.down[target] = append(p.net.down[target], watcher)
	return func() {
		p.net.mu.Lock()
		defer p.net.mu.Unlock()
		p.net.stops++
		delete(p.net.down, target)
	}, nil
}

// ended sends the Downs of a node.
func (n *network) ended(node addr.Addr) func(Down) {
	return func(d Down) {
		n.mu.Lock()
		defer n.mu.Unlock()
		d.Service.Node = node
		for _, w := range n.down[d.Service] {
			_ = n.nodes[w.Node].Deliver(w, Message{Kind: KindDown, From: d.Service, Value: d})
		}
	}
}

// at returns p as others know it.
func at(rt *Runtime, p PID) PID { return PID{Node: rt.cfg.Node, Handle: p.Handle} }

func TestRemoteCalls(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, here, there := newNetwork(t)
		p := at(there, serve(t, there, func(c *Context, m *Message) error {
			switch v := m.Value.(type) {
			case refuse:
				return errWhim
			case PID:
				return c.Redirect(v, m.From)
			}
			return c.Reply(m.Value)
		}))
		gone := at(there, serve(t, there, echo))
		if err := there.Stop(t.Context(), gone); err != nil { // a PID with the own node is local, too
			t.Fatal(err)
		}
		back := at(here, serve(t, here, echo))
		for what, call := range map[string]caller{
			"goroutine": func(p PID, v any) (any, error) { return here.Call(t.Context(), p, v) },
			"handler":   inHandler(t, here, (*Context).Call),
		} {
			if v, err := call(p, 7); v != 7 || err != nil {
				t.Errorf("%s: %v, %v", what, v, err)
			}
			if _, err := call(p, refuse{}); !errors.Is(err, errWhim) {
				t.Errorf("%s: an error from there: %v", what, err)
			}
			if _, err := call(gone, 1); !errors.Is(err, ErrNoService) {
				t.Errorf("%s: nobody there: %v", what, err)
			}
			if _, err := call(PID{Node: addr.MustParse("0.0.0.3"), Handle: 1}, 1); !errors.Is(err, ErrNoService) {
				t.Errorf("%s: no such node: %v", what, err)
			}
			v, err := call(p, back) // there and back again
			if from, ok := v.(PID); err != nil || !ok || from.Node != here.cfg.Node {
				t.Errorf("%s: redirected: %v, %v", what, v, err)
			}
		}
		checkFree(t, here)
		checkFree(t, there)
	})
}

func TestRemoteSends(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net, here, there := newNetwork(t)
		var got log[any]
		p := at(there, serve(t, there, func(_ *Context, m *Message) error {
			got.add(m.Value)
			if m.Kind == KindTick != (m.Value == "later") {
				t.Errorf("%v of kind %d", m.Value, m.Kind)
			}
			return nil
		}))
		by := inHandler(t, here, func(c *Context, p PID, v any) (any, error) { return nil, c.Send(p, v) })
		send(t, here, p, "a")
		synctest.Wait()
		if err := here.TrySend(p, "b"); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if _, err := by(p, "c"); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		here.SendAfter(time.Second, p, "later")
		time.Sleep(2 * time.Second)
		check(t, "arrived", &got, any("a"), "b", "c", "later")
		net.err = errWhim
		if err := here.Send(t.Context(), p, 1); !errors.Is(err, errWhim) {
			t.Errorf("send: %v", err)
		}
		if _, err := here.Call(t.Context(), p, 1); !errors.Is(err, errWhim) {
			t.Errorf("call: %v", err)
		}
		if _, err := inHandler(t, here, (*Context).Call)(p, 1); !errors.Is(err, errWhim) {
			t.Errorf("call of a handler: %v", err)
		}
		if _, err := here.Monitor(p, p); !errors.Is(err, errWhim) {
			t.Errorf("monitor: %v", err)
		}
		for _, k := range net.kinds {
			if k != KindMessage && k != KindTick {
				t.Errorf("kind %d went over the network", k)
			}
		}
	})
}

func TestRemoteMonitor(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net, here, there := newNetwork(t)
		p, q := serve(t, there, echo), serve(t, there, echo)
		w := newWatched(t, here)
		w.do(t, here, func(c *Context) error {
			_, err := c.Monitor(at(there, p))
			m, err2 := c.Monitor(at(there, q))
			m.Stop()
			return errors.Join(err, err2)
		})
		_, _ = there.Kill(p), there.Kill(q)
		synctest.Wait()
		check(t, "downs", &w.downs, Down{Service: at(there, p), Reason: ErrKilled})
		if net.stops != 1 {
			t.Errorf("%d monitors were stopped", net.stops)
		}
	})
}

// What cannot be done elsewhere says so.
func TestNoRemote(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rt := newRuntime(t, Config{})
		far := PID{Node: addr.MustParse("0.0.0.9"), Handle: 1}
		_, call := rt.Call(t.Context(), far, 1)
		_, monitor := rt.Monitor(far, far)
		_, inside := inHandler(t, rt, (*Context).Call)(far, 1)
		for what, err := range map[string]error{
			"send": rt.Send(t.Context(), far, 1), "try": rt.TrySend(far, 1), "call": call, "call of a handler": inside,
			"monitor": monitor, "kill": rt.Kill(far), "stop": rt.Stop(t.Context(), far),
		} {
			if !errors.Is(err, ErrNoRemote) || !strings.Contains(err.Error(), far.String()) {
				t.Errorf("%s: %v", what, err)
			}
		}
	})
}

func TestDeliverChecksWhatComes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rt := newRuntime(t, Config{})
		var got log[Kind]
		p := serve(t, rt, func(_ *Context, m *Message) error { got.add(m.Kind); return nil })
		for k := range Kind(40) {
			err := rt.Deliver(p, Message{Kind: k, Session: 99, Value: errWhim, From: PID{Node: addr.MustParse("0.0.0.9"), Handle: 1}})
			if bad := k >= kindSystem && k < KindUser && k != KindReply && k != KindError; bad != (err != nil) {
				t.Errorf("kind %d: %v", k, err)
			}
		}
		if err := rt.Deliver(p, Message{Kind: KindError, Session: 1, Value: "no error"}); err == nil {
			t.Error("an error that is none was taken")
		}
		if err := rt.Deliver(PID{Handle: 99}, Message{}); !errors.Is(err, ErrNoService) {
			t.Errorf("to nobody: %v", err)
		}
		synctest.Wait()
		for _, k := range got.all() {
			if k >= kindSystem && k < KindUser {
				t.Errorf("a handler has got kind %d", k)
			}
		}
	})
}
