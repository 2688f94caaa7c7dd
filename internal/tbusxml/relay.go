// SPDX-License-Identifier: Apache-2.0

package tbusxml

import (
	"strconv"
	"strings"

	"github.com/skybus-io/skybus/addr"
)

// GRM is the content of a trelaymgr.xml: which addresses live behind which host.
type GRM struct {
	Template addr.Template
	// Key names the relay table on its host, 1..2^31-1.
	Key uint32
	// Relays are in the order of the file. No two have the same prefix; one may
	// lie inside another.
	Relays []Relay
	// Warnings are what the file has and this package does not use, in the
	// order of their lines.
	Warnings []Warning
}

// Relay says where the addresses of one prefix live.
type Relay struct {
	// Prefix is what Addr gives: an address, which is not none, or the
	// beginning of some.
	Prefix addr.Prefix
	// Host is a name or an IP address, which is not resolved and has no
	// brackets.
	Host string
	Port uint16
	// Desc is free text.
	Desc string
	// Line is where the relay starts in the file.
	Line int
}

// HostPort joins host and port in the form that is dialled.
func (r Relay) HostPort() string {
	port := strconv.Itoa(int(r.Port))
	if strings.Contains(r.Host, ":") {
		return "[" + r.Host + "]:" + port
	}
	return r.Host + ":" + port
}

// ParseRelay reads a trelaymgr.xml. name is the file's name in errors and
// warnings; errors are as those of [ParseGCIM].
func ParseRelay(name string, data []byte) (*GRM, error) {
	g := grmReader{prefixes: make(map[addr.Prefix]int)}
	g.rep = newReport(name)
	g.layout = layout{rootElem: "RelayMnger", keyElem: "RelayShmKey", recordElem: "Relays"}
	g.record = g.relay
	if err := g.read(data); err != nil {
		return nil, err
	}
	return &GRM{Template: g.template, Key: g.key, Relays: g.relays, Warnings: g.rep.warned()}, nil
}

type grmReader struct {
	reader
	relays   []Relay
	prefixes map[addr.Prefix]int // the line of each relay
}

func (g *grmReader) relay(it *item) {
	rec := g.open(it, "Addr", "MConn", "Desc")
	c := rec.conn()
	r := Relay{Host: c.host, Port: c.port, Desc: rec.desc(), Line: it.line}
	if f := rec.required("Addr"); f != nil && g.templated {
		r.Prefix = g.prefix(rec, f)
	}
	if !rec.bad {
		g.relays = append(g.relays, r)
	}
}

// prefix reads a prefix that no relay before this one has.
func (g *grmReader) prefix(rec *record, f *field) addr.Prefix {
	p, err := g.template.ParsePrefix(f.text)
	switch {
	case err != nil:
		rec.fail(f.line, f.name, "%v", err)
		return p
	case p.IsExact() && p.Addr.IsNone():
		rec.fail(f.line, f.name, "%s is no address, nothing can be bound to it", f.text)
		return p
	}
	if first, ok := g.prefixes[p]; ok {
		rec.fail(rec.line, rec.name, "%s has a relay already, in line %d", g.template.FormatPrefix(p), first)
	} else {
		g.prefixes[p] = rec.line
	}
	return p
}

func (rec *record) conn() conn {
	f := rec.required("MConn")
	if f == nil {
		return conn{}
	}
	c, problem := parseConn(f.text)
	if problem != "" {
		rec.fail(f.line, f.name, "%s %s", quote(f.text), problem)
	} else if c.options {
		rec.rep.warn(f.line, f.name, "has options after the ?, ignored")
	}
	return c
}
