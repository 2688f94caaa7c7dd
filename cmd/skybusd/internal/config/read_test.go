// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/skybus-io/skybus/addr"
)

// minimal is the least that a file has, in five lines.
const minimal = `domain: 1000
relay_key: 0x7d0
host: east
listen: :7100
insecure: true
`

func read(t testing.TB, text string) *Config {
	t.Helper()
	c, err := Read("f", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// with returns minimal with one of its keys replaced, or a further one.
func with(text string) string {
	key, _, _ := strings.Cut(text, ":")
	return without(minimal, key) + text + "\n"
}

func TestMinimalFile(t *testing.T) {
	c := read(t, minimal)
	if c.Domain != 1000 || c.RelayKey != 2000 || c.Host != "east" || c.Listen != ":7100" || !c.Insecure {
		t.Errorf("got %+v", c)
	}
	if c.Routes != nil || c.Root != "" || c.User != "" {
		t.Errorf("got what was not said: %+v", c)
	}
	if c := read(t, minimal+"routes: []\n"); c.Routes == nil {
		t.Error("an empty list of routes is not told from none")
	}
}

func TestValuesThatAreTaken(t *testing.T) {
	for _, test := range []struct {
		text string
		got  func(*Config) any
		want any
	}{
		{"domain: 0x3e8", func(c *Config) any { return c.Domain }, uint32(1000)},
		{"cluster: none", func(c *Config) any { return c.Cluster.Mode }, None},
		{"cluster: {mode: none}", func(c *Config) any { return c.Cluster.Mode }, None},
		{"cluster: managed", func(c *Config) any { return c.Cluster.State }, DefaultState},
		{"cluster: managed", func(c *Config) any { return c.Cluster.Name }, ""},
		{"cluster: {mode: etcd, endpoints: ['e:2379']}", func(c *Config) any { return c.Cluster.Name }, DefaultClusterName},
		{"cluster: {mode: managed, name: a, init: true}", func(c *Config) any { return c.Cluster.Init }, true},
		{"cluster: {mode: managed, join: 'e:1'}", func(c *Config) any { return c.Cluster.Join }, "e:1"},
		{"cluster: {mode: managed, name: 42}", func(c *Config) any { return c.Cluster.Name }, "42"},
		{"cluster: {mode: managed, engine: {client: 'a:1', peer: 'a:2'}}", func(c *Config) any { return c.Cluster.Engine }, Engine{Size: 3, Client: "a:1", Peer: "a:2"}},
		{"cluster: {mode: etcd, endpoints: ['e:2379'], insecure: true}", func(c *Config) any { return c.Cluster.Endpoints[0] }, "e:2379"},
		{"cluster: {mode: etcd, endpoints: ['e:2379'], state: s}", func(c *Config) any { return c.Cluster.Engine.Size }, 0},
		{"domain: 0010", func(c *Config) any { return c.Domain }, uint32(10)},
		{"domain: 2147483647", func(c *Config) any { return c.Domain }, uint32(1<<31 - 1)},
		{"host: a.b_c-1", func(c *Config) any { return c.Host }, "a.b_c-1"},
		{"host: \"42\"", func(c *Config) any { return c.Host }, "42"},
		{"host: 2026-01-02", func(c *Config) any { return c.Host }, "2026-01-02"},
		{"listen: \"[::1]:0\"", func(c *Config) any { return c.Listen }, "[::1]:0"},
		{"listen: 127.0.0.1:07100", func(c *Config) any { return c.Listen }, "127.0.0.1:7100"},
		{"template: 16.16", func(c *Config) any { return c.Template.String() }, "16.16"},
		{"template: 32", func(c *Config) any { return c.Template.String() }, "32"},
		{"template: 16.10", func(c *Config) any { return c.Template.String() }, "16.10"},
		{"root: /a/../b/", func(c *Config) any { return c.Root }, "/b"},
		{"limits: {in_flight: 1048576}", func(c *Config) any { return c.Limits.InFlight }, int64(1 << 20)},
		{"limits: {in_flight: 64G}", func(c *Config) any { return c.Limits.InFlight }, int64(64 << 30)},
		{"limits: {frame: 4K}", func(c *Config) any { return c.Limits.Frame }, 4096},
		{"limits: {record: 256M}", func(c *Config) any { return c.Limits.Record }, 256 << 20},
		{"limits: {handshake_timeout: 1m30s}", func(c *Config) any { return c.Limits.HandshakeTimeout }, 90 * time.Second},
		{"limits: {new_lanes_per_second: 1}", func(c *Config) any { return c.Limits.NewLanesPerSecond }, 1},
		{"log: {level: debug, format: json}", func(c *Config) any { return c.Log }, Log{JSON, slog.LevelDebug}},
		{"log: {level: warn}", func(c *Config) any { return c.Log }, Log{Text, slog.LevelWarn}},
		{"user: 1000", func(c *Config) any { return c.User }, "1000"},
		{"user: _skybus", func(c *Config) any { return c.User }, "_skybus"},
		{"durable: [{from: \"*\", to: 0.0.3.1, dir: d}]", func(c *Config) any { return c.Durable[0].Mode }, Sync},
		{"durable: [{from: \"*\", to: 0.0.3.1, dir: d, mode: async}]", func(c *Config) any { return c.Durable[0].Mode }, Async},
		{"routes: [{to: '*', host: east}]", func(c *Config) any { return c.Routes[0].To }, addr.Prefix{}},
		{"template: 6.8.8.4\nroutes: [{to: '*', host: east}]", func(c *Config) any { return c.Routes[0].To }, addr.Prefix{Bits: 6}},
		{"routes: [{to: 0.0.3.1, host: east}]", func(c *Config) any { return c.Routes[0].Host }, "east"},
	} {
		if got := test.got(read(t, with(test.text))); got != test.want {
			t.Errorf("%s: got %v, want %v", test.text, got, test.want)
		}
	}
}

// TestAddressesOfAnotherTemplate has some that YAML takes for numbers, and the
// template below them.
func TestAddressesOfAnotherTemplate(t *testing.T) {
	c := read(t, minimal+"routes:\n- {to: 0.770, host: east}\n- {to: 1.*, host: east}\ntemplate: 16.16\n")
	for i, want := range []string{"0.770", "1.*"} {
		if got := c.Template.FormatPrefix(c.Routes[i].To); got != want {
			t.Errorf("route %d is to %s, want %s", i, got, want)
		}
	}
}

// TestMistakes has one mistake a file, in the line that the error names. Lines
// count from the start of minimal, which has five, or one less where the key
// replaces one of its own.
func TestMistakes(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"domain: 0", "f:5: domain: want a number 1..2147483647, decimal or after 0x, got the number 0"},
		{"domain: 2147483648", "got the number 2147483648"},
		{"domain: -1", "got the number -1"},
		{"domain: 1_000", "got the number 1_000"},
		{"domain: 1e3", "got the number 1e3"},
		{"domain: '1000'", `got "1000"`},
		{"domain: 99999999999999999999", "got the number 99999999999999999999"},
		{"domain:", "f:5: domain: want a number 1..2147483647, decimal or after 0x, got nothing"},
		{"domain: [1]", "f:5: domain: want a number 1..2147483647, decimal or after 0x, got a list"},
		{"relay_key: {a: 1}", "got a mapping"},
		{"host: true", "f:5: host: want the name of a host, 1..63 of a-z A-Z 0-9 . _ -, got true; text that looks like this is put in quotes"},
		{"host: 7", "got the number 7; text that looks like this is put in quotes"},
		{"host: ''", "got an empty text"},
		{"host: a b", `got "a b"`},
		{"host: é", `got "é"`},
		{"host: " + strings.Repeat("a", 64), `got "aaa`},
		{"host: !other east", "got a value with the tag !other"},
		{"host: !!binary ZWFzdA==", "got a value with the tag !!binary"},
		{"listen: 7100", "got the number 7100"},
		{"listen: 10.0.0.1", `f:5: listen: want HOST:PORT to listen at, such as 10.0.0.1:7100 or :7100, got "10.0.0.1"`},
		{"listen: 10.0.0.1:http", `got "10.0.0.1:http"`},
		{"listen: 10.0.0.1:65536", `got "10.0.0.1:65536"`},
		{"listen: '::1:7100'", `got "::1:7100"`},
		{"listen: a b:7100", `got "a b:7100"`},
		{"listen: [::1]:7100", "f:5: not YAML: "},
		{"template: 8.8.8.9", `f:6: template: template "8.8.8.9"`},
		{"template: [8, 8]", "f:6: template: want a template such as 8.8.8.8, got a list"},
		{`root: ""`, "f:6: root: want a path, got an empty text"},
		{`root: "a\0b"`, "which has a control character"},
		{"insecure: 1", "f:5: insecure: want true or false, got the number 1"},
		{"insecure: yes", `want true or false, got "yes"`},
		{"insecure: false", "f:1: tls: is missing; `skybus daemon certs` makes the certificates, or say insecure: true to go without"},
		{"tls: {ca: a, cert: b, key: c}", "f:6: tls: does not go with insecure: true; want one of the two"},
		{"limits: {frame: 4095}", "f:6: limits.frame: want a size 4K..64K, in bytes or with K, M or G, got the number 4095"},
		{"limits: {frame: 65K}", `got "65K"`},
		{"limits: {frame: 64k}", `got "64k"`},
		{"limits: {frame: 64 K}", `got "64 K"`},
		{"limits: {frame: 4.5K}", `got "4.5K"`},
		{"limits: {in_flight: 4294967296G}", `want a size 1M..64G, in bytes or with K, M or G, got "4294967296G"`},
		{"limits: {record: 257M}", `want a size 1K..256M`},
		{"limits: {handshake_timeout: 5}", "want a time 10ms..10m0s, such as 500ms or 5s, got the number 5"},
		{"limits: {handshake_timeout: -5s}", `got "-5s"`},
		{"limits: {handshake_timeout: 11m}", `got "11m"`},
		{"limits: {connections: 0}", "f:6: limits.connections: want a number 1..65536, got the number 0"},
		{"limits: 5", "f:6: limits: want a mapping with in_flight, connections, frame, handshake_timeout, record, new_lanes_per_second, got the number 5"},
		{"limits: {frames: 4K}", `f:6: limits: key "frames" is not known; known here: in_flight,`},
		{"log: {level: loud}", `f:6: log.level: want one of debug, info, warn, error, got "loud"`},
		{"cluster: zookeeper", `f:6: cluster: want one of local, none, etcd, managed, got "zookeeper"`},
		{"cluster: etcd", "f:6: cluster: etcd wants endpoints: write a mapping with mode: etcd and endpoints: [HOST:PORT]"},
		{"cluster: {name: a}", "f:6: cluster.mode: is missing; it says where names are kept: local, none, etcd or managed"},
		{"cluster: {mode: etcd}", "f:6: cluster.endpoints: is missing; it says where the etcd servers are"},
		{"cluster: {mode: etcd, endpoints: []}", "f:6: cluster.endpoints: want one HOST:PORT or more"},
		{"cluster: {mode: etcd, endpoints: [e]}", `f:6: cluster.endpoints: want HOST:PORT to dial, such as 10.0.0.2:7100, got "e"`},
		{"cluster: {mode: etcd, endpoints: ['e:1', 'e:1']}", `f:6: cluster.endpoints: "e:1" comes twice`},
		{"cluster: {mode: etcd, endpoints: ['e:1'], user: u}", "f:6: cluster.user: goes together with password_file; want both or none"},
		{"cluster: {mode: etcd, endpoints: ['e:1'], tls: {ca: a, cert: b}}", "f:6: cluster.tls: cert and key go together; want both or none"},
		{"cluster:\n  mode: etcd\n  endpoints: ['e:1']\n  insecure: true\n  tls: {ca: a}", "f:10: cluster.tls: does not go with insecure: true; want one of the two"},
		{"cluster:\n  mode: etcd\n  endpoints: ['e:1']\n  engine: {size: 3}", "f:9: cluster.engine: means nothing with mode: etcd"},
		{"cluster: {mode: local, state: s}", "f:6: cluster.state: means nothing with mode: local"},
		{"cluster: {mode: managed, init: true}", "f:6: cluster.init: wants cluster.name: what the cluster is to be called"},
		{"cluster: {mode: managed, name: a, init: true, join: 'e:1'}", "f:6: cluster.join: does not go with init: true; init is for the first host, join for all others"},
		{"cluster: {mode: managed, join: e}", `f:6: cluster.join: `},
		{"cluster: {mode: etcd, endpoints: ['e:1'], join: 'e:1'}", "f:6: cluster.join: means nothing with mode: etcd"},
		{"cluster: {mode: local, init: true}", "f:6: cluster.init: means nothing with mode: local"},
		{"cluster: {mode: managed, endpoints: ['e:1']}", "f:6: cluster.endpoints: means nothing with mode: managed"},
		{"cluster: {mode: managed, name: 'a b'}", `f:6: cluster.name: want the name of a cluster, 1..63 of a-z A-Z 0-9 . _ -, got "a b"`},
		{"cluster: {mode: managed, engine: {size: 4}}", "f:6: cluster.engine.size: want 1, 3 or 5, got 4"},
		{"cluster: {mode: managed, engine: {size: 7}}", "f:6: cluster.engine.size: want a number 1..5, got the number 7"},
		{"cluster: {mode: managed, engine: {client: 'a:1', peer: 'a:1'}}", "f:6: cluster.engine: client and peer are both a:1; want two ports"},
		{"cluster: {mode: managed, policy: [{names: [a]}]}", "f:6: cluster.policy.hosts: is missing; it says which hosts the entry is for"},
		{"cluster: {mode: managed, policy: [{hosts: []}]}", `f:6: cluster.policy: hosts: want one glob or more, such as "zone-*"`},
		{"cluster: {mode: managed, policy: [{hosts: ['[a']}]}", `f:6: cluster.policy.hosts: want a glob, text with *, ? and [a-z], got "[a"`},
		{"cluster: {mode: managed, policy: [{hosts: [a], prefixes: [0.0.999.1]}]}", `f:6: cluster.policy.prefixes: prefix "0.0.999.1"`},
		{"cluster: {mode: managed, policy: [{hosts: [a], max_names: 0}]}", "f:6: cluster.policy.max_names: want a number 1..1048576, got the number 0"},
		{"log: {format: xml}", `want one of text, json, got "xml"`},
		{"log: {}\nlog: {}", "f:7: log: is given twice, first in line 6"},
		{"user: a:b", `f:6: user: want a name or a number that the system knows, got "a:b"`},
		{"user: 1.5", "got the number 1.5"},
		{"group: -1", "got the number -1"},
		{"colour: red", `f:6: key "colour" is not known; known here: domain, root,`},
		{"? [a]\n: 1", "f:6: want a key, one of domain, root,"},
		{"<<: {user: a}", `f:6: key "<<" is not known`},
		{"user: &u a\ngroup: *u", "f:7: group: want a name or a number that the system knows, got an alias, which is not taken here"},
		{"peers: west", `f:6: peers: want a list of peers, got "west"`},
		{"peers: [west]", "f:6: peers: want a mapping with name, address, connections, got \"west\""},
		{"peers: [{address: w:1}]", "f:6: peers.name: is missing; it is the peer's host name, as its certificate has it"},
		{"peers: [{name: w}]", "f:6: peers.address: is missing; it says where the peer listens"},
		{"peers: [{name: w, address: ':1'}]", `f:6: peers.address: want HOST:PORT to dial, such as 10.0.0.2:7100, got ":1"`},
		{"peers: [{name: w, address: 'w:0'}]", `got "w:0"`},
		{"peers: [{name: w, address: 'w:1', connections: 17}]", "f:6: peers.connections: want a number 1..16, got the number 17"},
		{"peers:\n- {name: w, address: 'w:1'}\n- {name: w, address: 'w:2'}", "f:8: peers.name: host w is given twice, first in line 7"},
		{"peers:\n- {name: w, address: 'w:1'}\n- {name: v, address: 'w:01'}", "f:8: peers.address: address w:1 is given twice, first in line 7"},
		{"peers: [{name: east, address: 'w:1'}]", "f:6: peers.name: east is this host itself; peers are the others"},
		{"peers: [{name: w, address: 'w:1', connections: 2}]\nlimits: {connections: 1}", "f:7: limits.connections: want at least 2, what the peers have together, got 1"},
		{"routes: {}", "f:6: routes: want a list of routes, got a mapping"},
		{"routes: [{host: east}]", "f:6: routes.to: is missing; it says which addresses the route is for"},
		{"routes: [{to: 0.0.3.1}]", "f:6: routes.host: is missing; it says behind which host they are"},
		{"routes: [{to: 0.0.3, host: east}]", `f:6: routes.to: prefix "0.0.3"`},
		{"routes: [{to: 0.0.256.1, host: east}]", `f:6: routes.to: prefix "0.0.256.1": segment 3 is 256`},
		{"routes: [{to: 0.0.0.0, host: east}]", "f:6: routes.to: 0.0.0.0 is no address, nothing can be bound to it"},
		{"routes: [{to: *, host: east}]", `f:6: not YAML: did not find expected alphabetic or numeric character; a text with a special character, such as "*"`},
		{"routes: [{to: 0.0.3.1, host: west}]", `f:6: routes.host: host "west" is not known; want the name of a peer, or east for this host`},
		{"routes:\n- {to: 0.0.3.*, host: east}\n- {to: 00.0.3.*, host: east}", "f:8: routes.to: a route to 0.0.3.* is given twice, first in line 7"},
		{"routes:\n- {to: '*', host: east}\n- {to: '*.*.*.*', host: east}", "f:8: routes.to: a route to *.*.*.* is given twice, first in line 7"},
		{"routes: [{to: 0.0.3.1, host: east, release: never}]", `f:6: routes.release: want one of consumed, stored, got "never"`},
		{"routes: [{to: 0.0.3.1, host: east, priority: 8}]", "f:6: routes.priority: want a number 0..7, got the number 8"},
		{"routes: [{to: 0.0.3.1, host: east, desc: " + strings.Repeat("x", 96) + "}]", "f:6: routes.desc: want a description of at most 95 bytes, got 96"},
		{"routes: []\nroutes_file: r.xml", "f:7: routes_file: does not go with the list of routes in line 6; want one of the two"},
		{"durable: [{to: '*', dir: d}]", "f:6: durable.from: is missing"},
		{"durable: [{from: '*', dir: d}]", "f:6: durable.to: is missing"},
		{"durable: [{from: '*', to: '*'}]", "f:6: durable.dir: is missing; it is the folder for the messages"},
		{"durable: [{from: '*', to: '*', dir: d, mode: maybe}]", `f:6: durable.mode: want one of sync, async, got "maybe"`},
		{"durable:\n- {from: '*', to: 0.0.3.1, dir: d}\n- {from: '*', to: 0.0.3.1, dir: e}", "f:8: durable: *.*.*.* to 0.0.3.1 is given twice, first in line 7"},
		{"---\nx: 1", "f:6: want one document, here begins another"},
		{"a: b: c", "f:6: not YAML: "},
		{"user:\n\ta", "f:7: not YAML: "},
	} {
		_, err := Read("f", []byte(with(test.text)))
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s\ngot  %v\nwant %s", test.text, err, test.want)
		}
	}
}

