// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/internal/testutil"
)

// FuzzRead reads any bytes: either there are errors that can be shown, or values
// that keep what their comments promise, and are read the same when written out.
func FuzzRead(f *testing.F) {
	f.Add([]byte(minimal))
	f.Add([]byte(Example()))
	f.Add([]byte("domain: &a 1\nrelay_key: *a\n"))
	f.Add([]byte(with("routes: [{to: '*', host: west}]\nroutes_file: r")))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Read("/etc/f", data)
		if (c == nil) != (err != nil) {
			t.Fatalf("got %v and %v", c, err)
		}
		if err != nil {
			checkErrors(t, data, err)
			return
		}
		checkConfig(t, c)
	})
}

// checkErrors wants errors that are few, short, in order and inside the file.
func checkErrors(t *testing.T, data []byte, err error) {
	t.Helper()
	errs := err.(interface{ Unwrap() []error }).Unwrap()
	if len(errs) > maxErrors+1 {
		t.Fatalf("%d errors", len(errs))
	}
	last := 0
	for i, err := range errs[:min(len(errs), maxErrors)] {
		e, ok := err.(*Error)
		if !ok || e.File != "/etc/f" || e.Msg == "" || len(e.Error()) > 1000 {
			t.Fatalf("error %d: %T %v", i, err, err)
		}
		if e.Line < last || e.Line > lineAt(data, len(data)) {
			t.Fatalf("%v is out of order or outside of the file", e)
		}
		last = e.Line
	}
}

// checkConfig checks the values, and that they are the same when read again.
func checkConfig(t *testing.T, c *Config) {
	t.Helper()
	if c.Domain < 1 || c.Domain > maxKey || c.RelayKey < 1 || c.RelayKey > maxKey {
		t.Fatalf("keys %d, %d", c.Domain, c.RelayKey)
	}
	if c.Insecure == (c.TLS != TLS{}) || c.Routes != nil && c.RoutesFile != "" {
		t.Fatalf("what excludes each other: %+v", c)
	}
	hosts := map[string]bool{c.Host: true}
	for _, p := range c.Peers {
		if hosts[p.Name] || len(p.Name) > maxName || p.Connections < 1 || p.Connections > 16 {
			t.Fatalf("peer %+v", p)
		}
		hosts[p.Name] = true
	}
	seen := map[addr.Prefix]bool{}
	for _, r := range c.Routes {
		if seen[r.To] || !hosts[r.Host] || r.Priority > 7 || len(r.Desc) > maxDesc {
			t.Fatalf("route %+v", r)
		}
		seen[r.To] = true
	}
	again, err := Read("/f", []byte(write(c)))
	if err != nil || !reflect.DeepEqual(again, c) {
		t.Fatalf("read again as %+v, %v\nwant %+v\n%s", again, err, c, write(c))
	}
}

// write turns a configuration into a file.
func write(c *Config) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	optional := func(key, s string) {
		if s != "" {
			line("%s: %s", key, quoted(s))
		}
	}
	line("log: {format: %s, level: %s}", c.Log.Format, strings.ToLower(c.Log.Level.String()))
	writeCluster(c, line)
	optional("group", c.Group)
	optional("user", c.User)
	for i, d := range c.Durable {
		if i == 0 {
			line("durable:")
		}
		f := c.Template.FormatPrefix
		line("- {from: %q, to: %q, mode: %s, dir: %s}", f(d.From), f(d.To), d.Mode, quoted(d.Dir))
	}
	if c.Durable != nil && len(c.Durable) == 0 {
		line("durable: []")
	}
	l := c.Limits
	line("limits: {in_flight: %s, connections: %d, frame: %s, handshake_timeout: %v, record: %s, new_lanes_per_second: %d}",
		sizeText(uint64(l.InFlight)), l.Connections, sizeText(uint64(l.Frame)), l.HandshakeTimeout, sizeText(uint64(l.Record)), l.NewLanesPerSecond)
	if c.Insecure {
		line("insecure: true")
	} else {
		line("tls: {ca: %s, cert: %s, key: %s}", quoted(c.TLS.CA), quoted(c.TLS.Cert), quoted(c.TLS.Key))
	}
	optional("routes_file", c.RoutesFile)
	writeLists(c, line)
	line("template: %s", c.Template)
	line("listen: %s", quoted(c.Listen))
	line("host: %s", quoted(c.Host))
	line("relay_key: %d", c.RelayKey)
	optional("root", c.Root)
	line("domain: %#x", c.Domain)
	return b.String()
}

