// SPDX-License-Identifier: Apache-2.0

package shm

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/skybus-io/skybus/internal/testutil"
)

// childVariable names, in the environment of a process that a test has started
// from its own binary, what that process is to do.
const childVariable = "SKYBUS_TEST_CHILD"

// children are the things that such a process can do. Its arguments follow the
// name of the binary.
var children = map[string]func(args []string) error{}

func TestMain(m *testing.M) {
	name := os.Getenv(childVariable)
	if name == "" {
		os.Exit(m.Run())
	}
	run, ok := children[name]
	if !ok {
		fmt.Fprintf(os.Stderr, "no child %q\n", name)
		os.Exit(3)
	}
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// child returns a command that runs what children has under name. The path of
// the binary is that of whatever runs: also a user who may not search its folder
// can start it.
func child(name string, args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), childVariable+"="+name)
	cmd.Stderr = os.Stderr
	return cmd
}

// start runs a child until the test ends, and returns the first line it prints.
// Its standard input stays open.
func start(t *testing.T, name string, args ...string) (cmd *exec.Cmd, line string) {
	t.Helper()
	cmd = child(name, args...)
	must(cmd.StdinPipe())(t)
	out := must(cmd.StdoutPipe())(t)
	check(t, cmd.Start())
	t.Cleanup(func() { kill(cmd) })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the process printed %q: %v", line, err)
	}
	return cmd, strings.TrimSpace(line)
}

// kill ends a process as kill -9 does, and waits for that.
func kill(cmd *exec.Cmd) {
	_ = cmd.Process.Kill()
	_ = cmd.Wait() // it was killed, or has ended before
}

// eventually waits for what must come soon.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(90 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not %s", what)
		}
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// must takes what a call returned and stops the test if that is an error.
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		check(t, err)
		return v
	}
}

var testMagic = Magic{'S', 'K', 'Y', 'T', 'E', 'S', 'T', 0}

const testSize = 4096

func spec(size int64) Spec { return Spec{Magic: testMagic, Size: size, Access: Keep, Now: 12345} }

// newSegment makes a segment in a folder of its own.
func newSegment(t *testing.T) *Segment {
	t.Helper()
	sp := spec(testSize)
	sp.Init = func(mem []byte) { copy(mem[HeaderSize:], "content") }
	s := must(Create(filepath.Join(testutil.Dir(t), "segment"), sp))(t)
	t.Cleanup(s.Close)
	return s
}

// segmentFile is newSegment for tests that want the file: its path and bytes.
func segmentFile(t *testing.T) (path string, data []byte) {
	t.Helper()
	path = newSegment(t).Path()
	return path, must(os.ReadFile(path))(t)
}

// asRoot skips a test that needs the rights of root, and fails it in CI, where
// they must be there.
func asRoot(t *testing.T) {
	t.Helper()
	switch {
	case os.Geteuid() == 0:
	case os.Getenv("CI") == "true":
		t.Fatal("this test needs root, and CI must give it that")
	default:
		t.Skip("this test needs root")
	}
}
