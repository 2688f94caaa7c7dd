// SPDX-License-Identifier: Apache-2.0

package skybus

import (
	"context"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skybus-io/skybus/channel"
	"github.com/skybus-io/skybus/internal/sys"
	"github.com/skybus-io/skybus/shm"
)

const (
	maxPark  = time.Second           // a parked wait looks at all lanes this often
	maxSpin  = 50 * time.Microsecond // longest spin of an adaptive wait
	minSpin  = 2 * time.Microsecond
	spinStep = 32 // polls between two looks at the clock
	glances  = 64 // polls before a wait begins in earnest

	minVain, maxVain = 8, 1024 // waits that do not spin
)

// canSpin is false where whoever is waited for needs this very processor.
func canSpin() bool { return runtime.GOMAXPROCS(0) > 1 && runtime.NumCPU() > 1 }

// A parker blocks goroutines of one endpoint until its doorbell rings. One of
// them at a time waits in the kernel; the others wait for that one.
type parker struct {
	bell    *shm.Doorbell
	episode atomic.Uint32

	mu     sync.Mutex
	cond   sync.Cond // of mu: the leader is back
	leader bool      // somebody waits in the kernel
	inside int       // goroutines between enter and leave
	asleep int       // goroutines between sleep and awake
	shut   bool      // nobody enters any more
}

// newParker returns a parker that counts its episodes from anywhere: writers
// remember which they have ended, also of a process that had the address before.
func newParker(bell *shm.Doorbell) *parker {
	p := &parker{bell: bell}
	p.cond.L = &p.mu
	p.episode.Store(rand.Uint32())
	return p
}

// next returns a new episode, never 0.
func (p *parker) next() uint32 {
	for {
		if e := p.episode.Add(1); e != 0 {
			return e
		}
	}
}

// enter counts a goroutine in that is going to use the bell. False: the
// endpoint is closed, and the bell's memory may go away.
func (p *parker) enter() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shut {
		return false
	}
	p.inside++
	return true
}

func (p *parker) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.inside--; p.inside == 0 {
		p.cond.Broadcast()
	}
}

// sleep announces that the caller is about to wait for a message. The last
// announcement stands for all: whoever rings for it wakes all that wait.
func (p *parker) sleep(episode uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asleep++
	p.bell.Sleep(episode)
}

// awake takes the caller's announcement back, and with the last one the bell's.
func (p *parker) awake(uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.asleep--; p.asleep == 0 {
		p.bell.Awake(p.bell.Sleeping())
	}
}

// ring wakes whoever waits.
func (p *parker) ring() {
	if p.enter() {
		p.bell.Ring()
		p.leave()
	}
}

// wait blocks until the bell has rung since it counted d, for maxPark at most;
// between enter and leave. It may return for no reason.
func (p *parker) wait(d uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.leader {
		for p.leader && p.bell.Count() == d {
			p.cond.Wait()
		}
		return
	}
	p.leader = true
	p.mu.Unlock()
	p.bell.Wait(d, maxPark)
	p.mu.Lock()
	p.leader = false
	p.cond.Broadcast()
}

// close lets nobody in any more and blocks until all are out.
func (p *parker) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shut = true
	for p.inside > 0 {
		p.bell.Ring() // they find the endpoint closed
		p.cond.Wait()
	}
}

// A waiter is one call's way of waiting: poll a while, then park.
type waiter struct {
	e    *Endpoint
	ctx  context.Context
	ends bool // ctx can end
	mode Wait
	stop func() bool // ends the watch over ctx

	receives bool // it waits between handlers
	rests    bool // no handler runs; Endpoint.handling says so
}

// wait returns nil when ready has become true or may have, and after maxPark, an
// error when the wait is over: the context's, or ErrClosed. Before it parks it announces that
// by sleep(episode), looks once more, and takes it back by awake(episode).
func (w *waiter) wait(ready func() bool, sleep, awake func(episode uint32)) (err error) {
	if err := w.over(); err != nil {
		return err
	}
	defer func() {
		if err == nil { // else no handler runs any more, and Close may rely on it
			w.resume()
		}
	}()
	spin := w.e.canSpin.Load()
	switch {
	case w.mode == WaitSpin:
		return w.spin(ready, spin)
	case w.mode == WaitAdaptive && spin:
		if w.spinFor(ready, time.Duration(w.e.spinFor.Load())) {
			if v := w.e.vain.Load(); v > 0 {
				w.e.vain.Store(v / 2)
			}
			return w.over()
		}
		runtime.Gosched()
	}
	return w.park(ready, sleep, awake)
}

