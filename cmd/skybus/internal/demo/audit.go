// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"bufio"
	"fmt"
	"io"

	"github.com/skybus-io/skybus/channel"
)

// An Audit says what became of the messages that were sent.
type Audit struct {
	Sent        uint64 `json:"sent"`         // accepted by the bus
	Received    uint64 `json:"received"`     // of them seen, each counted once
	Lost        uint64 `json:"lost"`         // of them not seen
	Duplicated  uint64 `json:"duplicated"`   // seen again and not flagged
	Torn        uint64 `json:"torn"`         // seen with a wrong checksum
	OutOfOrder  uint64 `json:"out_of_order"` // seen before the one before it, or with a wrong sequence
	Unsent      uint64 `json:"unsent"`       // seen, and never accepted
	Redelivered uint64 `json:"redelivered"`  // seen again and flagged: the consumer was killed before it had released them
}

// beyond is how far an audit looks for messages that were never sent.
const beyond = 1 << 16

// audit reads the marks of the ledger of what was seen, from message 0 on, and
// compares them with what was accepted: messages 1 to accepted.
func audit(marks io.Reader, accepted uint64) (Audit, error) {
	a := Audit{Sent: accepted}
	r := bufio.NewReaderSize(marks, 1<<20)
	if _, err := r.Discard(1); err != nil {
		return a, fmt.Errorf("read the marks: %w", err)
	}
	for n := uint64(1); n <= accepted+beyond; n++ {
		mark, err := r.ReadByte()
		if err == io.EOF && n > accepted {
			break
		}
		if err != nil {
			return a, fmt.Errorf("read the marks of message %d: %w", n, err)
		}
		a.count(mark, n <= accepted)
	}
	return a, nil
}

// count adds a message to the figures.
func (a *Audit) count(mark byte, sent bool) {
	switch seen := mark&markSeen != 0; {
	case seen && sent:
		a.Received++
	case seen:
		a.Unsent++
	case sent:
		a.Lost++
	}
	if mark&markTorn != 0 {
		a.Torn++
	}
	if mark&markAstray != 0 {
		a.OutOfOrder++
	}
	a.Duplicated += uint64(doubled(mark))
	a.Redelivered += uint64(again(mark))
}

// broken lists the promises that were not kept, for a consumer that was killed
// that many times.
func (a *Audit) broken(kills int) []string {
	list := []string{}
	for _, c := range []struct {
		n    uint64
		what string
	}{
		{a.Lost, "lost"}, {a.Duplicated, "duplicated"}, {a.Torn, "torn"},
		{a.OutOfOrder, "out of order"}, {a.Unsent, "received and never sent"},
	} {
		if c.n > 0 {
			list = append(list, messages(c.n)+" "+c.what)
		}
	}
	if most := uint64(kills) * channel.BatchSize; a.Redelivered > most {
		list = append(list, fmt.Sprintf("%s redelivered, more than the %d of %d kills", messages(a.Redelivered), most, kills))
	}
	if a.Sent == 0 {
		list = append(list, "no message was sent")
	}
	return list
}
