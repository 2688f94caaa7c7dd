// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/internal/testutil"
)

// open serves a console at a socket, and returns how to reach it and a client.
func open(t *testing.T, k *Console) (address string, c *Client) {
	t.Helper()
	address = filepath.Join(t.TempDir(), "s")
	ln, err := k.Listen(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- k.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return address, dial(t, address)
}

func dial(t *testing.T, address string) *Client {
	t.Helper()
	c, err := Dial(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

type question struct{}

// waitsForAWord is a handler whose place a stack shows.
func waitsForAWord(c *actor.Context) error { return c.Wait("word") }

// start starts the services of the tests: echo answers, mute never does, waiter
// waits, strict knows one type only, and kill-me does nothing.
func start(t *testing.T, rt *actor.Runtime) map[string]actor.PID {
	t.Helper()
	pids := map[string]actor.PID{}
	add := func(name string, f func(*actor.Context, *actor.Message) error) {
		p, err := rt.Start(t.Context(), actor.Spec{Name: name, New: actor.Func(f)})
		if err != nil {
			t.Fatal(err)
		}
		pids[name] = p
	}
	add("echo", func(c *actor.Context, m *actor.Message) error {
		if !m.IsCall() {
			return nil
		}
		return c.Reply(m.Value)
	})
	add("mute", func(c *actor.Context, m *actor.Message) error {
		if !m.IsCall() {
			return nil
		}
		_, err := c.Later()
		return err
	})
	add("waiter", func(c *actor.Context, m *actor.Message) error {
		if _, ok := m.Value.(question); ok {
			return waitsForAWord(c)
		}
		return c.Fail(fmt.Errorf("the waiter is busy"))
	})
	add("strict", func(c *actor.Context, m *actor.Message) error {
		return c.Reply(m.Value.(int) + 1)
	})
	add("kill-me", func(*actor.Context, *actor.Message) error { return nil })
	return pids
}

func TestCommands(t *testing.T) {
	testutil.NoLeaks(t)
	k, rt := newConsole(t, Config{Name: "arena", Timeout: patience, Netstat: func() []Attachment {
		return []Attachment{{Kind: "lane", Local: "0.0.0.1", Remote: "0.0.0.2", State: "bound", Received: 20480, Sent: 3, Note: "tab\there"}}
	}})
	pids := start(t, rt)
	if err := rt.Send(t.Context(), pids["waiter"], question{}); err != nil {
		t.Fatal(err)
	}
	for len(rt.Tasks(pids["waiter"], false)) == 0 {
		time.Sleep(time.Millisecond)
	}
	rt.Factory("echo", func(args string) (actor.Spec, error) {
		m := &actor.Mux{}
		m.OnStart(func(*actor.Context) error {
			if args == "bad" {
				return errors.New("cannot start")
			}
			return nil
		})
		return actor.Spec{Name: args, New: func() actor.Handler { return m }}, nil
	})
	group, err := rt.NewGroup()
	if err != nil {
		t.Fatal(err)
	}
	defer group.Close()
	_, c := open(t, k)
	if got := c.Greeting(); !regexp.MustCompile(`^arena, process \d+: help lists the commands$`).MatchString(got) {
		t.Errorf("greeting %q", got)
	}
	echo := regexp.QuoteMeta(pids["echo"].String())
	for _, c2 := range []struct{ line, want, wrong string }{
		{"help", `(?s)COMMAND +TAKES +WHAT\nhelp +\[COMMAND\] .*\nping +TARGET .*\nexit +- +end this connection$`, ""},
		{"help ping", `^COMMAND +TAKES +WHAT\nping +TARGET +call a service .*$`, ""},
		{"help dance", "", `^help: there is no command "dance"`},
		{"dance", "", `^there is no command "dance": help lists them$`},
		{"List", "", `^there is no command "List"`},
		{"list", `(?s)^PID +NAME +KIND +STATE +WAITING +HANDLED +TIME\n.*` + echo + ` +echo +service +running +0 +\d+ +-\n.*group or pool`, ""},
		{"list ech", `^PID .*\n` + echo + ` +echo +[^\n]*$`, ""},
		{"list nobody", `^PID [^\n]*$`, ""},
		{"list a b", "", `^list: argument "a b": want one word at most$`},
		{"stat", `(?s)^services +5\nqueued services +\d.*\ncontexts +\d+\ntimers +0\n.*\npanics +0\n`, ""},
		{"stat echo", `(?s)^pid +` + echo + `\nname +echo\nkind +service\nstate +running\nwaiting +0\n.*\nwaiting handlers +0$`, ""},
		{"stat .waiter", `(?s)waiting handlers +1$`, ""},
		{"stat nobody", "", `^stat: name "nobody": no such service`},
		{"stat :999", "", `^stat: :999: no such service: want one of this process$`},
		{"stat 0.0.3.1/1", "", `^stat: 0.0.3.1/1: no such service: want one of this process$`},
		{"stat :x", "", `^stat: PID ":x": handle "x": want`},
		{"task", `^PID +NAME +HANDLES +FROM +WAITS FOR +OF +FOR\n:\d+ +waiter +console.question +- +a wakeup of word +- +-$`, ""},
		{"task waiter", `a wakeup of word`, ""},
		{"task waiter stack", `(?s)a wakeup of word.*\n\n:\d+ waits for a wakeup of word:\ngoroutine .*console.waitsForAWord\(.*console_test.go:`, ""},
		{"task echo", `^PID [^\n]*$`, ""},
		{"task stack", `waitsForAWord`, ""},
		{"task echo echo", "", `^task: argument "echo echo": want a PID or a name, and the word stack$`},
		{"task :999", "", `no such service`},
		{"mem", `(?s)^heap in use +\d+ .*\ngoroutines +\d+\ncontexts +\d+\ntimers +0\nservices +5\nworkers +\d+$`, ""},
		{"mem x", "", `^mem: argument "x": want none`},
		{"names", `^NAME +PID\necho +` + echo + `\nkill-me +:\d+\nmute +:\d+\nstrict +:\d+\nwaiter +:\d+$`, ""},
		{"names .e", `^NAME +PID\necho +` + echo + `$`, ""},
		{"netstat", `^KIND +LOCAL .*\nlane +0.0.0.1 +0.0.0.2 +bound +- +20 KiB +3 B +tab\\there\nconsole +/\S+/s +@ +runs netstat +\S+ +\d+ B +\d+ K?i?B +#1, \d+ commands$`, ""},
		{"ping echo", `^` + echo + ` answered in \S+$`, ""},
		{"ping waiter", `^:\d+ is alive: it answered in \S+, but not to a ping: .*the waiter is busy$`, ""},
		{"ping strict", `is alive: .*panic: interface conversion`, ""},
		{"timeout", `^1m30s$`, ""},
		{"timeout 50ms", `^50ms$`, ""},
		{"ping mute", "", `^ping: :\d+ did not answer within 50ms: .*deadline exceeded$`},
		{"call mute 1", "", `deadline exceeded$`},
		{"timeout 2m", `^2m0s$`, ""},
		{"ping :999", "", `^ping: call :999: no such service$`},
		{"ping 0.0.3.1/1", "", `no way to other processes$`},
		{"ping", "", `^ping: argument "": want a PID such as :1f, or a name$`},
		{"call echo hello  world", `^hello  world$`, ""},
		{`call .echo {"a": [1, 2.5]}`, `^\{"a":\[1,2.5\]\}$`, ""},
		{"call strict 41", `^42$`, ""},
		{"call strict 4.5", "", `^call: .*panic: interface conversion: interface \{\} is float64, not int$`},
		{"call echo 1e999", "", `^call: value "1e999": number 1e999: want one that a float64 can be$`},
		{"call echo OK", `^OK$`, ""},
		{`call echo "ERROR no\nOK"`, "^ERROR no\nOK$", ""},
		{"call echo", "", `^call: argument "echo": want a PID or a name, and a value$`},
		{"call nobody 1", "", `^call: name "nobody": no such service`},
		{"send echo 1", `^$`, ""},
		{"send :999 1", "", `^send: send to :999: no such service$`},
		{"timeout", `^2m0s$`, ""},
		{"timeout 20ms", `^20ms$`, ""},
		{"timeout 0", "", `^timeout: argument "0": want a time from 1ns to 24h`},
		{"timeout 25h", "", `^timeout: argument "25h": want`},
		{"ping mute", "", `did not answer within 20ms`},
		{"timeout 1m", `^1m0s$`, ""},
		{"launch echo two", `^:\d+$`, ""},
		{"stat two", `(?s)name +two\n`, ""},
		{"launch echo two", "", `^launch: name "two": name is taken by :\d+$`},
		{"launch echo bad", "", `cannot start$`},
		{"launch ghost", "", `^launch: launch: kind "ghost": want one that Runtime.Factory knows$`},
		{"launch", "", `^launch: argument "": want a kind of service, and its arguments$`},
		{"stop two", `^$`, ""},
		{"stop two", "", `^stop: name "two": no such service`},
		{"stop " + group.PID().String(), "", `is a group or pool, which only the program ends: want a service$`},
		{"kill kill-me", `^$`, ""},
		{"kill :999", "", `^kill: :999: no such service$`},
		{"kill", "", `^kill: argument "": want`},
		{"cmd QUERY .echo", `^` + echo + `$`, ""},
		{"cmd SETENV a b", `^$`, ""},
		{"cmd DANCE", "", `^cmd: command "DANCE": want one of TIMEOUT REG`},
		{"cmd", "", `^cmd: command "": want one of`},
		{"profile on", `^$`, ""},
		{"profile", "", `^profile: argument "": want on or off$`},
		{"gc", `^heap \d+ \S+ before, \d+ \S+ after \S+$`, ""},
		{"gc now", "", `^gc: argument "now": want none$`},
		{"exit now", "", `^exit: argument "now": want none$`},
	} {
		got, err := c.Do(t.Context(), c2.line)
		switch {
		case c2.wrong == "" && (err != nil || !regexp.MustCompile(c2.want).MatchString(got)):
			t.Errorf("%s: %q, %v, want %q", c2.line, got, err, c2.want)
		case c2.wrong != "" && (err == nil || !regexp.MustCompile(c2.wrong).MatchString(err.Error())):
			t.Errorf("%s: %q, %v, want the error %q", c2.line, got, err, c2.wrong)
		}
	}
	if out, err := c.Do(t.Context(), " exit "); out != "" || err != nil {
		t.Errorf("exit: %q, %v", out, err)
	}
	var answer *AnswerError
	if _, err := c.Do(t.Context(), "list"); err == nil || errors.As(err, &answer) {
		t.Errorf("after exit: %v", err)
	}
}

func TestProfileAndStopHaveEffect(t *testing.T) {
	testutil.NoLeaks(t)
	k, rt := newConsole(t, Config{Timeout: patience})
	pids := start(t, rt)
	_, c := open(t, k)
	do := func(line string) (string, error) { return c.Do(t.Context(), line) }
	if _, err := do("profile on"); err != nil {
		t.Fatal(err)
	}
	if _, err := do("call echo 1"); err != nil {
		t.Fatal(err)
	}
	for { // the time is noted after the answer
		if info, _ := rt.Info(pids["echo"]); info.Time > 0 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if err := rt.Send(t.Context(), pids["waiter"], question{}); err != nil {
		t.Fatal(err)
	}
	for len(rt.Tasks(pids["waiter"], false)) == 0 {
		time.Sleep(time.Millisecond)
	}
	if _, err := do("timeout 20ms"); err != nil {
		t.Fatal(err)
	}
	if _, err := do("stop waiter"); err == nil || !strings.Contains(err.Error(), "deadline exceeded") {
		t.Errorf("stop of what waits for ever: %v", err)
	}
	for _, alive := rt.Info(pids["waiter"]); alive; _, alive = rt.Info(pids["waiter"]) {
		time.Sleep(time.Millisecond)
	}
}

func TestProgramCommands(t *testing.T) {
	testutil.NoLeaks(t)
	say := func(ctx context.Context, w io.Writer, args []string) error {
		_, bounded := ctx.Deadline()
		_, err := fmt.Fprintf(w, "%d %q %v\n", len(args), args, bounded)
		return err
	}
	k, _ := newConsole(t, Config{MaxOutput: 300, Commands: []Command{
		{"say", "[WORD...]: say it again", say},
		{"fail", "", func(context.Context, io.Writer, []string) error { return errors.New("it\nfailed") }},
		{"panic", "", func(context.Context, io.Writer, []string) error { panic("oh\n") }},
		{"index", "", func(_ context.Context, _ io.Writer, args []string) error { args[7] = ""; return nil }},
		{"flood", "", func(_ context.Context, w io.Writer, _ []string) error {
			for {
				if _, err := io.WriteString(w, "0123456789\n"); err != nil {
					return err
				}
			}
		}},
		{"wait", "", func(ctx context.Context, _ io.Writer, _ []string) error { <-ctx.Done(); return ctx.Err() }},
	}})
	_, c := open(t, k)
	for _, c2 := range []struct{ line, want, wrong string }{
		{"say", `^0 \[\] true$`, ""},
		{`say a "b c" d\ e`, `^3 \["a" "b c" "d e"\] true$`, ""},
		{`say "a`, "", `^say: a quote " is open: want another one$`},
		{"fail", "", `^fail: it; failed$`},
		{"panic", "", `^panic: panic: oh; , at .*console_test.go:\d+$`},
		{"index", "", `^index: panic: runtime error: index out of range \[7\] with length 0, at .*console_test.go:\d+$`},
		{"flood", "^(0123456789\n){27}012$", `^flood: the output is too long: the rest of more than 300 bytes is left out$`},
		{"timeout 5ms", "^5ms$", ""},
		{"wait", "", `^wait: context deadline exceeded$`},
		{"help say", `say +- +\[WORD...\]: say it again$`, ""},
	} {
		got, err := c.Do(t.Context(), c2.line)
		if !regexp.MustCompile(c2.want).MatchString(got) || (err != nil) != (c2.wrong != "") || err != nil && !regexp.MustCompile(c2.wrong).MatchString(err.Error()) {
			t.Errorf("%s: %q, %v, want %q, %q", c2.line, got, err, c2.want, c2.wrong)
		}
	}
}

func TestRegisterAndSettings(t *testing.T) {
	run := func(context.Context, io.Writer, []string) error { return nil }
	k, rt := newConsole(t, Config{Commands: []Command{{"mine", "", run}}})
	for _, c := range []struct {
		name, help string
		run        func(context.Context, io.Writer, []string) error
		wrong      string
	}{
		{"room.list-2_B", "all rooms", run, ""},
		{"room.list-2_B", "", run, `command "room.list-2_B": there is one of that name`},
		{"mine", "", run, "there is one of that name"},
		{"list", "", run, "there is one of that name"},
		{"", "", run, `command "": want 1 to 32 of letters`},
		{"a b", "", run, `command "a b": want 1 to 32 of letters`},
		{strings.Repeat("x", 33), "", run, "want 1 to 32 of letters"},
		{"none", "", nil, `command "none": want a function`},
		{"lines", "two\nlines", run, `command "lines": help "two\nlines": want one line`},
	} {
		err := k.Register(c.name, c.help, c.run)
		if (err != nil) != (c.wrong != "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("register %q: %v, want %q", c.name, err, c.wrong)
		}
	}
	for _, c := range []struct {
		cfg   Config
		wrong string
	}{
		{Config{Name: "a\x1b"}, `Config.Name is "a\x1b": want up to 64 bytes`},
		{Config{Timeout: -1}, "Config.Timeout is -1: want more than 0"},
		{Config{Patience: -1}, "Config.Patience"},
		{Config{MaxConns: -1}, "Config.MaxConns is -1: want more than 0"},
		{Config{MaxLine: 3}, "Config.MaxLine is 3: want at least 16"},
		{Config{MaxOutput: 3}, "Config.MaxOutput is 3: want at least 256"},
		{Config{Commands: []Command{{"list", "", run}}}, "there is one of that name"},
	} {
		if _, err := New(rt, c.cfg); err == nil || !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%+v: %v, want %q", c.cfg, err, c.wrong)
		}
	}
}

func TestListIsCut(t *testing.T) {
	k, rt := newConsole(t, Config{})
	for range shortList + 5 {
		if _, err := rt.Spawn(actor.Spec{New: actor.Func(func(*actor.Context, *actor.Message) error { return nil })}); err != nil {
			t.Fatal(err)
		}
	}
	_, c := open(t, k)
	for line, want := range map[string]int{"list": 1 + shortList + 1, "list all": 1 + shortList + 5} {
		out, err := c.Do(t.Context(), line)
		if got := strings.Count(out, "\n") + 1; err != nil || got != want {
			t.Errorf("%s: %d lines, %v, want %d", line, got, err, want)
		}
		if more := strings.Contains(out, "\n5 more: list WORD picks some"); more != (line == "list") {
			t.Errorf("%s ends with %q", line, out[len(out)-80:])
		}
	}
}

func TestValuesOfTheProgram(t *testing.T) {
	k, rt := newConsole(t, Config{Timeout: patience, Value: func(text string) (any, error) {
		if text == "bad" {
			return nil, errors.New("want another one")
		}
		return len(text), nil
	}})
	start(t, rt)
	_, c := open(t, k)
	if out, err := c.Do(t.Context(), "call strict four"); out != "5" || err != nil {
		t.Errorf("%q, %v, want 5", out, err)
	}
	if _, err := c.Do(t.Context(), "call strict bad"); err == nil || err.Error() != `call: value "bad": want another one` {
		t.Errorf("%v", err)
	}
}

func TestClientRefuses(t *testing.T) {
	k, _ := newConsole(t, Config{})
	_, c := open(t, k)
	for _, line := range []string{"", "  ", "a\nb", "a\rb", "\x00", "\xff", "prompt on"} {
		var answer *AnswerError
		if _, err := c.Do(t.Context(), line); err == nil || errors.As(err, &answer) {
			t.Errorf("%q: %v", line, err)
		}
	}
	if out, err := c.Do(t.Context(), "timeout"); out != "5s" || err != nil {
		t.Errorf("the connection does not go on: %q, %v", out, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Do(ctx, "timeout"); err == nil {
		if _, err = c.Do(t.Context(), "timeout"); !errors.Is(err, context.Canceled) {
			t.Errorf("after a command in a context that was over: %v", err)
		}
	} else if !errors.Is(err, context.Canceled) {
		t.Errorf("in a context that is over: %v", err)
	}
}
