// SPDX-License-Identifier: Apache-2.0

//go:build skybus_steps

package channel

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"

	"github.com/skybus-io/skybus/internal/sys"
	"github.com/skybus-io/skybus/ring"
)

// A ledger is what the processes of one crash scenario have written down of the
// messages from A to B. It is a mapped file, so that a process that is killed
// leaves it as it was at that moment.
//
//	0    u64  messages whose sending was begun
//	8    u64  messages whose sending has returned
//	16   u64  steps passed
//	24   u64  messages below that an operator has discarded
//	32   64   the step that the process was killed at
//	128  u8[] how often the k-th message was handed to the user
//	640  u8[] 1: it may have been handed out by a copying receive
type ledger struct{ mem []byte }

const (
	ledgerAttempted = 0
	ledgerAccepted  = 8
	ledgerSteps     = 16
	ledgerDiscarded = 24
	ledgerSite      = 32
	ledgerGot       = 128
	ledgerMaybe     = 640
	ledgerMost      = 512 // messages
	ledgerSize      = 4096
)

func openLedger(path string) (ledger, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return ledger{}, err
	}
	defer f.Close()
	if err := f.Truncate(ledgerSize); err != nil {
		return ledger{}, err
	}
	mem, err := sys.Map(f, ledgerSize, false)
	return ledger{mem}, err
}

func (l ledger) close() { _ = sys.Unmap(l.mem) }

func (l ledger) get(at int) uint64    { return binary.LittleEndian.Uint64(l.mem[at:]) }
func (l ledger) set(at int, v uint64) { binary.LittleEndian.PutUint64(l.mem[at:], v) }

// forget empties the ledger but for the place of the death: the lane was
// removed with everything in it.
func (l ledger) forget() {
	clear(l.mem[:ledgerSteps])
	clear(l.mem[ledgerDiscarded:ledgerSite])
	clear(l.mem[ledgerGot:])
}

func (l ledger) died(site string) {
	clear(l.mem[ledgerSite:ledgerGot])
	copy(l.mem[ledgerSite:ledgerGot], site)
}

func (l ledger) site() string {
	b, _, _ := bytes.Cut(l.mem[ledgerSite:ledgerGot], []byte{0})
	return string(b)
}

// attached compares what a new producer finds with what its predecessor had
// noted, and takes up from there.
func (l ledger) attached(lastSeq uint64) error {
	if acc, att := l.get(ledgerAccepted), l.get(ledgerAttempted); lastSeq < acc || lastSeq > att {
		return fmt.Errorf("LastSeq is %d: %d messages were accepted, %d attempted", lastSeq, acc, att)
	}
	l.set(ledgerAttempted, lastSeq)
	l.set(ledgerAccepted, lastSeq)
	return nil
}

// got notes that the user is given rec, and says what is wrong with that.
func (l ledger) got(rec *ring.Record) error {
	k, whole := number(rec.Data)
	if rec.Flags&ring.FlagGap != 0 { // it stands for a message
		k, whole = int(rec.Seq)-1, true
	}
	switch {
	case !whole:
		return fmt.Errorf("sequence %d: %d torn bytes", rec.Seq, len(rec.Data))
	case uint64(k)+1 != rec.Seq:
		return fmt.Errorf("message %d has sequence %d", k, rec.Seq)
	case l.mem[ledgerGot+k] > 0 && !rec.Redelivered:
		return fmt.Errorf("message %d came again, unflagged", k)
	}
	l.mem[ledgerGot+k]++
	return nil
}

// settled checks that every accepted message has come.
func (l ledger) settled() error {
	for k := int(l.get(ledgerDiscarded)); k < int(l.get(ledgerAccepted)); k++ {
		if l.mem[ledgerGot+k] == 0 && l.mem[ledgerMaybe+k] == 0 {
			return fmt.Errorf("message %d of %d was lost", k, l.get(ledgerAccepted))
		}
	}
	return nil
}