func TestFilesThatAreNotOne(t *testing.T) {
	for text, want := range map[string]string{
		"":                             "f:1: has no content",
		"# only a comment\n":           "f:1: has no content",
		"- a\n":                        "f:1: want a mapping with domain, root,",
		"just words":                   `got "just words"`,
		"a: 1\nb: \xff\n":              "f:2: not UTF-8",
		"a: 1\n\nb: \x01\n":            "f:3: not YAML: control characters are not allowed",
		"\xff\xfea\x00:\x00":           "f:1: not UTF-8",
		"a: 1\n...\n%FOO\nb":           "f:",
		"a: [1,\nb: 2":                 "f:2: not YAML",
		strings.Repeat("[", 1<<16):     "not YAML",
		strings.Repeat(" ", MaxSize+1): "f: is larger than 16M",
	} {
		if _, err := Read("f", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: got %v, want %s", text, err, want)
		}
	}
}

// TestAllMistakesAtOnce has them in the order of the lines, which is not the
// order in which they are found.
func TestAllMistakesAtOnce(t *testing.T) {
	_, err := Read("/etc/skybusd.yaml", []byte(`log: {level: loud}
routes:
  - to: 0.0.3.300
    host: nowhere
domain: no
`))
	want := `/etc/skybusd.yaml:1: relay_key: is missing; it names the route table
/etc/skybusd.yaml:1: host: is missing; it is the name of this host, as its certificate has it
/etc/skybusd.yaml:1: listen: is missing; it says where peers connect to
/etc/skybusd.yaml:1: log.level: want one of debug, info, warn, error, got "loud"
/etc/skybusd.yaml:1: tls: is missing; ` + "`skybus daemon certs`" + ` makes the certificates, or say insecure: true to go without
/etc/skybusd.yaml:3: routes.to: prefix "0.0.3.300": segment 4 is 300, template 8.8.8.8 allows 0..255
/etc/skybusd.yaml:5: domain: want a number 1..2147483647, decimal or after 0x, got "no"`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	var first *Error
	if !errors.As(err, &first) || first.Line != 1 || first.Field != "relay_key" || first.File != "/etc/skybusd.yaml" {
		t.Errorf("the first is %+v", first)
	}
}