func writeCluster(c *Config, line func(string, ...any)) {
	k := &c.Cluster
	list := func(texts []string) string {
		all := make([]string, len(texts))
		for i, s := range texts {
			all[i] = quoted(s)
		}
		return "[" + strings.Join(all, ", ") + "]"
	}
	optional := func(key, s string) {
		if s != "" {
			line("  %s: %s", key, quoted(s))
		}
	}
	line("cluster:")
	line("  mode: %s", k.Mode)
	optional("name", k.Name)
	optional("join", k.Join)
	if k.Init {
		line("  init: true")
	}
	optional("user", k.User)
	optional("password_file", k.PasswordFile)
	optional("state", k.State)
	if k.Endpoints != nil {
		line("  endpoints: %s", list(k.Endpoints))
	}
	if k.Links != nil {
		line("  links: %s", list(k.Links))
	}
	if k.Insecure {
		line("  insecure: true")
	}
	if k.TLS.CA != "" {
		line("  tls:")
		for _, f := range []struct{ key, file string }{{"ca", k.TLS.CA}, {"cert", k.TLS.Cert}, {"key", k.TLS.Key}} {
			if f.file != "" {
				line("    %s: %s", f.key, quoted(f.file))
			}
		}
	}
	if e := k.Engine; e.Size != 0 {
		line("  engine:")
		line("    size: %d", e.Size)
		for _, f := range []struct{ key, text string }{{"client", e.Client}, {"peer", e.Peer}, {"binary", e.Binary}} {
			if f.text != "" {
				line("    %s: %s", f.key, quoted(f.text))
			}
		}
	}
	if k.Policy == nil {
		return
	}
	line("  policy: [")
	for _, p := range k.Policy {
		text := "{hosts: " + list(p.Hosts)
		var prefixes []string
		for _, f := range p.Prefixes {
			prefixes = append(prefixes, c.Template.FormatPrefix(f))
		}
		if prefixes != nil {
			text += ", prefixes: " + list(prefixes)
		}
		if p.Names != nil {
			text += ", names: " + list(p.Names)
		}
		for _, n := range []struct {
			key string
			n   int
		}{{"max_routes", p.MaxRoutes}, {"max_names", p.MaxNames}, {"max_groups", p.MaxGroups}} {
			if n.n != 0 {
				text += fmt.Sprintf(", %s: %d", n.key, n.n)
			}
		}
		line("    %s},", text)
	}
	line("  ]")
}

func writeLists(c *Config, line func(string, ...any)) {
	if c.Routes != nil {
		line("routes: [")
		for _, r := range c.Routes {
			desc := ""
			if r.Desc != "" {
				desc = ", desc: " + quoted(r.Desc)
			}
			line("  {to: %q, host: %s, release: %s, priority: %d%s},", c.Template.FormatPrefix(r.To), quoted(r.Host), r.Release, r.Priority, desc)
		}
		line("]")
	}
	if c.Peers != nil {
		line("peers: [")
		for _, p := range c.Peers {
			line("  {name: %s, address: %s, connections: %d},", quoted(p.Name), quoted(p.Address), p.Connections)
		}
		line("]")
	}
}

// quoted is a text as YAML has it in quotes. Its escapes are those of Go for what
// has no control character.
func quoted(s string) string { return strconv.Quote(s) }

// TestWhatIsWrittenIsRead makes configurations up.
func TestWhatIsWrittenIsRead(t *testing.T) {
	rng := testutil.Rand(t)
	for range 500 {
		checkConfig(t, invented(t, rng))
	}
}

