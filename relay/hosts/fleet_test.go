// SPDX-License-Identifier: Apache-2.0

//go:build linux

package hosts

import (
	"fmt"
	"math/rand/v2"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/internal/killtest"
)

// A fleet is the processes of a plan, in all their lives.
type fleet struct {
	t       *testing.T
	plan    *plan
	rng     *rand.Rand
	orders  *killtest.Words
	sent    *killtest.Sent
	vessels []*vessel
	trouble func() string // more to say when something fails
}

// A vessel is one process of a fleet.
type vessel struct {
	f     *fleet
	role  string
	host  int
	style style
	opts  []killtest.StartOption
	p     *killtest.Process // nil while it is down
}

// newFleet makes the processes of the plan, all of them down. opts says how those
// of a host are started.
func newFleet(t *testing.T, p *plan, opts func(host int) []killtest.StartOption) *fleet {
	t.Helper()
	f := &fleet{t: t, plan: p, rng: rand.New(rand.NewPCG(p.Seed, 1)), trouble: p.violations}
	var err error
	if f.orders, err = p.orders(); err != nil {
		t.Fatal(err)
	}
	if f.sent, err = p.sent(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.orders.Close(); f.sent.Close() })
	for host := range p.Roots {
		f.vessels = append(f.vessels, &vessel{f: f, role: "hosts sender", host: host, opts: opts(host)})
	}
	for _, r := range p.receivers() {
		f.vessels = append(f.vessels, &vessel{f: f, role: "hosts receiver", host: r.host, style: r.style, opts: opts(r.host)})
	}
	return f
}

// fatal ends the test with all that is known.
func (f *fleet) fatal(format string, args ...any) {
	f.t.Helper()
	f.t.Fatalf(format+"\n%s", append(args, f.trouble())...)
}

func (v *vessel) String() string {
	if v.role == "hosts sender" {
		return fmt.Sprintf("sender %v", senderAddr(v.host))
	}
	return fmt.Sprintf("receiver %v", receiverAddr(receiverID{v.host, v.style}))
}

// start starts the process if it is down.
func (v *vessel) start() {
	v.f.t.Helper()
	if v.p == nil {
		v.p = killtest.Start(v.f.t, v.role, loadArgs{Plan: *v.f.plan, Host: v.host, Style: v.style, Life: v.f.rng.Uint64()}, v.opts...)
	}
}

// kill ends the process if it is up.
func (v *vessel) kill() {
	v.f.t.Helper()
	if v.p == nil {
		return
	}
	v.p.Signal(syscall.SIGKILL)
	if err := v.p.Wait(); err != nil || !v.p.Killed() {
		v.f.fatal("the %v ended by itself: %v", v, err)
	}
	v.p = nil
}

// signal stops the process, or makes it go on, if it is up.
func (v *vessel) signal(s syscall.Signal) {
	v.f.t.Helper()
	if v.p != nil {
		v.p.Signal(s)
	}
}

// up starts all that are down, and fails the test if one has ended by itself.
func (f *fleet) up() {
	f.t.Helper()
	f.look()
	for _, v := range f.vessels {
		v.signal(syscall.SIGCONT)
		v.start()
	}
}

// look fails the test if a process has ended by itself.
func (f *fleet) look() {
	f.t.Helper()
	for _, v := range f.vessels {
		if v.p != nil && v.p.Gone() {
			f.fatal("the %v ended by itself: %v", v, v.p.Wait())
		}
	}
	if text := f.plan.violations(); text != "" {
		f.fatal("a process reports")
	}
}

// finish waits until the processes of a role have ended, as they were ordered.
// One that hangs has to say where.
func (f *fleet) finish(role string) {
	f.t.Helper()
	for _, v := range f.vessels {
		if v.role != role || v.p == nil {
			continue
		}
		for end := time.Now().Add(patience); !v.p.Gone(); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				v.p.Signal(syscall.SIGQUIT)
				f.fatal("the %v does not stop: %v", v, v.p.Wait())
			}
		}
		if err := v.p.Wait(); err != nil {
			f.fatal("the %v: %v", v, err)
		}
		v.p = nil
	}
}

