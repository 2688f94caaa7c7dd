// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"encoding/binary"
	"fmt"
)

var le = binary.LittleEndian

// A Hello is the first frame of both sides.
type Hello struct {
	Lowest, Highest uint16 // versions that the sender speaks
	Key             uint32 // of its domain
	Incarnation     uint64 // of its daemon: a later one is greater
	MaxRecord       uint32 // bytes of the largest payload that it takes
	Conn, Conns     uint16 // this connection's number, from 0, of how many
	Template        string // how its addresses are written
	Host            string // who it is
	Expected        string // who it wants to talk to; empty is anybody
}

// AppendHello appends the frame.
func AppendHello(b []byte, h *Hello) []byte {
	at := len(b)
	b = Begin(b, TypeHello, 0, 0)
	b = le.AppendUint16(b, h.Lowest)
	b = le.AppendUint16(b, h.Highest)
	b = le.AppendUint32(b, h.Key)
	b = le.AppendUint64(b, h.Incarnation)
	b = le.AppendUint32(b, h.MaxRecord)
	b = le.AppendUint16(b, h.Conn)
	b = le.AppendUint16(b, h.Conns)
	b = appendText(b, h.Template)
	b = appendText(b, h.Host)
	b = appendText(b, h.Expected)
	return End(b, at, 0)
}

// ParseHello reads a body.
func ParseHello(body []byte) (h Hello, err error) {
	r := reader{b: body}
	h.Lowest, h.Highest, h.Key, h.Incarnation, h.MaxRecord = r.u16(), r.u16(), r.u32(), r.u64(), r.u32()
	h.Conn, h.Conns = r.u16(), r.u16()
	h.Template, h.Host, h.Expected = r.text(), r.text(), r.text()
	if err = r.end(TypeHello); err == nil && (h.Lowest > h.Highest || h.Conn >= h.Conns || h.Host == "") {
		err = protocolf("HELLO of host %q with versions %d to %d and connection %d of %d", h.Host, h.Lowest, h.Highest, h.Conn, h.Conns)
	}
	return h, err
}

// Common returns the highest version that both sides speak.
func (h *Hello) Common(other *Hello) (version uint16, err error) {
	version = min(h.Highest, other.Highest)
	if version < max(h.Lowest, other.Lowest) {
		return 0, fmt.Errorf("it speaks versions %d to %d of the protocol, this side %d to %d", other.Lowest, other.Highest, h.Lowest, h.Highest)
	}
	return version, nil
}

// A Code says why something was refused, or ended.
type Code uint16

// The codes of REFUSE and BYE.
const (
	CodeVersion   Code = iota + 1 // no common version
	CodeIdentity                  // not the host that was expected, or none that is known
	CodeTemplate                  // addresses are written another way
	CodeNoRoute                   // the destination is not there
	CodeNotYours                  // the source is not the sender's
	CodeOlder                     // a newer life of the lane is known
	CodeBudget                    // no memory for the lane
	CodeTooBig                    // no such record is taken
	CodeDamaged                   // the lane is out of use
	CodeReplaced                  // a newer connection has taken its place
	CodeProtocol                  // what was sent may not be sent
	CodeStopping                  // the daemon ends
	CodeBusy                      // too many of them
	CodeNoCluster                 // the host that was asked to be joined is in no managed cluster
	codeEnd
)

var codeNames = [...]string{
	"", "no common version", "wrong identity", "another address template", "no route to the destination", "not the source's host", "an older life of the lane",
	"budget is used up", "too big", "damaged lane", "replaced by a newer connection", "protocol error", "the daemon stops", "too many", "no managed cluster",
}

// String says what the code means.
func (c Code) String() string {
	if c > 0 && c < codeEnd {
		return codeNames[c]
	}
	return fmt.Sprintf("code %d", uint16(c))
}

// A Notice is a REFUSE or a BYE.
type Notice struct {
	Code Code
	Text string
}

// AppendNotice appends a REFUSE or BYE frame. Text is cut at MaxText bytes.
func AppendNotice(b []byte, t Type, stream uint32, n Notice) []byte {
	at := len(b)
	b = Begin(b, t, 0, stream)
	b = le.AppendUint16(b, uint16(n.Code))
	b = appendText(b, n.Text)
	return End(b, at, 0)
}

// ParseNotice reads the body of a REFUSE or BYE.
func ParseNotice(body []byte) (n Notice, err error) {
	r := reader{b: body}
	n.Code, n.Text = Code(r.u16()), r.text()
	return n, r.end(TypeRefuse)
}

