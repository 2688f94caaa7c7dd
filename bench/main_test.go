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

// fakeSkybus is a script that answers as `skybus bench ipc --json` does, with made-up figures.
func fakeSkybus(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "skybus")
	script := `#!/bin/sh
[ "$1 $2" = "bench ipc" ] || exit 2
while [ $# -gt 0 ]; do
	case $1 in
	--size) size=$2 ;;
	--mode) mode=$2 ;;
	--wait) wait=$2 ;;
	esac
	shift
done
echo "{\"name\":\"skybus-send\",\"size\":$size,\"mode\":\"$mode\",\"wait\":\"$wait\",\"msgs_per_s\":1000000,\"bytes_per_s\":64000000,\"p50_ns\":900,\"p99_ns\":1900,\"p999_ns\":2900,\"max_ns\":3900,\"cpu\":2}"
`
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestQuickRun(t *testing.T) {
	if _, err := exec.LookPath("g++"); err != nil {
		t.Skip("no g++ to build the yardstick")
	}
	out := t.TempDir()
	doc := filepath.Join(out, "bench-page.txt")
	var screen bytes.Buffer
	code, err := bench(t.Context(), []string{"-quick", "-case", "^rtt-seldom", "-skybus", fakeSkybus(t), "-out", out, "-doc", doc}, &screen)
	if code != allGood || err != nil {
		t.Fatalf("code %d, error %v\n%s", code, err, screen.String())
	}
	text, err := os.ReadFile(filepath.Join(out, "ipc.jsonl"))
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
