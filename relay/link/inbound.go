// SPDX-License-Identifier: Apache-2.0

package link

import (
	"fmt"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/relay/wire"
	"github.com/skybus-io/skybus/ring"
)

// Reasons of a GAP.
const (
	ReasonDiscarded = 1 // somebody has cleaned the lane
	ReasonNewLife   = 2 // the origin's host, or its lane, has lost its memory
	ReasonFarLost   = 3 // the far host has lost what the origin had given up
	ReasonTooBig    = 4 // the far side takes no such record
	ReasonElsewhere = 5 // nothing is lost: another host has consumed them
	ReasonDisk      = 6 // a durable lane's file was not whole after a crash of the host
)

// An Inbound is a lane from another host, as one connection carries it.
type Inbound struct {
	Src, Dst addr.Addr
	Owner    any // whoever has the connection

	num    uint32
	epoch  uint64
	sink   Sink
	stored uint64

	received uint64 // record bytes since RESUME
	granted  uint64 // credit, as told

	part    []byte // claimed for a large record, of which off bytes are here
	partSeq uint64
	off     uint32
	flag    uint8

	largest bool // the ring does not grow any more
	dirty   bool // in the session's list of those that owe an ACK
	since   int64
	told    uint64 // consumed, in the last ACK
	bytes   uint64 // of records since the last ACK
	often   uint64 // an ACK goes alone after so many
}

// Sink returns what the stream is written to.
func (in *Inbound) Sink() Sink { return in.sink }

func laneKey(in *Inbound) [2]addr.Addr { return [2]addr.Addr{in.Src, in.Dst} }

// refuse ends a stream at the far side; what still comes of it is dropped.
func (s *Session) refuse(num uint32, in *Inbound, n wire.Notice) {
	s.control = wire.AppendNotice(s.control, wire.TypeRefuse, num, n)
	if in != nil {
		s.drop(in)
	}
}

// Dismiss refuses a stream that flows: the routes do not give it to the peer any more.
func (s *Session) Dismiss(in *Inbound) {
	if in.sink != nil {
		s.refuse(in.num, in, wire.Notice{Code: wire.CodeNotYours, Text: "the routes have changed"})
	}
}

func (s *Session) drop(in *Inbound) {
	delete(s.inbound, in.num)
	delete(s.lanes, laneKey(in))
	s.host.Closed(in)
	in.sink.Abort()
	in.sink.Close()
	in.sink = nil
}

func (s *Session) onOpen(num uint32, o *wire.Open) error {
	if num <= s.lastOpen || len(s.inbound) >= maxStreams {
		return protocolf("OPEN of stream %d after %d, with %d open", num, s.lastOpen, len(s.inbound))
	}
	s.lastOpen = num
	in := &Inbound{Src: addr.Addr(o.Src), Dst: addr.Addr(o.Dst), num: num, epoch: o.Epoch}
	if old := s.lanes[laneKey(in)]; old != nil {
		return protocolf("%v -> %v is open as stream %d, and again as %d", in.Src, in.Dst, old.num, num)
	}
	if n := s.host.Admit(in.Src, in.Dst); n != nil {
		s.refuse(num, nil, *n)
		return nil
	}
	unknown, err := s.takeUp(in, o)
	if err != nil {
		s.refuse(num, nil, wire.Notice{Code: s.host.Code(err), Text: err.Error()})
		return nil
	}
	if in.sink == nil {
		s.refuse(num, nil, wire.Notice{Code: wire.CodeOlder, Text: fmt.Sprintf("epoch %d is over", o.Epoch)})
		return nil
	}
	in.stored = in.sink.Stored()
	s.inbound[num], s.lanes[laneKey(in)] = in, in
	state, err := s.state(in)
	if err != nil {
		s.refuse(num, in, wire.Notice{Code: s.host.Code(err), Text: err.Error()})
		return nil
	}
	flags := uint8(0)
	if unknown {
		flags = wire.FlagUnknown
	}
	s.host.Opened(in)
	s.control = wire.AppendState(s.control, wire.TypeResume, flags, num, &state)
	return nil
}