// TestOneMistakeIsNotReportedAsTwo has mistakes that others could follow from.
func TestOneMistakeIsNotReportedAsTwo(t *testing.T) {
	for _, file := range []string{
		with("template: 8.8.8.9\nroutes: [{to: 0.0.3.1, host: east}]\ndurable: [{from: '*', to: 0.0.0.1, dir: d}]"),
		with("host: e ast\nroutes: [{to: 0.0.3.1, host: east}]"),
		with("peers: [{name: we st, address: 'w:1'}]\nroutes: [{to: 0.0.3.1, host: west}]"),
		with("peers: [{name: west, address: w}]\nroutes: [{to: 0.0.3.1, host: west}]"),
		without(minimal, "host") + "routes: [{to: 0.0.3.1, host: west}]",
		without(minimal, "insecure") + "tls: {ca: a, cert: b}\ninsecure: false",
		without(minimal, "insecure") + "insecure: maybe",
	} {
		if _, err := Read("f", []byte(file)); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s\ngot %v", file, err)
		}
	}
}

func TestMistakesAreCounted(t *testing.T) {
	var file strings.Builder
	file.WriteString(minimal + "routes:\n")
	for i := range 1000 {
		fmt.Fprintf(&file, "- {to: 0.0.3.%d, host: east}\n", 256+i)
	}
	_, err := Read("f", []byte(file.String()))
	if err == nil {
		t.Fatal("no error")
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != maxErrors+1 || lines[maxErrors] != "f: … and 980 more" || !strings.HasPrefix(lines[0], "f:7: ") {
		t.Errorf("%d lines, the last is %s", len(lines), lines[len(lines)-1])
	}
}

func TestTooManyRoutesAndPeers(t *testing.T) {
	var routes, peers strings.Builder
	for i := range maxRoutes + 1 {
		fmt.Fprintf(&routes, "- {to: 1.%d.%d.%d, host: east}\n", i>>16, i>>8&255, i&255)
	}
	for i := range maxPeers + 1 {
		fmt.Fprintf(&peers, "- {name: h%d, address: 'h%d:1'}\n", i, i)
	}
	for text, want := range map[string]string{
		"routes:\n" + routes.String():                             "f:7: routes: want at most 65536 routes, got 65537",
		"limits: {connections: 65536}\npeers:\n" + peers.String(): "f:8: peers: want at most 4095 peers, got 4096",
	} {
		if _, err := Read("f", []byte(with(text))); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestLongTextsAreShortened(t *testing.T) {
	_, err := Read("f", []byte(with("log: {level: "+strings.Repeat("é", 10000)+"}")))
	if err == nil || len(err.Error()) > 300 || !strings.Contains(err.Error(), "éé…") {
		t.Errorf("got %v", err)
	}
}
