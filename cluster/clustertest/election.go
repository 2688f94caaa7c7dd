// SPDX-License-Identifier: Apache-2.0

package clustertest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skybus-io/skybus/cluster"
)

// hang is how long a test waits for what must come; it is no measure of anything.
const hang = 3 * time.Minute

// An Arena is an engine as a test of elections sees it.
type Arena struct {
	World
	Rand *rand.Rand // for what happens at random
}

// RunElections runs the tests of cluster.Elections over an engine; each gets an Arena of its own. The engine
// must not lose leases by itself meanwhile.
func RunElections(t *testing.T, open func(t *testing.T) Arena) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, *Arena)
	}{
		{"in order", inOrder}, {"closing", electionsClose}, {"giving up", givingUp}, {"watching", watchLeaders}, {"deleted by hand", deletedByHand},
		{"lease lost", leaseLost}, {"refusals", electionRefusals}, {"many names", manyElections}, {"at random", electionsAtRandom},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := open(t)
			test.run(t, &w)
		})
	}
}

// elections returns those of another client.
func (w *Arena) elections(t *testing.T, p cluster.Provider) *cluster.Elections {
	t.Helper()
	e, err := cluster.NewElections(p, cluster.ElectionsConfig{TTL: cluster.MaxTTL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

func within(t *testing.T) context.Context {
	ctx, stop := context.WithTimeout(t.Context(), hang)
	t.Cleanup(stop)
	return ctx
}

func campaign(t *testing.T, e *cluster.Elections, name, value string) *cluster.Leadership {
	t.Helper()
	l, err := e.Campaign(within(t), name, value)
	if err != nil {
		t.Fatalf("%s campaigns for %s: %v", value, name, err)
	}
	return l
}

// candidates waits until an election has so many.
func (w *Arena) candidates(t *testing.T, p cluster.Provider, name string, want int) {
	t.Helper()
	for end := time.Now().Add(hang); ; time.Sleep(5 * time.Millisecond) {
		kvs := w.get(t, p, all(cluster.ElectionsRoot("default")+name+"/")).KVs
		if len(kvs) == want {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d candidates for %s, want %d: %+v", len(kvs), name, want, kvs)
		}
	}
}

// leads waits until a view says who leads.
func leads(t *testing.T, e *cluster.Elections, name, value string) cluster.Leader {
	t.Helper()
	for end := time.Now().Add(hang); ; time.Sleep(5 * time.Millisecond) {
		l, err := e.Leader(within(t), name)
		if err != nil && !errors.Is(err, cluster.ErrNoLeader) {
			t.Fatal(err)
		}
		if l.Value == value && (value == "") == errors.Is(err, cluster.ErrNoLeader) {
			return l
		}
		if time.Now().After(end) {
			t.Fatalf("%+v leads %s, %v; want %q", l, name, err, value)
		}
	}
}

func isLost(l *cluster.Leadership) bool {
	select {
	case <-l.Lost():
		return true
	default:
		return false
	}
}

// inOrder: whoever came first leads, then the next one, with a higher token.
func inOrder(t *testing.T, w *Arena) {
	p := w.Open(t)
	first := campaign(t, w.elections(t, p), "n", "c0")
	won := make(chan *cluster.Leadership, 3)
	for i := 1; i < 4; i++ {
		e := w.elections(t, w.Open(t))
		go func() {
			l, err := e.Campaign(within(t), "n", fmt.Sprintf("c%d", i))
			if err != nil {
				t.Errorf("c%d: %v", i, err)
			}
			won <- l
		}()
		w.candidates(t, p, "n", i+1)
	}
	view := w.elections(t, w.Open(t))
	last := first
	for i := range 4 {
		if l := leads(t, view, "n", fmt.Sprintf("c%d", i)); l.Token != last.Token() || l.Age != 0 {
			t.Errorf("the view has %+v, the leader token %d", l, last.Token())
		}
		if len(won) > 0 || isLost(last) || last.Err() != nil {
			t.Errorf("two lead, or none: %v", last.Err())
		}
		if err := last.Resign(within(t)); err != nil || !isLost(last) || last.Err() == nil {
			t.Errorf("resign: %v, %v", err, last.Err())
		}
		if i < 3 {
			next := <-won
			if next == nil || next.Token() <= last.Token() || next.Name() != "n" {
				t.Fatalf("after token %d: %+v", last.Token(), next)
			}
			last = next
		}
	}
	leads(t, view, "n", "")
	if err := last.Resign(within(t)); err != nil {
		t.Errorf("resign again: %v", err)
	}
}

// electionsClose: whoever closes hands over at once, and knows that it has.
func electionsClose(t *testing.T, w *Arena) {
	p, a, b := w.Open(t), w.elections(t, w.Open(t)), w.elections(t, w.Open(t))
	one, two := campaign(t, a, "n", "a"), campaign(t, a, "m", "a")
	wait := make(chan error, 1)
	go func() {
		_, err := b.Campaign(within(t), "m", "b")
		wait <- err
	}()
	w.candidates(t, p, "m", 2)
	for range 2 {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	}
	for _, l := range []*cluster.Leadership{one, two} {
		if !isLost(l) || !errors.Is(l.Err(), cluster.ErrClosed) {
			t.Errorf("%s: %v", l.Name(), l.Err())
		}
	}
	if w.Faulty {
		return // its lease, of an hour, may have been granted twice
	}
	if err := <-wait; err != nil {
		t.Error(err)
	}
	if l := campaign(t, b, "n", "b"); l.Token() <= one.Token() {
		t.Errorf("token %d after %d", l.Token(), one.Token())
	}
	_, campaign := a.Campaign(within(t), "n", "a")
	_, leader := a.Leader(within(t), "n")
	for what, err := range map[string]error{
		"Campaign": campaign, "Leader": leader, "Watch": a.Watch(within(t), "n", func(cluster.Leader) error { return nil }),
	} {
		if !errors.Is(err, cluster.ErrClosed) {
			t.Errorf("%s after Close: %v", what, err)
		}
	}
}

// givingUp: a campaign that nobody waits for any more leaves nothing behind, at whatever moment it was given up.
func givingUp(t *testing.T, w *Arena) {
	rng := w.Rand
	p, a, b := w.Open(t), w.elections(t, w.Open(t)), w.elections(t, w.Open(t))
	first := campaign(t, a, "n", "a")
	for range 30 {
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			_, err := b.Campaign(ctx, "n", "b")
			ended <- err
		}()
		time.Sleep(time.Duration(rng.IntN(3000)) * time.Microsecond)
		stop()
		if err := <-ended; !errors.Is(err, context.Canceled) || !errors.Is(err, cluster.ErrUnavailable) {
			t.Fatalf("given up: %v", err)
		}
	}
	w.candidates(t, p, "n", 1)
	if isLost(first) {
		t.Errorf("the leader is lost: %v", first.Err())
	}
	if err := first.Resign(within(t)); err != nil {
		t.Fatal(err)
	}
	w.candidates(t, p, "n", 0)
	if l := campaign(t, b, "n", "b"); l.Token() <= first.Token() {
		t.Errorf("token %d after %d", l.Token(), first.Token())
	}
}

// watchLeaders: a watch tells each leader that stays, with its value, and nobody.
func watchLeaders(t *testing.T, w *Arena) {
	a, view := w.elections(t, w.Open(t)), w.elections(t, w.Open(t))
	ctx, stop := context.WithCancel(t.Context())
	told, ended := make(chan cluster.Leader, 100), make(chan error, 1)
	go func() {
		ended <- view.Watch(ctx, "n", func(l cluster.Leader) error {
			told <- l
			return nil
		})
	}()
	next := func() cluster.Leader {
		t.Helper()
		select {
		case l := <-told:
			return l
		case err := <-ended:
			t.Fatalf("the watch has ended: %v", err)
		case <-within(t).Done():
			t.Fatal("nothing is told")
		}
		return cluster.Leader{}
	}
	if l := next(); l.Token != 0 {
		t.Fatalf("it begins with %+v", l)
	}
	for i := range 5 {
		value := fmt.Sprint("v", i)
		l := campaign(t, a, "n", value)
		if got := next(); got.Token != l.Token() || got.Value != value {
			t.Fatalf("told %+v, want %s with %d", got, value, l.Token())
		}
		if err := l.Resign(within(t)); err != nil {
			t.Fatal(err)
		}
		if got := next(); got.Token != 0 || got.Value != "" {
			t.Fatalf("told %+v, want nobody", got)
		}
	}
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the watch ended with %v", err)
	}
	wrong := errors.New("enough")
	if err := view.Watch(within(t), "n", func(cluster.Leader) error { return wrong }); !errors.Is(err, wrong) {
		t.Errorf("a watch whose function failed ended with %v", err)
	}
}

// deletedByHand: a leader whose key somebody deletes is none any more, and may campaign again; what is no
// candidate does not stand in the way.
func deletedByHand(t *testing.T, w *Arena) {
	p, a := w.Open(t), w.elections(t, w.Open(t))
	root := cluster.ElectionsRoot("default")
	w.put(t, p, root+"n/0000000000000001", "no JSON", root+"n/x", "{}", root+"strange", "")
	l := campaign(t, a, "n", "a")
	for i := range 5 {
		var key string
		for _, kv := range w.get(t, p, all(root+"n/")).KVs {
			if strings.Contains(string(kv.Value), `"value":"a"`) {
				key = kv.Key
			}
		}
		w.commit(t, p, cluster.Batch{Do: []cluster.Op{cluster.Delete(key)}})
		select {
		case <-l.Lost():
		case <-within(t).Done():
			t.Fatalf("round %d: it still leads", i)
		}
		next := campaign(t, a, "n", "a")
		if next.Token() <= l.Token() {
			t.Errorf("token %d after %d", next.Token(), l.Token())
		}
		l = next
	}
}

// A leaser knows the last lease.
type leaser struct {
	cluster.Provider
	mu    sync.Mutex
	lease cluster.Lease
}

func (p *leaser) Grant(ctx context.Context, ttl time.Duration) (cluster.Lease, error) {
	l, err := p.Provider.Grant(ctx, ttl)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lease = l
	return l, err
}

// leaseLost: all leaderships of a process go with its lease; its campaigns go on with another one.
func leaseLost(t *testing.T, w *Arena) {
	p, b := &leaser{Provider: w.Open(t)}, w.elections(t, w.Open(t))
	a := w.elections(t, p)
	one, two := campaign(t, a, "n", "a"), campaign(t, a, "m", "a")
	other := campaign(t, b, "k", "b")
	wait := make(chan *cluster.Leadership, 1)
	go func() {
		l, err := a.Campaign(within(t), "k", "a")
		if err != nil {
			t.Error(err)
		}
		wait <- l
	}()
	w.candidates(t, p, "k", 2)
	p.mu.Lock()
	lease := p.lease
	p.mu.Unlock()
	for lease.Revoke(within(t)) != nil {
		t.Log("revoke again")
	}
	for _, l := range []*cluster.Leadership{one, two} {
		<-l.Lost()
		if !errors.Is(l.Err(), cluster.ErrLeaseLost) {
			t.Errorf("%s: %v", l.Name(), l.Err())
		}
	}
	w.candidates(t, p, "k", 2) // it stands again
	if err := other.Resign(within(t)); err != nil {
		t.Error(err)
	}
	if l := <-wait; l == nil || l.Token() <= other.Token() {
		t.Errorf("%+v after token %d", l, other.Token())
	}
	if l := campaign(t, a, "n", "a"); l.Token() <= one.Token() {
		t.Errorf("token %d after %d", l.Token(), one.Token())
	}
}

func electionRefusals(t *testing.T, w *Arena) {
	e := w.elections(t, w.Open(t))
	l := campaign(t, e, "n", "")
	for _, test := range []struct {
		name, value string
		want        error
	}{
		{"n", "again", cluster.ErrCandidate}, {"", "x", nil}, {"a/b", "x", nil}, {"m", strings.Repeat("x", cluster.MaxCandidate+1), cluster.ErrLimit}, {"m", "\xff", nil},
	} {
		_, err := e.Campaign(within(t), test.name, test.value)
		if err == nil || test.want != nil && !errors.Is(err, test.want) {
			t.Errorf("campaign for %q with %.10q: %v, want %v", test.name, test.value, err, test.want)
		}
	}
	if _, err := e.Leader(within(t), "a/b"); err == nil {
		t.Error("the leader of a/b")
	}
	if err := e.Watch(within(t), "a b", nil); err == nil {
		t.Error("a watch of a b")
	}
	if isLost(l) {
		t.Errorf("the leader is lost: %v", l.Err())
	}
	big := campaign(t, e, "big", strings.Repeat("\x01", cluster.MaxCandidate))
	if got, err := e.Leader(within(t), "big"); err != nil || got.Token != big.Token() || len(got.Value) != cluster.MaxCandidate {
		t.Errorf("%d bytes, %v", len(got.Value), err)
	}
}

// manyElections hang on one lease.
func manyElections(t *testing.T, w *Arena) {
	p, e := w.Open(t), w.elections(t, w.Open(t))
	var done sync.WaitGroup
	for i := range 100 {
		done.Go(func() {
			if _, err := e.Campaign(within(t), fmt.Sprintf("shard%d", i), "x"); err != nil {
				t.Error(err)
			}
		})
	}
	done.Wait()
	leases := map[cluster.LeaseID]bool{}
	kvs := w.get(t, p, all(cluster.ElectionsRoot("default"))).KVs
	for _, kv := range kvs {
		leases[kv.Lease] = true
	}
	if len(kvs) != 100 || len(leases) != 1 {
		t.Errorf("%d keys with %d leases", len(kvs), len(leases))
	}
}

// A race is what workers do at random, and what must hold of it.
type race struct {
	t       *testing.T
	guard   cluster.Guard
	mu      sync.Mutex
	leading string            // who leads
	tokens  map[uint64]string // whose each was
	last    uint64
}

// led notes a leadership that has begun; no lease is lost, so the last one is over.
func (r *race) led(l *cluster.Leadership, who string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.leading != "" {
		r.t.Errorf("%s leads with token %d while %s does", who, l.Token(), r.leading)
	}
	if was := r.tokens[l.Token()]; was != "" {
		r.t.Errorf("%s has token %d, as %s had", who, l.Token(), was)
	}
	if l.Token() <= r.last {
		r.t.Errorf("%s has token %d after %d", who, l.Token(), r.last)
	}
	r.leading, r.last, r.tokens[l.Token()] = who, l.Token(), who
}

// over notes that a leadership is about to end.
func (r *race) over() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.leading = ""
}

