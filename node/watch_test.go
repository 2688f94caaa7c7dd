// SPDX-License-Identifier: Apache-2.0

package node

import (
	"errors"
	"testing"
	"time"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/node/envelope"
)

// A call by name of a process that began while nobody waited for it is its own: it does not
// fail because of the one before.
func TestCallOfTheNextProcess(t *testing.T) {
	d := domain(t)
	a := begin(t, d, here, Config{})
	spec := actor.Spec{Name: "slow", New: actor.Func(func(c *actor.Context, m *actor.Message) error {
		if err := c.Sleep(time.Duration(m.Value.(int64))); err != nil {
			return err
		}
		return c.Reply(m.Value)
	})}
	for i := range 3 {
		b := begin(t, d, there, Config{Services: []actor.Spec{spec}})
		if _, err := a.Runtime().Call(soon(t), At(there), Named{"slow", int64(3 * lookEach)}); err != nil {
			t.Fatalf("life %d: %v", i, err)
		}
		b.Close()
		if i == 1 {
			time.Sleep(3 * lookEach) // it is forgotten
		}
	}
}

// A request that the process has taken and not answered fails though the next one is there
// before anybody has looked.
func TestCallOfAProcessThatIsReplacedAtOnce(t *testing.T) {
	d := domain(t)
	a := begin(t, d, here, Config{})
	later := actor.Spec{Name: "later", New: actor.Func(func(c *actor.Context, _ *actor.Message) error { _, err := c.Later(); return err })}
	b := begin(t, d, there, Config{Services: []actor.Spec{later}})
	p, err := a.Lookup(soon(t), there, "later")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 2)
	for _, to := range []actor.PID{p, At(there)} {
		go func() {
			_, err := a.Runtime().Call(soon(t), to, map[bool]any{true: 1, false: Named{"later", 1}}[to == p])
			done <- err
		}()
	}
	q, _ := b.Runtime().Lookup("later")
	eventually(t, "the calls", func() bool { i, _ := b.Runtime().Info(q); return i.Handled == 2 })
	time.Sleep(10 * time.Millisecond) // until they are released
	b.Close()
	begin(t, d, there, Config{Services: []actor.Spec{later}})
	for range 2 {
		want(t, <-done, ErrPeerDied)
	}
	nothingDue(t, a.peer(there))
}

// Whoever has an address and is no node is silent.
func TestCallOfNoNode(t *testing.T) {
	d := domain(t)
	a, r := begin(t, d, here, Config{Patience: 2 * lookEach}), bindRaw(t, d, there)
	_, err := a.Runtime().Call(soon(t), At(there), Named{"x", 1})
	want(t, err, ErrSilent)
	if m, err := r.Recv(soon(t)); err != nil || m.Src != here {
		t.Errorf("the call itself: %v", err)
	}
	nothingDue(t, a.peer(there))
}

