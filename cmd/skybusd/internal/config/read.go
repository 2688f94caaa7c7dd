// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"github.com/skybus-io/skybus/addr"
)

// The most that a route table holds, as package route has it.
const (
	maxRoutes = 65536
	maxPeers  = 4095 // and the host itself
)

// reader fills a Config from one file.
type reader struct {
	rep *report
	dir string // of the file
	cfg *Config

	blurred   bool           // the template is wrong: prefixes cannot be judged
	anonymous bool           // a host has no valid name, so no name can be called unknown
	unsure    bool           // insecure is wrong: nobody knows whether tls has to be there
	lines     map[string]int // what must come once, and where it did
}

func newReader(name string) *reader {
	return &reader{rep: &report{file: name}, dir: filepath.Dir(name), cfg: defaults(), anonymous: true, lines: map[string]int{}}
}

func (r *reader) read(data []byte) {
	r.rep.last = lineAt(data, len(data))
	if node := r.document(data); node != nil {
		r.top(value{r.rep, node, ""})
	}
}

// document returns what the file consists of, or nil after reporting why it
// cannot be read.
func (r *reader) document(data []byte) *yaml.Node {
	if len(data) > MaxSize {
		r.rep.fail(0, "", "is larger than %s", sizeText(MaxSize))
		return nil
	}
	if !utf8.Valid(data) {
		r.rep.fail(lineOfInvalid(data), "", "not UTF-8")
		return nil
	}
	loader, err := yaml.NewLoader(bytes.NewReader(data))
	if err != nil {
		r.rep.fail(0, "", "%v", err)
		return nil
	}
	var doc, more yaml.Node
	if err := loader.Load(&doc); err != nil {
		r.broken(data, err)
		return nil
	}
	if err := loader.Load(&more); err == nil {
		r.rep.fail(more.Line, "", "want one document, here begins another")
		return nil
	} else if !errors.Is(err, io.EOF) {
		r.broken(data, err)
		return nil
	}
	if len(doc.Content) != 1 {
		r.broken(data, io.EOF)
		return nil
	}
	return doc.Content[0]
}

// broken reports an error of the YAML.
func (r *reader) broken(data []byte, err error) {
	if errors.Is(err, io.EOF) {
		r.rep.fail(1, "", "has no content; it must at least have domain, relay_key, host, listen and tls")
		return
	}
	syntax, ok := errors.AsType[*yaml.LoadError](err)
	if !ok {
		r.rep.fail(0, "", "not YAML: %s", shorten(err.Error()))
		return
	}
	line := syntax.Mark.Line
	if line < 1 { // errors of the bytes have only an offset
		line = lineAt(data, syntax.Mark.Index)
	}
	hint := ""
	if syntax.Stage == "scanner" {
		hint = `; a text with a special character, such as "*" or "[::1]:7100", is put in quotes, and lines are indented by spaces`
	}
	r.rep.fail(line, "", "not YAML: %s%s", shorten(syntax.Message), hint)
}

// lineAt returns the line of an offset. Lines end with a line feed, a carriage
// return or both.
func lineAt(data []byte, offset int) int {
	data = data[:min(max(offset, 0), len(data))]
	return 1 + bytes.Count(data, []byte("\n")) + bytes.Count(data, []byte("\r")) - bytes.Count(data, []byte("\r\n"))
}

func lineOfInvalid(data []byte) int {
	for i := 0; i < len(data); {
		c, n := utf8.DecodeRune(data[i:])
		if c == utf8.RuneError && n == 1 {
			return lineAt(data, i)
		}
		i += n
	}
	return 0
}

