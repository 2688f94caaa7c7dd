// SPDX-License-Identifier: Apache-2.0

package node

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/skybus-io/skybus"
	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/cluster/namestest"
	"github.com/skybus-io/skybus/internal/killtest"
	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/names"
)

// The registry of a host is one like others.
func TestHostRegistry(t *testing.T) {
	namestest.Run(t, func(t *testing.T) namestest.Setup {
		d := domain(t)
		other, err := skybus.Open(1000, skybus.Options{Root: filepath.Dir(d.Table().Folder())})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { other.Close() })
		s := namestest.Setup{Rand: testutil.Rand(t)}
		for i, d := range []*skybus.Domain{d, other} {
			e, err := d.Bind(here + 10 + 1<<i)
			if err != nil {
				t.Fatal(err)
			}
			r, err := d.Names()
			if err != nil {
				t.Fatal(err)
			}
			s.Registries = append(s.Registries, r)
			for h := range uint64(3) {
				s.Owners = append(s.Owners, names.Owner{Addr: e.Addr(), Handle: h + 1})
			}
		}
		return s
	})
}

// scopes are tested alike: the registry of the host stands for a cluster's, too.
func scopes(t *testing.T, test func(t *testing.T, s Scope, a, b *Node)) {
	t.Helper()
	for _, s := range []Scope{Host, Cluster} {
		t.Run(s.String(), func(t *testing.T) {
			d := domain(t)
			far, err := skybus.Open(1000, skybus.Options{Root: filepath.Dir(d.Table().Folder())})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { far.Close() })
			begin := func(d *skybus.Domain, cfg Config) Config {
				r, err := d.Names()
				if err != nil {
					t.Fatal(err)
				}
				cfg.Cluster = r
				return cfg
			}
			test(t, s, startNode(t, d, true, begin(d, Config{})), startNode(t, far, false, begin(far, Config{})))
		})
	}
}

func startNode(t *testing.T, d *skybus.Domain, isHere bool, cfg Config) *Node {
	t.Helper()
	if isHere {
		return begin(t, d, here, cfg)
	}
	return begin(t, d, there, cfg)
}

func wantName(t *testing.T, n *Node, s Scope, name string, list ...actor.PID) {
	t.Helper()
	got, err := n.Names(s).Owners(t.Context(), name)
	if err != nil || !slices.Equal(got, list) {
		t.Errorf("%v name %q has %v, %v; want %v", s, name, got, err, list)
	}
}

func TestNamesOfNodes(t *testing.T) {
	scopes(t, func(t *testing.T, s Scope, a, b *Node) {
		p, q := serve(t, a, actor.Spec{}, echo), serve(t, b, actor.Spec{}, echo)
		_, err := b.Names(s).Lookup(t.Context(), "bank")
		want(t, err, actor.ErrNoService)
		for _, c := range []struct {
			n *Node
			p actor.PID
			s names.Standing
		}{{a, p, names.Owns}, {b, q, names.Waits}} {
			if got, err := c.n.Names(s).Request(t.Context(), "bank", c.p, names.AllowReplacement); err != nil || got != c.s {
				t.Errorf("request by %v: %v, %v", c.p, got, err)
			}
		}
		wantName(t, b, s, "bank", p, q)
		found, err := b.Names(s).Lookup(t.Context(), "bank")
		if err != nil || found != p {
			t.Fatalf("%v, %v", found, err)
		}
		if v, err := b.Runtime().Call(soon(t), found, "hi"); err != nil || v != "hi" {
			t.Errorf("the owner answers %v, %v", v, err)
		}
		if got, err := b.Names(s).Request(t.Context(), "bank", q, names.Replace|names.NoQueue); err != nil || got != names.Owns {
			t.Errorf("replace: %v, %v", got, err)
		}
		_, err = a.Names(s).Request(t.Context(), "bank", p, names.NoQueue)
		want(t, err, names.ErrTaken)
		_, err = a.Names(s).Request(t.Context(), "bank", q, 0)
		want(t, err, actor.ErrNoService)
		_, err = a.Names(s).Request(t.Context(), "bank", actor.PID{Handle: 9}, 0)
		want(t, err, actor.ErrNoService)
		want(t, a.Names(s).Release(t.Context(), "bank", p), names.ErrNotOwner)
		list, err := a.Names(s).List(t.Context(), "ba")
		if err != nil || !slices.Equal(list, []NameChanged{{Scope: s, Name: "bank", New: q}}) {
			t.Errorf("the list is %v, %v", list, err)
		}
		if err := b.Names(s).Release(t.Context(), "bank", q); err != nil {
			t.Error(err)
		}
		wantName(t, a, s, "bank")
	})
}