// An Open begins a stream.
type Open struct {
	Src, Dst          uint32
	Epoch             uint64
	First             uint64 // the first sequence that the origin still has
	Next              uint64 // the one that its next record will get
	Consumed          uint64 // the last one known to be consumed
	Size              uint64 // bytes of the origin's ring
	Priority, Release uint8
}

// AppendOpen appends the frame.
func AppendOpen(b []byte, stream uint32, o *Open) []byte {
	at := len(b)
	b = Begin(b, TypeOpen, 0, stream)
	b = le.AppendUint32(b, o.Src)
	b = le.AppendUint32(b, o.Dst)
	b = le.AppendUint64(b, o.Epoch)
	b = le.AppendUint64(b, o.First)
	b = le.AppendUint64(b, o.Next)
	b = le.AppendUint64(b, o.Consumed)
	b = le.AppendUint64(b, o.Size)
	return End(append(b, o.Priority, o.Release), at, 0)
}

// ParseOpen reads a body.
func ParseOpen(body []byte) (o Open, err error) {
	r := reader{b: body}
	o.Src, o.Dst, o.Epoch, o.First, o.Next = r.u32(), r.u32(), r.u64(), r.u64(), r.u64()
	o.Consumed, o.Size = r.u64(), r.u64()
	o.Priority, o.Release = r.u8(), r.u8()
	if err = r.end(TypeOpen); err == nil && (o.First == 0 || o.Next < o.First || o.Src == o.Dst || o.Src == 0 || o.Dst == 0 || o.Epoch == 0) {
		err = protocolf("OPEN of %#x -> %#x, epoch %d, from %d to %d", o.Src, o.Dst, o.Epoch, o.First, o.Next)
	}
	return o, err
}

// A State is what the far side has of a stream: the body of RESUME and ACK.
type State struct {
	Epoch            uint64
	Stored, Consumed uint64 // sequences
	Credit           uint64 // record bytes since RESUME that may be sent in all
	Largest          uint32 // record bytes of the largest record that credit will ever cover before a WANT
}

// AppendState appends a RESUME or ACK frame.
func AppendState(b []byte, t Type, flags uint8, stream uint32, s *State) []byte {
	at := len(b)
	b = Begin(b, t, flags, stream)
	b = le.AppendUint64(b, s.Epoch)
	b = le.AppendUint64(b, s.Stored)
	b = le.AppendUint64(b, s.Consumed)
	b = le.AppendUint64(b, s.Credit)
	b = le.AppendUint32(b, s.Largest)
	return End(b, at, 0)
}

// ParseState reads the body of a RESUME or ACK.
func ParseState(t Type, body []byte) (s State, err error) {
	r := reader{b: body}
	s.Epoch, s.Stored, s.Consumed, s.Credit, s.Largest = r.u64(), r.u64(), r.u64(), r.u64(), r.u32()
	if err = r.end(t); err == nil && s.Consumed > s.Stored {
		err = protocolf("%v with %d consumed and %d stored", t, s.Consumed, s.Stored)
	}
	return s, err
}

// AppendData appends the beginning of a DATA frame whose records take n bytes,
// with what AppendRecord writes; they follow.
func AppendData(b []byte, stream uint32, epoch, first uint64, n int) []byte {
	at := len(b)
	b = Begin(b, TypeData, 0, stream)
	b = le.AppendUint64(b, epoch)
	b = le.AppendUint64(b, first)
	return End(b, at, n)
}

// AppendRecord appends what stands before a record's n payload bytes in a DATA frame.
func AppendRecord(b []byte, n int, flags uint8) []byte {
	return append(le.AppendUint32(b, uint32(n)), flags, 0, 0, 0)
}

// ParseData reads the body of a DATA frame, whose records NextRecord takes off.
func ParseData(body []byte) (epoch, first uint64, records []byte, err error) {
	r := reader{b: body}
	epoch, first = r.u64(), r.u64()
	if r.bad || first == 0 {
		err = protocolf("DATA with sequence %d", first)
	}
	return epoch, first, r.b, err
}

// NextRecord takes the first record off. It has at least one byte to look at.
func NextRecord(b []byte) (payload []byte, flags uint8, rest []byte, err error) {
	if len(b) < RecordHeader {
		return nil, 0, nil, protocolf("a record's header of %d bytes", len(b))
	}
	n := uint64(le.Uint32(b))
	flags = b[4]
	if n > uint64(len(b)-RecordHeader) || flags&^FlagRedelivered != 0 || b[5]|b[6]|b[7] != 0 {
		return nil, 0, nil, protocolf("a record of %d bytes with flags % x, and %d bytes of it", n, b[4:8], len(b)-RecordHeader)
	}
	end := RecordHeader + int(n)
	return b[RecordHeader:end], flags, b[end:], nil
}

