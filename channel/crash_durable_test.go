// SPDX-License-Identifier: Apache-2.0

//go:build skybus_steps

package channel

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/skybus-io/skybus/ring"
)

// leftBehindWhole is a host that was booted: its memory is gone, what the durable
// lane had is on the disk.
func leftBehindWhole(w *world) {
	grown(w)
	w.boot()
}

func (w *world) boot() {
	w.leave()
	fatal(os.RemoveAll(Dir(w.root, testKey)))
	t, err := Open(w.root, testKey, Config{}, true) // nobody has told it of durable lanes
	fatal(err)
	b, err := t.Bind(addrB)
	fatal(err)
	b.Close()
	t.Close()
}

// file is a generation of the lane from A to B.
func (w *world) file(gen uint32) string {
	return filepath.Join(w.disk(), filepath.Base(Dir(w.root, testKey)), laneName(laneAB, gen))
}

// leftBehindDamaged is one where the last generations but the first are not whole:
// what was accepted after that is lost, and known to be.
func leftBehindDamaged(w *world) {
	leftBehindWhole(w)
	f, err := os.OpenFile(w.file(1), os.O_RDWR, 0)
	fatal(err)
	defer f.Close()
	_, err = f.WriteAt([]byte{1, 2, 3}, laneDataAt+ring.HeaderSize+100) // in the first message
	fatal(err)
	w.led.forget()
	w.led.set(ledgerAttempted, 8) // GAPs are what there is: one for each that takes the lane up
}

// leftBehindRemains is one where a generation came back that was consumed.
func leftBehindRemains(w *world) {
	grown(w)
	first, err := os.ReadFile(w.file(1))
	fatal(err)
	w.receive()
	w.boot()
	fatal(os.WriteFile(w.file(1), first, 0o660))
}

// takenUp is a process that opens the domain then: the lane is there, whoever was
// killed while it took it up.
func takenUp(w *world) {
	if l, ok := w.open().Lane(laneAB); !ok || !l.Durable || l.Err != nil {
		panic(fmt.Sprintf("there is no such lane (%v): %+v", ok, l))
	}
}
