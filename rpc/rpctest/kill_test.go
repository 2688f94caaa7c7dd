// SPDX-License-Identifier: Apache-2.0

package rpctest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/rpc"
)

// Services that have objects, and services that call them, are killed while calls and streams run. Every call ends, with
// its own answer or one error that says why, and streams end at the server when who reads them does.
func TestKillsUnderCalls(t *testing.T) {
	rng := testutil.Rand(t)
	for round := range 10 {
		t.Run(fmt.Sprint("round ", round), func(t *testing.T) {
			testutil.NoLeaks(t)
			w := &killing{t: t, Pair: Join(t), rng: rand.New(rand.NewPCG(rng.Uint64(), rng.Uint64())), fuse: 1}
			w.begin()
			w.all.Wait()
			if w.kills[0] < 10 || w.kills[1] < 10 || w.good < 100 {
				t.Errorf("%d servers and %d callers were killed, and %d calls went well: the test tests too little", w.kills[0], w.kills[1], w.good)
			}
			w.endsStreams()
			w.closeUnderStreams()
		})
	}
}

// A killing is one round.
type killing struct {
	Pair
	t   *testing.T
	all sync.WaitGroup // callers

	mu      sync.Mutex // guards what follows
	rng     *rand.Rand
	servers []victim
	callers []actor.PID // whose handlers run
	fuse    int         // calls until the next kill
	kills   [2]int      // servers and callers
	lives   int64       // of servers, so far
	good    int
}

// A victim is a server. What it deposits lies in a band of its own, so that an answer tells whose it is.
type victim struct {
	pid  actor.PID
	band int64
}

const (
	bandWidth  = 1 << 20
	callsEach  = 80
	killCaller = 12 // callers that are killed have others follow them, so many in all
)

// begin starts the servers, and the callers: services and goroutines.
func (w *killing) begin() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for range 4 {
		w.servers = append(w.servers, w.newServer())
	}
	for range 3 {
		w.newCaller()
		rng := w.seed()
		w.all.Go(func() { w.calls(user{rt: w.A}, rng) })
	}
}

func (w *killing) newServer() victim {
	w.lives++
	v := victim{band: w.lives}
	pid, err := w.B.Spawn(actor.Spec{New: rpc.Serve(func() Account { return &account{balance: v.band * bandWidth} })})
	if err != nil {
		w.t.Error(err)
	}
	v.pid = pid
	return v
}

// newCaller has a service call. It can be killed from when its handler runs.
func (w *killing) newCaller() {
	w.all.Add(1)
	pid, err := w.A.Spawn(actor.Spec{New: actor.Func(func(c *actor.Context, m *actor.Message) error {
		defer w.all.Done()
		w.mu.Lock()
		w.callers = append(w.callers, c.Self())
		w.mu.Unlock()
		w.calls(user{c, c.Runtime()}, m.Value.(*rand.Rand))
		return nil
	})})
	if err == nil {
		err = w.A.TrySend(pid, w.seed())
	}
	if err != nil {
		w.t.Error(err)
		w.all.Done()
	}
}

func (w *killing) seed() *rand.Rand {
	return rand.New(rand.NewPCG(w.rng.Uint64(), w.rng.Uint64()))
}

// step is called between calls: now and then it kills somebody, in the middle of others' calls.
func (w *killing) step(good bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if good {
		w.good++
	}
	if w.fuse--; w.fuse > 0 {
		return
	}
	w.fuse = 1 + w.rng.IntN(8)
	if n := len(w.callers); n > 0 && w.kills[1] < killCaller && w.rng.IntN(2) == 0 {
		i := w.rng.IntN(n)
		_ = w.A.Kill(w.callers[i])
		w.callers = slices.Delete(w.callers, i, i+1)
		w.kills[1]++
		w.newCaller()
		return
	}
	i := w.rng.IntN(len(w.servers))
	if err := w.B.Kill(w.servers[i].pid); err != nil {
		w.t.Errorf("kill: %v", err)
	}
	w.servers[i] = w.newServer()
	w.kills[0]++
}

func (w *killing) server(rng *rand.Rand) victim {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.servers[rng.IntN(len(w.servers))]
}

