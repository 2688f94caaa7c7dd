// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/skybus-io/skybus/console"
	"github.com/skybus-io/skybus/internal/testutil"
)

// command runs the tool and returns what it wrote.
func command(t *testing.T, args ...string) (code int, out, errOut string) {
	t.Helper()
	var o, e bytes.Buffer
	code = run(t.Context(), append([]string{"skybus"}, args...), strings.NewReader(""), &o, &e)
	return code, o.String(), e.String()
}

// TestServicesAreNotHeldUp: one that does not answer, and one that talks nonsense.
func TestServicesAreNotHeldUp(t *testing.T) {
	testutil.NoLeaks(t)
	dir := filepath.Join(testutil.Dir(t), "run")
	t.Setenv(console.EnvRun, dir)
	t.Setenv(envConsole, "")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	say(t, filepath.Join(dir, "0-1.sock"), "")
	say(t, filepath.Join(dir, "0-2.sock"), "hi\nOK\n{\"pid\": \"x\"}\nOK\n")
	say(t, filepath.Join(dir, "0-3.sock"), "hi\nOK\n{\"pid\": 3, \"name\": \"\\u001b[2J\"}\nOK\n")
	code, out, errOut := command(t, "call", "echo", "hi")
	if code != 1 || out != "" || !strings.Contains(errOut, "0-3.sock: it lists 0 services for the one that is asked for: is it a console?\n") {
		t.Errorf("call: exit code %d, %q, %q", code, out, errOut)
	}

	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- serveConsole(ctx, []string{""}) }()
	for own := filepath.Join(dir, strconv.Itoa(os.Getpid())+".sock"); ; time.Sleep(time.Millisecond) {
		if _, err := os.Lstat(own); err == nil {
			break // it listens
		}
	}
	code, out, errOut = command(t, "services", "--json")
	var list []serviceProcess
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list) != 4 || code != 0 {
		t.Fatalf("exit code %d, %v: %s", code, err, out)
	}
	if !strings.Contains(list[0].Error, "no answer within 1s") || !strings.Contains(errOut, "0-1.sock: no answer within 1s: it is stopped, or no console\n") {
		t.Errorf("the mute one: %+v, %q", list[0], errOut)
	}
	if strings.Contains(out, "null") {
		t.Errorf("what is not known is null: %s", out)
	}
	if !strings.Contains(list[1].Error, "the answer to json: ") || list[2].Error != "" || strings.Contains(out, "\x1b") {
		t.Errorf("those that talk nonsense: %+v", list[1:3])
	}
	if game := list[3]; game.PID != os.Getpid() || game.Total != len(game.Services) || game.Total == 0 {
		t.Errorf("the program: %+v", game)
	}
	if code, out, errOut = command(t, "call", "echo", "hi"); code != 0 || out != "hi\n" || errOut != "" {
		t.Errorf("call: exit code %d, %q, %q", code, out, errOut)
	}
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// say listens at a path and says the same to everybody.
func say(t *testing.T, path, text string) {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() {
		_ = ln.Close()
		<-done
	})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, text)
			_, _ = io.Copy(io.Discard, c) // until the tool has enough
			_ = c.Close()
		}
	}()
}

func TestCallMessage(t *testing.T) {
	for _, c := range []struct {
		args  []string
		text  string
		wrong string
	}{
		{[]string{"hi"}, "hi", ""},
		{[]string{"save", "all", "-5"}, "save all -5", ""},
		{[]string{`{"a": 1}`}, `{"a": 1}`, ""},
		{[]string{"{\n\"a\": [1,\r\n2]\n}"}, `{"a":[1,2]}`, ""},
		{[]string{`""`}, `""`, ""},
		{[]string{"", " "}, "", "MESSAGE is empty"},
		{[]string{"two\nlines"}, "", "several lines"},
	} {
		text, err := callMessage(c.args)
		if text != c.text || (err != nil) != (c.wrong != "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%q: %q, %v, want %q, %q", c.args, text, err, c.text, c.wrong)
		}
	}
}