// A node that has said who it is may take as long as it likes.
func TestSlowIsNotSilent(t *testing.T) {
	d := domain(t)
	a := begin(t, d, here, Config{Patience: 4 * lookEach})
	r := bindRaw(t, d, there)
	done := make(chan error, 1)
	go func() {
		_, err := a.Runtime().Call(soon(t), At(there), Named{"x", 1})
		done <- err
	}()
	var call envelope.Envelope
	for pongs := 0; pongs == 0; {
		m, err := r.Recv(soon(t))
		if err != nil {
			t.Fatal(err)
		}
		var e envelope.Envelope
		if err := e.Parse(m.Data); err != nil {
			t.Fatal(err)
		}
		switch e.Kind {
		case envelope.Call:
			call = e
		case envelope.Ping:
			r.put(here, &envelope.Envelope{Kind: envelope.Pong, To: e.From, From: 7, Session: e.Session})
			pongs++
		}
	}
	time.Sleep(6 * lookEach) // as if it were stopped
	r.put(here, &envelope.Envelope{Kind: envelope.Reply, To: call.From, Session: call.Session})
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// While a node does not look, as when its machine stands still, nobody loses patience: an answer that is there afterwards counts.
func TestStandstillIsNotSilence(t *testing.T) {
	d := domain(t)
	a, r := begin(t, d, here, Config{Patience: 6 * lookEach}), bindRaw(t, d, there)
	done := make(chan error, 1)
	go func() {
		_, err := a.Runtime().Call(soon(t), At(there), Named{"x", 1})
		done <- err
	}()
	call := r.get()
	eventually(t, "a look, from which the silence counts", func() bool { return !a.peer(there).alive.Load() })
	a.restart.look.Lock()
	time.Sleep(8 * lookEach)
	a.restart.look.Unlock()
	time.Sleep(lookEach) // for a look
	r.put(here, &envelope.Envelope{Kind: envelope.Reply, To: call.From, Session: call.Session})
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A Down for a process that had this address before, or for another service, is nobody's.
func TestDownOfALifeBefore(t *testing.T) {
	d := domain(t)
	a, r := begin(t, d, here, Config{}), bindRaw(t, d, there)
	downs := make(chan actor.Down, 9)
	began := make(chan actor.PID)
	target := actor.PID{Node: there, Handle: 5}
	s := serve(t, a, actor.Spec{}, func(c *actor.Context, m *actor.Message) error {
		if down, is := m.Value.(actor.Down); is {
			downs <- down
			return nil
		}
		_, err := c.Monitor(target)
		began <- c.Self()
		return err
	})
	if err := a.Runtime().Send(soon(t), s, 1); err != nil {
		t.Fatal(err)
	}
	self := <-began
	e := r.get()
	report, err := envelope.AppendReport(nil, envelope.Down, &envelope.Report{Code: envelope.CodeKilled})
	if err != nil || e.Kind != envelope.Monitor {
		t.Fatalf("%v %v", e.Kind, err)
	}
	put := func(to actor.Handle) {
		b, err := (&envelope.Envelope{Kind: envelope.Down, To: uint64(to), From: 5, Session: e.Session}).AppendHead(nil)
		if err == nil {
			err = r.Send(soon(t), here, append(b, report...))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	late := a.Stats().Late
	put(self.Handle ^ 1<<50) // of another life
	put(self.Handle)
	if down := <-downs; down.Service != target || !errors.Is(down.Reason, actor.ErrKilled) {
		t.Errorf("told %+v", down)
	}
	if n := a.Stats().Late - late; n != 1 {
		t.Errorf("%d are counted as late, want the first", n)
	}
}

// What watches from a process that is gone, and what is watched by services that are, is forgotten.
func TestWatchesAreForgotten(t *testing.T) {
	d := domain(t)
	a, b := begin(t, d, here, Config{}), begin(t, d, there, Config{})
	p := serve(t, b, actor.Spec{}, echo)
	const n = 5 * pruneFrom
	for range n {
		s := serve(t, a, actor.Spec{}, func(c *actor.Context, _ *actor.Message) error {
			_, err := c.Monitor(p)
			c.Exit(nil)
			return errors.Join(err, c.Reply(nil))
		})
		if _, err := a.Runtime().Call(soon(t), s, 1); err != nil {
			t.Fatal(err)
		}
		eventually(t, "its end", func() bool { _, there := a.Runtime().Info(s); return !there })
	}
	q := a.peer(there)
	q.mu.Lock()
	if len(q.watches) > 2*pruneFrom {
		t.Errorf("%d watches of services that are gone", len(q.watches))
	}
	q.mu.Unlock()
	back := b.peer(here)
	eventually(t, "the others to be stopped over there", func() bool {
		back.mu.Lock()
		defer back.mu.Unlock()
		return len(back.serving) <= 2*pruneFrom
	})
	a.Close()
	eventually(t, "the monitors of a dead process to be forgotten", func() bool {
		back.mu.Lock()
		defer back.mu.Unlock()
		return len(back.serving) == 0
	})
}

// One service may watch another several times, and stop each.
func TestMonitorTwice(t *testing.T) {
	a, b := pair(t)
	p := serve(t, b, actor.Spec{}, echo)
	downs := make(chan actor.Down, 9)
	s := serve(t, a, actor.Spec{}, func(c *actor.Context, m *actor.Message) error {
		if down, is := m.Value.(actor.Down); is {
			downs <- down
			return nil
		}
		var list []*actor.Monitor
		for range 3 {
			m, err := c.Monitor(p)
			if err != nil {
				return err
			}
			list = append(list, m)
		}
		list[1].Stop()
		return c.Reply(nil)
	})
	if _, err := a.Runtime().Call(soon(t), s, 1); err != nil {
		t.Fatal(err)
	}
	if err := b.Runtime().Stop(soon(t), p); err != nil {
		t.Fatal(err)
	}
	<-downs
	<-downs
	if _, err := a.Runtime().Call(soon(t), serve(t, b, actor.Spec{}, echo), 1); err != nil { // behind whatever else came
		t.Fatal(err)
	}
	if len(downs) > 0 {
		t.Error("the one that was stopped is told, too")
	}
	nothingDue(t, a.peer(there))
	eventually(t, "the other side", func() bool {
		q := b.peer(here)
		q.mu.Lock()
		defer q.mu.Unlock()
		return len(q.serving) == 0
	})
}

// Monitors go by name, too, for those that write envelopes themselves.
func TestMonitorByName(t *testing.T) {
	d := domain(t)
	b, r := begin(t, d, there, Config{}), bindRaw(t, d, here)
	p := serve(t, b, actor.Spec{Name: "db"}, echo)
	for i, name := range []string{"db", "db", "nobody"} {
		r.put(there, &envelope.Envelope{Kind: envelope.Monitor, Name: []byte(name), From: 9, Session: uint64(1 + i)})
	}
	if e := r.get(); e.Kind != envelope.Down || e.Session != 3 {
		t.Errorf("of nobody: a %v, session %d", e.Kind, e.Session)
	}
	r.put(there, &envelope.Envelope{Kind: envelope.Demonitor, Name: []byte("db"), From: 9, Session: 1})
	r.put(there, &envelope.Envelope{Kind: envelope.Call, To: uint64(p.Handle), From: 9, Session: 1})
	r.get()
	if err := b.Runtime().Kill(p); err != nil {
		t.Fatal(err)
	}
	if e := r.get(); e.Kind != envelope.Down || e.Session != 2 || e.From != uint64(p.Handle) {
		t.Errorf("a %v, session %d, from %#x", e.Kind, e.Session, e.From)
	}
	nothingDue(t, b.peer(here))
}

// A Pong says which Ping it answers, and only one of this era counts.
func TestPong(t *testing.T) {
	d := domain(t)
	a, r := begin(t, d, here, Config{}), bindRaw(t, d, there)
	r.put(here, &envelope.Envelope{Kind: envelope.Ping, From: 7, Session: 99})
	if e := r.get(); e.Kind != envelope.Pong || e.Session != 99 || e.To != 7 || e.From != uint64(a.life) {
		t.Errorf("got %+v", e)
	}
	p := a.peer(there)
	for _, c := range []struct {
		session, to uint64
		life        uint32
	}{{7, uint64(a.life), 0}, {1, uint64(a.life) + 1, 0}, {1, uint64(a.life), 5}, {1, uint64(a.life), 6}, {1, uint64(a.life), 6}, {2, uint64(a.life), 6}} {
		life := c.life
		if life == 0 {
			life = 9 // it does not count
		}
		a.hearPong(p, &envelope.Envelope{Kind: envelope.Pong, To: c.to, From: uint64(life), Session: c.session})
		if c.life != p.life {
			t.Errorf("after %+v the life is %d", c, p.life)
		}
	}
	if p.era != 2 {
		t.Errorf("era %d, want 2: it has restarted once", p.era)
	}
}

func TestOnly(t *testing.T) {
	const h = actor.Handle(7<<40 | 1)
	if h.Life() != 7 {
		t.Fatalf("life %d", h.Life())
	}
	for _, c := range []struct {
		o     only
		h     actor.Handle
		older bool
		want  bool
	}{
		{only{}, h, false, true},
		{only{}, 0, false, true},
		{only{life: 7}, h, true, false},
		{only{life: 8}, h, false, true},
		{only{life: 8}, 0, true, false},
		{only{names: true}, h, true, false},
		{only{names: true}, 0, true, true},
		{only{names: true}, 0, false, false},
	} {
		if got := c.o.has(c.h, c.older); got != c.want {
			t.Errorf("%+v has %v, of an era before: %v: %v", c.o, c.h, c.older, got)
		}
	}
}