// calls calls, whatever comes.
func (w *killing) calls(u user, rng *rand.Rand) {
	last := map[int64]int64{} // that a band has said
	for range callsEach {
		v := w.server(rng)
		a := bind(u, rpc.RefOf[Account](v.pid))
		var err error
		switch rng.IntN(4) {
		case 0:
			err = w.history(a, rng)
		case 1:
			err = w.sleep(a, rng)
		default:
			var got int64
			if got, err = a.Deposit(context.Background(), 1); err == nil {
				if got/bandWidth != v.band || got <= last[v.band] {
					w.t.Errorf("the answer of server %d is %d, after %d: it is somebody else's", v.band, got, last[v.band])
				}
				last[v.band] = got
			}
		}
		w.judge(err)
		w.step(err == nil)
	}
}

// judge refuses errors that do not say what has happened.
func (w *killing) judge(err error) {
	var call *rpc.CallError
	if err == nil || errors.As(err, &call) && slices.ContainsFunc([]error{actor.ErrNoService, actor.ErrStopped, actor.ErrKilled, rpc.ErrNoStream}, func(e error) bool {
		return errors.Is(err, e)
	}) {
		return
	}
	w.t.Errorf("a call has ended with: %v", err)
}

func (w *killing) sleep(a Account, rng *rand.Rand) error {
	if rng.IntN(2) == 0 {
		_, err := a.Sleep(context.Background(), time.Duration(rng.IntN(2))*time.Millisecond)
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(1+rng.IntN(1000))*time.Microsecond)
	defer cancel()
	has, err := a.Sleep(ctx, time.Hour)
	if errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	if err == nil {
		w.t.Errorf("a sleep of an hour is over, with a deadline: %v", has)
	}
	return err
}

// history reads a stream, or some of it: items in their order, and at most one error at the end.
func (w *killing) history(a Account, rng *rand.Rand) (failed error) {
	n := rng.IntN(4 * rpc.Window)
	most := rng.IntN(2*n + 1) // perhaps more than there are
	seq, err := a.History(context.Background(), n)
	if err != nil {
		return err
	}
	got := 0
	for e, err := range seq {
		switch {
		case failed != nil:
			w.t.Errorf("behind the error %v comes %v, %v", failed, e, err)
		case err != nil:
			failed = err
			continue
		case e.Amount != int64(got):
			w.t.Errorf("item %d is %v", got, e)
		}
		if got++; got > most {
			return nil
		}
	}
	if failed == nil && got != n {
		w.t.Errorf("%d items and no error, want %d", got, n)
	}
	return failed
}

// endsStreams waits until no sequence runs in the servers: all readers have ended.
func (w *killing) endsStreams() {
	for _, s := range w.servers {
		a := rpc.RefOf[Account](s.pid).On(w.B)
		for n := 1; n > 0; time.Sleep(time.Millisecond) {
			var err error
			if n, err = a.Running(); err != nil {
				w.t.Errorf("server %d: %v", s.band, err)
				break
			}
		}
	}
}

// closeUnderStreams ends the callers' runtime while streams run whose readers cannot say that they
// have enough: the servers hear that the readers are gone.
func (w *killing) closeUnderStreams() {
	began, release := make(chan error), make(chan struct{})
	read := func(u user, s victim, wait func()) {
		seq, err := bind(u, rpc.RefOf[Account](s.pid)).History(context.Background(), 4*rpc.Window)
		if err != nil {
			began <- err
			return
		}
		for _, err := range seq {
			began <- err
			wait()
			break
		}
	}
	var readers sync.WaitGroup
	for _, s := range w.servers {
		readers.Go(func() { read(user{rt: w.A}, s, func() { <-release }) })
		start(w.t, w.A, actor.Spec{New: func() actor.Handler {
			var m actor.Mux
			m.OnStart(func(c *actor.Context) error {
				c.Fork(func(c *actor.Context) { read(user{c, w.A}, s, func() { _ = c.Wait("for ever") }) })
				return nil
			})
			return &m
		}})
	}
	for range 2 * len(w.servers) {
		if err := <-began; err != nil {
			w.t.Errorf("open a stream: %v", err)
		}
	}
	w.A.Close()
	w.endsStreams()
	close(release)
	readers.Wait()
}