// takeUp opens the lane of a stream, or makes it, or begins its new life.
// in.sink stays nil if the life is over.
func (s *Session) takeUp(in *Inbound, o *wire.Open) (unknown bool, err error) {
	sink, err := s.host.Sink(in.Src, in.Dst)
	if err != nil {
		return false, err
	}
	var gap *wire.Gap
	if o.First-1 > o.Consumed { // released there, and not known to be consumed here
		gap = &wire.Gap{Epoch: o.Epoch, From: o.Consumed + 1, To: o.First - 1, Reason: ReasonFarLost, Text: "this host has lost its memory"}
	}
	switch {
	case sink == nil:
		in.sink, err = s.host.MakeSink(in.Src, in.Dst, o.Epoch, o.First, o.Size, s.lost(in, gap))
		return true, err
	case sink.Epoch() > o.Epoch: // L1
		sink.Close()
		return false, nil
	case sink.Epoch() == o.Epoch:
		in.sink = sink
		return sink.Fresh(), nil // the origin may have died before it knew
	}
	if last := sink.Epoch(); last != 0 { // L11; 0 is that of a lane which no relay has written yet
		gap = &wire.Gap{Epoch: last, From: sink.Stored() + 1, Reason: ReasonNewLife, Text: "the lane began anew at its origin"}
	}
	if err := sink.Renew(o.Epoch, o.First, s.lost(in, gap)); err != nil {
		sink.Close()
		return false, err
	}
	in.sink = sink
	return true, nil
}

// lost returns g as a record's payload, nil for no gap.
func (s *Session) lost(in *Inbound, g *wire.Gap) []byte {
	if g == nil {
		return nil
	}
	s.stats.GapsReceived++
	s.host.Lost(in.Src, in.Dst, g)
	return wire.GapRecord(g)
}

// state is what the origin is told (L4, L7).
func (s *Session) state(in *Inbound) (wire.State, error) {
	s.host.Look(in)
	consumed, err := in.sink.Consumed()
	free, size := in.sink.Space()
	switch full := free < size/2-size/8; {
	case !full:
		in.largest = false
	case !in.largest && in.part == nil && in.received > 0: // it holds the origin up, or is about to
		if in.sink.Grow(0) == nil {
			free, size = in.sink.Space()
		} else {
			in.largest = true
		}
	}
	if keep := size/4 + ring.HeaderSize; free > keep && in.part == nil {
		in.granted = max(in.granted, in.received+free-keep)
	}
	in.told, in.often = consumed, size/ackShare
	if consumed > in.stored { // a GAP has number 0, and nobody has taken it
		consumed = 0
	}
	return wire.State{Epoch: in.epoch, Stored: in.stored, Consumed: consumed, Credit: in.granted, Largest: uint32(size / 4)}, err
}

func (s *Session) onData(in *Inbound, body []byte, now int64) error {
	epoch, seq, rest, err := wire.ParseData(body)
	if err != nil || epoch != in.epoch {
		s.stats.Stale++
		return err
	}
	if in.part != nil {
		return protocolf("%v -> %v: DATA within record %d", in.Src, in.Dst, in.partSeq)
	}
	for ; len(rest) > 0; seq++ {
		var payload []byte
		var flags uint8
		if payload, flags, rest, err = wire.NextRecord(rest); err != nil {
			return err
		}
		if fresh, err := s.expect(in, seq, len(payload)); err != nil {
			return err
		} else if !fresh {
			continue
		}
		if flags == 0 {
			err = in.sink.Add(payload)
		} else {
			var b []byte
			b, err = in.sink.Claim(len(payload), ring.FlagRedel)
			copy(b, payload)
		}
		if err != nil {
			in.sink.Commit()
			s.refuse(in.num, in, wire.Notice{Code: s.host.Code(err), Text: err.Error()})
			return nil
		}
		s.have(in, seq, len(payload))
	}
	in.sink.Commit()
	s.owe(in, now)
	return nil
}

// expect judges a record's number and its size (L2, L7).
func (s *Session) expect(in *Inbound, seq uint64, n int) (fresh bool, err error) {
	switch {
	case seq <= in.stored:
		s.stats.Duplicates++
		return false, nil
	case seq != in.stored+1:
		return false, protocolf("%v -> %v: record %d after %d", in.Src, in.Dst, seq, in.stored)
	case uint64(n) > uint64(s.cfg.Hello.MaxRecord): // L8
		return false, protocolf("%v -> %v: record %d of %d bytes, the most is %d", in.Src, in.Dst, seq, n, s.cfg.Hello.MaxRecord)
	case in.received+ring.RecordSize(n) > in.granted:
		return false, protocolf("%v -> %v: record %d of %d bytes is beyond the credit of %d", in.Src, in.Dst, seq, n, in.granted)
	}
	return true, nil
}

// have accounts for a record that is in the ring, and visible with the next commit.
func (s *Session) have(in *Inbound, seq uint64, n int) {
	size := ring.RecordSize(n)
	in.stored = seq
	in.received += size
	in.bytes += size
	s.stats.ReceivedMessages++
	s.stats.ReceivedBytes += uint64(n)
}

