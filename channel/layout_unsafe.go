// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"structs"
	"sync/atomic"
	"unsafe"

	"github.com/skybus-io/skybus/ring"
	"github.com/skybus-io/skybus/shm"
)

// The three kinds of segment. docs/format/domain.md has their pages.
var (
	magicTable = shm.Magic{'S', 'K', 'Y', 'T', 'A', 'B', 'L', 'E'}
	magicInbox = shm.Magic{'S', 'K', 'Y', 'I', 'N', 'B', 'O', 'X'}
	magicLane  = shm.Magic{'S', 'K', 'Y', 'L', 'A', 'N', 'E', 0}
)

// Sizes and offsets in bytes.
const (
	pageSize = 4096

	tableStateAt    = 128
	tableHeaderSize = pageSize
	endpointSize    = 128
	laneSize        = 512

	inboxBellAt = 128
	inboxBitsAt = 512
	inboxWords  = 256 // bitmap words: 16,384 lanes
	inboxSize   = pageSize

	laneMarksAt    = 128 // the ring's marks: the consumer's line, and 8 bytes of the producer's
	laneProducerAt = 264 // the rest of the producer's line
	laneDataAt     = pageSize
	descSize       = 96
	reasonSize     = 80
	commSize       = 32
)

// MaxInboxLanes is the number of lanes that one address can receive from.
const MaxInboxLanes = inboxWords * 64

// tableBody is the table's immutable part.
type tableBody struct {
	_           structs.HostLayout
	key         uint32
	laneCap     uint32 // lane entries that the file has addresses for
	endpointCap uint32
	_           uint32
	template    [64]byte // text of the address template, ended by 0
	_           [16]byte
}

// tableState is what changes. All of it is written under the change lock, but
// for bytes, which consumers lower without it.
type tableState struct {
	_          structs.HostLayout
	lanes      atomic.Uint32 // entries that have been used; only grows
	endpoints  atomic.Uint32 // likewise
	mutation   atomic.Uint64 // odd while a change is under way: found odd, its owner died in it
	epoch      atomic.Uint64 // counts entries freed: an index made before is stale
	bytes      atomic.Uint64 // of all lane segments
	flags      atomic.Uint32 // tableStrict, tableAllowUnknown
	maxLanes   atomic.Uint32 // budget
	maxBytes   atomic.Uint64 // budget, bytes of lane segments
	maxMessage atomic.Uint64 // bytes
	growBytes  atomic.Uint64 // a full lane grows up to this size
	idleSecs   atomic.Uint32 // an on-demand lane idle for so long is given back; 0 never
	number     atomic.Uint32 // last channel number given out
	freed      atomic.Uint32 // entries below lanes that are free
	relayKey   atomic.Uint32 // of the route table that applies; 0: all addresses are of this host
	epochs     atomic.Uint64 // the last epoch given to a lane
}

const (
	tableStrict       = 1 << 0 // no channel, no send
	tableAllowUnknown = 1 << 1 // lanes to addresses that were never bound
)

// endpointEntry tells of an address that is configured or was ever bound.
// Whether it is bound now only the lock knows.
type endpointEntry struct {
	_     structs.HostLayout
	state atomic.Uint32 // endpointFree, endpointKnown
	addr  uint32
	pid   atomic.Uint32 // of the last binder
	pidNS atomic.Uint32 // its PID namespace
	since atomic.Int64  // Unix nanoseconds of the bind; 0 after a clean close
	binds atomic.Uint64
	comm  [commSize]byte // the binder's program name
	parks atomic.Uint64  // waits that had to sleep
	sweep atomic.Uint64  // sweeps of all lanes
	_     [48]byte
}

const (
	endpointFree = iota
	endpointKnown
)

// laneEntry tells of one lane: who, where, and the counters of both sides.
type laneEntry struct {
	_          structs.HostLayout
	state      atomic.Uint32 // lane* below; stored last when an entry is made
	src, dst   uint32
	slot       uint32        // bit in the ready set of dst's inbox
	gen        atomic.Uint32 // lowest generation that may exist
	flags      atomic.Uint32
	priority   atomic.Uint32 // 0..255; the lane is drained 1+priority batches a turn
	quarantine atomic.Uint32 // laneDamaged: reason says how; laneTurned: the producer is to look where the lane leads
	size       atomic.Uint64 // configured size in bytes; 0 on demand
	bytes      atomic.Uint64 // of its segments
	created    int64         // Unix nanoseconds
	number     atomic.Uint32 // of its channel, if configured
	back       uint32        // bit in the ready set of the relay: of a remote lane, and of a mirrored one for what is released
	lastSeq    atomic.Uint64 // of an idle lane: what came last
	discard    atomic.Uint64 // records up to this sequence are to be discarded by the reader
	desc       [descSize]byte
	reason     [reasonSize]byte
	prod       producerCounters
	cons       consumerCounters
}

// Lane states. A lane is idle when its memory was given back; its entry keeps
// the last sequence.
const (
	laneFree = iota
	laneMaking
	laneLive
	laneIdle
	laneRemoving
	laneTaking // its files were left behind: they stay whatever becomes of the entry
)

