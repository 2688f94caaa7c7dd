// SPDX-License-Identifier: Apache-2.0

//go:build skybus_steps

package relay

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skybus-io/skybus/channel"
	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/ring"
)

// A simBook is what is known of one lane's messages, by their numbers from 1.
type simBook struct {
	sent    uint64          // tried
	taken   uint64          // the last one that Send accepted
	unsure  map[uint64]bool // those that Send was killed in: they count, or not
	have    map[uint64]bool // delivered on any host, or told of by a GAP there
	told    bool            // a GAP was delivered on some host; where lanes roam that may be of any of them
	maylose bool            // something has happened that loses messages
	forgot  bool            // the origin has lost its memory, which hosts that know the lane are to tell by a GAP
	hosts   [3]simReceipt
}

// A simReceipt is what one host knows of a lane.
type simReceipt struct {
	seen  uint64 // the greatest number delivered
	gap   bool   // a GAP was delivered since
	knows bool   // it has the lane
}

// forgotten notes that the origin has lost lane's memory. Where the host of the
// destination does not know the lane either there is nobody left to tell of it.
func (w *simWorld) forgotten(lane int) {
	b := &w.books[lane]
	b.maylose, b.forgot = true, true
	w.unknown(lane)
}

func (w *simWorld) unknown(lane int) {
	if b := &w.books[lane]; b.forgot && !b.hosts[w.at[lane]].knows {
		b.hosts[w.at[lane]].gap = true
	}
}

// judge takes one delivery. What a host still had of a lane that was routed to
// another one meanwhile is delivered there, too: order is judged on each host.
func (w *simWorld) judge(host, lane int, rec *ring.Record) {
	b := &w.books[lane]
	r := &b.hosts[host]
	if rec.Flags&ring.FlagGap != 0 {
		if !b.maylose {
			w.fail("lane %d: a GAP, and nothing was lost", lane)
		}
		r.gap, b.told = true, true
		w.note("  lane %d: GAP delivered, sequence %d", lane, rec.Seq)
		return
	}
	n, err := simParse(lane, rec.Data)
	switch {
	case err != nil:
		w.fail("lane %d: %v", lane, err)
	case n <= r.seen && !rec.Redelivered:
		w.fail("lane %d: message %d came again after %d, and is not flagged", lane, n, r.seen)
	case !r.gap && !(w.roams && (b.told || w.stored && host == 0)) && b.missing(r.seen, n): // another host may have them
		w.fail("lane %d: message %d after %d without a GAP", lane, n, r.seen)
	case n > b.sent:
		w.fail("lane %d: message %d, only %d were sent", lane, n, b.sent)
	}
	b.have[n] = true
	if n > r.seen {
		for k := r.seen + 1; k < n; k++ {
			b.have[k] = true
		}
		r.seen, r.gap = n, false
	}
}

// missing reports whether a message between from and to should have come.
func (b *simBook) missing(from, to uint64) bool {
	for k := from + 1; k < to; k++ {
		if !b.unsure[k] && !b.have[k] {
			return true
		}
	}
	return false
}

func (w *simWorld) send() {
	h := w.hosts[0]
	if h.sender == nil {
		h.startSender()
	}
	lane := w.rng.IntN(simLanes)
	for range 1 + w.rng.IntN(6) {
		b := &w.books[lane]
		size := w.rng.IntN(100)
		switch w.rng.IntN(12) {
		case 0:
			size = w.rng.IntN(simMax)
		case 1, 2:
			size = w.rng.IntN(3000)
		}
		full := false
		n := b.sent + 1
		if w.mayDie(60, func() {
			s, err := h.sender.lane(lane)
			if err == nil {
				b.sent, b.unsure[n] = n, true
				err = s.Send(simPayload(lane, n, size))
			}
			if err == nil {
				b.taken = n
				delete(b.unsure, n)
				return
			}
			if full = errors.Is(err, channel.ErrFull) || errors.Is(err, channel.ErrBudget); !full {
				w.fail("send: %v", err)
			}
			b.sent = n - 1
			delete(b.unsure, n)
		}) {
			h.killSender()
			return
		}
		if full {
			return
		}
	}
}