// glance polls for a few microseconds, as cheaply as can be, where waits have
// been short lately: for the answer that is on its way.
func (w *waiter) glance(d *channel.Drain) bool {
	e := w.e
	if w.mode == WaitPark || w.mode == WaitAdaptive && e.spinFor.Load() < int64(maxSpin) || !e.canSpin.Load() || e.closed.Load() {
		return false
	}
	for range glances {
		if d.Look() {
			return true
		}
		sys.Pause(1)
	}
	return false
}

// lull holds still for a moment after several messages have come at once and none
// is left: their writer is at work. Whoever reads at its heels takes the lines
// from it that it is about to write, and the processor's prefetcher takes those
// beyond; a moment later there is a batch to read, and both are faster.
func (w *waiter) lull() {
	if w.mode != WaitPark && w.e.canSpin.Load() {
		sys.Pause(lullPauses())
	}
}

// lullPauses returns how many pauses take about 3 us here; what a processor makes
// of one differs by a factor of ten.
var lullPauses = sync.OnceValue(func() uint32 {
	const probe = 256
	best := time.Duration(1 << 62)
	for range 5 {
		start := time.Now()
		sys.Pause(probe)
		best = min(best, time.Since(start))
	}
	return uint32(max(1, 3000*probe/max(best.Nanoseconds(), 1)))
})

// rest tells Close that no handler runs. It is put off until a wait has lasted a
// moment: the store costs as much as a message.
func (w *waiter) rest() {
	if w.receives && !w.rests {
		w.rests = true
		w.e.handling.Store(false)
	}
}

// resume takes that back. Whoever goes on to handle looks at closed afterwards.
func (w *waiter) resume() {
	if w.rests {
		w.rests = false
		w.e.handling.Store(true)
	}
}

func (w *waiter) over() error {
	if w.e.closed.Load() {
		return w.e.closedErr()
	}
	return w.ctx.Err()
}

// spin polls until ready, for maxPark at most, looking at the context now and then.
func (w *waiter) spin(ready func() bool, others bool) error {
	var start time.Time
	for i := 1; !ready(); i++ {
		if others {
			sys.Pause(1)
		} else {
			runtime.Gosched()
		}
		if i%1024 == 0 {
			w.rest()
			if err := w.over(); err != nil {
				return err
			}
			if now := time.Now(); start.IsZero() {
				start = now
			} else if now.Sub(start) > maxPark {
				w.e.waited.Store(true)
				return nil
			}
			runtime.Gosched()
		}
	}
	return nil
}

func (w *waiter) spinFor(ready func() bool, limit time.Duration) bool {
	for start := (time.Time{}); ; {
		for range spinStep {
			if ready() {
				return true
			}
			sys.Pause(1)
		}
		switch { // the clock costs as much as many polls: not before it is needed
		case start.IsZero():
			start = time.Now()
			w.rest()
		case time.Since(start) > limit:
			return false
		}
	}
}

func (w *waiter) park(ready func() bool, sleep, awake func(episode uint32)) error {
	p := w.e.park
	if !p.enter() {
		return w.e.closedErr()
	}
	defer p.leave()
	w.rest()
	w.watch()
	d := p.bell.Count()
	episode := p.next()
	sleep(episode)
	if err := w.over(); err != nil || ready() {
		awake(episode)
		return err
	}
	start := time.Now()
	w.e.bound.CountPark()
	p.wait(d)
	awake(episode)
	w.e.waited.Store(true)
	w.e.learn(time.Since(start))
	return w.over()
}

// learn adapts how long to spin: a wait that was short would have been found by
// spinning, after a long one less is spun next time. But where a spin of full length has found nothing, and what was waited for came
// soon after it, whoever makes it may have waited for this processor: then nothing is spun for a number of
// waits, which doubles each time.
func (e *Endpoint) learn(parked time.Duration) {
	spin := time.Duration(e.spinFor.Load())
	switch rest := e.rest.Load(); {
	case parked >= maxSpin:
		spin = max(spin/2, minSpin)
	case spin >= maxSpin:
		spin = minSpin
		v := min(max(2*e.vain.Load(), minVain), maxVain)
		e.vain.Store(v)
		e.rest.Store(v)
	case rest > 0:
		e.rest.Store(rest - 1)
	default:
		spin = maxSpin
	}
	e.spinFor.Store(int64(spin))
	e.canSpin.Store(canSpin()) // it takes a lock of the scheduler: not to be asked at every wait
}

// watch makes the end of the context ring the endpoint's bell.
func (w *waiter) watch() {
	if w.stop == nil && w.ctx.Done() != nil {
		w.stop = context.AfterFunc(w.ctx, w.e.park.ring)
	}
}

func (w *waiter) done() {
	if w.stop != nil {
		w.stop()
	}
}
