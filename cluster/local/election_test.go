// SPDX-License-Identifier: Apache-2.0

package local

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skybus-io/skybus/cluster"
	"github.com/skybus-io/skybus/cluster/clustertest"
	"github.com/skybus-io/skybus/internal/testutil"
)

func TestElections(t *testing.T) {
	clustertest.RunElections(t, func(t *testing.T) clustertest.Arena {
		testutil.NoLeaks(t)
		h := newHost(t, Limits{})
		w := clustertest.World{Open: func(*testing.T) cluster.Provider { return h.dial() }}
		return clustertest.Arena{World: w, Rand: testutil.Rand(t)}
	})
}

func TestElectionsWithFaults(t *testing.T) {
	clustertest.RunElections(t, func(t *testing.T) clustertest.Arena {
		testutil.NoLeaks(t)
		rng := testutil.Rand(t)
		h := newHost(t, Limits{})
		w := clustertest.World{Faulty: true, Open: func(*testing.T) cluster.Provider {
			return clustertest.Faulty(h.dial(), clustertest.Faults{Before: 0.1, After: 0.1, Watch: 0.05, Delay: time.Millisecond}, rng.Uint64())
		}}
		return clustertest.Arena{World: w, Rand: rng}
	})
}

func newElections(t *testing.T, p cluster.Provider, c cluster.ElectionsConfig) *cluster.Elections {
	t.Helper()
	c.TTL = cmp.Or(c.TTL, cluster.MaxTTL)
	e, err := cluster.NewElections(p, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// A ledger is a store that leaders write to, with a Guard before it.
type ledger struct {
	guard   cluster.Guard
	mu      sync.Mutex
	writers map[uint64]string // whose each token was
	order   []uint64          // tokens as they wrote
	refused int
}

// write is a leader's; it may be none any more. It says whether it was refused.
func (s *ledger) write(token uint64, who string) (refused bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if was, ok := s.writers[token]; ok && was != who {
		return false, fmt.Errorf("token %d is %s's and %s's", token, was, who)
	}
	s.writers[token] = who
	err = s.guard.Do(token, func() error {
		s.order = append(s.order, token)
		return nil
	})
	if errors.Is(err, cluster.ErrOldLeader) {
		s.refused++
		return true, nil
	}
	return false, err
}

// While calls fail, leases are lost, connections are cut and the engine begins anew, no token has two leaders, what a
// store admits is in the order of the tokens, and whoever it refuses is no leader any more.
func TestElectionsUnderFaults(t *testing.T) {
	testutil.NoLeaks(t)
	rng := testutil.Rand(t)
	h := newHost(t, Limits{})
	store := &ledger{writers: map[uint64]string{}}
	const workers = 4
	var faulty []*clustertest.FaultyProvider
	var done sync.WaitGroup
	var all []*cluster.Elections
	for i := range workers {
		p := clustertest.Faulty(h.dial(), clustertest.Faults{Before: 0.1, After: 0.1, Watch: 0.05, Delay: time.Millisecond}, rng.Uint64())
		e := newElections(t, p, cluster.ElectionsConfig{TTL: 300 * time.Millisecond})
		faulty, all = append(faulty, p), append(all, e)
		seed := rng.Uint64()
		done.Go(func() { workUnderFaults(t, e, store, fmt.Sprint("w", i), rand.New(rand.NewPCG(seed, 0))) })
	}
	for range 8 {
		time.Sleep(time.Duration(rng.IntN(200)) * time.Millisecond)
		if rng.IntN(2) == 0 {
			h.cut()
			continue
		}
		h.stop()
		time.Sleep(time.Duration(rng.IntN(400)) * time.Millisecond) // some leases do not last so long
		h.start()
	}
	done.Wait()
	for _, p := range faulty {
		p.Calm()
	}
	for i := 1; i < len(store.order); i++ {
		if store.order[i] < store.order[i-1] {
			t.Errorf("the store has token %d after %d", store.order[i], store.order[i-1])
		}
	}
	t.Logf("%d leaders wrote %d times, and %d times in vain", len(store.writers), len(store.order), store.refused)
	last, err := all[0].Campaign(t.Context(), "n", "last") // nobody is left over
	if err != nil || store.guard.Admit(last.Token()) != nil {
		t.Errorf("the last one: %+v, %v; highest %d", last, err, store.guard.Highest())
	}
}

// workUnderFaults leads again and again, and writes, now and then also when it is over.
func workUnderFaults(t *testing.T, e *cluster.Elections, store *ledger, who string, rng *rand.Rand) {
	for i := range 30 {
		l, err := e.Campaign(t.Context(), "n", who)
		if err != nil {
			t.Error(err)
			return
		}
		life := fmt.Sprint(who, ".", i)
		for range 3 {
			refused, err := store.write(l.Token(), life)
			if err != nil {
				t.Error(err)
			}
			if refused {
				mustBeLost(t, l)
			}
			time.Sleep(time.Duration(rng.IntN(3000)) * time.Microsecond)
		}
		if rng.IntN(4) == 0 {
			select {
			case <-l.Lost():
			case <-time.After(200 * time.Millisecond):
			}
		}
		if err := l.Resign(t.Context()); err != nil {
			t.Error(err)
		}
		if rng.IntN(2) == 0 {
			time.Sleep(time.Duration(rng.IntN(20)) * time.Millisecond)
			if _, err := store.write(l.Token(), life); err != nil {
				t.Error(err)
			}
		}
	}
}

// mustBeLost wants a leader that was refused to learn why, sooner or later.
func mustBeLost(t *testing.T, l *cluster.Leadership) {
	select {
	case <-l.Lost():
	case <-time.After(3 * time.Minute):
		t.Errorf("token %d is refused, and leads", l.Token())
	}
}

// TestElectionsAndTime lets time pass.
func TestElectionsAndTime(t *testing.T) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, *Engine)
	}{
		{"cut off for a while", leaderCutOff}, {"cut off for good", leaderIsReplaced}, {"many leases at once", noDoubts},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := NewEngine(Limits{})
				defer e.Close()
				test.run(t, e)
			})
		})
	}
}