func (s *simSender) lane(i int) (*channel.Sender, error) {
	if s.lanes[i] == nil {
		l, err := s.t.NewSender(channel.Pair{Src: simSrc(i), Dst: simDst(i)})
		if err != nil {
			return nil, err
		}
		s.lanes[i] = l
	}
	return s.lanes[i], nil
}

// receive has a reader handle some messages.
func (w *simWorld) receive(host, lane int) {
	h := w.hosts[host]
	if h.readers[lane] == nil {
		h.startReader(lane)
	}
	r := h.readers[lane]
	limit := 1 + w.rng.IntN(40)
	if w.mayDie(60, func() {
		recs := make([]ring.Record, channel.BatchSize)
		for limit > 0 {
			from, n := r.d.Next(recs[:min(limit, len(recs))], false)
			if n == 0 {
				if w.rng.IntN(8) == 0 || w.calm {
					if r.d.Sweep() {
						continue
					}
				}
				return
			}
			for i := range recs[:n] {
				w.judge(host, lane, &recs[i])
				from.Release(&recs[i], false)
			}
			from.Done(recs[:n], n, true)
			limit -= n
		}
	}) {
		h.killReader(lane)
	}
}

// move carries bytes of a connection, in pieces.
func (w *simWorld) move(i int) {
	p := w.pipes[i]
	step := func(h *simHost, f func() error) bool {
		var err error
		if w.mayDie(80, func() { err = f() }) {
			w.note("daemon %s dies", h.name)
			h.killDaemon()
			return false
		}
		if err != nil {
			w.note("connection %d ends: %v", i, err)
			w.cutOther(i, nil)
			return false
		}
		return true
	}
	some := func(b []byte) int {
		if w.calm || w.rng.IntN(3) > 0 {
			return len(b)
		}
		return w.rng.IntN(len(b) + 1)
	}
	if !step(p.from, func() error { p.from.daemon.turn(); return w.take(p.from.name+">"+p.to.name, p.a, &p.ab) }) {
		return
	}
	if !step(p.to, func() error {
		n := some(p.ab)
		used, err := p.b.Input(p.ab[:n], w.now)
		p.ab = p.ab[used:]
		return err
	}) {
		return
	}
	if !step(p.to, func() error { p.to.daemon.turn(); return w.take(p.to.name+">"+p.from.name, p.b, &p.ba) }) {
		return
	}
	step(p.from, func() error {
		n := some(p.ba)
		used, err := p.a.Input(p.ba[:n], w.now)
		p.ba = p.ba[used:]
		return err
	})
}

// connected brings daemons and connection i up.
func (w *simWorld) connected(i int) {
	if w.hosts[0].daemon == nil {
		if w.mayDie(30, w.hosts[0].startDaemon) {
			w.hosts[0].killHalf()
			return
		}
	}
	if w.hosts[i].daemon == nil {
		if w.mayDie(30, w.hosts[i].startDaemon) {
			w.hosts[i].killHalf()
			return
		}
	}
	if w.pipes[i] == nil {
		w.connect(i)
	}
}

// killHalf ends a daemon that died while it started.
func (h *simHost) killHalf() {
	if h.daemon != nil && h.daemon.t != nil {
		h.daemon.t.Abandon()
	}
	h.daemon = nil
}

// happen lets one thing happen.
func (w *simWorld) happen() {
	w.now += int64(w.rng.IntN(2e6))
	switch k := w.rng.IntN(100); {
	case k < 25:
		w.send()
	case k < 45:
		lane := w.rng.IntN(simLanes)
		host := w.at[lane]
		w.receive(host, lane)
	case k < 85:
		i := 1 + w.rng.IntN(2)
		w.connected(i)
		if w.pipes[i] != nil {
			w.move(i)
		}
	case k < 88:
		w.now += 10e6
	default:
		w.fault(w.rng.IntN(24))
	}
}

