// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/skybus-io/skybus/channel"
	"github.com/skybus-io/skybus/cmd/skybusd/internal/config"
	"github.com/skybus-io/skybus/internal/certs"
	"github.com/skybus-io/skybus/internal/testutil"
	"github.com/skybus-io/skybus/relay"
	"github.com/skybus-io/skybus/route"
)

// call runs the command for at most a moment and returns what it says.
func call(t *testing.T, args ...string) (code int, out, errOut string) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 90*time.Second)
	defer stop()
	var o, e bytes.Buffer
	code = run(ctx, args, &o, &e)
	return code, o.String(), e.String()
}

func TestCommandLinesThatMakeNoSense(t *testing.T) {
	root := testutil.Dir(t)
	usual := []string{"-k", "1", "--host", "a", "--listen", "127.0.0.1:0", "--root", root}
	for _, test := range []struct {
		want string
		code int
		args []string
	}{
		{"no configuration", 2, []string{}}, // with nil it would be the test's own
		{"unknown flag", 2, []string{"--dance"}},
		{"flags only", 2, []string{"now"}},
		{"-k: want a number", 2, []string{"-k", "x", "--host", "a", "--listen", ":0", "--insecure"}},
		{"--host: is missing", 2, []string{"-k", "1", "--insecure"}},
		{"--insecure: is missing", 2, usual},
		{"--key-file", 2, append([]string{"--ca", "x", "--cert", "y"}, usual...)},
		{"NAME=HOST:PORT", 2, append([]string{"--insecure", "--peer", "b"}, usual...)},
		{"PREFIX=NAME", 2, append([]string{"--insecure", "--route", "0.0.1.1"}, usual...)},
		{"--cluster-init and --cluster-join: want one of the two", 2, append([]string{"--insecure", "--cluster-init", "c", "--cluster-join", "h:1"}, usual...)},
		{"--cluster-init: want the name of a cluster", 2, append([]string{"--insecure", "--cluster-init", "a b"}, usual...)},
		{"--cluster-join: ", 2, append([]string{"--insecure", "--cluster-join", "nowhere"}, usual...)},
		{"--state: ", 2, append([]string{"--insecure", "--state", root}, usual...)},
		{"--config-file: is missing", 2, []string{"engine"}},
		{"none of stored", 2, append([]string{"--insecure", "--route", "0.0.1.1=a,quickly"}, usual...)},
		{"--route", 2, append([]string{"--insecure", "--route", "0.0.1.*=nobody"}, usual...)},
		{"no such file", 1, []string{"--config", filepath.Join(root, "none.yaml")}},
		{"with --config the file says that", 2, []string{"--config", "x.yaml", "-k", "1"}},
		{"--root", 1, []string{"-k", "1", "--host", "a", "--listen", ":0", "--insecure", "--root", filepath.Join(root, "none")}},
		{"skybus daemon certs", 1, append([]string{"--ca", "x", "--cert", "y", "--key-file", "z"}, usual...)},
	} {
		if code, _, text := call(t, test.args...); code != test.code || !strings.Contains(text, test.want) {
			t.Errorf("%v: exit code %d, want %d with %q:\n%s", test.args, code, test.code, test.want, text)
		}
	}
}

func TestExampleIsShown(t *testing.T) {
	if code, out, _ := call(t, "--example"); code != 0 || !strings.Contains(out, "relay_key:") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
}

func TestCheckSaysWhetherAFileIsRight(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "skybusd.yaml")
	text := "domain: 1\nrelay_key: 2\nhost: a\nlisten: 127.0.0.1:0\n"
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(text + "insecure: true\n")
	if code, out, errOut := call(t, "--config", file, "--check"); code != 0 || !strings.Contains(out, "is right") {
		t.Errorf("exit code %d: %s%s", code, out, errOut)
	}
	write(text + "tls: {ca: ca.pem, cert: b.pem, key: b-key.pem}\n")
	if err := certs.MakeCA(dir); err != nil {
		t.Fatal(err)
	}
	if err := certs.MakeHost(dir, "b", time.Hour); err != nil {
		t.Fatal(err)
	}
	if code, _, errOut := call(t, "--config", file, "--check"); code != 1 || !strings.Contains(errOut, `of host "b"`) {
		t.Errorf("exit code %d: %s", code, errOut)
	}
	write(text + "insecure: true\nspeed: 11\n")
	if code, _, errOut := call(t, "--config", file, "--check"); code != 1 || !strings.Contains(errOut, "skybusd.yaml:6: key \"speed\"") {
		t.Errorf("exit code %d: %s", code, errOut)
	}
}

