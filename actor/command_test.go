// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skybus-io/skybus/internal/testutil"
)

// commander is a service that runs the lines it is called with, and hands on what
// else comes.
func commander(others chan<- Message) Spec {
	return Spec{New: Func(func(c *Context, m *Message) error {
		line, ok := m.Value.(string)
		if !ok || !m.IsCall() {
			others <- *m
			return nil
		}
		v, err := c.Command(line)
		if err != nil {
			return err
		}
		return c.Reply(v)
	})}
}

// newCommander starts a runtime with one, and returns how to have it run a line.
func newCommander(t *testing.T, cfg Config) (rt *Runtime, self PID, others chan Message, run func(line string) (string, error)) {
	t.Helper()
	rt = New(cfg)
	t.Cleanup(rt.Close)
	others = make(chan Message, 100)
	self, err := rt.Start(t.Context(), commander(others))
	if err != nil {
		t.Fatal(err)
	}
	return rt, self, others, func(line string) (string, error) {
		v, err := rt.Call(context.Background(), self, line)
		text, _ := v.(string)
		return text, err
	}
}

func TestCommandsInAHandler(t *testing.T) {
	testutil.NoLeaks(t)
	rt, self, _, run := newCommander(t, Config{})
	other, err := rt.Start(t.Context(), commander(nil))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ line, want, wrong string }{
		{"REG", self.String(), ""},
		{"reg", self.String(), ""},
		{"  REG  ", self.String(), ""},
		{"REG .boss", "boss", ""},
		{"REG .chief", "", `REG: name ".chief": ` + self.String() + ` has the name "boss" already: want a service without one`},
		{"REG a b", "", "has the name"},
		{"NAME .other " + other.String(), "other", ""},
		{"NAME .third .other", "", `NAME: name ".third": ` + other.String() + ` has the name "other"`},
		{"NAME .third", "", `NAME: argument ".third": want a name and a target`},
		{"NAME x :999", "", `NAME: target :999: no such service: want one of this process`},
		{"NAME x :1 :2", "", `NAME: argument "x :1 :2": want a name or a PID`},
		{"QUERY .boss", self.String(), ""},
		{"QUERY other", other.String(), ""},
		{"QUERY nobody", "", `QUERY: name "nobody": no such service; want a name or a PID such as :1f`},
		{"QUERY :1", "", `QUERY: argument ":1": want a name`},
		{"QUERY", "", `QUERY: argument "": want a name`},
		{"GETENV path", "", `GETENV: argument "path": want a key that SETENV has set`},
		{"SETENV path  ./service/?.lua;./x y", "", ""},
		{"GETENV path", "./service/?.lua;./x y", ""},
		{"SETENV path other", "", `SETENV: key "path": it is "./service/?.lua;./x y" already: want one that is not set`},
		{"SETENV path", "", `SETENV: argument "path": want a key and a value`},
		{"GETENV", "", `GETENV: argument "": want a key`},
		{"TIMEOUT soon", "", `TIMEOUT: argument "soon": want hundredths of a second from 0, or a duration such as 1.5s`},
		{"TIMEOUT -1", "", "want hundredths"},
		{"TIMEOUT -1s", "", "want hundredths"},
		{"TIMEOUT 2147483648", "", "want hundredths"},
		{"TIMEOUT", "", "want hundredths"},
		{"KILL nobody", "", `KILL: name "nobody": no such service`},
		{"KILL :999", "", "KILL: :999: no such service"},
		{"KILL 0.0.3.1/1", "", "KILL: 0.0.3.1/1: no way to other processes"},
		{"KILL", "", `KILL: argument "": want a name or a PID such as :1f`},
		{"LAUNCH ghost", "", `LAUNCH: kind "ghost": want one that Runtime.Factory knows`},
		{"LAUNCH", "", `LAUNCH: argument "": want a kind`},
		{"MONITOR", "", `MONITOR: argument "": want a name or a PID`},
		{"STAT mqlen", "0", ""},
		{"STAT message " + other.String(), "0", ""},
		{"STAT cpu", "0.000000", ""},
		{"STAT endless", "0", ""},
		{"STAT time", "", `STAT: argument "time": want mqlen, message, cpu or endless, and perhaps a target`},
		{"STAT mqlen :999", "", "STAT: target :999: no such service"},
		{"SIGNAL boss x", "", `SIGNAL: argument "boss x": want a target and a number up to 2147483647`},
		{"SIGNAL :999", "", "SIGNAL: target :999: no such service"},
		{"EXIT now", "", `EXIT: argument "now": want none`},
		{"ABORT now", "", `ABORT: argument "now": want none`},
		{"NOW then", "", `NOW: argument "then": want none`},
		{"LOGON :1", "", "LOGON: argument \":1\": there is no log of messages"},
		{"logoff", "", "LOGOFF: argument \"\": there is no log of messages"},
		{"DANCE", "", `command "DANCE": want one of TIMEOUT REG `},
		{"", "", `command "": want one of`},
	} {
		got, err := run(c.line)
		switch {
		case c.wrong == "" && (err != nil || got != c.want):
			t.Errorf("%q: %q, %v, want %q", c.line, got, err, c.want)
		case c.wrong != "" && (err == nil || !strings.Contains(err.Error(), c.wrong)):
			t.Errorf("%q: %q, error %v, want %q", c.line, got, err, c.wrong)
		}
	}
}

