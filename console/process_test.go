// SPDX-License-Identifier: Apache-2.0

package console

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/skybus-io/skybus/actor"
	"github.com/skybus-io/skybus/addr"
	"github.com/skybus-io/skybus/internal/testutil"
)

func TestProcess(t *testing.T) {
	testutil.NoLeaks(t)
	rt := actor.New(actor.Config{Node: addr.MustParse("0.0.3.1")})
	defer rt.Close()
	k, err := New(rt, Config{Name: "arena"})
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"echo", "房间", "\U0001f3b2\u2028\x7f\"\\", ""}
	var pids []string
	for _, name := range names {
		p, err := rt.Start(t.Context(), actor.Spec{Name: name, New: actor.Func(func(c *actor.Context, m *actor.Message) error { return c.Reply(m.Value) })})
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, p.String())
	}
	if _, err := rt.Call(t.Context(), mustLookup(t, rt, "echo"), 1); err != nil {
		t.Fatal(err)
	}
	_, c := open(t, k)
	p, err := c.Process(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if p.Name != "arena" || p.Program != filepath.Base(os.Args[0]) || p.PID != os.Getpid() || p.Node != "0.0.3.1" || p.Total != 4 || len(p.Services) != 4 {
		t.Errorf("%+v", p)
	}
	for i := range names {
		at := slices.IndexFunc(p.Services, func(s Service) bool { return s.PID == pids[i] })
		if at < 0 || p.Services[at].Name != names[i] || p.Services[at].State != "running" || p.Services[at].Kind != "service" {
			t.Errorf("service %q, %s: %+v", names[i], pids[i], p.Services)
		}
	}
	for _, target := range []string{"echo", ".echo", pids[0]} {
		one, err := c.Process(t.Context(), target)
		if err != nil || one.Total != 1 || len(one.Services) != 1 || one.Services[0].PID != pids[0] || one.Services[0].Handled != 1 {
			t.Errorf("%s: %+v, %v", target, one, err)
		}
	}
	for _, target := range []string{"nobody", "0.0.3.2/1", ":ffffff", "a b"} {
		var answer *AnswerError
		if _, err := c.Process(t.Context(), target); !errors.As(err, &answer) {
			t.Errorf("%s: %v, want an answer that says what is wrong", target, err)
		}
	}
}

func mustLookup(t *testing.T, rt *actor.Runtime, name string) actor.PID {
	t.Helper()
	p, ok := rt.Lookup(name)
	if !ok {
		t.Fatalf("nobody is called %s", name)
	}
	return p
}

// TestProcessOfMany: what does not fit is left out, and Total tells.
func TestProcessOfMany(t *testing.T) {
	testutil.NoLeaks(t)
	k, rt := newConsole(t, Config{MaxOutput: 1000})
	for i := range 100 {
		if _, err := rt.Spawn(actor.Spec{Name: fmt.Sprint("one-of-many-", i), New: actor.Func(func(*actor.Context, *actor.Message) error { return nil })}); err != nil {
			t.Fatal(err)
		}
	}
	_, c := open(t, k)
	p, err := c.Process(t.Context(), "")
	if err != nil || p.Total != 100 || p.Node != "" || len(p.Services) < 3 || len(p.Services) > 20 {
		t.Errorf("%+v, %v", p, err)
	}
}

func FuzzParseProcess(f *testing.F) {
	for _, text := range []string{
		`{"name":"a","pid":1}` + "\n" + `{"pid":":1","handled":2}`, `{"services":[{"pid":":1"}]}`, "", "{", `{"pid":-1}{"waiting":"x"}`, "null null", `{"later":[{}]}`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := parseProcess(text)
		if err != nil {
			return
		}
		if p.Services == nil || len(p.Services) > len(text)/2 {
			t.Errorf("%d services of %d bytes", len(p.Services), len(text))
		}
		var b strings.Builder
		for i := range p.Services {
			line, err := asciiJSON(p.Services[i])
			if err != nil || clean(string(line), false) != string(line) {
				t.Fatalf("%q, %v", line, err)
			}
			b.Write(line)
		}
		again, err := parseProcess("{}" + b.String())
		if err != nil || !slices.Equal(again.Services, p.Services) {
			t.Errorf("%+v, %v, want %+v", again.Services, err, p.Services)
		}
	})
}
