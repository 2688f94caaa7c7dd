// SPDX-License-Identifier: Apache-2.0

package local

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/cluster"
	"github.com/skybus-io/skybus/internal/killtest"
	"github.com/skybus-io/skybus/internal/testutil"
)

// A candidacy says where a process campaigns.
type candidacy struct {
	Root string
	Addr addr.Addr
	TTL  time.Duration
}

func init() { killtest.Main(map[string]killtest.Role{"candidate": candidate}) }

// candidate campaigns, says its token, and then again for each line of its input; at the line "lost" it says so
// when it is.
func candidate(args []byte) error {
	c, err := killtest.Args[candidacy](args)
	if err != nil {
		return err
	}
	dom, err := skybus.Open(1, skybus.Options{Root: c.Root})
	if err != nil {
		return err
	}
	if _, err := dom.Bind(c.Addr); err != nil {
		return err
	}
	p, err := Dial(dom.Table().Folder(), Options{Addr: c.Addr})
	if err != nil {
		return err
	}
	e, err := cluster.NewElections(p, cluster.ElectionsConfig{TTL: c.TTL})
	if err != nil {
		return err
	}
	l, err := e.Campaign(context.Background(), "n", c.Addr.String())
	if err != nil {
		return err
	}
	fmt.Println(l.Token())
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		if in.Text() == "lost" {
			<-l.Lost()
			fmt.Println(l.Err())
			continue
		}
		fmt.Println(l.Token()) // a write that it has begun, whatever has happened since
	}
	return nil
}

// number reads a line that is one.
func number(t *testing.T, p *killtest.Process) uint64 {
	t.Helper()
	line := p.Line()
	n, err := strconv.ParseUint(line, 10, 64)
	if err != nil {
		t.Fatalf("the process says %q, want a token", line)
	}
	return n
}

// daemonOf serves the engine for a domain, and knows its processes, as skybusd does.
func daemonOf(t *testing.T) (root string, dom *skybus.Domain) {
	t.Helper()
	root = testutil.Dir(t)
	dom, err := skybus.Open(1, skybus.Options{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dom.Close() })
	e := NewEngine(Limits{})
	t.Cleanup(e.Close)
	s, err := e.Serve(dom.Table().Folder(), ServerConfig{Alive: func(a addr.Addr) func() bool {
		binds := dom.Table().Binds(a)
		return func() bool {
			info, ok := dom.Table().Endpoint(a)
			return ok && info.Bound && info.Binds == binds
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return root, dom
}

func electionsOf(t *testing.T, dom *skybus.Domain) *cluster.Elections {
	t.Helper()
	p, err := Dial(dom.Table().Folder(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return newElections(t, p, cluster.ElectionsConfig{})
}

// A leader that is killed is replaced at once: its lease is good for an hour.
func TestALeaderThatIsKilled(t *testing.T) {
	testutil.NoLeaks(t)
	root, dom := daemonOf(t)
	mine := electionsOf(t, dom)
	last := uint64(0)
	for range 5 {
		p := killtest.Start(t, "candidate", candidacy{root, owner(1).Addr, cluster.MaxTTL})
		token := number(t, p)
		if token <= last {
			t.Fatalf("token %d after %d", token, last)
		}
		p.Kill()
		l, err := mine.Campaign(t.Context(), "n", "the test")
		if err != nil || l.Token() <= token {
			t.Fatalf("after token %d: %+v, %v", token, l, err)
		}
		if last = l.Token(); l.Resign(t.Context()) != nil {
			t.Fatal(l.Err())
		}
	}
}

// A leader that is stopped is replaced when its TTL is over. When it goes on it writes as if nothing had happened,
// and the store refuses it; then it learns that it is lost.
func TestALeaderThatIsStopped(t *testing.T) {
	testutil.NoLeaks(t)
	root, dom := daemonOf(t)
	mine := electionsOf(t, dom)
	var store cluster.Guard
	p := killtest.Start(t, "candidate", candidacy{root, owner(1).Addr, 2 * time.Second})
	old := number(t, p)
	if err := store.Admit(old); err != nil {
		t.Fatal(err)
	}
	p.Signal(syscall.SIGSTOP)
	l, err := mine.Campaign(t.Context(), "n", "the test")
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Admit(l.Token()); err != nil {
		t.Error(err)
	}
	p.Tell("write")
	p.Tell("lost")
	p.Signal(syscall.SIGCONT)
	late := number(t, p)
	if err := store.Admit(late); late != old || !errors.Is(err, cluster.ErrOldLeader) {
		t.Errorf("a write with token %d, once %d, after %d: %v", late, old, l.Token(), err)
	}
	if why := p.Line(); why == "<nil>" {
		t.Error("it is lost, and nobody knows why")
	}
	if lost(l) {
		t.Errorf("the new leader: %v", l.Err())
	}
}