// electionsAtRandom: at each moment at most one leads, no token comes twice, later ones are higher, and
// nobody is left over.
func electionsAtRandom(t *testing.T, w *Arena) {
	const workers, rounds = 5, 25
	rng := w.Rand
	r := &race{t: t, tokens: map[uint64]string{}}
	var done sync.WaitGroup
	for i := range workers {
		e, seed := w.elections(t, w.Open(t)), rng.Uint64()
		done.Go(func() { r.run(e, fmt.Sprint("w", i), rand.New(rand.NewPCG(seed, 0)), rounds) })
	}
	view := w.elections(t, w.Open(t))
	ctx, stop := context.WithCancel(t.Context())
	done.Go(func() { r.view(ctx, view, workers, stop) })
	done.Wait()
	stop()
	w.candidates(t, w.Open(t), "n", 0)
	if len(r.tokens) == 0 {
		t.Error("nobody has led")
	}
}

// run leads for a number of rounds, and gives up in between.
func (r *race) run(e *cluster.Elections, who string, rng *rand.Rand, rounds int) {
	for i := range rounds {
		ctx, stop := context.WithTimeout(r.t.Context(), hang)
		if rng.IntN(4) == 0 {
			stop()
			ctx, stop = context.WithTimeout(r.t.Context(), time.Duration(rng.IntN(20000))*time.Microsecond)
		}
		l, err := e.Campaign(ctx, "n", fmt.Sprint(who, ".", i))
		if err == nil {
			r.led(l, who)
			if err := r.guard.Do(l.Token(), func() error { return nil }); err != nil {
				r.t.Errorf("%s is refused: %v", who, err)
			}
			time.Sleep(time.Duration(rng.IntN(1000)) * time.Microsecond)
			if isLost(l) {
				r.t.Errorf("%s is lost: %v", who, l.Err())
			}
			r.over()
			err = l.Resign(r.t.Context())
		} else if errors.Is(err, context.DeadlineExceeded) {
			err = nil
		}
		stop()
		if err != nil {
			r.t.Errorf("%s: %v", who, err)
		}
	}
	if _, err := e.Campaign(r.t.Context(), who, "done"); err != nil { // it says that this worker has ended
		r.t.Error(err)
	}
}

// view is told of leaders until all workers have ended.
func (r *race) view(ctx context.Context, e *cluster.Elections, workers int, stop func()) {
	var done sync.WaitGroup
	done.Go(func() {
		last := uint64(0)
		err := e.Watch(ctx, "n", func(l cluster.Leader) error {
			if l.Token != 0 && l.Token < last {
				r.t.Errorf("told of token %d after %d", l.Token, last)
			}
			last = max(last, l.Token)
			return nil
		})
		if !errors.Is(err, context.Canceled) {
			r.t.Errorf("the watch has ended: %v", err)
		}
	})
	for i := range workers {
		for {
			if l, err := e.Leader(r.t.Context(), fmt.Sprint("w", i)); err == nil && l.Value == "done" || r.t.Context().Err() != nil {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
	stop()
	done.Wait()
}