func lost(l *cluster.Leadership) bool {
	select {
	case <-l.Lost():
		return true
	default:
		return false
	}
}

// leaderCutOff: a leader holds on while the engine is away, for less than the TTL.
func leaderCutOff(t *testing.T, e *Engine) {
	s := e.server(ServerConfig{})
	at := place(s)
	c := connect(at)
	el, _ := cluster.NewElections(c, cluster.ElectionsConfig{})
	l, err := el.Campaign(t.Context(), "n", "a")
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		at.Store(nil)
		s.Close()
		time.Sleep(5 * time.Second)
		if got, err := el.Leader(t.Context(), "n"); err != nil || got.Token != l.Token() || got.Age < 4*time.Second || got.Age > 7*time.Second {
			t.Errorf("while the engine is away: %+v, %v", got, err)
		}
		if lost(l) {
			t.Fatalf("lost after 5 s: %v", l.Err())
		}
		s = e.server(ServerConfig{})
		at.Store(s)
		time.Sleep(5 * time.Second)
	}
	if got, err := el.Leader(t.Context(), "n"); lost(l) || err != nil || got.Token != l.Token() || got.Age != 0 {
		t.Errorf("at last: %+v, %v; %v", got, err, l.Err())
	}
	el.Close()
	c.Close()
	s.Close()
}

