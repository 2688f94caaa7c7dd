// SPDX-License-Identifier: Apache-2.0

package tbusxml

import (
	"reflect"
	"testing"

	"github.com/skybus-io/skybus/addr"
)

func TestRelayFile(t *testing.T) {
	got, err := ParseRelay("trelaymgr.xml", readFile(t, "trelaymgr.xml"))
	if err != nil {
		t.Fatal(err)
	}
	want := &GRM{
		Template: addr.MustTemplate("6.8.8.10"),
		Key:      0x41f9,
		Relays: []Relay{
			{Prefix: addr.Prefix{Addr: 1<<26 | 2<<18, Bits: 14}, Host: "10.0.0.7", Port: 9001, Desc: "二号大区", Line: 7},
			{Prefix: addr.Exact(1<<26 | 2<<18 | 3<<10 | 1000), Host: "db-1.example.net", Port: 9001, Line: 12},
			{Prefix: addr.Prefix{Addr: 1<<26 | 3<<18 | 5<<10, Bits: 22}, Host: "fd00::7", Port: 9002, Line: 16},
		},
		Warnings: []Warning{
			{File: "trelaymgr.xml", Line: 14, Element: "MConn", Msg: "has options after the ?, ignored", Count: 1},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	for i, hp := range []string{"10.0.0.7:9001", "db-1.example.net:9001", "[fd00::7]:9002"} {
		if got := got.Relays[i].HostPort(); got != hp {
			t.Errorf("HostPort is %q, want %q", got, hp)
		}
	}
}

// grm puts lines around what a test is about; its own lines start at line 4.
func grm(lines string) string {
	return "<RelayMnger>\n<AddrTemplet>8.8.8.8</AddrTemplet>\n<RelayShmKey>2000</RelayShmKey>\n" + lines + "\n</RelayMnger>\n"
}

func relayLine(prefix, conn string) string {
	return "<Relays><Addr>" + prefix + "</Addr><MConn>" + conn + "</MConn></Relays>"
}

func TestRelayErrors(t *testing.T) {
	good := relayLine("0.0.3.*", "tcp://10.0.0.7:9001")
	for _, c := range []struct{ name, file, want string }{
		{"star inside", grm(relayLine("0.*.3.1", "tcp://h:1")),
			`f:4: <Addr>: prefix "0.*.3.1": segment 3 is 3 after a *, nothing but * may follow one`},
		{"address none", grm(relayLine("0.0.0.0", "tcp://h:1")),
			`f:4: <Addr>: 0.0.0.0 is no address, nothing can be bound to it`},
		{"duplicate", grm(good + "\n" + relayLine("0.0.3.1", "tcp://h:1") + "\n" + good),
			`f:6: <Relays>: 0.0.3.* has a relay already, in line 4`},
		{"missing", grm("<Relays/>"),
			"f:4: <MConn>: is missing in this <Relays>\nf:4: <Addr>: is missing in this <Relays>"},
		{"twice", grm("<Relays><Addr>0.0.3.1</Addr><MConn>tcp://h:1</MConn>\n<MConn>tcp://h:2</MConn></Relays>"),
			`f:5: <MConn>: is given twice in this <Relays>, first in line 4`},
		{"the other file", string(readFile(t, "tbusmgr.xml")),
			`f:4: <TbusGCIM>: is the outermost element, want <RelayMnger>`},
		{"no header", "<RelayMnger>" + relayLine("?", "tcp://h:0") + "</RelayMnger>",
			"f:1: <AddrTemplet>: is missing; it says how addresses are written, such as 8.8.8.8\n" +
				"f:1: <RelayShmKey>: is missing; it names the shared memory\n" +
				"f:1: <MConn>: \"tcp://h:0\" has no valid port, want 1..65535"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ParseRelay("f", []byte(c.file))
			if err == nil || err.Error() != c.want {
				t.Errorf("got  %v\nwant %v", err, c.want)
			}
			if got != nil {
				t.Errorf("got %+v with an error", got)
			}
		})
	}
}

func TestConnections(t *testing.T) {
	const (
		form = "is not of the form tcp://HOST:PORT"
		port = "has no port, want tcp://HOST:PORT"
		name = "has no valid host, want a name, an IPv4 address or an IPv6 address in brackets"
		rng  = "has no valid port, want 1..65535"
	)
	for _, c := range []struct {
		text    string
		want    conn
		problem string
	}{
		{"tcp://10.0.0.7:9001", conn{"10.0.0.7", 9001, false}, ""},
		{"TCP://relay_1.example.net:65535", conn{"relay_1.example.net", 65535, false}, ""},
		{"tcp://[::1]:1", conn{"::1", 1, false}, ""},
		{"tcp://[fe80::1%eth0]:1", conn{"fe80::1%eth0", 1, false}, ""},
		{"tcp://h:1?a=b:2", conn{"h", 1, true}, ""},
		{"", conn{}, form},
		{"10.0.0.7:9001", conn{}, form},
		{"udp://10.0.0.7:9001", conn{}, form},
		{"tcp://10.0.0.7", conn{}, port},
		{"tcp://[::1]", conn{}, port},
		{"tcp://", conn{}, port},
		{"tcp://:9001", conn{}, name},
		{"tcp://::1:9001", conn{}, name},
		{"tcp://[10.0.0.7]:9001", conn{}, name},
		{"tcp://[::1:9001", conn{}, name},
		{"tcp://[::1%]:9001", conn{}, name},
		{"tcp://a b:9001", conn{}, name},
		{"tcp://a/b:9001", conn{}, name},
		{"tcp://h:", conn{}, rng},
		{"tcp://h:0", conn{}, rng},
		{"tcp://h:65536", conn{}, rng},
		{"tcp://h:9001/", conn{}, rng},
		{"tcp://h:http", conn{}, rng},
	} {
		got, problem := parseConn(c.text)
		if problem != c.problem || (problem == "" && got != c.want) {
			t.Errorf("%q: %+v, %q; want %+v, %q", c.text, got, problem, c.want, c.problem)
		}
	}
}