// owe notes that the origin is to get an ACK.
func (s *Session) owe(in *Inbound, now int64) {
	if !in.dirty {
		in.dirty, in.since = true, now
		s.dirty = append(s.dirty, in)
	}
	if in.bytes >= in.often {
		s.due = true
	}
	s.ackAt = min(s.ackAt, in.since+AckAfter)
}

// Sweep looks at all lanes whose readers may have died before they told what they
// had released.
func (s *Session) Sweep(now int64) {
	for _, in := range s.inbound {
		if consumed, err := in.sink.Consumed(); err != nil || consumed != in.told {
			s.owe(in, now)
		}
	}
}

// Touch tells that the lane's reader has released something.
func (s *Session) Touch(in *Inbound, now int64) {
	if in.sink == nil {
		return
	}
	s.owe(in, now)
	if free, size := in.sink.Space(); in.granted+size/ackShare < in.received+free-min(free, size/4) {
		s.due = true // a good part of the ring: the origin may be waiting for it
	}
}

func (s *Session) onFrag(in *Inbound, body []byte, now int64) error {
	f, err := wire.ParseFrag(body)
	if err != nil || f.Epoch != in.epoch {
		s.stats.Stale++
		return err
	}
	if in.part == nil {
		if f.Offset != 0 {
			return protocolf("%v -> %v: record %d begins at byte %d", in.Src, in.Dst, f.Seq, f.Offset)
		}
		fresh, err := s.expect(in, f.Seq, int(f.Length))
		if err == nil && !fresh {
			err = protocolf("%v -> %v: record %d again", in.Src, in.Dst, f.Seq)
		}
		if err != nil {
			return err
		}
		flags := uint8(0)
		if f.Flags != 0 {
			flags = ring.FlagRedel
		}
		if in.part, err = in.sink.Claim(int(f.Length), flags); err != nil {
			in.part = nil
			s.refuse(in.num, in, wire.Notice{Code: s.host.Code(err), Text: err.Error()})
			return nil
		}
		in.partSeq, in.off, in.flag = f.Seq, 0, f.Flags
	}
	if f.Seq != in.partSeq || f.Offset != in.off || int(f.Length) != len(in.part) || f.Flags != in.flag {
		return protocolf("%v -> %v: byte %d of record %d, where byte %d of %d was to come", in.Src, in.Dst, f.Offset, f.Seq, in.off, in.partSeq)
	}
	copy(in.part[f.Offset:], f.Part)
	if in.off += uint32(len(f.Part)); int(in.off) == len(in.part) {
		in.sink.Commit()
		n := len(in.part)
		in.part = nil
		s.have(in, f.Seq, n)
		s.owe(in, now)
	}
	return nil
}

func (s *Session) onGap(in *Inbound, body []byte, now int64) error {
	g, err := wire.ParseGap(body)
	if err != nil || g.Epoch != in.epoch {
		s.stats.Stale++
		return err
	}
	switch {
	case in.part != nil || g.From != in.stored+1 || g.To < g.From:
		return protocolf("%v -> %v: GAP from %d to %d after %d", in.Src, in.Dst, g.From, g.To, in.stored)
	}
	record := []byte(nil)
	if g.Reason != ReasonElsewhere {
		record = s.lost(in, &g)
	}
	if err := in.sink.Renew(in.epoch, g.To+1, record); err != nil {
		s.refuse(in.num, in, wire.Notice{Code: s.host.Code(err), Text: err.Error()})
		return nil
	}
	in.stored = g.To
	s.owe(in, now)
	return nil
}

// onWant makes room for a record that the ring cannot take.
func (s *Session) onWant(in *Inbound, body []byte, now int64) error {
	epoch, n, err := wire.ParseWant(body)
	if err != nil || epoch != in.epoch {
		s.stats.Stale++
		return err
	}
	_, size := in.sink.Space()
	switch {
	case n > s.cfg.Hello.MaxRecord:
		s.refuse(in.num, in, wire.Notice{Code: wire.CodeTooBig, Text: fmt.Sprintf("%d bytes, the most is %d", n, s.cfg.Hello.MaxRecord)})
		return nil
	case in.part == nil && ring.RecordSize(int(n)) > size/4:
		if err := in.sink.Grow(int(n)); err != nil {
			s.refuse(in.num, in, wire.Notice{Code: s.host.Code(err), Text: err.Error()})
			return nil
		}
	}
	s.due = true
	s.owe(in, now)
	return nil
}
