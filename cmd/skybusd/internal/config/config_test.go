// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/skybus-io/skybus/addr"
)

func prefix(t testing.TB, tmpl addr.Template, s string) addr.Prefix {
	t.Helper()
	p, err := tmpl.ParsePrefix(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// wantExample is what the example says.
func wantExample(t testing.TB) *Config {
	p := func(s string) addr.Prefix { return prefix(t, addr.Default, s) }
	all := p("*.*.*.*")
	return &Config{
		Domain:   1000,
		Root:     "/dev/shm",
		RelayKey: 2000,
		Host:     "east",
		Listen:   "10.0.0.1:7100",
		Template: addr.MustTemplate("8.8.8.8"),
		Peers: []Peer{
			{Name: "west", Address: "10.0.0.2:7100", Connections: 2},
			{Name: "north", Address: "north.example:7100", Connections: 1},
		},
		Routes: []Route{
			{To: p("0.0.1.*"), Host: "east", Release: Consumed, Desc: "gates"},
			{To: p("0.0.3.*"), Host: "west", Release: Stored, Priority: 2, Desc: "zones 3"},
			{To: all, Host: "north", Release: Consumed},
		},
		TLS: TLS{CA: "/etc/skybus/ca.pem", Cert: "/etc/skybus/east.pem", Key: "/etc/skybus/east-key.pem"},
		Limits: Limits{
			InFlight: 64 << 20, Connections: 256, Frame: 65536, HandshakeTimeout: 5 * time.Second,
			Record: 16 << 20, NewLanesPerSecond: 1000,
		},
		Durable: []Durable{{From: all, To: p("0.0.3.9"), Mode: Sync, Dir: "/var/lib/skybus/durable"}},
		Cluster: Cluster{Mode: Local},
		Log:     Log{Format: Text, Level: slog.LevelInfo},
	}
}

func TestExampleIsRead(t *testing.T) {
	got, err := Read("/etc/skybus/skybusd.yaml", []byte(Example()))
	if err != nil {
		t.Fatal(err)
	}
	if want := wantExample(t); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// TestExampleShowsTheDefaults takes everything out that may be missing, and the
// values that remain must be those that the example gives.
func TestExampleShowsTheDefaults(t *testing.T) {
	got := read(t, minimal)
	want := wantExample(t)
	if got.Limits != want.Limits || got.Cluster.Mode != want.Cluster.Mode || got.Log != want.Log || got.Template != want.Template {
		t.Errorf("got %+v, %+v, %+v, %v", got.Limits, got.Cluster, got.Log, got.Template)
	}
}

// TestExampleNamesEveryKey asks the reader itself for the keys it knows.
func TestExampleNamesEveryKey(t *testing.T) {
	for _, file := range []string{
		"x: 1", "peers: [{x: 1}]", "routes: [{x: 1}]", "tls: {x: 1}", "limits: {x: 1}", "durable: [{x: 1}]", "log: {x: 1}",
		"cluster: {x: 1}", "cluster: {tls: {x: 1}}", "cluster: {engine: {x: 1}}", "cluster: {policy: [{x: 1}]}",
	} {
		_, err := Read("f", []byte(file))
		if err == nil {
			t.Fatalf("%s: no error", file)
		}
		_, list, _ := strings.Cut(err.Error(), "known here: ")
		list, _, _ = strings.Cut(list, "\n")
		for key := range strings.SplitSeq(list, ", ") {
			if key == "" || !strings.Contains(Example(), key+":") {
				t.Errorf("%s: the example has no key %q", file, key)
			}
		}
	}
}

// TestExampleHasTheOtherWaysToSayIt turns the lines that are commented out on,
// and those they exclude off.
func TestExampleHasTheOtherWaysToSayIt(t *testing.T) {
	text := Example()
	for _, key := range []string{"routes_file", "insecure", "user", "group"} {
		before := text
		if text = strings.Replace(text, "\n# "+key+": ", "\n"+key+": ", 1); text == before {
			t.Fatalf("%s is not commented out", key)
		}
	}
	for _, key := range []string{"routes", "tls"} {
		text = without(text, key)
	}
	got := read(t, text)
	if got.RoutesFile != "trelaymgr.xml" || !got.Insecure || got.User != "skybus" || got.Group != "skybus" || got.Routes != nil {
		t.Errorf("got %+v", got)
	}
}

// TestExampleHasTheOtherClusters turns each of the other two ways to have a cluster on.
func TestExampleHasTheOtherClusters(t *testing.T) {
	blocks := strings.Split(Example(), "\n# cluster:\n")
	if len(blocks) != 3 {
		t.Fatalf("%d commented out, want 2", len(blocks)-1)
	}
	for _, block := range blocks[1:] {
		text := "cluster:\n"
		for line := range strings.SplitSeq(block, "\n") {
			line, ok := strings.CutPrefix(line, "#   ")
			if !ok {
				break
			}
			if !strings.HasPrefix(line, "# insecure") { // or tls
				text += "  " + line + "\n"
			}
		}
		c := read(t, minimal+text).Cluster
		if c.State != DefaultState || c.Mode == Etcd && (c.Name != DefaultClusterName || len(c.Policy) != 2 || len(c.Endpoints) != 3) || c.Mode == Managed && c.Engine.Size != 3 {
			t.Errorf("got %+v of\n%s", c, text)
		}
	}
}

// without takes a key and what is indented below it out of a file.
func without(text, key string) string {
	var kept []string
	inside := false
	for line := range strings.SplitSeq(text, "\n") {
		if strings.HasPrefix(line, key+":") {
			inside = true
			continue
		}
		if inside = inside && strings.HasPrefix(line, " "); !inside {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "\n")
}

// TestDeployHasTheExample keeps the file that operators copy.
func TestDeployHasTheExample(t *testing.T) {
	data, err := os.ReadFile("../../../../deploy/skybusd.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if string(data) != Example() {
		t.Error("deploy/skybusd.yaml is not cmd/skybusd/internal/config/example.yaml: copy it there")
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "skybusd.yaml")
	if err := os.WriteFile(path, []byte(minimal+"\nroutes_file: ../r.xml\nroot: shm\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if got.RoutesFile != filepath.Join(filepath.Dir(dir), "r.xml") || got.Root != filepath.Join(dir, "shm") {
		t.Errorf("paths %q, %q", got.RoutesFile, got.Root)
	}
	if _, err := Load(path + "x"); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path+"x") {
		t.Errorf("a missing file: %v", err)
	}
	if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("a folder: %v", err)
	}
}

func TestLoadRefusesWhatIsTooLarge(t *testing.T) {
	path := filepath.Join(t.TempDir(), "skybusd.yaml")
	if err := os.WriteFile(path, []byte(minimal), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, MaxSize+1); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err == nil || !strings.HasSuffix(err.Error(), "is larger than 16M") {
		t.Errorf("got %v", err)
	}
}
