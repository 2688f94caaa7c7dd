// SPDX-License-Identifier: Apache-2.0

package skybus_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/internal/invariant"
	"github.com/skybus-io/skybus/internal/killtest"
)

// A killPlan says what the processes of one kill test do. There is a lane from
// each writer to each reader.
type killPlan struct {
	Root    string // of the domain
	Dir     string // of the ledgers
	Seed    uint64
	Writers int
	Readers int
	Most    int           // bytes of the largest message
	Numbers uint64        // messages of a lane at most
	Recv    bool          // the readers take by Recv: at most once
	Idle    time.Duration // lanes unused so long are given back, and writers rest longer; 0 never

	// Creators, if not 0, is the number of processes that share the writers'
	// addresses and bind one after the other.
	Creators int
}

// killArgs are what one process of a plan is started with.
type killArgs struct {
	Plan  killPlan
	Index int    // of the writer or reader
	Life  uint64 // random
	Die   bool   // by its own hand, at a random step, in builds that have steps
}

// The words of the plan's file of orders.
const (
	stopWriters = iota
	stopReaders
	orderWords
)

func (p *killPlan) lane(writer, reader int) int { return writer*p.Readers + reader }
func (p *killPlan) lanes() int                  { return p.Writers * p.Readers }
func (p *killPlan) path(name string) string     { return filepath.Join(p.Dir, name) }

func writerAddr(i int) addr.Addr { return 0x10000 + addr.Addr(i) }
func readerAddr(i int) addr.Addr { return 0x20000 + addr.Addr(i) }

func (p *killPlan) options() skybus.Options {
	idle := p.Idle
	if idle == 0 {
		idle = -1
	}
	return skybus.Options{Root: p.Root, AllowUnknown: true, Limits: skybus.Limits{GrowBytes: 256 << 10, IdleAfter: idle}}
}

func (p *killPlan) orders() (*killtest.Words, error) {
	return killtest.OpenWords(p.path("orders"), orderWords)
}

func (p *killPlan) sent() (*killtest.Sent, error) {
	return killtest.OpenSent(p.path("sent"), p.lanes())
}

func (p *killPlan) received() (*killtest.Received, error) {
	return killtest.OpenReceived(p.path("received"), p.lanes(), p.Numbers)
}

// violation leaves err for the test, whatever becomes of this process.
func (p *killPlan) violation(err error) {
	f, openErr := os.OpenFile(p.path("violations"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o660)
	if openErr != nil {
		panic(errors.Join(err, openErr))
	}
	defer f.Close()
	fmt.Fprintf(f, "process %d: %v\n", os.Getpid(), err)
}

// violations returns what the processes have left.
func (p *killPlan) violations() string {
	text, _ := os.ReadFile(p.path("violations"))
	return string(text)
}

// A killProcess is what writers and readers have in common.
type killProcess struct {
	killArgs
	rng    *rand.Rand
	d      *skybus.Domain
	e      *skybus.Endpoint
	orders *killtest.Words
}

// startKillProcess opens the domain and binds the address, if there is one.
func startKillProcess(args []byte, address func(int) addr.Addr) (*killProcess, error) {
	a, err := killtest.Args[killArgs](args)
	if err != nil {
		return nil, err
	}
	p := &killProcess{killArgs: a, rng: rand.New(rand.NewPCG(a.Plan.Seed, a.Life))}
	if p.orders, err = p.Plan.orders(); err != nil {
		return nil, err
	}
	if a.Die {
		dieAtStep(p.rng)
	}
	o := p.Plan.options()
	o.OnDamage = func(src, dst addr.Addr, err error) { p.Plan.violation(fmt.Errorf("lane %v -> %v: %w", src, dst, err)) }
	if p.d, err = skybus.Open(key, o); err != nil {
		return nil, err
	}
	wait := waits[p.rng.IntN(len(waits))]
	if wait == skybus.WaitSpin { // two processors have more to do
		wait = skybus.WaitPark
	}
	if address != nil {
		p.e, err = p.d.Bind(address(a.Index), skybus.WithWait(wait))
	}
	return p, err
}

// rareSteps begin the names of the steps that a process passes seldom.
var rareSteps = []string{"channel.", "table.", "shm.", "bind.", "inbox.setbit", "drain.clear", "ring.tx.finish", "ring.rx.claimed"}

// dieAtStep makes the process kill itself at a random step: one of all, or one
// of those that are rare.
func dieAtStep(rng *rand.Rand) {
	if !invariant.Enabled {
		return
	}
	prefix, left := "", new(atomic.Int64)
	left.Store(int64(1) << rng.IntN(16))
	if rng.IntN(3) > 0 {
		prefix = rareSteps[rng.IntN(len(rareSteps))]
		left.Store(int64(1 + rng.IntN(1<<rng.IntN(7))))
	}
	invariant.SetHook(func(site string) {
		if strings.HasPrefix(site, prefix) && left.Add(-1) == 0 {
			_ = syscall.Kill(syscall.Getpid(), syscall.SIGKILL)
			select {} // the signal is on its way
		}
	})
}

// nap sleeps a random time of at most limit, in one of n cases.
func nap(rng *rand.Rand, n int, limit time.Duration) {
	if rng.IntN(n) == 0 {
		time.Sleep(time.Duration(rng.Int64N(int64(limit))))
	}
}