func TestNamesWithoutACluster(t *testing.T) {
	a, _ := pair(t)
	p := serve(t, a, actor.Spec{}, echo)
	nm := a.Names(Cluster)
	_, err := nm.Request(t.Context(), "x", p, 0)
	want(t, err, ErrNoCluster)
	want(t, nm.Release(t.Context(), "x", p), ErrNoCluster)
	_, err = nm.Lookup(t.Context(), "x")
	want(t, err, ErrNoCluster)
	_, err = nm.List(t.Context(), "")
	want(t, err, ErrNoCluster)
	want(t, nm.Watch(t.Context(), "", nil), ErrNoCluster)
	if _, err := a.Names(9).Lookup(t.Context(), "x"); err == nil || err.Error() != `look up scope(9) name "x": scope(9): want Host or Cluster` {
		t.Errorf("a scope that there is not: %v", err)
	}
}

// A service that ends loses its names, killed or not, and so does one that asks while it ends.
func TestNamesEndWithTheirService(t *testing.T) {
	scopes(t, func(t *testing.T, s Scope, a, b *Node) {
		p, q := serve(t, a, actor.Spec{}, echo), serve(t, b, actor.Spec{}, echo)
		for _, name := range []string{"one", "two"} {
			for n, p := range map[*Node]actor.PID{a: p} {
				if _, err := n.Names(s).Request(t.Context(), name, p, 0); err != nil {
					t.Fatal(err)
				}
			}
		}
		if _, err := b.Names(s).Request(t.Context(), "two", q, 0); err != nil {
			t.Fatal(err)
		}
		if err := a.Runtime().Kill(p); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the names are given up", func() bool {
			one, _ := b.Names(s).Owners(t.Context(), "one")
			two, _ := b.Names(s).Owners(t.Context(), "two")
			return len(one) == 0 && slices.Equal(two, []actor.PID{q})
		})
		for i := range 50 { // a race that is lost now and then
			name, p := fmt.Sprint("race", i), serve(t, a, actor.Spec{}, echo)
			go func() { _ = a.Runtime().Kill(p) }()
			_, _ = a.Names(s).Request(t.Context(), name, p, 0)
		}
		eventually(t, "no name of one that has ended", func() bool {
			list, err := b.Names(s).List(t.Context(), "race")
			return err == nil && len(list) == 0
		})
		if n := len(a.holdings.all()); n > 0 {
			eventually(t, "nothing is kept of them", func() bool { return len(a.holdings.all()) == 0 })
		}
	})
}

func TestNamesEndWithTheirNode(t *testing.T) {
	for what, end := range map[string]func(t *testing.T, n *Node){
		"Close": func(_ *testing.T, n *Node) { n.Close() },
		"Shutdown": func(t *testing.T, n *Node) {
			t.Helper()
			if err := n.Shutdown(soon(t)); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			scopes(t, func(t *testing.T, s Scope, a, b *Node) {
				p := serve(t, a, actor.Spec{}, echo)
				if _, err := a.Names(s).Request(t.Context(), "x", p, 0); err != nil {
					t.Fatal(err)
				}
				end(t, a)
				wantName(t, b, s, "x")
				_, err := a.Names(s).Request(t.Context(), "x", p, 0)
				want(t, err, actor.ErrNoService)
			})
		})
	}
}

// A handler does all of that while its service goes on, and is told of changes.
func TestNamesForHandlers(t *testing.T) {
	scopes(t, func(t *testing.T, s Scope, a, b *Node) {
		var seen list[NameChanged]
		stops := make(chan func(), 1)
		watcher := serve(t, b, actor.Spec{}, func(c *actor.Context, m *actor.Message) error {
			if e, ok := m.Value.(NameChanged); ok {
				if m.Kind != actor.KindNotice {
					t.Errorf("it comes as kind %v", m.Kind)
				}
				seen.add(e)
				return nil
			}
			stop, err := b.Names(s).WatchFrom(c, "h.")
			stops <- stop
			return errors.Join(err, c.Reply(nil))
		})
		if _, err := b.Runtime().Call(soon(t), watcher, "begin"); err != nil {
			t.Fatal(err)
		}
		asker := serve(t, a, actor.Spec{}, func(c *actor.Context, m *actor.Message) error {
			nm := a.Names(s)
			if m.Value == "release" {
				return errors.Join(nm.ReleaseFrom(c, "h.x"), c.Reply(nil))
			}
			if st, err := nm.RequestFrom(c, "h.x", 0); err != nil || st != names.Owns {
				return fmt.Errorf("request: %v, %w", st, err)
			}
			p, err := nm.LookupFrom(c, "h.x")
			if err != nil || p != c.Self() {
				return fmt.Errorf("look up: %v, %w", p, err)
			}
			all, err := nm.OwnersFrom(c, "h.x")
			if err != nil || len(all) != 1 {
				return fmt.Errorf("owners: %v, %w", all, err)
			}
			list, err := nm.ListFrom(c, "h")
			if err != nil || len(list) != 1 {
				return fmt.Errorf("list: %v, %w", list, err)
			}
			if _, err := nm.LookupFrom(c, "h.y"); !errors.Is(err, actor.ErrNoService) {
				return fmt.Errorf("look up of nobody: %w", err)
			}
			return c.Reply(nil)
		})
		expect := []NameChanged{{Scope: s, Name: "h.x", New: asker}, {Scope: s, Name: "h.x", Old: asker}}
		for i, what := range []string{"request", "release"} {
			if _, err := a.Runtime().Call(soon(t), asker, what); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the change", func() bool { return slices.Equal(seen.get(), expect[:i+1]) })
		}
		(<-stops)()
		eventually(t, "the watch ends", func() bool {
			_, watches := b.holdings.of(watcher.Handle)
			return len(watches) == 0
		})
	})
}

