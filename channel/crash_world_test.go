// SPDX-License-Identifier: Apache-2.0

//go:build skybus_steps

package channel

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/skybus-io/skybus/ring"
)

// A world is the domain of a crash scenario as one process sees it: the process
// that will be killed, or the test's own. Whatever fails in it panics.
type world struct {
	root   string
	led    ledger
	t      *Table
	a, b   *Binding
	s      *Sender // from A to B
	d      *Drain  // of B
	expect uint64  // sequence that must come next; 0: any

	durable bool // lanes are, in a folder of root, and wait for their syncs
}

func newWorld(root string) *world {
	led, err := openLedger(filepath.Join(root, "ledger"))
	fatal(err)
	return &world{root: root, led: led}
}

func (w *world) disk() string { return filepath.Join(w.root, "disk") }

func fatal(err error) {
	if err != nil {
		panic(err)
	}
}

// open opens the domain, unless that was done.
func (w *world) open() *Table {
	if w.t == nil {
		var err error
		w.t, err = Open(w.root, testKey, Config{}, true)
		fatal(err)
		w.rules(w.t)
		fatal(w.t.TakeUp())
	}
	return w.t
}

// rules has t make durable lanes, if the scenario is about these.
func (w *world) rules(t *Table) {
	if w.durable {
		t.SetDurable(everything(Durability{Sync: true, Dir: w.disk()}))
	}
}

// send opens the sending side, unless that was done, and sends a message of
// each size, one by one.
func (w *world) send(sizes ...int) {
	s := w.sender()
	for _, n := range sizes {
		k := w.led.get(ledgerAttempted)
		w.led.set(ledgerAttempted, k+1)
		fatal(s.Send(payload(int(k), n)))
		w.led.set(ledgerAccepted, k+1)
	}
}

// batch is send with one commit for all.
func (w *world) batch(sizes ...int) {
	s := w.sender()
	turn := s.Begin()
	k := w.led.get(ledgerAttempted)
	w.led.set(ledgerAttempted, k+uint64(len(sizes)))
	for i, n := range sizes {
		b, err := s.Claim(max(n, 12))
		fatal(err)
		copy(b, payload(int(k)+i, n))
	}
	s.Commit()
	w.led.set(ledgerAccepted, k+uint64(len(sizes)))
	s.End(turn)
}

func (w *world) sender() *Sender {
	if w.s == nil {
		var err error
		w.bindA()
		w.s, err = w.t.NewSender(Pair{addrA, addrB})
		fatal(err)
		fatal(w.led.attached(w.s.LastSeq()))
	}
	return w.s
}

func (w *world) bindA() {
	if w.a == nil {
		var err error
		w.a, err = w.open().Bind(addrA)
		fatal(err)
	}
}

func (w *world) reader() *Drain {
	if w.d == nil {
		var err error
		w.b, err = w.open().Bind(addrB)
		fatal(err)
		w.d, err = w.b.Drain()
		fatal(err)
		w.expect = 0
		w.d.Sweep()
	}
	return w.d
}

// receive hands out in place all that is ready, and releases it.
func (w *world) receive() {
	d := w.reader()
	recs := make([]ring.Record, BatchSize)
	for r, n := d.Next(recs, false); n > 0; r, n = d.Next(recs, false) {
		for i := range recs[:n] {
			w.got(&recs[i])
			r.Release(&recs[i], false)
		}
		r.Release(&recs[n-1], true)
	}
	fatal(d.Damaged())
}

// receiveCopies is receive by copies, which do not come again once they have
// been given to the user.
func (w *world) receiveCopies() {
	d := w.reader()
	var recs [1]ring.Record
	for r, n := d.Next(recs[:], true); n > 0; r, n = d.Next(recs[:], true) {
		rec := recs[0]
		rec.Data = append([]byte(nil), rec.Data...)
		k, _ := number(rec.Data)
		w.led.mem[ledgerMaybe+k] = 1
		r.Accept(&recs)
		w.got(&rec)
	}
	fatal(d.Damaged())
}

func (w *world) got(rec *ring.Record) {
	if w.expect != 0 && rec.Seq != w.expect && w.led.get(ledgerDiscarded) < w.expect {
		panic(fmt.Sprintf("sequence %d came, %d was expected", rec.Seq, w.expect))
	}
	fatal(w.led.got(rec))
	w.expect = rec.Seq + 1
}

// giveBack gives the empty lane back.
func (w *world) giveBack() {
	now := time.Now()
	w.sender().GiveBack(now)
	w.s.GiveBack(now.Add(time.Hour))
}

// leaveA and leaveB close a side, as a process does that ends well.
func (w *world) leaveA() {
	if w.s != nil {
		w.s.Close()
	}
	if w.a != nil {
		w.a.Close()
	}
	w.s, w.a = nil, nil
}

func (w *world) leaveB() {
	if w.d != nil {
		w.d.Close()
	}
	if w.b != nil {
		w.b.Close()
	}
	w.d, w.b = nil, nil
}

func (w *world) leave() {
	w.leaveA()
	w.leaveB()
	if w.t != nil {
		w.t.Close()
		w.t = nil
	}
}
