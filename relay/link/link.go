// SPDX-License-Identifier: Apache-2.0

package link

import (
	"errors"
	"fmt"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/relay/wire"
	"github.com/skybus-io/skybus/ring"
)

// Times in nanoseconds.
const (
	PingEvery = 1e9 // between two PINGs (L16)
	DeadAfter = 3e9 // without a frame
	AckAfter  = 1e6 // an ACK waits no longer for something to ride with (L6)
)

const (
	ackShare   = 8        // an ACK goes alone after this part of the ring has been stored, or released
	quantum    = 32 << 10 // payload bytes that a stream of priority 0 sends in its turn (L9)
	takeAtOnce = 128
	refFrom    = 4 << 10 // payloads from this size are sent from where they are
	maxStreams = 1 << 17
)

// HeldWait is how long a lane that goes on in a larger ring waits for the far side to consume
// what is left in the old one (L5), in nanoseconds.
const HeldWait = int64(20e6)

// Release says what moves the head of the origin's lane (L5).
type Release uint8

// The two policies.
const (
	OnConsumed Release = iota // the far process has taken it
	OnStored                  // it is in the far host's memory
)

// A Source is the origin's end of a lane: channel.Source.
type Source interface {
	Epoch() uint64
	Size() uint64
	First() uint64
	Next() uint64
	Consumed() uint64
	Confirm(seq uint64)
	Again() error
	Doubtful() uint64
	Ready() bool
	Held() bool
	Take(recs []ring.Record, maxBytes uint64) (int, error)
	Release(seq uint64)
	Restart()
}

// A Sink is the far side's end of a mirrored lane: channel.Sink.
type Sink interface {
	Epoch() uint64
	Stored() uint64
	Fresh() bool
	Consumed() (uint64, error)
	Space() (free, size uint64)
	Renew(epoch, seq uint64, gap []byte) error
	Grow(n int) error
	Claim(n int, flags uint8) ([]byte, error)
	Add(p []byte) error
	Commit()
	Abort()
	Close()
}

// A Host is what a Session asks of the daemon that it belongs to. It is called by
// whoever calls the Session.
type Host interface {
	// Greet judges the peer's HELLO; a notice other than nil refuses the connection.
	Greet(h *wire.Hello) *wire.Notice
	// Join answers a host that is in no cluster yet; a notice other than nil refuses it.
	Join(j *wire.Join) (*wire.Joined, *wire.Notice)
	// Admit judges a stream that the peer opens; a notice other than nil refuses it.
	Admit(src, dst addr.Addr) *wire.Notice
	// Sink opens the mirrored lane, nil if there is none.
	Sink(src, dst addr.Addr) (Sink, error)
	// MakeSink makes it. seq is its first record's number, gap the payload of a
	// GAP that comes before, or nil; the ring is made for an origin with one of size bytes.
	MakeSink(src, dst addr.Addr, epoch, seq, size uint64, gap []byte) (Sink, error)
	// Code says how an error of the last two, or of a Sink, is told to the peer.
	Code(err error) wire.Code
	// Look is called before the lane's state is read: what its reader releases
	// from then on has to be told by Touch.
	Look(in *Inbound)
	// Woken tells that a stream goes on that had to wait for the far side.
	Woken(st *Stream)
	// Opened and Closed tell of an inbound stream that flows, and no longer does.
	Opened(in *Inbound)
	Closed(in *Inbound)
	// Refused tells that the peer does not take the stream, or no longer.
	Refused(st *Stream, n wire.Notice)
	// Undeliverable takes a record that the far side will never take. Only when
	// it has returned nil the stream goes on without it.
	Undeliverable(st *Stream, rec *ring.Record) error
	// Lost tells of a GAP that was sent or received.
	Lost(src, dst addr.Addr, g *wire.Gap)
}

// Config is what a Session is told about both sides.
type Config struct {
	Hello     wire.Hello // ours
	Answers   bool       // the other side connected: HELLO goes out when its own was judged
	Direct    bool       // large payloads are not copied: Out refers to the lane's memory
	Payload   int        // bytes of records in one frame, at most; 0 is wire.MaxPayload
	InFlight  uint64     // record bytes that are sent and not stored, from which on no record is begun; 0 is no limit
	Handshake int64      // nanoseconds until the peer's HELLO has come
}

// ErrOver means that the connection is over, as the peer said or because it was silent.
var ErrOver = errors.New("the connection is over")

// ErrAnswered means that a newcomer has asked where the cluster is, and was told. It is an ErrOver.
var ErrAnswered = fmt.Errorf("%w: JOIN was answered", ErrOver)

// Stats counts what went through a session.
type Stats struct {
	SentMessages, SentBytes         uint64 // payload
	ReceivedMessages, ReceivedBytes uint64
	Resent                          uint64 // records that a connection before this one had sent, too
	Duplicates                      uint64 // records received again, and dropped
	Stale                           uint64 // frames of another epoch, or of a stream that is closed; dropped
	Stalls                          uint64 // times that a stream had something to send and no credit
	GapsSent, GapsReceived          uint64
	RTT                             int64 // nanoseconds, of the last PING; 0 before
	InFlight                        uint64
	Streams, Inbound                int
}

// Out gathers what is to be written. It is used again after Reset.
type Out struct {
	Segments [][]byte // complete after Done
	Bytes    int
	cur      []byte
	spare    []byte
}

// Reset empties o.
func (o *Out) Reset() {
	o.Segments, o.Bytes = o.Segments[:0], 0
	if o.spare == nil {
		o.spare = make([]byte, 0, maxOut+2*wire.MaxFrame)
	}
	o.cur = o.spare[:0]
}

// Done ends the last segment.
func (o *Out) Done() {
	if len(o.cur) > 0 {
		o.Segments = append(o.Segments, o.cur)
		o.cur = o.cur[len(o.cur):]
	}
}

// add appends bytes that are copied.
func (o *Out) add(p []byte) {
	o.cur = append(o.cur, p...)
	o.Bytes += len(p)
}

// ref appends p itself.
func (o *Out) ref(p []byte) {
	o.Done()
	o.Segments = append(o.Segments, p)
	o.Bytes += len(p)
}