// A watch that nobody stops ends with its service.
func TestWatchOfNamesEndsWithItsService(t *testing.T) {
	a, _ := pair(t)
	p := serve(t, a, actor.Spec{}, func(c *actor.Context, _ *actor.Message) error {
		_, err := a.Names(Host).WatchFrom(c, "")
		return errors.Join(err, c.Reply(nil))
	})
	if _, err := a.Runtime().Call(soon(t), p, 1); err != nil {
		t.Fatal(err)
	}
	_ = a.Runtime().Kill(p)
	eventually(t, "the watch ends", func() bool { _, list := a.holdings.of(p.Handle); return len(list) == 0 })
}

func TestWatchOfNamesEndsWithTheNode(t *testing.T) {
	a, _ := pair(t)
	over := make(chan error)
	go func() { over <- a.Names(Host).Watch(context.Background(), "", func(NameChanged) error { return nil }) }()
	a.Close()
	want(t, <-over, skybus.ErrClosed)
}

// A handler that waits for a slow registry does not hold up its service.
func TestSlowRegistryHoldsNobodyUp(t *testing.T) {
	d := domain(t)
	slow := slowRegistry{begun: make(chan struct{}), free: make(chan struct{})}
	a := begin(t, d, here, Config{Cluster: slow})
	p := serve(t, a, actor.Spec{}, func(c *actor.Context, m *actor.Message) error {
		if m.Value == "quick" {
			return c.Reply("done")
		}
		if _, err := a.Names(Cluster).RequestFrom(c, "x", 0); err != nil {
			return err
		}
		return c.Reply("late")
	})
	late := make(chan any)
	go func() {
		v, err := a.Runtime().Call(context.Background(), p, "slow")
		if err != nil {
			v = err
		}
		late <- v
	}()
	<-slow.begun
	if v, err := a.Runtime().Call(soon(t), p, "quick"); err != nil || v != "done" {
		t.Errorf("another message: %v, %v", v, err)
	}
	close(slow.free)
	if v := <-late; v != "late" {
		t.Errorf("the request that waits: %v", v)
	}
}

// A slowRegistry answers when it is free.
type slowRegistry struct {
	names.Registry

	begun, free chan struct{}
}

