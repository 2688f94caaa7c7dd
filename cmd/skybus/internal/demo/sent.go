// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"fmt"
	"os"
)

// The words of the ledger of what was sent. The producer alone writes them.
const (
	wordTried    = iota // number of the last message that a Send was begun for
	wordAccepted        // number of the last message whose Send returned nil, or that LastSeq says was accepted
	wordBytes           // payload bytes accepted, about
	wordStarts          // processes that have taken the ledger up
	wordFate            // what became of the Send that the one before died in

	sentSize = 4096
)

// What became of the Send that a producer was killed in.
const (
	fateNone     = iota // it was not in a Send
	fateAccepted        // the message counts
	fateDropped         // it does not, and is sent again
)

// sentLedger is the producer's side of the ledger of what was sent.
type sentLedger struct {
	f *os.File
	words
}

func openSent(path string) (*sentLedger, error) {
	f, mem, err := mapFile(path, sentSize)
	if err != nil {
		return nil, err
	}
	if err := allocate(f, 0, sentSize); err != nil {
		unmapFile(f, mem)
		return nil, err
	}
	return &sentLedger{f, mem}, nil
}

func (l *sentLedger) close() { unmapFile(l.f, l.words) }

// resume settles what the last producer left open: the bus says that last is the
// last message it has accepted.
func (l *sentLedger) resume(last uint64) error {
	tried, accepted := l.get(wordTried), l.get(wordAccepted)
	if last != accepted && last != tried {
		return fmt.Errorf("the bus says that %d messages were accepted; the ledger has %d accepted and %d tried", last, accepted, tried)
	}
	fate := uint64(fateNone)
	switch {
	case tried != accepted && last == tried:
		fate = fateAccepted
	case tried != accepted:
		fate = fateDropped
	}
	l.set(wordAccepted, last)
	l.set(wordFate, fate)
	l.add(wordStarts, 1)
	return nil
}

// begin and end surround the Send of the next message.
func (l *sentLedger) begin() (n uint64) {
	n = l.get(wordAccepted) + 1
	l.set(wordTried, n)
	return n
}

func (l *sentLedger) end(n uint64, size int) {
	l.set(wordAccepted, n)
	l.add(wordBytes, uint64(size))
}

// sentState is a copy of the ledger.
type sentState struct{ tried, accepted, bytes, starts, fate uint64 }

// readSent reads the ledger as anybody may.
func readSent(f *os.File) (s sentState, err error) {
	w := make(words, 64)
	if _, err = f.ReadAt(w, 0); err != nil {
		return s, fmt.Errorf("read the ledger of what was sent: %w", err)
	}
	return sentState{w.get(wordTried), w.get(wordAccepted), w.get(wordBytes), w.get(wordStarts), w.get(wordFate)}, nil
}