func (r *reader) top(v value) {
	c := r.cfg
	v.fields([]field{
		{"domain", "it is the key of the domain to relay", set(&c.Domain, value.key)},
		{"root", "", set(&c.Root, in(r.dir))},
		{"relay_key", "it names the route table", set(&c.RelayKey, value.key)},
		{"host", "it is the name of this host, as its certificate has it", r.self},
		{"listen", "it says where peers connect to", set(&c.Listen, value.listen)},
		{"template", "", r.template},
		{"peers", "", r.peers},
		{"routes", "", r.routes},
		{"routes_file", "", r.routesFile},
		{"tls", "", r.tls},
		{"insecure", "", r.insecure},
		{"limits", "", r.limits},
		{"durable", "", r.durable},
		{"cluster", "", r.cluster},
		{"user", "", set(&c.User, value.account)},
		{"group", "", set(&c.Group, value.account)},
		{"log", "", r.log},
	})
	r.secure(v)
	r.enough(v)
}

func (r *reader) insecure(v value) {
	insecure, ok := v.boolean()
	r.cfg.Insecure, r.unsure = insecure, !ok
}

// secure wants either certificates or the word that there are none.
func (r *reader) secure(v value) {
	line, ok := r.lines["tls"]
	switch {
	case v.node.Kind != yaml.MappingNode || r.unsure:
	case ok && r.cfg.Insecure:
		r.rep.fail(line, "tls", "does not go with insecure: true; want one of the two")
	case !ok && !r.cfg.Insecure:
		r.rep.fail(v.node.Line, "tls", "is missing; `skybus daemon certs` makes the certificates, or say insecure: true to go without")
	}
}

// enough wants room for the connections of all peers.
func (r *reader) enough(v value) {
	sum := 0
	for _, p := range r.cfg.Peers {
		sum += p.Connections
	}
	if most := r.cfg.Limits.Connections; sum > most {
		line := max(r.lines["limits.connections"], v.node.Line)
		r.rep.fail(line, "limits.connections", "want at least %d, what the peers have together, got %d", sum, most)
	}
}

// once reports whether what key stands for comes for the first time.
func (r *reader) once(v value, key, what string) bool {
	if first := r.lines[key]; first > 0 {
		v.fail("%s is given twice, first in line %d", what, first)
		return false
	}
	r.lines[key] = v.node.Line
	return true
}

func (r *reader) template(v value) {
	t, ok := v.template()
	r.cfg.Template, r.blurred = t, !ok
}

func (r *reader) self(v value) {
	name, ok := v.host()
	if ok {
		r.anonymous = false
		r.cfg.Host, r.lines["host "+name] = name, v.node.Line
	}
}

func (r *reader) peers(v value) {
	r.cfg.Peers = []Peer{}
	v.each("peers", r.peer)
	if n := len(r.cfg.Peers); n > maxPeers {
		v.fail("want at most %d peers, got %d", maxPeers, n)
	}
}

func (r *reader) peer(v value) {
	p, errs := Peer{Connections: 1}, len(r.rep.errs)
	v.fields([]field{
		{"name", "it is the peer's host name, as its certificate has it", r.peerName(&p.Name)},
		{"address", "it says where the peer listens", func(v value) {
			set(&p.Address, value.dial)(v)
			if p.Address != "" {
				r.once(v, "address "+p.Address, "address "+p.Address)
			}
		}},
		{"connections", "", set(&p.Connections, number(1, 16))},
	})
	r.anonymous = r.anonymous || p.Name == ""
	if len(r.rep.errs) == errs {
		r.cfg.Peers = append(r.cfg.Peers, p)
	}
}

// peerName reads a name that no host has yet.
func (r *reader) peerName(dst *string) func(value) {
	return func(v value) {
		set(dst, value.host)(v)
		switch {
		case *dst == "":
		case *dst == r.cfg.Host:
			v.fail("%s is this host itself; peers are the others", *dst)
		default:
			r.once(v, "host "+*dst, "host "+*dst)
		}
	}
}

func (r *reader) routes(v value) {
	r.lines["routes"] = v.node.Line
	r.cfg.Routes = []Route{}
	v.each("routes", r.route)
	if n := len(r.cfg.Routes); n > maxRoutes {
		v.fail("want at most %d routes, got %d", maxRoutes, n)
	}
}

