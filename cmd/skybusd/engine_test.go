// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/channel"
	"github.com/skybus-io/skybus/cluster"
	"github.com/skybus-io/skybus/cluster/local"
	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/names"
)

// namesOf joins the global names of the test's domain.
func namesOf(t *testing.T, root string) *cluster.Names {
	t.Helper()
	return joinNames(t, root, "")
}

// joinNames joins the names of a cluster.
func joinNames(t *testing.T, root, name string) *cluster.Names {
	t.Helper()
	p, err := local.Dial(channel.Dir(root, 1), local.Options{})
	if err != nil {
		t.Fatal(err)
	}
	n, err := cluster.NewNames(p, cluster.NamesConfig{Cluster: name})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		n.Close()
		p.Close()
	})
	return n
}

// Names come back by themselves in a daemon that takes the place of another, and the socket goes
// with the last one.
func TestGlobalNamesOutliveADaemon(t *testing.T) {
	testutil.NoLeaks(t)
	root := testutil.Dir(t)
	stop, _ := start(t, root, "--host", "a", "--listen", "127.0.0.1:0")
	n, other := namesOf(t, root), namesOf(t, root)
	owner := names.Owner{Addr: 0x301, Handle: 7}
	if st, err := n.Request(t.Context(), "bank", owner, 0); err != nil || st != names.Owns {
		t.Fatalf("%v, %v", st, err)
	}
	soon(t, "the other one sees the name", func() bool { // what it has never seen it cannot keep
		list, err := other.Owners(t.Context(), "bank")
		return err == nil && len(list) == 1 && list[0] == owner
	})
	if code, text := stop(); code != 0 || !strings.Contains(text, "global names are served") {
		t.Fatalf("exit code %d:\n%s", code, text)
	}
	if _, err := os.Stat(filepath.Join(channel.Dir(root, 1), local.Socket)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
	stop, _ = start(t, root, "--host", "a", "--listen", "127.0.0.1:0")
	if _, err := other.Request(t.Context(), "bank", names.Owner{Addr: 0x302, Handle: 1}, 0); err != nil {
		t.Fatal(err)
	}
	soon(t, "the name is its first owner's again", func() bool {
		list, err := other.Owners(t.Context(), "bank")
		return err == nil && len(list) == 2 && list[0] == owner
	})
	stop()
}

func TestADaemonWithoutGlobalNames(t *testing.T) {
	root := testutil.Dir(t)
	dom, err := skybus.Open(1, skybus.Options{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	defer dom.Close()
	if e := serveEngine("none", dom.Table(), nil); e != nil {
		e.close()
		t.Error("an engine runs that was not asked for")
	}
	(*localEngine)(nil).close()
}

// A process that has died is told from one that has the same address now.
func TestWhoseAddressItIs(t *testing.T) {
	root := testutil.Dir(t)
	dom, err := skybus.Open(1, skybus.Options{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	defer dom.Close()
	a := addr.MustParse("0.0.3.1")
	var alive []bool
	first, err := dom.Bind(a)
	if err != nil {
		t.Fatal(err)
	}
	is := aliveIn(dom.Table())(a)
	alive = append(alive, is())
	first.Close()
	alive = append(alive, is())
	second, err := dom.Bind(a)
	if err != nil {
		t.Fatal(err)
	}
	alive = append(alive, is(), aliveIn(dom.Table())(a)())
	second.Close()
	if want := []bool{true, false, false, true}; !slices.Equal(alive, want) {
		t.Errorf("alive %v, want %v", alive, want)
	}
}
