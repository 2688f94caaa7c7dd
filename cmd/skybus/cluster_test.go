// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/cluster/report"
	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/relay"
	"github.com/skybus-io/skybus/route"
	"github.com/skybus-io/skybus/shm"
)

// reporting starts a daemon that says of its cluster what report returns, in a domain whose routes are of the host east.
func reporting(t *testing.T, answer func(do string, args json.RawMessage) (any, error)) (root string) {
	t.Helper()
	testutil.NoLeaks(t)
	root = testutil.Dir(t)
	d, err := skybus.Open(1000, skybus.Options{Root: root, AllowUnknown: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	prefix := func(s string) addr.Prefix {
		p, err := addr.Default.ParsePrefix(s)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	err = route.Store(root, &route.Table{
		Key: 7, Self: "east", Hosts: []route.Host{{Name: "west", Address: "127.0.0.1:1"}},
		Rules: []route.Rule{{Prefix: prefix("0.0.1.*"), Host: "east"}, {Prefix: prefix("0.0.3.1"), Host: "west", Published: true}},
	}, shm.Keep)
	if err != nil {
		t.Fatal(err)
	}
	r, err := relay.Start(relay.Config{
		Table: d.Table(), Root: root, Host: "east", RelayKey: 7, Undeliverable: filepath.Join(t.TempDir(), "undeliverable"), Control: answer,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return root
}

// skybusSays runs a command.
func skybusSays(t *testing.T, root string, args ...string) (code int, out, errOut string) {
	t.Helper()
	var o, e bytes.Buffer
	code = run(t.Context(), append([]string{"skybus", "-k", "1000", "--root", root}, args...), strings.NewReader(""), &o, &e)
	return code, o.String(), e.String()
}

// threeHosts is a cluster in which nearly everything is the matter.
func threeHosts() *report.Cluster {
	return &report.Cluster{
		Name: "prod", Host: "east", Age: 12 * time.Second, Stale: true, Names: 400, Problems: []string{"the copy on disk was damaged"},
		Engine: report.Engine{
			Mode: report.ModeManaged, About: "https://10.0.0.1:7200", Age: 12 * time.Second, Error: "no leader", Life: "00000000000000ab", Revision: 77,
			Keys: 420, Leases: 3, Bytes: 3 << 20, Wanted: 3, Alarms: []string{"NOSPACE"}, Child: "running",
			Members: []report.Member{
				{Name: "east", ID: "1a", Healthy: true, DBBytes: 2 << 20, Clients: []string{"https://10.0.0.1:7200"}, Peers: []string{"https://10.0.0.1:7201"}, Leader: true},
				{Name: "west", ID: "2b", Learner: true, Error: "no\x1banswer"},
			},
		},
		Hosts: []report.Host{
			{Name: "east", State: report.HostHere, Links: []string{"10.0.0.1:7100"}, Fingerprint: strings.Repeat("ab", 32), Routes: 2, Age: 3 * time.Hour},
			{Name: "west", State: report.HostKnown, Links: []string{"10.0.0.2:7100", "10.1.0.2:7100"}, Routes: 2, Age: 90 * time.Second, PassedOver: 1},
			{Name: "no\x1brth", State: report.HostRefused, Age: time.Second, Error: "its certificate is that of west"},
		},
		Routes: []report.Route{
			{Prefix: "0.0.1.*", Host: "east", Source: report.Configured, State: report.RouteActive, Age: time.Hour},
			{Prefix: "0.0.3.1", Host: "west", Source: report.Published, State: report.RouteMoving, Age: 5 * time.Minute, To: "north"},
			{Prefix: "0.0.5.1", Host: "east", Source: report.Configured, State: report.RouteConflict, Age: time.Second, Conflict: "west", Error: "tried again when it goes"},
		},
	}
}

func TestListingsOfACluster(t *testing.T) {
	root := reporting(t, func(do string, _ json.RawMessage) (any, error) {
		if do != report.AskCluster {
			return nil, relay.ErrQuestion
		}
		return threeHosts(), nil
	})
	for _, test := range []struct {
		args string
		code int
		want string
	}{
		{"hosts", exitOK, `cluster prod, as host east knows it: 3 hosts
stale: the engine of cluster prod was last heard 12s ago: this is how things were then
HOST       STATE    LINK        ADDRESS                      CERTIFICATE       ROUTES  AGE  NOTE
east       here     -           10.0.0.1:7100                abababababababab       2   3h  -
west       known    connecting  10.0.0.2:7100 10.1.0.2:7100  -                      2   1m  1 route passed over
no\x1brth  refused  -           -                            -                      0   1s  its certificate is that of west
`},
		{"routes", exitOK, `domain 1000 follows route table 7, host east, 2 rules, generation 1
stale: the engine of cluster prod was last heard 12s ago: this is how things were then
NO  PREFIX   HOST  ADDRESS      RELEASE   PRIORITY  LOCAL  SOURCE      STATE     AGE  NOTE                                        DESC
 1  0.0.1.*  east  -            consumed         0  yes    configured  active     1h  -
 2  0.0.3.1  west  127.0.0.1:1  consumed         0  no     published   moving     5m  to host north
 -  0.0.5.1  east  -            -                -  yes    configured  conflict   1s  host west has it; tried again when it goes
`},
		{"cluster", exitFailed, `cluster      prod
host         east
engine       managed, https://10.0.0.1:7200
state        not heard for 12s: no leader
holds        420 keys, 3 leases, 3M bytes, revision 77 of life 00000000000000ab
hosts        3 (1 refused)
routes       3 (1 conflict, 1 moving)
names        400
member here  running
alarms       NOSPACE
problem      the copy on disk was damaged
stale        the engine of cluster prod was last heard 12s ago: this is how things were then

MEMBER  ID  ROLE     HEALTHY  DB  CLIENTS                PEERS                  ERROR
east    1a  leader   yes      2M  https://10.0.0.1:7200  https://10.0.0.1:7201  -
west    2b  learner  no        0  -                      -                      no\x1banswer
-       -   missing  no        -  -                      -                      -
`},
	} {
		code, out, errOut := skybusSays(t, root, test.args)
		if code != test.code || out != test.want || errOut != "" {
			t.Errorf("%s: exit code %d, %q\n%s\nwant\n%s", test.args, code, errOut, out, test.want)
		}
	}
}

// With --json it is what the daemon has said, with exact numbers.
func TestListingsOfAClusterInJSON(t *testing.T) {
	root := reporting(t, func(string, json.RawMessage) (any, error) { return threeHosts(), nil })
	var hosts []hostObject
	var routes []routeObject
	var c report.Cluster
	for _, test := range []struct {
		args string
		code int
		into any
	}{{"hosts", exitOK, &hosts}, {"routes", exitOK, &routes}, {"cluster", exitFailed, &c}} {
		code, out, _ := skybusSays(t, root, test.args, "--json")
		if err := json.Unmarshal([]byte(out), test.into); err != nil || code != test.code {
			t.Errorf("%s: exit code %d, %v\n%s", test.args, code, err, out)
		}
	}
	if len(hosts) != 3 || hosts[1].Stale != 12*time.Second || hosts[0].Fingerprint != strings.Repeat("ab", 32) || hosts[2].Name != "no\x1brth" {
		t.Errorf("hosts %+v", hosts)
	}
	if len(routes) != 3 || routes[1].Number != 2 || routes[1].To != "north" || routes[2].Conflict != "west" || routes[2].Number != 0 || routes[2].Stale != 12*time.Second {
		t.Errorf("routes %+v", routes)
	}
	if fmt.Sprint(c) != fmt.Sprint(*threeHosts()) {
		t.Errorf("cluster %+v", c)
	}
}

// A copy from the disk is told as such, and an engine that was never heard.
func TestAClusterThatWasNeverHeard(t *testing.T) {
	c := &report.Cluster{Name: "prod", Host: "east", Age: 3 * 24 * time.Hour, Stale: true, FromDisk: true, Engine: report.Engine{Mode: report.ModeEtcd, Error: "refused"}}
	root := reporting(t, func(string, json.RawMessage) (any, error) { return c, nil })
	code, out, _ := skybusSays(t, root, "cluster")
	for _, want := range []string{"engine   etcd\n", "never heard: refused\n", "was not heard since the daemon began: this is the last copy on disk, 3d old\n"} {
		if code != exitFailed || !strings.Contains(out, want) {
			t.Errorf("exit code %d, want %q:\n%s", code, want, out)
		}
	}
	if code, out, _ = skybusSays(t, root, "hosts"); code != exitOK || !strings.Contains(out, "0 hosts\nstale: ") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
}

func TestClusterReplace(t *testing.T) {
	var asked report.Replace
	root := reporting(t, func(do string, args json.RawMessage) (any, error) {
		if err := json.Unmarshal(args, &asked); err != nil || do != report.AskReplace {
			return nil, fmt.Errorf("%s %s: %w", do, args, err)
		}
		if asked.Old == "east" {
			return nil, errors.New("member east answers: it is not lost")
		}
		return nil, nil
	})
	if code, out, _ := skybusSays(t, root, "cluster", "replace", "west"); code != exitOK || asked.Old != "west" || !strings.Contains(out, "takes the place of member west") {
		t.Errorf("exit code %d, asked %+v: %s", code, asked, out)
	}
	if code, _, errOut := skybusSays(t, root, "cluster", "replace", "east"); code != exitFailed || !strings.Contains(errOut, "skybus: domain 1000: the daemon refuses: member east answers: it is not lost\n") {
		t.Errorf("exit code %d: %s", code, errOut)
	}
	if code, _, errOut := skybusSays(t, root, "cluster", "replace", ""); code != exitUsage || !strings.Contains(errOut, "want the name of a member") {
		t.Errorf("exit code %d: %s", code, errOut)
	}
}

// An address that another host has published is not received at here, and the tool says where it is.
func TestRecvOfAnAddressThatIsBoundElsewhere(t *testing.T) {
	root := reporting(t, nil)
	for _, args := range [][]string{{"recv", "-t", "0", "0.0.3.1"}, {"send", "-q", "--src", "0.0.3.1", "0.0.1.1", "x"}} {
		code, _, errOut := skybusSays(t, root, args...)
		if code != exitFailed || !strings.Contains(errOut, "bind: address 0.0.3.1 is bound on host west (127.0.0.1:1)") {
			t.Errorf("%v: exit code %d: %s", args, code, errOut)
		}
		if args[0] == "recv" && !strings.HasSuffix(errOut, "; skybus routes lists who has which address\n") {
			t.Errorf("%v gives no hint: %s", args, errOut)
		}
	}
}
