// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skybus-io/skybus/bench/internal/report"
)

// fakeSkybus is a script that answers as `skybus bench ipc --json` and `skybus bench relay --json` do, with
// made-up figures. A file beside it stands for the daemon.
func fakeSkybus(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "skybus")
	script := `#!/bin/sh
case "$1 $2" in
"bench ipc") ;;
"bench relay") tls=off ;;
*) exit 2 ;;
esac
mode=throughput
while [ $# -gt 0 ]; do
	case $1 in
	--size) size=$2 ;;
	--mode) mode=$2 ;;
	--wait) wait=$2 ;;
	--tls) tls=1.3 ;;
	--memory) mode=memory ;;
	esac
	shift
done
echo "{\"name\":\"skybus-send\",\"size\":$size,\"mode\":\"$mode\",\"wait\":\"$wait\",\"msgs_per_s\":1000000,\"bytes_per_s\":64000000,\"p50_ns\":900,\"p99_ns\":1900,\"p999_ns\":2900,\"max_ns\":3900,\"cpu\":2,\"tls\":\"$tls\",\"rss_anon_bytes\":1048576}"
`
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), "skybusd"), nil, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// records reads AREA.jsonl: the values by case and implementation.
func records(t *testing.T, path string) map[string]float64 {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]float64{}
	for line := range bytes.Lines(text) {
		var r report.Record
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		found[r.Case+" "+r.Impl] = r.Value
	}
	return found
}

func TestQuickRun(t *testing.T) {
	if _, err := exec.LookPath("g++"); err != nil {
		t.Skip("no g++ to build the yardstick")
	}
	out := t.TempDir()
	doc := filepath.Join(out, "bench-page.txt")
	var screen bytes.Buffer
	code, err := bench(t.Context(), []string{"-rounds", "1", "-duration", "500ms", "-patience", "0s", "-case", "^rtt-seldom", "-skybus", fakeSkybus(t), "-out", out, "-doc", doc}, &screen)
	if code != allGood || err != nil {
		t.Fatalf("code %d, error %v\n%s", code, err, screen.String())
	}
	found := records(t, filepath.Join(out, "ipc.jsonl"))
	if found["rtt-seldom-p50 skybus-park"] != 900 || found["rtt-seldom-p50 yardstick"] <= 0 || found["rtt-seldom-p99 futex"] <= 0 {
		t.Errorf("records: %v", found)
	}
	if !strings.Contains(screen.String(), "PASS") && !strings.Contains(screen.String(), "VOID") {
		t.Errorf("no verdict in\n%s", screen.String())
	}
	page, err := os.ReadFile(doc)
	if err != nil || !strings.Contains(string(page), "### rtt-seldom-p50, 64 B") {
		t.Errorf("the page lacks the case (%v):\n%s", err, page)
	}
}