// start runs a daemon until the test ends, or stop is called.
func start(t *testing.T, root string, args ...string) (stop, wait func() (int, string)) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var out, errOut bytes.Buffer
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, append([]string{"--root", root, "-k", "1", "--insecure"}, args...), &out, &errOut)
	}()
	over := false
	wait = func() (int, string) {
		over = true
		return <-code, errOut.String()
	}
	stop = func() (int, string) {
		cancel()
		return wait()
	}
	t.Cleanup(func() {
		if !over {
			stop()
		}
	})
	for end := time.Now().Add(90 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if _, err := relay.Ask(channel.Dir(root, 1), "status"); err == nil {
			return stop, wait
		}
	}
	c, text := stop()
	t.Fatalf("the daemon does not start: %d\n%s", c, text)
	return nil, nil
}

// status waits for the answer of the domain's daemon, which may not be there yet.
func status(t *testing.T, root string) (st *relay.Status) {
	t.Helper()
	soon(t, "the daemon answers", func() bool {
		var err error
		st, err = relay.Ask(channel.Dir(root, 1), "status")
		return err == nil
	})
	return st
}

// A daemon that is refused leaves the routes of the one that runs alone.
func TestADaemonThatIsRefusedChangesNothing(t *testing.T) {
	testutil.NoLeaks(t)
	root := testutil.Dir(t)
	stop, _ := start(t, root, "--host", "a", "--listen", "127.0.0.1:0", "--peer", "b=127.0.0.1:1", "--route", "0.0.2.*=b")
	before, err := route.Load(root, 1)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	other := []string{"--root", root, "-k", "1", "--insecure", "--host", "zz", "--peer", "b=127.0.0.1:1", "--route", "0.0.9.*=b"}
	for want, args := range map[string][]string{
		"another relay daemon":   {"--listen", "127.0.0.1:0"},
		"address already in use": {"--replace", "--listen", ln.Addr().String()},
	} {
		code, _, text := call(t, append(args, other...)...)
		if code != 1 || !strings.Contains(text, want) {
			t.Errorf("%v: exit code %d: %s", args, code, text)
		}
	}
	after, err := route.Load(root, 1)
	if err != nil || after.Generation != before.Generation || after.Self != "a" {
		t.Errorf("the routes are %+v now, %v", after, err)
	}
	if st := status(t, root); st.Host != "a" {
		t.Errorf("the daemon that ran does not run any more, but %+v", st)
	}
	if code, text := stop(); code != 0 {
		t.Errorf("exit code %d:\n%s", code, text)
	}
}

func TestReplaceTakesThePlace(t *testing.T) {
	testutil.NoLeaks(t)
	root := testutil.Dir(t)
	_, first := start(t, root, "--host", "a", "--listen", "127.0.0.1:0")
	second, _ := start(t, root, "--host", "a", "--listen", status(t, root).Listen, "--replace")
	if code, text := first(); code != 0 || !strings.Contains(text, "as it was asked to") {
		t.Errorf("the first one: exit code %d:\n%s", code, text)
	}
	status(t, root)
	if code, text := second(); code != 0 {
		t.Errorf("the second one: exit code %d:\n%s", code, text)
	}
}

func TestFlagsOfFields(t *testing.T) {
	for field, want := range map[string]string{"domain": "-k", "tls.ca": "--ca", "peers.name": "--peer", "listen": "--listen", "": ""} {
		if got := flagOf(field); got != want {
			t.Errorf("flagOf(%q) = %q, want %q", field, got, want)
		}
	}
}

func TestWhatOnlyARestartChangesIsNamed(t *testing.T) {
	base := config.Config{Domain: 1, Host: "a", Peers: []config.Peer{{Name: "b", Connections: 1}}}
	for want, change := range map[string]func(c *config.Config){
		"host":              func(c *config.Config) { c.Host = "z" },
		"limits":            func(c *config.Config) { c.Limits.Frame = 5000 },
		"peers.connections": func(c *config.Config) { c.Peers = []config.Peer{{Name: "b", Connections: 4}} },
		"":                  func(c *config.Config) { c.Peers = append(c.Peers, config.Peer{Name: "c", Connections: 1}) },
	} {
		other := base
		change(&other)
		got := strings.Join((&settings{Config: &base}).differences(&settings{Config: &other}), " ")
		if got != want {
			t.Errorf("differences %q, want %q", got, want)
		}
	}
}
