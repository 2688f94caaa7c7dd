// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skybus-io/skybus/examples/chat/internal/talk"
	"github.com/skybus-io/skybus/internal/testutil"
)

// The processes of a chat are this test binary, which then gets the arguments of a command.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && commands[os.Args[1]].run != nil {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// startChat starts all processes; they end with the test.
func startChat(t *testing.T, change func(*chat)) *chat {
	t.Helper()
	run := t.TempDir() // consoles
	if err := os.Chmod(run, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SKYBUS_RUN", run)
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		log.Close()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("the processes have logged:\n%s", text[max(0, len(text)-20_000):])
		}
	})
	c := &chat{
		place:  place{root: testutil.Dir(t), key: 7000, rooms: 2, gates: 1},
		data:   filepath.Join(t.TempDir(), "chat.db"),
		listen: "127.0.0.1:0", out: log, log: slog.New(slog.NewTextHandler(log, nil)),
	}
	if change != nil {
		change(c)
	}
	if err := c.start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.stop)
	return c
}

// killWhile kills processes while the load runs, each some time after the one before is back, and checks the promises.
func killWhile(t *testing.T, c *chat, l *load, pause time.Duration, names ...string) verdict {
	t.Helper()
	var said bytes.Buffer
	v, err := l.run(t.Context(), func() error {
		for _, name := range names {
			time.Sleep(pause)
			if err := c.killAndWait(t.Context(), &said, name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	v.print(&said)
	t.Logf("%s", said.Bytes())
	if err := v.promises(); err != nil {
		t.Error(err)
	}
	return v
}

// Bots talk while each kind of process is killed with -9, one after the other: nothing is lost, or comes twice, or out of order.
func TestKilledProcesses(t *testing.T) {
	testutil.NoLeaks(t)
	c := startChat(t, nil)
	l := load{gates: c.addresses(), bots: 24, rooms: 3, every: 200 * time.Millisecond, talk: 6 * time.Second, patience: 5 * time.Minute}
	v := killWhile(t, c, &l, 700*time.Millisecond, "room 1", "store", "room 2", "gate 1", "store", "room 1")
	if v.said < 24*20 || v.heard != uint64(v.said)*24/3 { // 8 bots in each of 3 rooms, all there from the beginning
		t.Errorf("the bots said %d messages and heard %d: they hardly talked", v.said, v.heard)
	}
}

// Two gates, of which each takes over the sessions of the other while that is dead, and gives them back.
func TestKilledGates(t *testing.T) {
	testutil.NoLeaks(t)
	c := startChat(t, func(c *chat) { c.place.gates = 2 })
	l := load{gates: c.addresses(), bots: 16, rooms: 2, every: 200 * time.Millisecond, talk: 5 * time.Second, patience: 5 * time.Minute}
	v := killWhile(t, c, &l, time.Second, "gate 1", "gate 2", "gate 1")
	if v.resumed < 16 {
		t.Errorf("%d connections were resumed, want each once at least", v.resumed)
	}
}

// Connections that are lost all the time: sessions are resumed, and no room notices.
func TestLostConnections(t *testing.T) {
	testutil.NoLeaks(t)
	rng := testutil.Rand(t)
	c := startChat(t, nil)
	ctx := t.Context()
	var talkers []*talk.Talker
	var links []*talk.Link
	for i := range 6 {
		a := talk.New(fmt.Sprint("talker ", i))
		k, err := talk.Connect(ctx, c.addresses()[0], a)
		if err != nil {
			t.Fatal(err)
		}
		defer k.Close()
		a.Join("lobby")
		talkers, links = append(talkers, a), append(links, k)
	}
	for _, a := range talkers {
		until(t, a, func(s *talk.State) bool { return s.Rooms["lobby"].Joined })
	}
	const each = 60
	for n := range each {
		for i, a := range talkers {
			a.Say("lobby", fmt.Sprint("message ", n))
			if rng.IntN(12) == 0 {
				links[i].Cut()
			}
		}
		for _, a := range talkers { // nobody misses more at once than the gate keeps
			until(t, a, func(s *talk.State) bool { return s.Rooms["lobby"].Last+90 >= uint64((n+1)*len(talkers)) })
		}
		time.Sleep(5 * time.Millisecond)
	}
	for i, a := range talkers {
		until(t, a, func(s *talk.State) bool {
			return s.Unsaved() == 0 && s.Rooms["lobby"].Last == each*uint64(len(talkers))
		})
		s := a.State()
		if s.Faults.Bad() || s.Counts.Messages != each*uint64(len(talkers)) || s.Counts.Sessions != 1 {
			t.Errorf("talker %d: %+v, %+v", i, s.Counts, s.Faults)
		}
	}
}

func until(t *testing.T, a *talk.Talker, ok func(*talk.State) bool) {
	t.Helper()
	if err := a.Until(t.Context(), ok); err != nil {
		t.Fatalf("%v: %+v", err, a.State())
	}
}

// All processes end, and begin again with the same file: what was said is there, and nobody is in the rooms any more.
func TestHistoryAfterRestart(t *testing.T) {
	testutil.NoLeaks(t)
	data := filepath.Join(t.TempDir(), "chat.db")
	const all = 130
	t.Run("before", func(t *testing.T) {
		c := startChat(t, func(c *chat) { c.data = data })
		a := talk.New("Ann")
		k, err := talk.Connect(t.Context(), c.addresses()[0], a)
		if err != nil {
			t.Fatal(err)
		}
		defer k.Close()
		a.Join("大厅")
		for n := range all {
			a.Say("大厅", fmt.Sprint("message ", n+1))
		}
		until(t, a, func(s *talk.State) bool { return len(s.Own) == all && s.Unsaved() == 0 })
	})
	c := startChat(t, func(c *chat) { c.data = data })
	got, err := history(t.Context(), c.addresses()[0], "大厅")
	if err != nil {
		t.Fatal(err)
	}
	for n := uint64(1); n <= all; n++ {
		if m := got[n]; m.Text != fmt.Sprint("message ", n) || m.Name != "Ann" {
			t.Errorf("message %d is %+v", n, m)
		}
	}
	b := talk.New("Bob")
	k, err := talk.Connect(t.Context(), c.addresses()[0], b)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	b.Join("大厅")
	until(t, b, func(s *talk.State) bool { return s.Rooms["大厅"].Joined && s.Rooms["大厅"].Count == 1 })
	b.Say("大厅", "again")
	until(t, b, func(s *talk.State) bool { return s.Unsaved() == 0 && s.Own[0].N == all+1 })
}

// The terminal client, with lines as a person types them.
func TestTerminal(t *testing.T) {
	testutil.NoLeaks(t)
	c := startChat(t, nil)
	var out syncBuffer
	a := &terminal{t: talk.New("Ann"), out: &out, room: "lobby"}
	r, w := net.Pipe()
	defer w.Close()
	done := make(chan error, 1)
	go func() { done <- a.run(t.Context(), c.addresses()[0], r) }()
	for _, step := range []struct{ in, want string }{
		{"hello \x1b[2Jall", "lobby <Ann> hello  [2Jall"},
		{"/nick Anna", "Anna is in lobby"},
		{"/who", "1 members"},
		{"/join other.room", "-- other.room: 1 members, 0 messages"},
		{"here", "other.room <Anna> here"},
		{"/leave", "you have left other.room"},
		{"/join no room", "! room"},
		{"/help", "/quit"},
		{"/rooms", "other.room"},
	} {
		fmt.Fprintln(w, step.in)
		for asked := time.Now(); !strings.Contains(out.String(), step.want); time.Sleep(5 * time.Millisecond) {
			if step.in == "/rooms" && time.Since(asked) > time.Second { // the list is told every other second
				fmt.Fprintln(w, step.in)
				asked = time.Now()
			}
		}
	}
	fmt.Fprintln(w, "/quit")
	if err := <-done; err != nil {
		t.Error(err)
	}
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func TestShift(t *testing.T) {
	for _, c := range []struct {
		listen string
		by     int
		want   string
	}{{"127.0.0.1:7080", 2, "127.0.0.1:7082"}, {"[::1]:0", 1, "[::1]:0"}, {":80", 0, ":80"}, {"nowhere", 0, ""}, {"a:http", 0, ""}} {
		got, err := shift(c.listen, c.by)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s by %d: %q, %v, want %q", c.listen, c.by, got, err, c.want)
		}
	}
}

func TestWrongCommandLines(t *testing.T) {
	for _, line := range []string{"dance", "up more", "room -number 2", "gate -number 1", "store -rooms 99", "up -gates 0", "bots -n 0", "term -name \x1b lobby"} {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := dispatch(ctx, strings.Fields(line)); err == nil {
			t.Errorf("chat %s: no error", line)
		}
	}
}