func invented(t *testing.T, rng *rand.Rand) *Config {
	t.Helper()
	c := defaults()
	c.Domain, c.RelayKey = 1+rng.Uint32N(maxKey), 1+rng.Uint32N(maxKey)
	c.Template = addr.MustTemplate([]string{"8.8.8.8", "16.16", "32", "6.8.8.4", "1.1.30"}[rng.IntN(5)])
	c.Host, c.Listen = "self", fmt.Sprintf("[::1]:%d", rng.IntN(65536))
	c.Insecure = rng.IntN(2) == 0
	if !c.Insecure {
		c.TLS = TLS{"/ca 1.pem", "/'cert'.pem", "/\"key\".pem"}
	}
	c.Limits = Limits{
		InFlight: 1<<20 + rng.Int64N(63<<30), Connections: 64 + rng.IntN(1000), Frame: 4096 + rng.IntN(61441),
		HandshakeTimeout: 10*time.Millisecond + time.Duration(rng.Int64N(int64(9*time.Minute))),
		Record:           1024 + rng.IntN(255<<20), NewLanesPerSecond: 1 + rng.IntN(1_000_000),
	}
	c.Cluster = inventedCluster(t, rng, c.Template)
	hosts := []string{"self"}
	for i := range rng.IntN(4) {
		p := Peer{Name: fmt.Sprintf("p%d", i), Address: fmt.Sprintf("h%d:%d", i, 1+rng.IntN(65535)), Connections: 1 + rng.IntN(16)}
		c.Peers = append(c.Peers, p)
		hosts = append(hosts, p.Name)
	}
	used := map[addr.Prefix]bool{}
	for range rng.IntN(6) {
		r := Route{To: inventedPrefix(t, rng, c.Template), Host: hosts[rng.IntN(len(hosts))], Release: Stored, Priority: uint8(rng.IntN(8)), Desc: "# é: '網'"}
		if !used[r.To] {
			c.Routes = append(c.Routes, r)
		}
		used[r.To] = true
	}
	if rng.IntN(2) == 0 {
		c.Durable = []Durable{{From: inventedPrefix(t, rng, c.Template), To: inventedPrefix(t, rng, c.Template), Mode: Async, Dir: "/d"}}
		c.User, c.Group, c.Root = "1000", "games", "/root dir"
	}
	return c
}

func inventedCluster(t *testing.T, rng *rand.Rand, tmpl addr.Template) Cluster {
	t.Helper()
	c := Cluster{Mode: []string{Local, None, Etcd, Managed}[rng.IntN(4)]}
	if c.Mode == Local || c.Mode == None {
		return c
	}
	c.Name, c.State, c.Links = "Games_1", "/state", []string{"east:7100", "[::1]:7100"}
	c.Policy = []Permit{{Hosts: []string{"zone-*", "a?"}, Prefixes: []addr.Prefix{inventedPrefix(t, rng, tmpl)}, MaxRoutes: 7}, {Hosts: []string{"*"}, Names: []string{"[a-z]*"}}}
	if c.Mode == Managed {
		c.Engine = Engine{Size: 1 + 2*rng.IntN(3), Client: "e:1", Peer: "e:2", Binary: "/usr/bin/etcd"}
		if c.Init = rng.IntN(2) == 0; !c.Init {
			c.Join = "[::1]:7100"
		}
		return c
	}
	c.Endpoints = []string{"e1:2379", "e2:2379"}
	if c.Insecure = rng.IntN(2) == 0; c.Insecure {
		c.User, c.PasswordFile = "me", "/secret"
	} else {
		c.TLS.CA = "/ca.pem"
	}
	return c
}

// inventedPrefix has stars in some of the last segments.
func inventedPrefix(t *testing.T, rng *rand.Rand, tmpl addr.Template) addr.Prefix {
	t.Helper()
	a := addr.Addr(1 + rng.Uint64N(1<<tmpl.Bits()-1))
	segments := strings.Split(tmpl.Format(a), ".")
	for i := range rng.IntN(len(segments) + 1) {
		segments[len(segments)-1-i] = "*"
	}
	return prefix(t, tmpl, strings.Join(segments, "."))
}
