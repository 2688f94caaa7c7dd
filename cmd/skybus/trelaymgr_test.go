// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/internal/tbusxml"
	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/route"
	"github.com/skybus-io/skybus/shm"
)

// relayFile writes a trelaymgr.xml of key 7 with these relays, the first in line 3.
func relayFile(t *testing.T, relays ...string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "relays.xml")
	text := "<RelayMnger><AddrTemplet>8.8.8.8</AddrTemplet>\n<RelayShmKey>7</RelayShmKey>\n" + strings.Join(relays, "\n") + "\n</RelayMnger>\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func relayElement(prefix, host string) string {
	return "<Relays><Addr>" + prefix + "</Addr><MConn>tcp://" + host + "</MConn></Relays>"
}

// trelay runs the tool under root.
func trelay(t *testing.T, root string, args ...string) (code int, out, errOut string) {
	t.Helper()
	var o, e bytes.Buffer
	code = run(t.Context(), append([]string{trelaymgrName, "--root", root}, args...), nil, &o, &e)
	return code, o.String(), e.String()
}

// TestDomainsAreToldOfRoutes: after each write that succeeds, and at no other time.
func TestDomainsAreToldOfRoutes(t *testing.T) {
	root := testutil.Dir(t)
	var told []string
	var fails error
	before := followRoutes
	defer func() { followRoutes = before }()
	followRoutes = func(_ *app, root string, key uint32) error {
		if _, err := route.Load(root, key); err != nil {
			t.Errorf("told before there is a table: %v", err)
		}
		told = append(told, fmt.Sprint(root, " ", key))
		return fails
	}
	good, bad := relayFile(t, relayElement("0.0.3.*", "h:1")), relayFile(t, relayElement("0.0.300.*", "h:1"))
	for _, c := range []struct {
		args  []string
		fails error
		code  int
		told  bool
		err   string
	}{
		{args: []string{"-C", good}},
		{args: []string{"-C", bad, "-W"}, code: exitFailed, err: "relays.xml:3: <Addr>: "},
		{args: []string{"-C", good, "-W"}, told: true},
		{args: []string{"-C", good, "-W"}, told: true}, // the first may have been cut off
		{args: []string{"-C", good, "-W"}, told: true, fails: errors.New("domain 9 is damaged"), code: exitFailed,
			err: "route table 7 is written, but not all domains know: domain 9 is damaged"},
		{args: []string{"-k", "7"}},
		{args: []string{"-k", "7", "--delete", "2"}, code: exitFailed, err: "has the rules 1 to 1"},
		{args: []string{"-k", "7", "--delete", "1"}, told: true},
		{args: []string{"-k", "7", "--delete", "1"}, code: exitFailed, err: "has no rules"},
	} {
		told, fails = nil, c.fails
		code, _, errOut := trelay(t, root, c.args...)
		if code != c.code || !strings.Contains(errOut, c.err) {
			t.Errorf("%q: exit %d, %s; want %d, %q", c.args, code, errOut, c.code, c.err)
		}
		if c.told != (len(told) == 1) || c.told && told[0] != root+" 7" {
			t.Errorf("%q: told %q, want %v", c.args, told, c.told)
		}
	}
}

// TestFileLeavesTheHostNamed: a file does not say which host this is. What else a
// daemon has set for the rules of the file is as in the file, hosts too.
func TestFileLeavesTheHostNamed(t *testing.T) {
	root := testutil.Dir(t)
	p := addr.Prefix{Addr: 0x300, Bits: 24}
	have := &route.Table{
		Key: 7, Self: "game-1", Hosts: []route.Host{{Name: "db-1", Address: "h:1"}},
		Rules: []route.Rule{
			{Prefix: p, Host: "db-1", Release: route.Stored, Priority: 3},
			{Prefix: addr.Exact(1), Host: "game-1"},
		},
	}
	if err := route.Store(root, have, shm.Keep); err != nil {
		t.Fatal(err)
	}
	code, out, errOut := trelay(t, root, "-k", "7")
	if code != exitOK || !strings.Contains(out, ", host game-1, ") || !strings.Contains(out, " 2  0.0.0.1  game-1  -        consumed\n") {
		t.Errorf("exit %d, %s%s", code, out, errOut)
	}
	code, out, errOut = trelay(t, root, "-C", relayFile(t, relayElement("0.0.3.*", "h:1")), "-W")
	if code != exitOK || !strings.Contains(out, "changed  0.0.3.* behind h_1 (h:1), consumed\ndeleted  0.0.0.1 behind game-1 (-), consumed\n") {
		t.Errorf("exit %d, %s%s", code, out, errOut)
	}
	got, err := route.Load(root, 7)
	if err != nil {
		t.Fatal(err)
	}
	rule := route.Rule{Prefix: p, Host: "h_1"}
	if got.Self != "game-1" || got.Generation != 2 || len(got.Rules) != 1 || got.Rules[0] != rule || len(got.Hosts) != 1 || got.Hosts[0].Name != "h_1" {
		t.Errorf("got %+v", got)
	}
}

// TestHostGoesWithItsLastRule: and not before.
func TestHostGoesWithItsLastRule(t *testing.T) {
	root := testutil.Dir(t)
	file := relayFile(t, relayElement("0.0.3.*", "a:1"), relayElement("0.0.4.*", "b:1"), relayElement("0.0.5.*", "a:1"))
	for _, c := range []struct {
		args  []string
		hosts int
	}{
		{[]string{"-C", file, "-W"}, 2}, {[]string{"-k7", "--delete", "1"}, 2}, {[]string{"-k7", "--delete", "2"}, 1}, {[]string{"-k7", "--delete", "1"}, 0},
	} {
		code, _, errOut := trelay(t, root, c.args...)
		tab, err := route.Load(root, 7)
		if code != exitOK || err != nil || len(tab.Hosts) != c.hosts {
			t.Errorf("%q: exit %d, %s, %+v, %v; want %d hosts", c.args, code, errOut, tab, err, c.hosts)
		}
	}
}

// TestFileWithTooMany names the first that is too many, of hosts and of relays.
func TestFileWithTooMany(t *testing.T) {
	var hosts, relays []tbusxml.Relay
	for i := range route.MaxHosts + 2 {
		hosts = append(hosts, tbusxml.Relay{Prefix: addr.Exact(addr.Addr(i + 1)), Host: fmt.Sprint("h", i), Port: 1, Line: i + 3})
	}
	for i := range route.MaxRules + 2 {
		relays = append(relays, tbusxml.Relay{Prefix: addr.Exact(addr.Addr(i + 1)), Host: "h", Port: 1, Line: i + 3})
	}
	for _, c := range []struct {
		relays []tbusxml.Relay
		want   string
	}{
		{hosts[:route.MaxHosts], "<nil>"},
		{hosts, "relays.xml:4099: <MConn>: h4096:1 is one host more than a table takes, which is 4096"},
		{relays[:route.MaxRules], "<nil>"},
		{relays, "relays.xml:65539: <Relays>: is one more than a table takes, which is 65536"},
	} {
		tool := trelaymgr{app: newApp(trelaymgrName, nil, nil, nil), relayKey: 7, file: "relays.xml", xml: &tbusxml.GRM{Key: 7, Relays: c.relays}}
		tab, err := tool.wanted()
		if fmt.Sprint(err) != c.want || (tab == nil) != (err != nil) {
			t.Errorf("%d relays: got %v, want %s", len(c.relays), err, c.want)
		}
	}
}
