// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/skybus-io/skybus/internal/testutil"
)

// TestMain lets the scripts call the test binary by the names of the tools.
func TestMain(m *testing.M) {
	tool := func() {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		os.Exit(run(ctx, os.Args, os.Stdin, os.Stdout, os.Stderr))
	}
	testscript.Main(m, map[string]func(){"skybus": tool, tbusmgrName: tool, trelaymgrName: tool, "game": consoleProgram, "named": namesProgram, "gated": gateProgram})
}

// TestScripts runs the sessions of testdata/script, each with domains of its own,
// and for the daemons of two hosts the addresses EAST and WEST.
func TestScripts(t *testing.T) {
	root, bin := testutil.Dir(t), buildDaemon(t)
	var scripts atomic.Uint32
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			dir, err := os.MkdirTemp(root, "")
			env.Setenv(envRoot, dir)
			env.Setenv(envKey, "")
			env.Setenv("TZ", "UTC")
			env.Setenv("PATH", bin+string(os.PathListSeparator)+env.Getenv("PATH"))
			east, west := freePorts(t, scripts.Add(1))
			env.Setenv("EAST", east)
			env.Setenv("WEST", west)
			env.Setenv("GORACE", "atexit_sleep_ms=0") // or each of hundreds of commands takes a second
			return err
		},
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"exit": exit, "until": until, "term": terminate},
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

// buildDaemon returns a folder with the binary skybusd, which is another program.
func buildDaemon(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", dir, "../skybusd").CombinedOutput()
	if err != nil {
		t.Fatalf("build skybusd: %v\n%s", err, out)
	}
	return dir
}

// freePorts returns two addresses where nobody listens. Each script has a loopback
// address of its own, so that no other takes the ports until its daemons listen.
func freePorts(t *testing.T, script uint32) (east, west string) {
	t.Helper()
	var list [2]string
	for i := range list {
		ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", fmt.Sprintf("127.77.%d.%d:0", script>>8&0xff, script&0xff))
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		list[i] = ln.Addr().String()
	}
	return list[0], list[1]
}

// exit runs "exit CODE COMMAND ARGS...": exec does not look at the code.
func exit(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exit CODE COMMAND ARGS...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	if got := codeOf(ts, ts.Exec(args[1], args[2:]...)); got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

func codeOf(ts *testscript.TestScript, err error) int {
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		return ended.ExitCode()
	}
	ts.Check(err)
	return 0
}

// patience is how long scripts wait for what is to happen soon.
const patience = 90 * time.Second

// until runs "until PATTERN COMMAND ARGS..." again and again until the output
// has the pattern: what runs in the background takes its time.
func until(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: until PATTERN COMMAND ARGS...")
	}
	pattern := regexp.MustCompile("(?m)" + args[0])
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		_ = ts.Exec(args[1], args[2:]...) // it may fail at first
		if pattern.MatchString(ts.ReadFile("stdout")) {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("%q did not come", args[0])
		}
	}
}

// terminate ends what runs in the background by SIGTERM, which kill does not know.
func terminate(ts *testscript.TestScript, _ bool, _ []string) {
	for _, c := range ts.BackgroundCmds() {
		ts.Check(c.Process.Signal(syscall.SIGTERM))
	}
}
