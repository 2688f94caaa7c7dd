// SPDX-License-Identifier: Apache-2.0

package skybus_test

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/internal/killtest"
	"github.com/skybus-io/skybus/internal/sys"
	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/route"
	"github.com/skybus-io/skybus/shm"
)

const clusterKey = 77 // of the route tables of these tests

// follows opens a domain on the host east, with these rules.
func follows(t *testing.T, rules ...route.Rule) *skybus.Domain {
	t.Helper()
	d := dynamic(t)
	publish(t, rootOf(d), rules...)
	if err := d.Table().SetRelayKey(clusterKey); err != nil {
		t.Fatal(err)
	}
	return d
}

// publish puts the rules in force.
func publish(t *testing.T, root string, rules ...route.Rule) {
	t.Helper()
	err := route.Store(root, &route.Table{
		Key: clusterKey, Self: "east", Rules: rules,
		Hosts: []route.Host{{Name: "east", Address: "10.0.0.1:7100"}, {Name: "west", Address: "10.0.0.2:7100"}},
	}, shm.Keep)
	if err != nil {
		t.Fatal(err)
	}
}

func rule(prefix string, host string, published bool) route.Rule {
	p, err := addr.Default.ParsePrefix(prefix)
	if err != nil {
		panic(err)
	}
	return route.Rule{Prefix: p, Host: host, Published: published}
}

// An address that another host has published cannot be bound, and the error says where it is. What a configuration
// places elsewhere is refused as ever; what this host has is its own.
func TestBindOfAnAddressThatIsBoundElsewhere(t *testing.T) {
	const exact = "0.0.3.1"
	for _, test := range []struct {
		name  string
		rules []route.Rule
		want  error
		text  string
	}{
		{"published", []route.Rule{rule(exact, "west", true)}, skybus.ErrBoundElsewhere, "bind: address 0.0.3.1 is bound on host west (10.0.0.2:7100)"},
		{"published here", []route.Rule{rule(exact, "east", true)}, nil, ""},
		{"a published prefix", []route.Rule{rule("0.0.3.*", "west", true)}, skybus.ErrNoRoute, "rule 0.0.3.* of relay key 77 places it on host west"},
		{"configured", []route.Rule{rule(exact, "west", false)}, skybus.ErrNoRoute, "rule 0.0.3.1 of relay key 77 places it on host west"},
		{"published in a prefix of this host", []route.Rule{rule("0.0.3.*", "east", false), rule(exact, "west", true)}, skybus.ErrBoundElsewhere, "west"},
		{"another one is published", []route.Rule{rule("0.0.3.2", "west", true)}, nil, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := follows(t, test.rules...)
			e, err := d.Bind(c)
			want(t, err, test.want)
			if err == nil {
				e.Close()
				return
			}
			if !strings.Contains(err.Error(), test.text) {
				t.Errorf("%q does not say %q", err, test.text)
			}
			if info, ok := d.Table().Endpoint(c); ok && info.Bound {
				t.Error("it is bound nevertheless")
			}
		})
	}
}

// The refusal ends with the other host's bind, and what is bound here stays bound.
func TestBindWhileRoutesChange(t *testing.T) {
	d := follows(t)
	e := bind(t, d, c)
	publish(t, rootOf(d), rule("0.0.3.1", "west", true))
	other := bind(t, d, a)
	if err := e.TrySend(a, []byte("still here")); err != nil {
		t.Error(err)
	}
	if m := recv(t, other); m.Src != c {
		t.Errorf("received %+v", m)
	}
	e.Close()
	_, err := d.Bind(c)
	want(t, err, skybus.ErrBoundElsewhere)
	publish(t, rootOf(d))
	bind(t, d, c)
}

// keptVariable is the descriptor that holds the address over exec.
const keptVariable = "SKYBUS_TEST_KEPT"

func init() { roles["reborn"] = rebornRole }

// rebornRole binds an address, and says so; at a line of its input it becomes itself by exec and keeps the address.
func rebornRole(args []byte) error {
	root, err := killtest.Args[string](args)
	if err != nil {
		return err
	}
	d, err := skybus.Open(key, skybus.Options{Root: root, MustExist: true})
	if err != nil {
		return err
	}
	var opts []skybus.BindOption
	if text, again := os.LookupEnv(keptVariable); again {
		fd, err := strconv.Atoi(text)
		if err != nil {
			return err
		}
		f, err := sys.Inherited(fd, "kept")
		if err != nil {
			return err
		}
		opts = append(opts, skybus.WithLock(f))
	}
	e, err := d.Bind(c, opts...)
	if err != nil {
		return err
	}
	fmt.Println("bound", len(opts))
	if in := bufio.NewScanner(os.Stdin); !in.Scan() || len(opts) > 0 {
		return in.Err()
	}
	f, release, err := e.HandOver()
	if err != nil {
		return err
	}
	defer release()
	return sys.Exec("/proc/self/exe", os.Args, append(os.Environ(), fmt.Sprintf("%s=%d", keptVariable, f.Fd())), []*os.File{f})
}

// A process that becomes another program keeps its address, also if another host has published it meanwhile; once it
// has given it up nobody here gets it.
func TestAddressKeptOverExecAndBoundElsewhere(t *testing.T) {
	testutil.NoLeaks(t)
	d := follows(t)
	p := killtest.Start(t, "reborn", rootOf(d))
	if got := p.Line(); got != "bound 0" {
		t.Fatalf("it says %q", got)
	}
	publish(t, rootOf(d), rule("0.0.3.1", "west", true))
	p.Tell("exec")
	if got := p.Line(); got != "bound 1" {
		t.Fatalf("after exec it says %q", got)
	}
	if info, _ := d.Table().Endpoint(c); !info.Bound || info.PID != uint32(p.PID()) || info.Binds != 1 {
		t.Errorf("the table has %+v", info)
	}
	p.Tell("end")
	if err := p.Wait(); err != nil {
		t.Error(err)
	}
	_, err := d.Bind(c)
	want(t, err, skybus.ErrBoundElsewhere)
}
