// SPDX-License-Identifier: Apache-2.0

//go:build skybus_steps && !race

package ring

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// mutantVariable is set in the processes that run a mutant.
const mutantVariable = "SKYBUS_MUTANT"

// mutantSeeds is how many schedules the simulator tries with a mutant. The seed
// is fixed, so that what catches it today does so tomorrow.
const mutantSeeds = 600

// Each rule of the format is broken once at least, and a test must notice: this
// is the test of the tests.
func TestMutantsAreCaught(t *testing.T) {
	switch {
	case os.Getenv(mutantVariable) != "":
		t.Skip("this is a mutant")
	case testing.Short():
		t.Skip("takes a minute")
	}
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip(err)
	}
	t.Run("control", func(t *testing.T) { runControl(t) })
	for _, m := range mutants {
		t.Run(m.rule+" "+m.name, func(t *testing.T) {
			t.Parallel()
			overlay := m.write(t)
			out, passed := runChild(t, m, overlay)
			switch {
			case passed:
				t.Errorf("%s in %s: nobody noticed", m.name, m.file)
			case strings.Contains(out, "test timed out"):
				t.Errorf("%s in %s: it hangs instead of failing\n%s", m.name, m.file, tail(out))
			case !strings.Contains(out, "--- FAIL: ") && !strings.Contains(out, "panic: "):
				t.Errorf("%s in %s: it does not even run:\n%s", m.name, m.file, tail(out))
			default:
				t.Log(complaint(out))
			}
		})
	}
}

// runControl runs all tests that catch mutants on the code as it is.
func runControl(t *testing.T) {
	var all []string
	for _, m := range mutants {
		if !m.race {
			all = append(all, m.run)
		}
	}
	slices.Sort(all)
	for _, control := range []mutant{{run: strings.Join(slices.Compact(all), "|")}, {run: byStream, race: true}} {
		if out, passed := runChild(t, control, ""); !passed {
			t.Fatalf("without a mutant %s fails too:\n%s", control.run, out)
		}
	}
}

// Every rule has a mutant, or somebody else who looks after it.
func TestEveryRuleHasAMutant(t *testing.T) {
	for n := 1; n <= 15; n++ {
		rule := "R" + strconv.Itoa(n)
		has := slices.ContainsFunc(mutants, func(m mutant) bool { return m.rule == rule })
		if !has && elsewhere[rule] == "" {
			t.Errorf("%s has no mutant", rule)
		}
	}
}

// write makes the mutated file and the overlay that puts it in place.
func (m mutant) write(t *testing.T) (overlay string) {
	t.Helper()
	path, err := filepath.Abs(m.file)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	code := string(text)
	for _, e := range m.edits {
		if n := strings.Count(code, e.from); n != 1 {
			t.Fatalf("%s has %q %d times: the table of mutants is out of date", m.file, e.from, n)
		}
		code = strings.Replace(code, e.from, e.to, 1)
	}
	dir := t.TempDir()
	mutated := filepath.Join(dir, filepath.Base(m.file))
	plan, err := json.Marshal(map[string]map[string]string{"Replace": {path: mutated}})
	if err != nil {
		t.Fatal(err)
	}
	overlay = filepath.Join(dir, "overlay.json")
	for name, data := range map[string][]byte{mutated: []byte(code), overlay: plan} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return overlay
}

// runChild runs the mutant's tests in a process of their own.
func runChild(t *testing.T, m mutant, overlay string) (out string, passed bool) {
	t.Helper()
	args := []string{"test", "-vet=off", "-count=1", "-timeout=15m", "-failfast", "-run", m.run}
	if m.race {
		args = append(args, "-race", "-short")
	} else {
		args = append(args, "-tags=skybus_steps")
	}
	if overlay != "" {
		args = append(args, "-overlay", overlay)
	}
	cmd := exec.Command("go", append(args, ".")...)
	cmd.Env = append(os.Environ(), mutantVariable+"=1", "SKYBUS_SEED=1", seedsVariable+"="+strconv.Itoa(mutantSeeds))
	data, err := cmd.CombinedOutput()
	return string(data), err == nil
}

// complaint returns the line by which the mutant was caught.
func complaint(out string) string {
	for line := range strings.Lines(out) {
		told := strings.Contains(line, "_test.go:") && !strings.Contains(line, ": seed ")
		if told || strings.Contains(line, "DATA RACE") || strings.Contains(line, "panic: ") {
			return strings.TrimSpace(line)
		}
	}
	return tail(out)
}

// tail returns the last part of a long output.
func tail(out string) string { return out[max(0, len(out)-2000):] }