func (w *simWorld) fault(k int) {
	switch {
	case k < 8:
		i := 1 + w.rng.IntN(2)
		if w.pipes[i] != nil {
			w.note("cut %d", i)
			w.cutOther(i, nil)
		}
	case k < 11:
		h := w.hosts[w.rng.IntN(3)]
		w.note("kill daemon %s", h.name)
		h.killDaemon()
	case k < 13:
		w.note("kill sender")
		w.hosts[0].killSender()
	case k < 15:
		lane := w.rng.IntN(simLanes)
		w.note("kill reader %d", lane)
		w.hosts[w.at[lane]].killReader(lane)
	case k == 15:
		w.note("reboot a")
		w.hosts[0].reboot()
		for i := range w.books {
			w.forgotten(i)
		}
	case k == 16:
		i := 1 + w.rng.IntN(2)
		w.note("reboot %s", w.hosts[i].name)
		w.hosts[i].reboot()
		for l := range w.books {
			w.books[l].maylose = w.books[l].maylose || w.stored
			w.books[l].hosts[i].knows = false
			w.unknown(l)
		}
	case k == 17:
		w.clean()
	case k < 20 && w.roams:
		w.reroute()
	case k < 22:
		w.giveBack()
	default:
		w.remove()
	}
}

// clean has an operator discard what waits in a lane at its origin.
func (w *simWorld) clean() {
	lane := w.rng.IntN(simLanes)
	t := w.hosts[0].table()
	defer t.Close()
	n, _, err := t.Clean(channel.Pair{Src: simSrc(lane), Dst: simDst(lane)})
	w.note("clean lane %d: %d, %v", lane, n, err)
	w.books[lane].told = w.books[lane].told || w.roams // a lane that stays on its host has no GAPs: who cleans it knows
	w.books[lane].maylose = true
}

// remove deletes a lane at its origin, as far as nobody uses it.
func (w *simWorld) remove() {
	lane := w.rng.IntN(simLanes)
	h := w.hosts[0]
	h.killDaemon()
	h.killSender()
	t := h.table()
	defer t.Close()
	err := t.Delete(channel.Channel{A: simSrc(lane), B: simDst(lane)}, true)
	w.note("delete lane %d: %v", lane, err)
	if err == nil {
		w.forgotten(lane)
	}
	time.Sleep(time.Millisecond)
}

// reroute moves a destination to another host, which may be that of the sender.
// What waits at the old one stays there for when it comes back.
func (w *simWorld) reroute() {
	lane := w.rng.IntN(simLanes)
	old := w.at[lane]
	w.hosts[old].killReader(lane)
	w.books[lane].maylose = w.books[lane].maylose || w.stored
	if w.at[lane] = w.rng.IntN(3); w.at[lane] == old {
		return
	}
	w.unknown(lane)
	w.note("lane %d goes to %s", lane, w.hosts[w.at[lane]].name)
	for _, h := range w.hosts {
		if d := h.daemon; d != nil {
			if w.mayDie(10, d.follow) {
				h.killDaemon()
			}
		}
	}
}

func (w *simWorld) giveBack() {
	far := time.Now().Add(time.Hour)
	if s := w.hosts[0].sender; s != nil {
		for _, l := range s.lanes {
			if l != nil {
				l.GiveBack(time.Now())
				if l.GiveBack(far) {
					w.note("origin's lane given back")
				}
			}
		}
	}
	for _, h := range w.hosts[1:] {
		if h.daemon == nil {
			continue
		}
		for _, in := range h.daemon.in {
			k := in.Sink().(*channel.Sink)
			k.GiveBack(time.Now())
			if k.GiveBack(far) {
				w.note("mirrored lane given back")
			}
		}
	}
}

