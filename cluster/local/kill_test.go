// SPDX-License-Identifier: Apache-2.0

package local

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/cluster"
	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/names"
)

// childVariable makes the test binary a process that has a name: "ROOT ADDRESS NAME".
const childVariable = "SKYBUS_CLUSTER_CHILD"

func TestMain(m *testing.M) {
	run, what := child, os.Getenv(childVariable)
	if daemon := os.Getenv(daemonVariable); daemon != "" {
		run, what = daemonChild, daemon
	}
	if what != "" {
		if err := run(what); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// child binds an address, asks for a name, says so, and stays until its input ends.
func child(what string) error {
	words := strings.Fields(what)
	if len(words) != 3 {
		return fmt.Errorf("%q: want a root, an address and a name", what)
	}
	dom, err := skybus.Open(1, skybus.Options{Root: words[0]})
	if err != nil {
		return err
	}
	a, err := addr.Parse(words[1])
	if err != nil {
		return err
	}
	if _, err := dom.Bind(a); err != nil {
		return err
	}
	p, err := Dial(dom.Table().Folder(), Options{Addr: a})
	if err != nil {
		return err
	}
	n, err := cluster.NewNames(p, cluster.NamesConfig{TTL: cluster.MaxTTL})
	if err != nil {
		return err
	}
	standing, err := n.Request(context.Background(), words[2], names.Owner{Addr: a, Handle: 1}, 0)
	if err != nil {
		return err
	}
	fmt.Println("standing", standing)
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// spawn starts a child and waits until it has its name.
func spawn(t *testing.T, root string, a addr.Addr, name string) *exec.Cmd {
	t.Helper()
	return start(t, fmt.Sprintf("%s=%s %v %s", childVariable, root, a, name), "standing")
}

// start starts this binary with a variable and waits until it says that it is ready.
func start(t *testing.T, variable, ready string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), variable)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || !strings.HasPrefix(line, ready) {
		t.Fatalf("the child says %q, %v", line, err)
	}
	return cmd
}

// A process that is killed loses its names at once: their lease is good for an hour.
func TestAProcessThatIsKilled(t *testing.T) {
	testutil.NoLeaks(t)
	root := testutil.Dir(t)
	dom, err := skybus.Open(1, skybus.Options{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	defer dom.Close()
	alive := func(a addr.Addr) func() bool {
		binds := dom.Table().Binds(a)
		return func() bool {
			e, ok := dom.Table().Endpoint(a)
			return ok && e.Bound && e.Binds == binds
		}
	}
	e := NewEngine(Limits{})
	defer e.Close()
	s, err := e.Serve(dom.Table().Folder(), ServerConfig{Alive: alive})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	p, err := Dial(dom.Table().Folder(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	n := newNames(t, p, cluster.NamesConfig{})
	for range 5 {
		first := spawn(t, root, owner(1).Addr, "bank")
		second := spawn(t, root, owner(2).Addr, "bank")
		one, two := names.Owner{Addr: owner(1).Addr, Handle: 1}, names.Owner{Addr: owner(2).Addr, Handle: 1}
		until(t, []names.Registry{n}, "bank", []names.Owner{one, two})
		if err := first.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = first.Wait()
		until(t, []names.Registry{n}, "bank", []names.Owner{two})
		if err := second.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = second.Wait()
		until(t, []names.Registry{n}, "bank", nil)
	}
	if st := e.store.Stats(); st.Clients > 2 {
		t.Errorf("%d clients are left", st.Clients)
	}
}