// settle lets the senders come to an end, waits until everything was received,
// and ends the receivers. Everybody has to be up, and nothing be in the way.
// watch is called meanwhile.
func (f *fleet) settle(watch func()) {
	f.t.Helper()
	f.up()
	f.orders.Set(stopSenders, 1)
	f.finish("hosts sender")
	f.drain(watch)
	f.orders.Set(stopReceivers, 1)
	f.finish("hosts receiver")
}

// drain waits until no lane has a message. It is content to wait for as long as
// there is progress.
func (f *fleet) drain(watch func()) {
	f.t.Helper()
	domains := f.domains()
	best := ^uint64(0)
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		f.look()
		watch()
		left, lanes := waiting(domains)
		if left == 0 {
			return
		}
		if left < best {
			best, end = left, time.Now().Add(patience)
		}
		if time.Now().After(end) {
			f.fatal("%d messages wait, and for %v no fewer:\n%s", left, patience, lanes)
		}
	}
}

// domains opens each domain of the plan, until the test ends.
func (f *fleet) domains() (list []*skybus.Domain) {
	f.t.Helper()
	seen := map[string]bool{}
	for host, root := range f.plan.Roots {
		if seen[root] {
			continue
		}
		seen[root] = true
		d, err := f.plan.open(host)
		if err != nil {
			f.fatal("host %d: %v", host, err)
		}
		f.t.Cleanup(func() { d.Close() })
		list = append(list, d)
	}
	return list
}

// waiting counts the messages that wait in all lanes of the domains, and lists
// those lanes.
func waiting(domains []*skybus.Domain) (n uint64, lanes string) {
	for i, d := range domains {
		for _, l := range d.Table().Lanes() {
			if l.Messages > 0 {
				n += l.Messages
				lanes += fmt.Sprintf("domain %d, lane %v -> %v: %d messages, next %d, head %d\n", i, l.Src, l.Dst, l.Messages, l.NextSeq, l.HeadSeq)
			}
		}
	}
	return n, lanes
}

// judge looks at the ledgers, the logs and the domains.
func (f *fleet) judge() {
	f.t.Helper()
	if text := f.plan.violations(); text != "" {
		f.t.Error(text)
	}
	for _, r := range f.plan.receivers() {
		f.judgeReceiver(r)
	}
	for i, d := range f.domains() {
		for _, v := range d.Table().Check() {
			if !v.Note {
				f.t.Errorf("domain %d: violation: %v", i, v)
			}
		}
		for _, l := range d.Table().Lanes() {
			if l.Err != nil || l.Damage != "" {
				f.t.Errorf("domain %d: lane %v -> %v: %v %s", i, l.Src, l.Dst, l.Err, l.Damage)
			}
		}
	}
	if f.t.Failed() {
		f.t.Log(f.trouble())
	}
}

// judgeReceiver judges all lanes that end at a receiver.
func (f *fleet) judgeReceiver(r receiverID) {
	f.t.Helper()
	var sources []addr.Addr
	accepted := map[addr.Addr]uint64{}
	for _, l := range f.plan.into(r) {
		src := senderAddr(l.from)
		sources = append(sources, src)
		accepted[src] = f.sent.Accepted(f.plan.number(l))
	}
	log, err := os.Open(f.plan.logPath(r))
	if err != nil {
		f.t.Error(err)
		return
	}
	defer log.Close()
	j := newJudge(r.style == byRecv, sources...)
	if err := j.read(log); err != nil {
		f.t.Errorf("receiver %v: %v", receiverAddr(r), err)
		return
	}
	for i, v := range j.judgeReceiver(sources, func(src addr.Addr) uint64 { return accepted[src] }) {
		switch say := fmt.Sprintf("lane %v -> %v: %v", sources[i], receiverAddr(r), v); {
		case v.faults():
			f.t.Error(say)
		case v.Came == 0:
			f.t.Errorf("%s: want some", say)
		default:
			f.t.Log(say)
		}
	}
}
