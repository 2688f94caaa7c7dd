// SPDX-License-Identifier: Apache-2.0

package rpctest

import (
	"fmt"
	"reflect"
	"sync"
	"testing"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/node/nodetest"
)

// A Pair is two sides: A calls, the far side has the objects. They may be one runtime.
type Pair struct {
	A   *actor.Runtime
	B   *actor.Runtime // of the far side; nil: it is in another process
	Far nodetest.Far
	Bus bool // they are joined by a bus, which has limits
}

// with has rt, which A reaches, be the far side.
func (p Pair) with(t testing.TB, rt *actor.Runtime) Pair {
	t.Helper()
	p.B, p.Far = rt, nodetest.Far{PID: start(t, rt, nodetest.Serve(Services))}
	return p
}

// A bus joins runtimes.
type bus struct {
	t    testing.TB
	mu   sync.Mutex
	rts  map[addr.Addr]*actor.Runtime
	down map[actor.PID][]actor.PID // who watches
	dead map[actor.PID]bool
}

// A port is the Remote of one of them. One goroutine delivers what it sends, in order.
type port struct {
	bus  *bus
	mu   sync.Mutex
	cond sync.Cond
	list []parcel
	over bool
}

type parcel struct {
	to actor.PID
	m  actor.Message
}

// Join returns two runtimes that reach each other. They are closed at the test's end.
func Join(t testing.TB) Pair {
	b := &bus{t: t, rts: map[addr.Addr]*actor.Runtime{}, down: map[actor.PID][]actor.PID{}, dead: map[actor.PID]bool{}}
	var rts []*actor.Runtime
	var done sync.WaitGroup
	nodes := []addr.Addr{addr.MustParse("0.0.0.1"), addr.MustParse("0.0.0.2")}
	var ports []*port
	for _, node := range nodes {
		p := &port{bus: b}
		p.cond.L = &p.mu
		rt := actor.New(actor.Config{Node: node, Remote: p, Events: actor.Events{Ended: func(d actor.Down) { b.ended(d) }}})
		b.mu.Lock()
		b.rts[node] = rt
		b.mu.Unlock()
		rts, ports = append(rts, rt), append(ports, p)
		done.Go(p.deliver)
	}
	t.Cleanup(func() {
		for _, rt := range rts {
			rt.Close()
		}
		for _, p := range ports {
			p.close()
		}
		done.Wait()
	})
	return Pair{A: rts[0]}.with(t, rts[1])
}

// Alone returns one runtime as both sides.
func Alone(t testing.TB) Pair {
	rt := actor.New(actor.Config{})
	t.Cleanup(rt.Close)
	return Pair{A: rt}.with(t, rt)
}

// Send is Remote's.
func (p *port) Send(to actor.PID, m *actor.Message) error {
	own := *m
	if own.Kind != actor.KindError {
		v, err := copied(m.Value)
		if err != nil {
			p.bus.t.Errorf("%T to another process: %v", m.Value, err)
			return err
		}
		own.Value = v
	}
	p.put(parcel{to, own})
	return nil
}

// SendLater is Remote's: there is always room.
func (p *port) SendLater(to actor.PID, m *actor.Message, sent func(error)) (cancel func() bool) {
	err := p.Send(to, m)
	if sent != nil {
		sent(err)
	}
	return func() bool { return false }
}

// Forget is Remote's: late answers are dropped where they arrive.
func (*port) Forget(actor.PID, uint64) {}

func (p *port) put(l parcel) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.list = append(p.list, l)
	p.cond.Signal()
}

func (p *port) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	p.cond.Signal()
}

func (p *port) take() (parcel, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.list) == 0 && !p.over {
		p.cond.Wait()
	}
	if p.over {
		return parcel{}, false
	}
	l := p.list[0]
	p.list = p.list[1:]
	return l, true
}

func (p *port) deliver() {
	for {
		l, ok := p.take()
		if !ok {
			return
		}
		p.bus.mu.Lock()
		rt, back := p.bus.rts[l.to.Node], p.bus.rts[l.m.From.Node]
		p.bus.mu.Unlock()
		err := rt.Deliver(l.to, l.m)
		if err != nil && l.m.IsCall() && l.m.Kind != actor.KindReply && l.m.Kind != actor.KindError {
			_ = back.Deliver(l.m.From, actor.Message{Kind: actor.KindError, Session: l.m.Session, Value: err})
		}
	}
}

// Monitor is Remote's.
func (p *port) Monitor(watcher, target actor.PID) (func(), error) {
	b := p.bus
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.dead[target] {
		p.put(parcel{watcher, actor.Message{Kind: actor.KindDown, From: target, Value: actor.Down{Service: target, Reason: actor.ErrNoService}}})
		return func() {}, nil
	}
	b.down[target] = append(b.down[target], watcher)
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		for i, w := range b.down[target] {
			if w == watcher {
				b.down[target] = append(b.down[target][:i:i], b.down[target][i+1:]...)
				return
			}
		}
	}, nil
}

func (b *bus) ended(d actor.Down) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dead[d.Service] = true
	for _, w := range b.down[d.Service] {
		_ = b.rts[w.Node].Deliver(w, actor.Message{Kind: actor.KindDown, From: d.Service, Value: d})
	}
}

// copied is v as it would arrive.
func copied(v any) (any, error) {
	if v == nil {
		return nil, nil
	}
	x, err := clone(reflect.ValueOf(v))
	if err != nil {
		return nil, err
	}
	return x.Interface(), nil
}

func clone(v reflect.Value) (reflect.Value, error) {
	x := reflect.New(v.Type()).Elem()
	switch v.Kind() {
	case reflect.Func, reflect.Chan, reflect.UnsafePointer:
		return x, fmt.Errorf("%v cannot be copied", v.Type())
	case reflect.Struct:
		for i := range v.NumField() {
			if !v.Type().Field(i).IsExported() {
				return x, fmt.Errorf("%v has a field %s", v.Type(), v.Type().Field(i).Name)
			}
			f, err := clone(v.Field(i))
			if err != nil {
				return x, err
			}
			x.Field(i).Set(f)
		}
	case reflect.Interface, reflect.Pointer:
		if v.IsNil() {
			return x, nil
		}
		e, err := clone(v.Elem())
		if err != nil {
			return x, err
		}
		if v.Kind() == reflect.Pointer {
			x.Set(reflect.New(v.Type().Elem()))
			x = x.Elem()
			x.Set(e)
			return x.Addr(), nil
		}
		x.Set(e)
	case reflect.Slice:
		if v.IsNil() {
			return x, nil
		}
		x.Set(reflect.MakeSlice(v.Type(), v.Len(), v.Len()))
		for i := range v.Len() {
			e, err := clone(v.Index(i))
			if err != nil {
				return x, err
			}
			x.Index(i).Set(e)
		}
	default:
		x.Set(v)
	}
	return x, nil
}