func TestCommandErrorsAreThoseOfTheMethods(t *testing.T) {
	rt, self, _, run := newCommander(t, Config{})
	if _, err := run("REG boss"); err != nil {
		t.Fatal(err)
	}
	other, err := rt.Start(t.Context(), commander(nil))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		by   PID
		line string
		want error
	}{
		{self, "KILL nobody", ErrNoService},
		{self, "KILL 0.0.3.1/1", ErrNoRemote},
		{other, "REG boss", ErrNameTaken},
		{PID{}, "REG", ErrNoService},
		{PID{}, "EXIT", ErrNoService},
		{PID{}, "TIMEOUT 1", ErrNoService},
		{PID{}, "MONITOR boss", ErrNoService},
		{PID{}, "STAT mqlen", ErrNoService},
	} {
		if _, err := rt.Command(c.by, c.line); !errors.Is(err, c.want) {
			t.Errorf("%q by %v: %v, want %v", c.line, c.by, err, c.want)
		}
	}
}

func TestCommandTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, others, run := newCommander(t, Config{})
		for _, c := range []struct {
			line string
			want time.Duration
		}{{"TIMEOUT 150", 1500 * time.Millisecond}, {"TIMEOUT 0", 0}, {"TIMEOUT 2.5s", 2500 * time.Millisecond}} {
			began := time.Now()
			number, err := run(c.line)
			if err != nil {
				t.Fatal(err)
			}
			m := <-others
			if got := time.Since(began); got != c.want {
				t.Errorf("%s: it came in %v, want %v", c.line, got, c.want)
			}
			if n, ok := m.Value.(Timeout); !ok || m.Kind != KindTick || fmt.Sprint(n) != number {
				t.Errorf("%s: %#v came, want Timeout(%s) as KindTick", c.line, m, number)
			}
		}
	})
}

func TestCommandNowInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, _, run := newCommander(t, Config{})
		first, err := run("NOW")
		time.Sleep(90 * time.Second)
		then, err2 := run("NOW")
		if first != "0" || then != "9000" || err != nil || err2 != nil {
			t.Errorf("NOW: %s and then %s (%v, %v), want 0 and 9000", first, then, err, err2)
		}
		if at, err := run("STARTTIME"); err != nil || at != strconv.FormatInt(time.Now().Add(-90*time.Second).Unix(), 10) {
			t.Errorf("STARTTIME: %s, %v", at, err)
		}
	})
}

func TestCommandStartTimeOfTheProcess(t *testing.T) {
	rt := New(Config{})
	defer rt.Close()
	at, err := rt.Command(PID{}, "STARTTIME")
	now, err2 := rt.Command(PID{}, "NOW")
	if err != nil || err2 != nil || at != strconv.FormatInt(processBegan.Unix(), 10) {
		t.Errorf("STARTTIME %s, %v, NOW %s, %v", at, err, now, err2)
	}
	if n, err := strconv.Atoi(now); err != nil || n < 0 {
		t.Errorf("NOW: %q", now)
	}
}