func (r *reader) route(v value) {
	rt, errs := Route{Release: Consumed}, len(r.rep.errs)
	v.fields([]field{
		{"to", "it says which addresses the route is for", func(v value) {
			if r.prefix(&rt.To)(v); !r.blurred && len(r.rep.errs) == errs {
				text := r.cfg.Template.FormatPrefix(rt.To)
				r.once(v, "to "+text, "a route to "+text)
			}
		}},
		{"host", "it says behind which host they are", r.routeHost(&rt.Host)},
		{"release", "", set(&rt.Release, word(Consumed, Stored))},
		{"priority", "", set(&rt.Priority, number[uint8](0, 7))},
		{"desc", "", set(&rt.Desc, value.desc)},
	})
	if len(r.rep.errs) == errs {
		r.cfg.Routes = append(r.cfg.Routes, rt)
	}
}

// prefix reads a prefix, if the template lets it be judged.
func (r *reader) prefix(dst *addr.Prefix) func(value) {
	if r.blurred {
		return func(value) {}
	}
	return set(dst, within(r.cfg.Template))
}

// routeHost reads the name of this host or of a peer.
func (r *reader) routeHost(dst *string) func(value) {
	return func(v value) {
		set(dst, value.host)(v)
		if *dst != "" && !r.anonymous && r.lines["host "+*dst] == 0 {
			v.fail("host %s is not known; want the name of a peer, or %s for this host", quote(*dst), r.cfg.Host)
		}
	}
}

func (r *reader) routesFile(v value) {
	set(&r.cfg.RoutesFile, in(r.dir))(v)
	if line := r.lines["routes"]; line > 0 {
		v.fail("does not go with the list of routes in line %d; want one of the two", line)
	}
}

func (r *reader) tls(v value) {
	r.lines["tls"] = v.node.Line
	const need = "`skybus daemon certs` makes it"
	v.fields([]field{
		{"ca", need, set(&r.cfg.TLS.CA, in(r.dir))},
		{"cert", need, set(&r.cfg.TLS.Cert, in(r.dir))},
		{"key", need, set(&r.cfg.TLS.Key, in(r.dir))},
	})
}

func (r *reader) limits(v value) {
	l := &r.cfg.Limits
	v.fields([]field{
		{"in_flight", "", set(&l.InFlight, size[int64](1<<20, 64<<30))},
		{"connections", "", func(v value) {
			r.lines["limits.connections"] = v.node.Line
			set(&l.Connections, number(1, 65536))(v)
		}},
		{"frame", "", set(&l.Frame, size(4<<10, 64<<10))},
		{"handshake_timeout", "", set(&l.HandshakeTimeout, duration(10*time.Millisecond, 10*time.Minute))},
		{"record", "", set(&l.Record, size(1<<10, 256<<20))},
		{"new_lanes_per_second", "", set(&l.NewLanesPerSecond, number(1, 1_000_000))},
	})
}

func (r *reader) durable(v value) {
	r.cfg.Durable = []Durable{}
	v.each("durable lanes", r.durableLanes)
}

func (r *reader) durableLanes(v value) {
	d, errs := Durable{Mode: Sync}, len(r.rep.errs)
	v.fields([]field{
		{"from", `it says which addresses send, "*" is all`, r.prefix(&d.From)},
		{"to", `it says which addresses receive, "*" is all`, r.prefix(&d.To)},
		{"mode", "", set(&d.Mode, word(Sync, Async))},
		{"dir", "it is the folder for the messages", set(&d.Dir, in(r.dir))},
	})
	if r.blurred || len(r.rep.errs) > errs {
		return
	}
	t := r.cfg.Template
	lanes := t.FormatPrefix(d.From) + " to " + t.FormatPrefix(d.To)
	if r.once(v, "durable "+lanes, lanes) {
		r.cfg.Durable = append(r.cfg.Durable, d)
	}
}

func (r *reader) log(v value) {
	v.fields([]field{
		{"format", "", set(&r.cfg.Log.Format, word(Text, JSON))},
		{"level", "", set(&r.cfg.Log.Level, value.level)},
	})
}