func TestQuickRunOfTheRelay(t *testing.T) {
	out := t.TempDir()
	var screen bytes.Buffer
	args := []string{"-quick", "-case", "^relay-(tls|memory)", "-skybus", fakeSkybus(t), "-out", out}
	code, err := bench(t.Context(), args, &screen)
	if code != allGood || err != nil {
		t.Fatalf("code %d, error %v\n%s", code, err, screen.String())
	}
	found := records(t, filepath.Join(out, "relay.jsonl"))
	if found["relay-memory skybus"] != 1<<20 || found["relay-tls skybus-batch"] != 1e6 || found["relay-tls go-tls-64k"] <= 0 {
		t.Errorf("records: %v", found)
	}
	page, err := os.ReadFile(filepath.Join(out, "relay.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| 1.00 MiB | <= 64.0 MiB | PASS |", "| cores | wait | TLS |", "| 1.3 |"} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
}

func TestQuickRunOfTheServices(t *testing.T) {
	out := t.TempDir()
	var screen bytes.Buffer
	code, err := bench(t.Context(), []string{"-quick", "-case", "^(ask|flood)-", "-skybus", "none", "-out", out}, &screen)
	if code != allGood || err != nil {
		t.Fatalf("code %d, error %v\n%s", code, err, screen.String())
	}
	found := records(t, filepath.Join(out, "actor.jsonl"))
	for _, want := range []string{"ask-time goroutines", "ask-allocs goroutines-fresh", "ask-time protoactor", "flood-slowdown protoactor"} {
		if found[want] <= 0 {
			t.Errorf("no %s in the records: %v", want, found)
		}
	}
	if !strings.Contains(screen.String(), "skybus was not measured") {
		t.Errorf("the figures do not say that ours is missing:\n%s", screen.String())
	}
}

func TestQuickRunOfTheNodes(t *testing.T) {
	out := t.TempDir()
	var screen bytes.Buffer
	args := []string{"-quick", "-case", "^(call-spin|struct|stub)-", "-skybus", fakeSkybus(t), "-out", out}
	code, err := bench(t.Context(), args, &screen)
	if code != allGood || err != nil {
		t.Fatalf("code %d, error %v\n%s", code, err, screen.String())
	}
	found := records(t, filepath.Join(out, "node.jsonl"))
	if found["call-spin-p50 lane"] != 900 {
		t.Errorf("the lane is not the binary's: %v", found)
	}
	for _, want := range []string{"call-spin-p50 skybus", "struct skybus", "stub-time skybus", "stub-time skybus-handle"} {
		if found[want] <= 0 {
			t.Errorf("no %s in the records: %v", want, found)
		}
	}
}

func TestQuickRunOfTheGate(t *testing.T) {
	if _, err := exec.LookPath("g++"); err != nil {
		t.Skip("no g++ to build the load")
	}
	out := t.TempDir()
	var screen bytes.Buffer
	args := []string{"-quick", "-case", "^(path|accept|exhausted)-", "-skybus", fakeSkybus(t), "-out", out}
	code, err := bench(t.Context(), args, &screen)
	if code != allGood || err != nil {
		t.Fatalf("code %d, error %v\n%s", code, err, screen.String())
	}
	found := records(t, filepath.Join(out, "gate.jsonl"))
	for _, want := range []string{
		"path-p50 skybus-room", "path-p50 skybus", "path-p50 skybus-client", "path-cpu epoll", "accept skybus", "accept go-epoll", "exhausted-p50 skybus",
	} {
		if found[want] <= 0 {
			t.Errorf("no %s in the records: %v", want, found)
		}
	}
	if found["exhausted-unserved skybus"] != 0 {
		t.Errorf("the gate has not served everybody again: %v", found)
	}
}

func TestAMissingBinaryIsAClearError(t *testing.T) {
	var screen bytes.Buffer
	code, err := bench(t.Context(), []string{"-quick", "-skybus", "/nowhere/skybus", "-out", t.TempDir()}, &screen)
	if code != cannotBegin || err == nil || !strings.Contains(err.Error(), "no skybus to measure") {
		t.Errorf("code %d, error %v", code, err)
	}
}

func TestWrongFlagsAreRefused(t *testing.T) {
	for _, args := range [][]string{
		{"-only", "nonsense"}, {"-case", "nonsense"}, {"-case", "("}, {"-rounds", "0"}, {"-duration", "0s"}, {"extra"}, {"-nonsense"},
	} {
		if code, err := bench(t.Context(), args, &bytes.Buffer{}); code != cannotBegin || err == nil {
			t.Errorf("%v: code %d, error %v", args, code, err)
		}
	}
}

func TestListNamesEveryArea(t *testing.T) {
	var screen bytes.Buffer
	if code, err := bench(t.Context(), []string{"-list"}, &screen); code != allGood || err != nil {
		t.Fatalf("code %d, error %v", code, err)
	}
	if !strings.Contains(screen.String(), "ipc: ") || !strings.Contains(screen.String(), "oneway-claim-64") {
		t.Errorf("got\n%s", screen.String())
	}
}