func TestCommandEndsServices(t *testing.T) {
	testutil.NoLeaks(t)
	for _, c := range []struct {
		name, line string
		by         bool // another goroutine commands
		want       error
	}{
		{"exit of a handler", "EXIT", false, nil},
		{"exit by another", "EXIT", true, nil},
		{"kill by name", "KILL .boss", true, ErrKilled},
		{"kill of itself", "KILL boss", false, ErrKilled},
		{"abort", "ABORT", true, ErrKilled},
		{"abort of a handler", "ABORT", false, ErrKilled},
	} {
		t.Run(c.name, func(t *testing.T) {
			ended := make(chan Down, 10)
			rt, self, _, run := newCommander(t, Config{Events: Events{Ended: func(d Down) { ended <- d }}})
			if _, err := run("REG boss"); err != nil {
				t.Fatal(err)
			}
			var err error
			if c.by {
				_, err = rt.Command(self, c.line)
			} else {
				_, err = run(c.line)
			}
			if err != nil {
				t.Error(err)
			}
			if d := <-ended; d.Service != self || !errors.Is(d.Reason, c.want) || c.want == nil && d.Reason != nil {
				t.Errorf("%v ended for %v, want %v for %v", d.Service, d.Reason, self, c.want)
			}
			_, err = rt.Spawn(commander(nil))
			if stopped := strings.HasPrefix(c.line, "ABORT"); stopped != errors.Is(err, ErrStopped) {
				t.Errorf("start another one: %v", err)
			}
		})
	}
}

func TestCommandLaunch(t *testing.T) {
	testutil.NoLeaks(t)
	rt, _, _, run := newCommander(t, Config{})
	got := make(chan string, 10)
	refused := errors.New("refused")
	rt.Factory("echo", func(args string) (Spec, error) {
		if args == "bad" {
			return Spec{}, refused
		}
		got <- args
		return Spec{Name: "echo", New: Func(func(c *Context, m *Message) error { return c.Reply(m.Value) })}, nil
	})
	rt.Factory("broken", func(string) (Spec, error) { panic("no") })
	rt.Factory("slow", func(string) (Spec, error) {
		m := &Mux{}
		m.OnStart(func(*Context) error { return refused })
		return Spec{New: func() Handler { return m }}, nil
	})
	pid, err := run("LAUNCH echo  two  words ")
	if err != nil {
		t.Fatal(err)
	}
	if args := <-got; args != "two  words" {
		t.Errorf("the factory got %q", args)
	}
	if p, err := rt.Resolve(".echo"); err != nil || p.String() != pid {
		t.Errorf("LAUNCH says %s, .echo is %v, %v", pid, p, err)
	}
	var panicked *PanicError
	for _, c := range []struct {
		line string
		is   func(error) bool
	}{
		{"LAUNCH echo", func(err error) bool { return errors.Is(err, ErrNameTaken) }},
		{"LAUNCH echo bad", func(err error) bool { return errors.Is(err, refused) }},
		{"LAUNCH broken", func(err error) bool { return errors.As(err, &panicked) }},
	} {
		if _, err := run(c.line); err == nil || !c.is(err) {
			t.Errorf("%s: %v", c.line, err)
		}
	}
	if _, err := run("LAUNCH slow"); err != nil {
		t.Errorf("LAUNCH waits for Start: %v", err)
	}
	if _, err := rt.Launch(t.Context(), "slow", ""); !errors.Is(err, refused) {
		t.Errorf("Launch of what cannot start: %v, want %v", err, refused)
	}
	rt.Factory("echo", nil)
	if _, err := rt.Launch(t.Context(), "echo", ""); err == nil || !strings.Contains(err.Error(), `launch: kind "echo": want one that Runtime.Factory knows`) {
		t.Errorf("a kind that was taken away: %v", err)
	}
}

