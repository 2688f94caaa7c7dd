// SPDX-License-Identifier: Apache-2.0

//go:build linux

package killtest

import (
	"encoding/binary"
	"fmt"
	"os"
	"syscall"
)

const (
	wordSize   = 8
	laneHeader = 4 * wordSize // last, and room to grow
)

// mapFile maps size bytes of the file at path, which it makes if need be. The
// mapping stays for the life of the process, or until unmap.
func mapFile(path string, size int) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o660)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := f.Truncate(int64(size)); err != nil {
		return nil, err
	}
	mem, err := syscall.Mmap(int(f.Fd()), 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return nil, &os.PathError{Op: "mmap", Path: path, Err: err}
	}
	return mem, nil
}

func unmap(mem *[]byte) {
	if *mem != nil {
		_ = syscall.Munmap(*mem)
		*mem = nil
	}
}

// load and store are one instruction on little-endian machines: another process
// sees the old word or the new one.
func load(mem []byte, word int) uint64     { return binary.LittleEndian.Uint64(mem[word*wordSize:]) }
func store(mem []byte, word int, v uint64) { binary.LittleEndian.PutUint64(mem[word*wordSize:], v) }

// Words are numbers that the processes of a test share, each written by one of
// them: orders, counts.
type Words struct{ mem []byte }

// OpenWords maps the file at path as n words, 0 at first.
func OpenWords(path string, n int) (*Words, error) {
	mem, err := mapFile(path, n*wordSize)
	return &Words{mem}, err
}

// Get returns word i.
func (w *Words) Get(i int) uint64 { return load(w.mem, i) }

// Set stores v in word i.
func (w *Words) Set(i int, v uint64) { store(w.mem, i, v) }

// Add adds n to word i, which only the caller writes.
func (w *Words) Add(i int, n uint64) { store(w.mem, i, load(w.mem, i)+n) }

// Close unmaps the file.
func (w *Words) Close() { unmap(&w.mem) }

// Sent is a sender's ledger. For each lane it knows up to which number sending
// was attempted, and up to which it was accepted.
type Sent struct{ mem []byte }

// OpenSent maps the ledger of so many lanes at path.
func OpenSent(path string, lanes int) (*Sent, error) {
	mem, err := mapFile(path, lanes*2*wordSize)
	return &Sent{mem}, err
}

// Attempt notes that messages up to n are about to be sent.
func (s *Sent) Attempt(lane int, n uint64) { store(s.mem, 2*lane, n) }

// Accept notes that the bus took all messages up to n.
func (s *Sent) Accept(lane int, n uint64) { store(s.mem, 2*lane+1, n) }

// Attempted and Accepted return what was noted.
func (s *Sent) Attempted(lane int) uint64 { return load(s.mem, 2*lane) }

// Accepted returns up to where the bus took the messages.
func (s *Sent) Accepted(lane int) uint64 { return load(s.mem, 2*lane+1) }

// Resume notes last, which the bus says was the last message accepted of a lane,
// and reports whether that can be: every message that was accepted counts, and
// none that was never attempted.
func (s *Sent) Resume(lane int, last uint64) error {
	accepted, attempted := s.Accepted(lane), s.Attempted(lane)
	if last < accepted || last > attempted {
		return fmt.Errorf("lane %d: the bus took messages up to %d, the sender was told so up to %d and had tried up to %d",
			lane, last, accepted, attempted)
	}
	s.Accept(lane, last)
	return nil
}

// Close unmaps the ledger.
func (s *Sent) Close() { unmap(&s.mem) }

// Received is a receiver's ledger: for each lane the last number, and a byte for
// each message that says how often it came. The file is sparse.
type Received struct {
	mem   []byte
	lanes int
	most  uint64
}

// Received's byte of a message: how often it came unflagged, and how often
// flagged; both stop at 15.
const (
	countMask  = 0x0f
	flagsShift = 4
)

// OpenReceived maps the ledger of so many lanes, with the numbers 1 to most, at path.
func OpenReceived(path string, lanes int, most uint64) (*Received, error) {
	mem, err := mapFile(path, lanes*(laneHeader+int(most)+wordSize))
	return &Received{mem, lanes, most}, err
}

func (r *Received) lane(i int) []byte {
	size := laneHeader + int(r.most) + wordSize
	return r.mem[i*size : (i+1)*size]
}

// Last returns the highest number that came through a lane.
func (r *Received) Last(lane int) uint64 { return load(r.lane(lane), 0) }

// Mark notes message n of a lane. It reports what no message may do: be out of
// the ledger, leave a gap unless gaps are allowed, or come again without flag.
func (r *Received) Mark(lane int, n uint64, flagged, gaps bool) error {
	mem := r.lane(lane)
	if n == 0 || n > r.most {
		return fmt.Errorf("lane %d: message number %d, the ledger has room for 1 to %d", lane, n, r.most)
	}
	last, mark := load(mem, 0), mem[laneHeader+n]
	switch {
	case mark != 0 && !flagged:
		return fmt.Errorf("lane %d: message %d came before (%#x), and comes again without a flag", lane, n, mark)
	case n > last+1 && !gaps:
		return fmt.Errorf("lane %d: message %d after %d: a gap", lane, n, last)
	case n < last && mark == 0 && !flagged:
		return fmt.Errorf("lane %d: message %d after %d: out of order", lane, n, last)
	}
	mem[laneHeader+n] = count(mark, flagged)
	if n > last {
		store(mem, 0, n)
	}
	return nil
}

func count(mark byte, flagged bool) byte {
	unflagged, again := mark&countMask, mark>>flagsShift
	if flagged {
		again = min(again+1, 15)
	} else {
		unflagged = min(unflagged+1, 15)
	}
	return again<<flagsShift | unflagged
}

// A Tally adds up what came through a lane.
type Tally struct {
	Messages uint64 // numbers that came
	Missing  uint64 // numbers up to accepted that did not
	Again    uint64 // numbers that came more than once
	Doubled  uint64 // numbers that came more than once without a flag
	Beyond   uint64 // numbers that came although they were not accepted
}

// Tally judges a lane of which messages up to accepted were sent.
func (r *Received) Tally(lane int, accepted uint64) (t Tally) {
	mem := r.lane(lane)[laneHeader:]
	for n := uint64(1); n <= max(accepted, r.Last(lane)); n++ {
		mark := mem[n]
		unflagged, again := mark&countMask, mark>>flagsShift
		switch {
		case mark == 0:
			t.Missing++
		case n > accepted:
			t.Beyond++
		default:
			t.Messages++
		}
		if unflagged > 1 {
			t.Doubled++
		}
		if unflagged+again > 1 {
			t.Again++
		}
	}
	return t
}

// Close unmaps the ledger.
func (r *Received) Close() { unmap(&r.mem) }
