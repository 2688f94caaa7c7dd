// SPDX-License-Identifier: Apache-2.0

package tbusxml

import "github.com/skybus-io/skybus/addr"

// The sizes that a lane can have, in bytes. The bus rounds a size up to a power
// of two.
const (
	MinLane = 1
	MaxLane = 1 << 30
)

// GCIM is the content of a tbusmgr.xml: the channels of one host's bus.
type GCIM struct {
	Template addr.Template
	// Key names the bus on its host, 1..2^31-1.
	Key uint32
	// Channels are in the order of the file. No two join the same addresses.
	Channels []Channel
	// Warnings are what the file has and this package does not use, in the
	// order of their lines.
	Warnings []Warning
}

// Channel joins two addresses, neither of them none, by a lane each way.
type Channel struct {
	// Priority is 0 if the file gives none.
	Priority uint8
	// A and B are the first and the second address of the file.
	A, B addr.Addr
	// SendSize is the size of the lane from A to B in bytes, RecvSize of that
	// from B to A: MinLane..MaxLane.
	SendSize, RecvSize uint64
	// Desc is free text.
	Desc string
	// Line is where the channel starts in the file.
	Line int
}

// ParseGCIM reads a tbusmgr.xml. name is the file's name in errors and
// warnings. The error joins one [*Error] for each thing that is wrong, up to 20
// and a last one with the number of the others.
func ParseGCIM(name string, data []byte) (*GCIM, error) {
	g := gcimReader{pairs: make(map[pair]int)}
	g.rep = newReport(name)
	g.layout = layout{rootElem: "TbusGCIM", keyElem: "GCIMShmKey", recordElem: "Channels"}
	g.record = g.channel
	if err := g.read(data); err != nil {
		return nil, err
	}
	return &GCIM{Template: g.template, Key: g.key, Channels: g.channels, Warnings: g.rep.warned()}, nil
}

type gcimReader struct {
	reader
	channels []Channel
	pairs    map[pair]int // the line of each channel
}

// pair is two addresses, the smaller one first.
type pair [2]addr.Addr

func (g *gcimReader) channel(it *item) {
	rec := g.open(it, "Priority", "Address", "SendSize", "RecvSize", "Desc")
	c := Channel{
		Priority: rec.priority(),
		SendSize: rec.size("SendSize"),
		RecvSize: rec.size("RecvSize"),
		Desc:     rec.desc(),
		Line:     it.line,
	}
	g.ends(rec, &c)
	if !rec.bad {
		g.channels = append(g.channels, c)
	}
}

// ends reads the two addresses of a channel.
func (g *gcimReader) ends(rec *record, c *Channel) {
	list := rec.named("Address")
	switch len(list) {
	case 0:
		rec.fail(rec.line, "Address", "is missing in this <%s>, which joins two", rec.name)
	case 1:
		rec.fail(list[0].line, "Address", "is the only one in this <%s>, which joins two", rec.name)
	case 2:
		if g.templated {
			c.A, c.B = rec.address(list[0], g.template), rec.address(list[1], g.template)
			g.join(rec, c, list[1])
		}
	default:
		rec.fail(list[2].line, "Address", "is the third of %d in this <%s>, which joins two", len(list), rec.name)
	}
}

// join checks that the channel joins two addresses that no channel before it
// joins. It says so at the second one, f.
func (g *gcimReader) join(rec *record, c *Channel, f *field) {
	if c.A.IsNone() || c.B.IsNone() {
		return // could not be read
	}
	if c.A == c.B {
		rec.fail(f.line, f.name, "is %s again, a channel joins two different addresses", f.text)
		return
	}
	p := pair{min(c.A, c.B), max(c.A, c.B)}
	if first, ok := g.pairs[p]; ok {
		rec.fail(rec.line, rec.name, "%s and %s have a channel already, in line %d",
			g.template.Format(c.A), g.template.Format(c.B), first)
		return
	}
	g.pairs[p] = rec.line
}

func (rec *record) priority() uint8 {
	f := rec.optional("Priority")
	if f == nil {
		return 0
	}
	v, ok := number(f.text)
	if !ok || v > 255 {
		rec.fail(f.line, f.name, "%s is not a priority, a number 0..255", quote(f.text))
	}
	return uint8(v)
}

func (rec *record) size(name string) uint64 {
	f := rec.required(name)
	if f == nil {
		return 0
	}
	v, ok := number(f.text)
	switch {
	case !ok:
		rec.fail(f.line, name, "%s is not a number of bytes", quote(f.text))
	case v < MinLane || v > MaxLane:
		rec.fail(f.line, name, "%s bytes is out of range, a lane has %d..%d", shorten(f.text), MinLane, MaxLane)
	}
	return v
}