// A Frag is a part of a large record.
type Frag struct {
	Epoch, Seq     uint64
	Length, Offset uint32 // of the record; of the part in it
	Flags          uint8
	Part           []byte
}

// AppendFrag appends a FRAG frame without its part, of n bytes, which follows.
func AppendFrag(b []byte, stream uint32, f *Frag, n int) []byte {
	at := len(b)
	b = Begin(b, TypeFrag, 0, stream)
	b = le.AppendUint64(b, f.Epoch)
	b = le.AppendUint64(b, f.Seq)
	b = le.AppendUint32(b, f.Length)
	b = le.AppendUint32(b, f.Offset)
	b = append(b, f.Flags, 0, 0, 0)
	return End(b, at, n)
}

// ParseFrag reads a body.
func ParseFrag(body []byte) (f Frag, err error) {
	r := reader{b: body}
	f.Epoch, f.Seq, f.Length, f.Offset, f.Flags = r.u64(), r.u64(), r.u32(), r.u32(), r.u8()
	rest := r.take(3)
	f.Part = r.b
	if r.bad || f.Seq == 0 || f.Flags&^FlagRedelivered != 0 || rest[0]|rest[1]|rest[2] != 0 ||
		len(f.Part) == 0 || uint64(f.Offset)+uint64(len(f.Part)) > uint64(f.Length) {
		err = protocolf("FRAG of record %d: %d bytes at %d of %d", f.Seq, len(f.Part), f.Offset, f.Length)
	}
	return f, err
}

// A Gap tells of records that will never come.
type Gap struct {
	Epoch    uint64
	From, To uint64 // sequences, both lost; To 0 means that nobody knows how many there were
	Reason   uint16
	Text     string
}

// AppendGap appends the frame.
func AppendGap(b []byte, stream uint32, g *Gap) []byte {
	at := len(b)
	b = Begin(b, TypeGap, 0, stream)
	b = appendGap(b, g)
	return End(b, at, 0)
}

func appendGap(b []byte, g *Gap) []byte {
	b = le.AppendUint64(b, g.Epoch)
	b = le.AppendUint64(b, g.From)
	b = le.AppendUint64(b, g.To)
	b = le.AppendUint16(b, g.Reason)
	return appendText(b, g.Text)
}

// GapRecord returns g as the payload of a lane's GAP record: the same bytes.
func GapRecord(g *Gap) []byte { return appendGap(nil, g) }

// ParseGap reads the body of a GAP frame, or the payload of a GAP record.
func ParseGap(body []byte) (g Gap, err error) {
	r := reader{b: body}
	g.Epoch, g.From, g.To, g.Reason, g.Text = r.u64(), r.u64(), r.u64(), r.u16(), r.text()
	if err = r.end(TypeGap); err == nil && g.To != 0 && g.From > g.To {
		err = protocolf("GAP from %d to %d", g.From, g.To)
	}
	return g, err
}

// AppendClose appends a frame that ends a stream on this connection.
func AppendClose(b []byte, stream uint32, epoch uint64) []byte {
	at := len(b)
	return End(le.AppendUint64(Begin(b, TypeClose, 0, stream), epoch), at, 0)
}

// ParseClose reads a body.
func ParseClose(body []byte) (epoch uint64, err error) {
	r := reader{b: body}
	epoch = r.u64()
	return epoch, r.end(TypeClose)
}

// AppendWant appends a frame that asks for room for a record of n payload bytes.
func AppendWant(b []byte, stream uint32, epoch uint64, n uint32) []byte {
	at := len(b)
	b = le.AppendUint64(Begin(b, TypeWant, 0, stream), epoch)
	return End(le.AppendUint32(b, n), at, 0)
}

// ParseWant reads a body.
func ParseWant(body []byte) (epoch uint64, n uint32, err error) {
	r := reader{b: body}
	epoch, n = r.u64(), r.u32()
	return epoch, n, r.end(TypeWant)
}

// AppendPing appends a PING or PONG frame.
func AppendPing(b []byte, t Type, v uint64) []byte {
	at := len(b)
	return End(le.AppendUint64(Begin(b, t, 0, 0), v), at, 0)
}

// ParsePing reads the body of a PING or PONG.
func ParsePing(body []byte) (v uint64, err error) {
	r := reader{b: body}
	v = r.u64()
	return v, r.end(TypePing)
}
