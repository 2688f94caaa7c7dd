// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"fmt"
	"io"
	"os"

	"github.com/skybus-io/skybus"
)

// The ledger of what was seen: words, counts of delays, then a byte of marks for
// each message number. What the verdict is made of is the marks; the rest is for
// the progress, and may be off by a message for each time the consumer is killed.
const (
	wordFirst   = iota // messages seen for the first time
	wordFlagged        // messages that came flagged as redelivered
	wordAgain          // of them those that were recorded already
	wordDelays  = 64   // the first count of delays

	marksAt   = 64 << 10
	maxNumber = 1<<30 - 1
	chunk     = 1 << 20 // marks that get memory together
)

// The marks of a message. Each byte is written with one store.
const (
	markSeen    = 1 << 0
	markTorn    = 1 << 1 // its checksum was wrong
	markAstray  = 1 << 2 // it came out of order, or with another sequence than its number
	markDoubled = 1 << 3 // two bits: how often it came again and was not flagged
	markAgain   = 1 << 5 // three bits: how often it came again and was flagged

	maxDoubled = 3
	maxAgain   = 7
)

// doubled and again read how often a message came again.
func doubled(mark byte) byte { return mark / markDoubled & maxDoubled }
func again(mark byte) byte   { return mark / markAgain & maxAgain }

// seenLedger is the consumer's side of the ledger of what was seen.
type seenLedger struct {
	f      *os.File // nil in memory that needs no allocation
	mem    []byte   // head and marks
	head   words
	marks  []byte // by message number
	backed uint64 // the chunk of marks that was allocated last, from 1
}

func openSeen(path string) (*seenLedger, error) {
	f, mem, err := mapFile(path, marksAt+maxNumber+1)
	if err != nil {
		return nil, err
	}
	if err := allocate(f, 0, marksAt); err != nil {
		unmapFile(f, mem)
		return nil, err
	}
	return &seenLedger{f: f, mem: mem, head: mem[:marksAt], marks: mem[marksAt:]}, nil
}

func (l *seenLedger) close() { unmapFile(l.f, l.mem) }

// note records a message that arrived at the time now.
func (l *seenLedger) note(m skybus.Message, now int64) error {
	n, sent, whole := read(m.Data)
	if !whole {
		n = m.Seq // nothing else tells which one it was
	}
	if err := l.back(n); err != nil {
		return err
	}
	old := l.marks[n]
	l.marks[n] = l.mark(old, n, m, whole)
	l.count(m.Redelivered, old&markSeen == 0, now-sent)
	return nil
}

func (l *seenLedger) count(flagged, first bool, delay int64) {
	if flagged {
		l.head.add(wordFlagged, 1)
	}
	if flagged && !first {
		l.head.add(wordAgain, 1)
	}
	if first {
		l.head.add(wordFirst, 1)
		l.head.add(wordDelays+bucketOf(delay), 1)
	}
}

// mark returns the marks of message n, which had old before it arrived.
func (l *seenLedger) mark(old byte, n uint64, m skybus.Message, whole bool) byte {
	mark := old | markSeen
	switch {
	case old&markSeen == 0:
		if n > 1 && l.marks[n-1]&markSeen == 0 {
			mark |= markAstray
		}
	case m.Redelivered && again(old) < maxAgain:
		mark += markAgain
	case !m.Redelivered && doubled(old) < maxDoubled:
		mark += markDoubled
	}
	if !whole {
		mark |= markTorn
	}
	if n != m.Seq {
		mark |= markAstray
	}
	return mark
}

// back makes sure that there is memory for the marks of n and of the one before.
func (l *seenLedger) back(n uint64) error {
	if n < 1 || n >= uint64(len(l.marks)) {
		return fmt.Errorf("message %d: the ledger has room for messages 1 to %d", n, len(l.marks)-1)
	}
	c := n/chunk + 1
	if c == l.backed || l.f == nil {
		return nil
	}
	l.backed = c
	return allocate(l.f, marksAt+int64(c-1)*chunk, chunk)
}

// seenState is a copy of the ledger without the marks.
type seenState struct {
	first, flagged, again uint64
	delays                delays
}

// readSeen reads the ledger as anybody may.
func readSeen(r io.ReaderAt) (s seenState, err error) {
	w := make(words, 8*(wordDelays+buckets))
	if _, err := r.ReadAt(w, 0); err != nil {
		return s, fmt.Errorf("read the ledger of what was seen: %w", err)
	}
	s.first, s.flagged, s.again = w.get(wordFirst), w.get(wordFlagged), w.get(wordAgain)
	for i := range s.delays {
		s.delays[i] = w.get(wordDelays + i)
	}
	return s, nil
}