const (
	laneConfigured = 1 << 0 // from a configuration file: fixed size, never given back
	laneFirst      = 1 << 1 // its source is the channel's first address
	laneRemote     = 1 << 2 // its destination is on another host: the relay reads it
	laneMirror     = 1 << 3 // its source is on another host: the relay writes it
	laneDurable    = 1 << 4 // its segments are files on a disk, its records have trailers
	laneSync       = 1 << 5 // with laneDurable: Send returns when the message is on disk
	laneDoubt      = 1 << 6 // another host had something of it and has not confirmed that it was consumed
)

// What quarantine says.
const (
	laneDamaged = 1
	laneTurned  = 2
)

// producerCounters are written by the lane's producer with plain stores and
// read by anyone with atomic loads.
type producerCounters struct {
	_         structs.HostLayout
	messages  uint64
	bytes     uint64 // of payload
	full      uint64 // times that a message found no room
	highWater uint64 // bytes in use, looked at once a lap at least
	wakes     uint64 // times that the reader had to be woken
	grown     uint64
	active    int64  // Unix nanoseconds; coarse while the lane is busy
	epoch     uint64 // of a remote or mirrored lane: its life, which the host of its source names
	begin     uint64 // of a mirrored lane: the sequence with which this life began here
	_         [56]byte
}

// consumerCounters are the consumer's.
type consumerCounters struct {
	_           structs.HostLayout
	messages    uint64
	bytes       uint64
	redelivered uint64
	discarded   uint64
	wakes       uint64 // times that a producer waiting for room had to be woken
	consumed    uint64 // of a remote lane: the last sequence known to be consumed at the far side
	again       uint64 // of a remote lane: what is sent up to this sequence may have been handled before
	_           [72]byte
}

// inboxBody is the immutable part of an inbox.
type inboxBody struct {
	_    structs.HostLayout
	key  uint32
	addr uint32
	_    [88]byte
}

// inboxPage is what the senders to one address and its reader share.
type inboxPage struct {
	_     structs.HostLayout
	_     [inboxBellAt]byte
	bell  shm.Doorbell
	slots atomic.Uint32 // slots given out, under the change lock
	_     [inboxBitsAt - inboxBellAt - shm.DoorbellSize - 4]byte
	ready [inboxWords]atomic.Uint64 // one bit a lane; set by writers, cleared by the reader
	_     [inboxSize - inboxBitsAt - inboxWords*8]byte
}

// laneBody is the immutable part of a lane segment.
type laneBody struct {
	_        structs.HostLayout
	key      uint32
	src, dst uint32
	gen      uint32
	capacity uint64 // of the ring
	firstSeq uint64 // sequence of its first record
	epoch    uint64 // of a remote or mirrored lane
	begin    uint64 // of a mirrored lane: the sequence with which this life began here
	jump     uint32 // 1: its sequence does not go on from the generation before
	durable  uint32 // inMemory, onDiskAsync, onDiskSync
	_        [40]byte
}

// laneProducer is the producer's line of a lane segment, behind the ring's mark.
type laneProducer struct {
	_       structs.HostLayout
	waiting atomic.Uint32 // episode of a wait for room, 0: nobody waits; written by the producer
	_       [116]byte
}

var (
	_ = [1]struct{}{}[unsafe.Sizeof(tableBody{})-shm.BodySize]
	_ = [1]struct{}{}[unsafe.Sizeof(inboxBody{})-shm.BodySize]
	_ = [1]struct{}{}[unsafe.Sizeof(laneBody{})-shm.BodySize]
	_ = [1]struct{}{}[unsafe.Sizeof(tableState{})-88]
	_ = [1]struct{}{}[unsafe.Sizeof(endpointEntry{})-endpointSize]
	_ = [1]struct{}{}[unsafe.Sizeof(laneEntry{})-laneSize]
	_ = [1]struct{}{}[unsafe.Offsetof(laneEntry{}.desc)-80]
	_ = [1]struct{}{}[unsafe.Offsetof(laneEntry{}.prod)-256]
	_ = [1]struct{}{}[unsafe.Offsetof(laneEntry{}.cons)-384]
	_ = [1]struct{}{}[unsafe.Sizeof(inboxPage{})-inboxSize]
	_ = [1]struct{}{}[unsafe.Offsetof(inboxPage{}.ready)-inboxBitsAt]
	_ = [1]struct{}{}[laneProducerAt-laneMarksAt-ring.MarksSize]
	_ = [1]struct{}{}[unsafe.Sizeof(laneProducer{})-120]
)

// bodyBytes and bodyOf turn a kind's part of the header into bytes and back.
func bodyBytes[T any](v *T) (b [shm.BodySize]byte) {
	copy(b[:], unsafe.Slice((*byte)(unsafe.Pointer(v)), min(unsafe.Sizeof(*v), shm.BodySize)))
	return b
}

func bodyOf[T any](b [shm.BodySize]byte) (v T) {
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&v)), unsafe.Sizeof(v)), b[:])
	return v
}
