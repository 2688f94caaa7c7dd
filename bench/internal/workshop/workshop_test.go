// SPDX-License-Identifier: Apache-2.0

package workshop

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/skybus-io/skybus/bench/internal/plan"
)

func TestEveryProgramOfThePlanHasARecipe(t *testing.T) {
	for _, a := range plan.Areas() {
		for _, c := range a.Cases {
			for _, i := range c.Impls {
				if recipes[i.Program] == nil {
					t.Errorf("%s, %s: no recipe for %s", c.Key(), i.Name, i.Program)
				}
			}
		}
	}
}

func TestAMissingPackageIsNamed(t *testing.T) {
	t.Setenv("PATH", t.TempDir()) // no apt-get here
	s := &Shop{Root: t.TempDir(), Out: t.TempDir(), Log: io.Discard}
	_, err := s.Get(t.Context(), "zeromq")
	if err == nil || !strings.Contains(err.Error(), "install the package g++") {
		t.Errorf("got %v", err)
	}
	if _, again := s.Get(t.Context(), "zeromq"); again == nil || again.Error() != err.Error() {
		t.Errorf("asked again it says %v", again)
	}
}

func TestWithoutOurs(t *testing.T) {
	s := &Shop{Skybus: "none", Log: io.Discard}
	for _, name := range []string{"skybus", "skybus-relay", "skybus-services", "skybus-node", "skybus-hosts", "gate-skybus", "idle-skybus"} {
		if _, err := s.Get(t.Context(), name); !errors.Is(err, ErrNotWanted) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestAServerBesideIsNamedByTheEnvironment(t *testing.T) {
	s := &Shop{Log: io.Discard}
	t.Setenv("BENCH_GNET", "")
	if _, err := beside("gnet")(t.Context(), s); err == nil || !strings.Contains(err.Error(), "BENCH_GNET") {
		t.Errorf("without one: %v", err)
	}
	t.Setenv("BENCH_GNET", "/nowhere/gnet")
	if _, err := beside("gnet")(t.Context(), s); err == nil || !strings.Contains(err.Error(), "/nowhere/gnet") {
		t.Errorf("with one that is not there: %v", err)
	}
	t.Setenv("BENCH_GNET", "/bin/sh")
	if p, err := beside("gnet")(t.Context(), s); err != nil || p.Command[0] != "/bin/sh" {
		t.Errorf("with one: %+v, %v", p, err)
	}
}

func TestADaemonBelongsNextToAGivenBinary(t *testing.T) {
	dir := t.TempDir()
	binary := filepath.Join(dir, "skybus")
	executable := func(path string) {
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	executable(binary)
	s := &Shop{Root: t.TempDir(), Out: t.TempDir(), Skybus: binary, Log: io.Discard}
	if _, err := s.Get(t.Context(), "skybus-relay"); err == nil || !strings.Contains(err.Error(), "skybusd") {
		t.Errorf("without a daemon: %v", err)
	}
	executable(filepath.Join(dir, "skybusd"))
	s = &Shop{Root: s.Root, Out: s.Out, Skybus: binary, Log: io.Discard}
	if p, err := s.Get(t.Context(), "skybus-relay"); err != nil || !p.Ours || p.Command[0] != binary {
		t.Errorf("with a daemon: %+v, %v", p, err)
	}
}

func TestFailedCommandsSayWhy(t *testing.T) {
	s := &Shop{Log: io.Discard}
	_, err := s.run(t.Context(), t.TempDir(), nil, "sh", "-c", "echo the reason >&2; exit 4")
	if err == nil || !strings.Contains(err.Error(), "the reason") || !strings.Contains(err.Error(), "4") {
		t.Errorf("got %v", err)
	}
}

func TestFreshComparesTimes(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, age time.Duration) string {
		path := filepath.Join(dir, name)
		when := time.Now().Add(-age)
		if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Chtimes(path, when, when)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	older, target, newer := file("older", time.Hour), file("target", time.Minute), file("newer", 0)
	for _, c := range []struct {
		sources []string
		want    bool
	}{
		{nil, true},
		{[]string{older}, true},
		{[]string{older, newer}, false},
		{[]string{filepath.Join(dir, "absent")}, false},
	} {
		if got := fresh(target, c.sources...); got != c.want {
			t.Errorf("fresh with sources %v = %v", c.sources, got)
		}
	}
	if fresh(filepath.Join(dir, "absent")) {
		t.Error("a target that is not there is fresh")
	}
}

func TestVersionsAreFoundInTheirFiles(t *testing.T) {
	for path, pattern := range map[string]string{
		"../../peers/aeron/pom.xml":       `<artifactId>aeron-all</artifactId>\s*<version>([^<]+)`,
		"../../peers/iceoryx2/Cargo.toml": `iceoryx2 = "=([^"]+)"`,
		"../../peers/shmipc/go.mod":       `shmipc-go (v\S+)`,
		"../../peers/nats/go.mod":         `nats-server/v2 (v\S+)`,
		"../../peers/grpc/go.mod":         `google.golang.org/grpc (v\S+)`,
		"../../peers/netpoll/go.mod":      `cloudwego/netpoll (v\S+)`,
	} {
		if v, err := find(path, pattern); err != nil || v == "" {
			t.Errorf("%s: %q, %v", path, v, err)
		}
	}
}