func (s slowRegistry) Request(ctx context.Context, _ string, _ names.Owner, _ names.Flags) (names.Standing, error) {
	close(s.begun)
	select {
	case <-s.free:
		return names.Owns, nil
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

func (s slowRegistry) Release(context.Context, string, names.Owner) error { return nil }

// namesake is a process with a service that has a name, until it is killed.
func namesake(args []byte) error {
	root, err := killtest.Args[string](args)
	if err != nil {
		return err
	}
	d, err := skybus.Open(1000, skybus.Options{Root: root, AllowUnknown: true})
	if err != nil {
		return err
	}
	n, err := Start(d, there, Config{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	p, err := n.Runtime().Start(context.Background(), actor.Spec{New: actor.Func(echo)})
	if err != nil {
		return err
	}
	if _, err = n.Names(Host).Request(context.Background(), "bank", p, 0); err != nil {
		return err
	}
	fmt.Println(p)
	select {}
}

// renewed is a process with two services that have names. It becomes another program, with one of them; that ends when
// a line comes.
func renewed(args []byte) error {
	root, err := killtest.Args[string](args)
	if err != nil {
		return err
	}
	d, err := skybus.Open(1000, skybus.Options{Root: root, AllowUnknown: true})
	if err != nil {
		return err
	}
	n, err := Start(d, there, Config{Log: slog.New(slog.DiscardHandler), Services: []actor.Spec{{Name: "kept", New: func() actor.Handler { return &counter{} }}}})
	if err != nil {
		return err
	}
	kept, _ := n.Runtime().Lookup("kept")
	if os.Getenv(generationVariable) != "" {
		fmt.Println(kept)
		if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
			return err
		}
		if err := n.Runtime().Kill(kept); err != nil {
			return err
		}
		select {}
	}
	lost, err := n.Runtime().Start(context.Background(), actor.Spec{New: actor.Func(echo)})
	if err != nil {
		return err
	}
	for name, p := range map[string]actor.PID{"a.kept": kept, "b.lost": lost} {
		if _, err = n.Names(Host).Request(context.Background(), name, p, 0); err != nil {
			return err
		}
	}
	fmt.Println(kept)
	fmt.Println(lost)
	if _, err := os.Stdin.Read(make([]byte, 1)); err != nil { // no more: the rest is the next program's
		return err
	}
	return n.Restart(context.Background(), RestartOptions{Env: append(os.Environ(), generationVariable+"=1"), Grace: patience})
}

// Through a hot restart services keep their names, and lose them with their end; those of services that
// do not go on are given up.
func TestNamesAfterARestart(t *testing.T) {
	d := domain(t)
	a := begin(t, d, here, Config{})
	var seen list[NameChanged]
	over := make(chan error, 1)
	go func() {
		over <- a.Names(Host).Watch(context.Background(), "", func(c NameChanged) error { seen.add(c); return nil })
	}()
	p := killtest.Start(t, "renewed", filepath.Dir(d.Table().Folder()))
	kept, err := actor.ParsePID(p.Line())
	if err != nil {
		t.Fatal(err)
	}
	lost, err := actor.ParsePID(p.Line())
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the names", func() bool { return len(seen.get()) == 2 })
	p.Tell("") // one byte: it restarts
	if again := p.Line(); again != kept.String() {
		t.Errorf("the service is %s after the restart, and was %v", again, kept)
	}
	expect := []NameChanged{{Host, "b.lost", lost, actor.PID{}}, {Host, "a.kept", kept, actor.PID{}}}
	eventually(t, "one name is given up", func() bool { return slices.Equal(seen.get()[2:], expect[:1]) })
	wantName(t, a, Host, "a.kept", kept)
	if v, err := a.Runtime().Call(soon(t), kept, 1); err != nil || v != int64(1) {
		t.Errorf("it answers %v, %v", v, err)
	}
	p.Tell("end")
	eventually(t, "the other name is given up", func() bool { return slices.Equal(seen.get()[2:], expect) })
	a.Close()
	want(t, <-over, skybus.ErrClosed)
}

// A killed process's names go to the next in the queue; a process at the same address is another one.
func TestNamesOfAKilledProcess(t *testing.T) {
	d := domain(t)
	a := begin(t, d, here, Config{})
	root := filepath.Dir(d.Table().Folder())
	var seen list[NameChanged]
	over := make(chan error, 1)
	go func() {
		over <- a.Names(Host).Watch(context.Background(), "", func(c NameChanged) error { seen.add(c); return nil })
	}()
	mine := serve(t, a, actor.Spec{}, echo)
	var expect []NameChanged
	for range 3 {
		p := killtest.Start(t, "namesake", root)
		far, err := actor.ParsePID(p.Line())
		if err != nil {
			t.Fatal(err)
		}
		if s, err := a.Names(Host).Request(t.Context(), "bank", mine, 0); err != nil || s != names.Waits {
			t.Errorf("%v, %v", s, err)
		}
		wantName(t, a, Host, "bank", far, mine)
		eventually(t, "the first change", func() bool { return len(seen.get()) == len(expect)+1 })
		p.Kill()
		killed := time.Now()
		eventually(t, "the next in the queue", func() bool { return len(seen.get()) >= len(expect)+2 })
		t.Logf("seen %v after the kill", time.Since(killed))
		expect = append(expect, NameChanged{Host, "bank", actor.PID{}, far}, NameChanged{Host, "bank", far, mine})
		if err := a.Names(Host).Release(t.Context(), "bank", mine); err != nil {
			t.Fatal(err)
		}
		expect = append(expect, NameChanged{Host, "bank", mine, actor.PID{}})
		eventually(t, "the release", func() bool { return len(seen.get()) >= len(expect) })
		if got := seen.get(); !slices.Equal(got, expect) {
			t.Fatalf("got %v, want %v", got, expect)
		}
	}
	a.Close()
	want(t, <-over, skybus.ErrClosed)
}
