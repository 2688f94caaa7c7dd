// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
)

// A parcel is a message of the model: it knows what has become of it.
type parcel struct {
	from *party
	to   PID
	seq  uint64 // among those of from to to, from 1; 0: not in their order
	ttl  int    // how often it may have others sent
	call bool

	handled atomic.Int32
	lost    atomic.Int32 // reported as undelivered
	passed  atomic.Bool  // redirected
	err     error        // of the send, or the call
	over    bool         // that has returned
}

// A party sends and receives: a service, over all of its lives, or a goroutine. Its fields are used by
// its handlers alone, without a lock: the race detector sees if two of them run at once.
type party struct {
	pid    PID // zero: a goroutine
	inside int
	sent   map[PID]uint64
	seen   map[*party]uint64
	all    []*parcel
	serial Serial
}

func newParty() *party { return &party{sent: map[PID]uint64{}, seen: map[*party]uint64{}} }

// parcel returns the next one to a service.
func (p *party) parcel(to PID, ttl int, call bool) *parcel {
	p.sent[to]++
	x := &parcel{from: p, to: to, seq: p.sent[to], ttl: ttl, call: call}
	p.all = append(p.all, x)
	return x
}

// A world is a runtime with parties.
type world struct {
	t    *testing.T
	rt   *Runtime
	seed uint64
	next atomic.Uint64 // number of the next random generator

	slots []atomic.Pointer[party] // services that there are, or were lately

	mu      sync.Mutex
	parties []*party
	wrong   int
}

var errModel = errors.New("an error of the model")

func newWorld(t *testing.T, cfg Config, seed uint64, services int) *world {
	t.Helper()
	w := &world{t: t, seed: seed, slots: make([]atomic.Pointer[party], services)}
	cfg.Events.Undelivered = func(_ PID, u Undelivered) {
		if x, ok := u.Value.(*parcel); ok {
			x.lost.Add(1)
		}
	}
	w.rt = New(cfg)
	t.Cleanup(w.rt.Close)
	for i := range w.slots {
		w.replace(i)
	}
	return w
}

// rand returns a generator of its own.
func (w *world) rand() *rand.Rand { return rand.New(rand.NewPCG(w.seed, w.next.Add(1))) }

// complain reports the first few faults.
func (w *world) complain(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.wrong++; w.wrong <= 10 {
		w.t.Errorf(format, args...)
	}
}

// join adds a party.
func (w *world) join(p *party) *party {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.parties = append(w.parties, p)
	return p
}

// replace puts a new service, of a random sort, into a slot.
func (w *world) replace(i int) {
	rng, p := w.rand(), w.join(newParty())
	spec := Spec{
		New:     func() Handler { return &citizen{w: w, p: p, slot: i, rng: w.rand()} },
		Mailbox: Mailbox{Capacity: []int{0, Unbounded, 1, 2, 5, 40}[rng.IntN(6)], Full: Full(rng.IntN(3))},
		Weight:  rng.IntN(4),
		OnPanic: OnPanic(rng.IntN(2)),
		Restart: Restart{When: When(rng.IntN(3)), Most: 3},
	}
	if rng.IntN(4) == 0 {
		spec.MaxWaiting = 1 + rng.IntN(10)
	}
	ready := make(chan struct{})
	make := spec.New
	spec.New = func() Handler { // p has its PID before its first message
		h := make()
		h.(*citizen).ready = ready
		return h
	}
	pid, err := w.rt.Spawn(spec)
	if err == nil {
		p.pid = pid
		w.slots[i].Store(p)
	}
	close(ready)
}

// target returns a service, which may be gone.
func (w *world) target(rng *rand.Rand) PID { return w.slots[rng.IntN(len(w.slots))].Load().pid }

// A goroutine sends n parcels, and kills a few services.
func (w *world) goroutine(n, kills int) {
	rng, p := w.rand(), w.join(newParty())
	for range n {
		w.act(rng, p)
		if rng.IntN(100) < kills {
			i := rng.IntN(len(w.slots))
			if rng.IntN(2) == 0 {
				_ = w.rt.Kill(w.slots[i].Load().pid)
			} else {
				s, _ := w.rt.local(w.slots[i].Load().pid)
				if s != nil {
					w.rt.drain(s)
				}
			}
			w.replace(i)
		}
	}
}

// act sends a parcel, or calls with one.
func (w *world) act(rng *rand.Rand, p *party) {
	ctx, to := w.t.Context(), w.target(rng)
	x := p.parcel(to, 3, rng.IntN(3) == 0)
	switch {
	case x.call:
		_, x.err = w.rt.CallTimeout(callTime(rng), to, x)
	case rng.IntN(3) == 0:
		x.err = w.rt.TrySend(to, x)
	default:
		x.err = w.rt.Send(ctx, to, x)
	}
	x.over = true
}

// account judges what has become of each parcel, when nothing more happens.
func (w *world) account() {
	all, lost := 0, 0
	for _, p := range w.parties {
		for _, x := range p.all {
			all++
			lost += int(x.lost.Load())
			if what := x.fault(); what != "" {
				w.complain("%s: call %v, handled %d times, lost %d, passed on %v, over %v, error %v", what, x.call, x.handled.Load(), x.lost.Load(), x.passed.Load(), x.over, x.err)
			}
		}
	}
	if n := w.rt.Stats().Undelivered; n != uint64(lost) {
		w.complain("%d undelivered are counted, and %d reported", n, lost)
	}
	if st := w.rt.Stats(); st.Contexts != 0 || st.Services != 0 || st.Workers != 0 || st.Queued != 0 {
		w.complain("left after Close: %+v", st)
	}
	w.t.Logf("%d parcels, %d of them lost", all, lost)
}

// fault says what is wrong with the fate of x.
func (x *parcel) fault() string {
	handled, lost := x.handled.Load(), x.lost.Load()
	refused := errors.Is(x.err, ErrNoService) || errors.Is(x.err, ErrMailboxFull) || errors.Is(x.err, ErrDropped)
	switch {
	case !x.over:
		return "its sender still waits"
	case handled+lost > 1:
		return "more than one fate"
	case errors.Is(x.err, ErrStopped), x.passed.Load(): // its sender does not know
	case x.call && lost > 0:
		return "a call came back as a message"
	case x.call && refused && handled > 0:
		return "refused and handled"
	case x.call && (x.err == nil || errors.Is(x.err, errModel) || errors.Is(x.err, ErrNoReply)) && handled != 1:
		return "answered and not handled"
	case !x.call && x.err != nil && handled+lost > 0:
		return "refused, and yet it has a fate"
	case !x.call && x.err == nil && handled+lost != 1:
		return "neither handled nor reported"
	}
	return ""
}
