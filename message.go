// SPDX-License-Identifier: Apache-2.0

package skybus

import (
	"fmt"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/channel"
	"github.com/skybus-io/skybus/ring"
)

// A Message is what was sent, with where it comes from.
type Message struct {
	Src, Dst addr.Addr
	// Seq numbers the messages from Src to Dst, from 1, without gaps but those that a Gap tells of.
	Seq uint64
	// Redelivered is set when the message may have been handled before: its
	// receiver was killed, or its handler failed, before it was released.
	Redelivered bool
	// Gap is nil for a message. Otherwise this is none: it stands where messages
	// are missing that came from another host, and Data is empty.
	Gap *Gap
	// Data is the payload. Who owns it, and until when, the call says that
	// returned the message.
	Data []byte
}

func message(r *channel.Receiver, dst addr.Addr, rec *ring.Record) Message {
	if rec.Flags&ring.FlagGap != 0 {
		return Message{Src: r.Src(), Dst: dst, Seq: rec.Seq, Redelivered: rec.Redelivered, Gap: gapOf(rec)}
	}
	return Message{Src: r.Src(), Dst: dst, Seq: rec.Seq, Redelivered: rec.Redelivered, Data: rec.Data}
}

// Wait is how a call waits for a message or for room.
type Wait uint8

const (
	// WaitDefault is the endpoint's way, or the domain's.
	WaitDefault Wait = iota
	// WaitAdaptive spins for as long as experience says that pays, at most 50 us,
	// then parks. It does not spin where only one processor is to be had.
	WaitAdaptive
	// WaitSpin polls without end: the lowest latency, for one processor's time.
	WaitSpin
	// WaitPark sleeps at once: the least processor time.
	WaitPark
)

var waitNames = []string{"default", "adaptive", "spin", "park"}

// String returns the name that ParseWait reads.
func (w Wait) String() string {
	if int(w) < len(waitNames) {
		return waitNames[w]
	}
	return fmt.Sprintf("Wait(%d)", uint8(w))
}

// ParseWait reads a waiting mode: default, adaptive, spin, park.
func ParseWait(s string) (Wait, error) {
	for i, n := range waitNames {
		if n == s {
			return Wait(i), nil
		}
	}
	return 0, fmt.Errorf("waiting mode %q: want adaptive, spin or park", s)
}

func (w Wait) or(def Wait) Wait {
	if w == WaitDefault {
		return def
	}
	return w
}