func TestCommandMonitorAndSignal(t *testing.T) {
	testutil.NoLeaks(t)
	rt, self, others, run := newCommander(t, Config{})
	other, err := rt.Start(t.Context(), commander(others))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := run("SIGNAL " + other.String() + " 7"); err != nil {
		t.Error(err)
	}
	if m := <-others; m.Kind != KindNotice || m.Value != Signal(7) || m.From != self {
		t.Errorf("%#v came, want Signal(7) from %v", m, self)
	}
	if _, err := run("MONITOR " + other.String()); err != nil {
		t.Error(err)
	}
	if _, err := run("KILL " + other.String()); err != nil {
		t.Error(err)
	}
	if m := <-others; m.Kind != KindDown || m.Value.(Down).Service != other || !errors.Is(m.Value.(Down).Reason, ErrKilled) {
		t.Errorf("%#v came, want the end of %v", m, other)
	}
}

func TestCommandStat(t *testing.T) {
	testutil.NoLeaks(t)
	told, release := make(chan Stuck, 1), make(chan struct{})
	rt := New(Config{Stuck: 20 * time.Millisecond, Events: Events{Stuck: func(s Stuck) { told <- s }}})
	defer rt.Close()
	free := sync.OnceFunc(func() { close(release) })
	defer free()
	rt.Profile(true)
	p, err := rt.Start(t.Context(), Spec{Name: "slow", New: Func(func(*Context, *Message) error { <-release; return nil })})
	if err != nil {
		t.Fatal(err)
	}
	for range 4 {
		if err := rt.Send(t.Context(), p, 1); err != nil {
			t.Fatal(err)
		}
	}
	stat := func(what string) string {
		v, err := rt.Command(PID{}, "STAT "+what+" slow")
		if err != nil {
			t.Error(err)
		}
		return v
	}
	<-told
	if got := stat("endless"); got != "1" {
		t.Errorf("endless %s while its handler is stuck, want 1", got)
	}
	free()
	if _, err := rt.Call(t.Context(), p, 1); !errors.Is(err, ErrNoReply) {
		t.Fatal(err)
	}
	if e, m, q := stat("endless"), stat("message"), stat("mqlen"); e != "0" || m != "5" || q != "0" {
		t.Errorf("afterwards: endless %s, message %s, mqlen %s; want 0, 5, 0", e, m, q)
	}
	if seconds, err := strconv.ParseFloat(stat("cpu"), 64); err != nil || seconds <= 0 {
		t.Errorf("cpu %v, %v: want more than 0", seconds, err)
	}
}

// TestCommandFactoriesAtOnce is for the race detector.
func TestCommandFactoriesAtOnce(t *testing.T) {
	rt := New(Config{})
	defer rt.Close()
	var all sync.WaitGroup
	pids := make([]string, 8)
	for i := range pids {
		all.Go(func() {
			kind := fmt.Sprint("kind", i)
			rt.Factory(kind, func(string) (Spec, error) { return commander(nil), nil })
			v, err := rt.Command(PID{}, "LAUNCH "+kind)
			if err != nil {
				t.Error(err)
			}
			pids[i] = v
		})
	}
	all.Wait()
	slices.Sort(pids)
	if got := len(slices.Compact(pids)); got != 8 {
		t.Errorf("%d services, want 8", got)
	}
}

func FuzzCommand(f *testing.F) {
	for _, line := range []string{
		"REG .boss", "NAME .x :1", "TIMEOUT 5", "TIMEOUT 1.5s", "STAT mqlen .boss", "SETENV a b", "GETENV a", "LAUNCH echo x", "KILL 0.0.3.1/1f", "SIGNAL :1 -3", "\xff", "QUERY \x00",
	} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		rt := New(Config{Workers: 1})
		defer rt.Close()
		p, err := rt.Spawn(commander(make(chan Message, 10)))
		if err != nil {
			t.Fatal(err)
		}
		for _, by := range []PID{p, {}} {
			v, err := rt.Command(by, line)
			if err != nil && v != "" {
				t.Errorf("%q: %q and the error %v", line, v, err)
			}
			if err != nil && err.Error() == "" {
				t.Errorf("%q: an error without a text", line)
			}
		}
	})
}