// settleAll ends the faults and checks that everything drains.
func (w *simWorld) settleAll() {
	w.calm = true
	w.note("calm")
	sentLast := [simLanes]bool{}
	for turn := 0; turn < 3000 && w.err == nil; turn++ {
		w.now += 2e6
		done := true
		h := w.hosts[0]
		if h.sender == nil {
			h.startSender()
		}
		for lane := range simLanes {
			b := &w.books[lane]
			if !sentLast[lane] {
				if s, err := h.sender.lane(lane); err == nil && s.Send(simPayload(lane, b.sent+1, 50)) == nil {
					b.sent++
					b.taken = b.sent
					sentLast[lane] = true
				}
			}
			w.receive(w.at[lane], lane)
			done = done && sentLast[lane] && b.hosts[w.at[lane]].seen == b.taken
		}
		if done {
			return
		}
		for i := 1; i <= 2; i++ {
			w.connected(i)
			if w.pipes[i] != nil {
				w.move(i)
			}
		}
		for _, h := range w.hosts {
			if h.daemon != nil && turn%50 == 0 {
				h.daemon.follow()
			}
		}
	}
	for lane := range simLanes {
		if b := &w.books[lane]; b.hosts[w.at[lane]].seen != b.taken {
			w.fail("lane %d: does not drain: %d of %d delivered", lane, b.hosts[w.at[lane]].seen, b.taken)
		}
	}
}

// simulate runs one seed.
func simulate(root string, seed uint64) *simWorld {
	w := newSimWorld(root, seed)
	defer w.close()
	for range 150 + w.rng.IntN(250) {
		if w.happen(); w.err != nil {
			return w
		}
	}
	w.settleAll()
	return w
}

// simSeeds is how many seeds a run has; SKYBUS_SIM_SEEDS says another number.
func simSeeds(t *testing.T, def int) int {
	if s := os.Getenv("SKYBUS_SIM_SEEDS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("SKYBUS_SIM_SEEDS: %v", err)
		}
		return n
	}
	if testing.Short() {
		return def / 10
	}
	return def
}

// simFrom is the variable with the first seed of a process that runs a part of them.
const simFrom = "SKYBUS_SIM_FROM"

// TestSimulation drives lanes, tables and sessions as they ship through cut
// links, kills before any store, reboots, changed routes, and cleaned, given
// back, grown and deleted lanes. What was accepted must arrive once and in order,
// flagged if it may come twice; what cannot arrive must be told by a GAP.
//
// The steps are seen by a whole process, so several processes share the seeds.
func TestSimulation(t *testing.T) {
	n := simSeeds(t, 10_000)
	if from := os.Getenv(simFrom); from != "" {
		first, err := strconv.ParseUint(from, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		simRange(t, first, n)
		return
	}
	seed := testutil.Seed(t)
	parts := max(1, min(runtime.NumCPU(), n))
	var wg sync.WaitGroup
	for i := range parts {
		wg.Go(func() {
			first, last := n*i/parts, n*(i+1)/parts
			cmd := exec.Command(os.Args[0], "-test.run", "^TestSimulation$", "-test.timeout", "30m")
			cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", simFrom, seed+uint64(first)), fmt.Sprintf("SKYBUS_SIM_SEEDS=%d", last-first))
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
	wg.Wait()
	t.Logf("%d seeds from %d", n, seed)
}

// pastSeeds have failed once.
var pastSeeds = map[string]uint64{
	"home and away again, released when stored": 511,
}

// TestPastFailures runs them again.
func TestPastFailures(t *testing.T) {
	for name, seed := range pastSeeds {
		t.Run(name, func(t *testing.T) { simRange(t, seed, 1) })
	}
}

func simRange(t *testing.T, first uint64, n int) {
	root := testutil.Dir(t)
	for i := range uint64(n) {
		if w := simulate(root, first+i); w.err != nil {
			t.Fatalf("seed %d (replay with %s=%d SKYBUS_SIM_SEEDS=1): %v\n%s", first+i, simFrom, first+i, w.err,
				strings.Join(w.log[max(0, len(w.log)-200):], "\n"))
		}
	}
}