// leaderIsReplaced: a leader that is cut off counts its TTL by its own clock, and is none before another one is.
func leaderIsReplaced(t *testing.T, e *Engine) {
	s, dying := e.server(ServerConfig{}), e.server(ServerConfig{})
	at := place(dying)
	c, other := connect(at), connect(place(s))
	a, _ := cluster.NewElections(c, cluster.ElectionsConfig{})
	b, _ := cluster.NewElections(other, cluster.ElectionsConfig{})
	l, err := a.Campaign(t.Context(), "n", "a")
	if err != nil {
		t.Fatal(err)
	}
	at.Store(nil)
	dying.Close()
	began := time.Now()
	next, err := b.Campaign(t.Context(), "n", "b")
	if err != nil || next.Token() <= l.Token() {
		t.Fatalf("%+v, %v", next, err)
	}
	if d := time.Since(began); !lost(l) || d < 5*time.Second || d > 13*time.Second {
		t.Errorf("replaced after %v; the old one: %v", d, l.Err())
	}
	if !errors.Is(l.Err(), cluster.ErrLeaseLost) {
		t.Errorf("why: %v", l.Err())
	}
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	_, err = a.Campaign(ctx, "n", "a")
	stop()
	if !errors.Is(err, cluster.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a campaign without an engine: %v", err)
	}
	a.Close()
	b.Close()
	c.Close()
	other.Close()
	s.Close()
}

// noDoubts: leaders that are lost all at once are replaced nevertheless.
func noDoubts(t *testing.T, e *Engine) {
	s := e.server(ServerConfig{})
	var clients []*Client
	var all []*cluster.Elections
	for i := range 6 {
		c := connect(place(s))
		el, _ := cluster.NewElections(c, cluster.ElectionsConfig{})
		clients, all = append(clients, c), append(all, el)
		if _, err := el.Campaign(t.Context(), fmt.Sprint("n", i), "first"); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range clients[:5] {
		c.mu.Lock()
		leases := make([]*lease, 0, len(c.leases))
		for le := range c.leases {
			leases = append(leases, le)
		}
		c.mu.Unlock()
		for _, le := range leases {
			e.store.Revoke(le.id)
		}
	}
	began := time.Now()
	for i := range 5 {
		if _, err := all[5].Campaign(t.Context(), fmt.Sprint("n", i), "second"); err != nil {
			t.Fatal(err)
		}
	}
	if d := time.Since(began); d > time.Second {
		t.Errorf("it took %v", d)
	}
	for i, el := range all {
		el.Close()
		clients[i].Close()
	}
	s.Close()
}

// Tokens are the revision and what the life key says; one that cannot be read ends campaigns and look-ups.
func TestTokensHaveTheBaseOfTheLife(t *testing.T) {
	testutil.NoLeaks(t)
	h := newHost(t, Limits{})
	p := h.dial()
	snap, err := p.Get(t.Context(), cluster.Query{Key: "x"})
	if err != nil {
		t.Fatal(err)
	}
	const base = 1 << 40
	for _, test := range []struct {
		value string
		want  bool
	}{
		{fmt.Sprintf(`{"v":1,"life":"%016x","base":%d}`, snap.Life, uint64(base)), true}, {`{"v":1,"life":"1","base":1}`, false}, {"x", false},
	} {
		if _, err := p.Commit(t.Context(), cluster.Batch{Do: []cluster.Op{cluster.Put("/skybus/default/life", []byte(test.value), 0)}}); err != nil {
			t.Fatal(err)
		}
		e := newElections(t, h.dial(), cluster.ElectionsConfig{})
		l, err := e.Campaign(t.Context(), "n", "a")
		if !test.want {
			_, leader := e.Leader(t.Context(), "n")
			if err == nil || leader == nil || errors.Is(leader, cluster.ErrNoLeader) {
				t.Errorf("with %s: %v, %v", test.value, err, leader)
			}
			continue
		}
		kvs, gerr := p.Get(t.Context(), cluster.Query{Key: cluster.ElectionsRoot("default"), Prefix: true})
		if err != nil || gerr != nil || len(kvs.KVs) != 1 || l.Token() != kvs.KVs[0].Created+base {
			t.Fatalf("%+v of %+v: %v, %v", l, kvs, err, gerr)
		}
		if err := l.Resign(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
