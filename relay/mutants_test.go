// SPDX-License-Identifier: Apache-2.0

//go:build skybus_steps

package relay

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skybus-io/skybus/internal/testutil"
)

// An edit is one place of a mistake: the old statements stand in the file once.
type edit struct{ file, old, new string }

// A mutant is a mistake that can be made in the relay. The first ones are the wrong
// variants of the design; the others were in the code until the simulator found them.
type mutant struct {
	name  string
	seed  uint64 // one that finds it, or did; the search begins there
	edits []edit
}

// andThen ends statements that precede the old ones.
const andThen = "\n// and then\n"

const mutantVariable = "SKYBUS_TEST_MUTANT"

var mutants = []mutant{
	{"no epoch", 1, []edit{{
		"relay/link/inbound.go", "var gap *wire.Gap",
		"if sink != nil {\nin.sink = sink\nreturn sink.Fresh(), nil\n}" + andThen,
	}}},
	{"dedupe state only in the daemon's memory", 1, []edit{
		{
			"relay/link/inbound.go", "in.stored = in.sink.Stored()",
			"in.stored = s.host.(interface{ Remembered(src, dst addr.Addr) uint64 }).Remembered(in.Src, in.Dst)",
		},
		{
			"relay/link/inbound.go", "size := ring.RecordSize(n)\n\tin.stored = seq",
			"s.host.(interface{ Remember(src, dst addr.Addr, seq uint64) }).Remember(in.Src, in.Dst, seq)" + andThen,
		},
	}},
	{"a dedupe word stored before the commit", 1, []edit{
		{"channel/source.go", "return k.s.tx.NextSeq() - 1 // nothing else remembers it (L4)", "return max(k.e.cons.consumed, k.e.prod.begin-1)"},
		{"channel/source.go", "k.s.commit()\n", "records, _ := k.s.tx.Pending()\nk.e.cons.consumed = k.s.tx.NextSeq() - 1 + records\nstep(\"mutant\")" + andThen},
	}},
	{"a dedupe word stored after the commit", 1, []edit{
		{"channel/source.go", "return k.s.tx.NextSeq() - 1 // nothing else remembers it (L4)", "return max(k.e.cons.consumed, k.e.prod.begin-1)"},
		{"channel/source.go", "k.s.commit()\n", "k.s.commit()\nstep(\"mutant\")\nk.e.cons.consumed = k.s.tx.NextSeq() - 1\n"},
	}},
	{"room is given back when TCP took the bytes", 1, []edit{{
		"relay/link/stream.go", "st.used += bytes", "st.source.Release(st.sent)" + andThen,
	}}},
	{"what was taken is remembered beyond its generation", 1, []edit{{
		"channel/source.go", "if s.r.at.gen != gen { // all that was before is released\n\t\ts.sent = s.sent[:0]\n\t}", "",
	}}},
	{"a far side that lost its memory says so once", 1, []edit{{
		"relay/link/inbound.go", "return sink.Fresh(), nil // the origin may have died before it knew", "return false, nil",
	}}},
	{"nobody asks for what a dead reader has released", 1, []edit{{
		"relay/link/inbound.go", "if consumed, err := in.sink.Consumed(); err != nil || consumed != in.told {\n\t\t\ts.owe(in, now)\n\t\t}", "",
	}}},
	{"the mark of what is discarded outlives the lane's life", 1, []edit{{
		"channel/source.go", "s.e.discard.Store(0) // it is a number of the life before", "",
	}}},
}

// TestMutantsAreFound makes each mistake and checks that the simulation notices.
func TestMutantsAreFound(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	binary := buildMutants(t)
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			cmd := exec.Command(binary, "-test.run", "^TestSimulation$", "-test.timeout", "5m")
			cmd.Env = append(os.Environ(), mutantVariable+"="+m.name, fmt.Sprintf("%s=%d", simFrom, m.seed), "SKYBUS_SIM_SEEDS=4000")
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), "--- FAIL: TestSimulation") {
				t.Errorf("the simulation did not find it (%v):\n%s", err, out)
				return
			}
			if i := strings.Index(string(out), "seed "); i >= 0 {
				line, _, _ := strings.Cut(string(out)[i:], "\n")
				t.Log(line)
			}
		})
	}
}

func buildMutants(t *testing.T) string {
	t.Helper()
	tool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("there is no go command to build the mutants with")
	}
	dir := testutil.Dir(t)
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	root := filepath.Dir(wd)
	texts := map[string]string{}
	for _, m := range mutants {
		for _, e := range m.edits {
			if texts[e.file] == "" {
				text, err := os.ReadFile(filepath.Join(root, e.file))
				if err != nil {
					t.Fatal(err)
				}
				texts[e.file] = string(text)
			}
			texts[e.file] = e.apply(t, m.name, texts[e.file])
		}
	}
	for pkg, name := range map[string]string{"relay/link": "link", "channel": "channel"} {
		texts[pkg+"/mutant.go"] = fmt.Sprintf("package %s\n\nimport \"os\"\n\nvar mutated = os.Getenv(%q)\n", name, mutantVariable)
	}
	replace := map[string]string{}
	for file, text := range texts {
		name := filepath.Join(dir, strings.ReplaceAll(file, "/", "-"))
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		replace[filepath.Join(root, file)] = name
	}
	data, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	overlay := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlay, data, 0o600); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "mutants.test")
	out, err := exec.Command(tool, "test", "-c", "-tags", "skybus_steps", "-vet=off", "-overlay", overlay, "-o", binary, ".").CombinedOutput()
	if err != nil {
		t.Fatalf("build the mutants: %v\n%s", err, out)
	}
	return binary
}

// apply puts the mistake beside what is right.
func (e *edit) apply(t *testing.T, name, text string) string {
	t.Helper()
	if n := strings.Count(text, e.old); n != 1 {
		t.Fatalf("%s has the statements of mutant %q %d times: %s", e.file, name, n, e.old)
	}
	form := "if mutated == %q {\n%s\n} else {\n%s\n}"
	if strings.HasSuffix(e.new, andThen) {
		form = "if mutated == %q {\n%s\n}\n%s"
	}
	return strings.Replace(text, e.old, fmt.Sprintf(form, name, e.new, e.old), 1)
}
