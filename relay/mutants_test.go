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
	test  string // of package link that finds it, where no seed can
	edits []edit
}

// andThen ends statements that precede the old ones.
const andThen = "\n// and then\n"

const mutantVariable = "SKYBUS_TEST_MUTANT"

var mutants = []mutant{
	{"no epoch", 1, "", []edit{{
		"relay/link/inbound.go", "var gap *wire.Gap",
		"if sink != nil {\nin.sink = sink\nreturn sink.Fresh(), nil\n}" + andThen,
	}}},
	// A connection numbers its streams and no number comes twice, so that the epoch of
	// an ACK never differs between honest daemons: a test has to make the difference.
	{"an ACK without epoch", 0, "TestL1AcksOfAnotherEpochAreDropped", []edit{{
		"relay/link/stream.go", "switch {\n\tcase state.Epoch != st.epoch || !st.flowing:", "state.Epoch = st.epoch" + andThen,
	}}},
	{"dedupe state only in the daemon's memory", 2, "", []edit{
		{
			"relay/link/inbound.go", "in.stored = in.sink.Stored()",
			"in.stored = s.host.(interface{ Remembered(src, dst addr.Addr) uint64 }).Remembered(in.Src, in.Dst)",
		},
		{
			"relay/link/inbound.go", "size := ring.RecordSize(n)\n\tin.stored = seq",
			"s.host.(interface{ Remember(src, dst addr.Addr, seq uint64) }).Remember(in.Src, in.Dst, seq)" + andThen,
		},
	}},
	{"a dedupe word stored before the commit", 2, "", []edit{
		{"channel/source.go", "return k.s.tx.NextSeq() - 1 // nothing else remembers it (L4)", "return max(k.e.cons.consumed, k.e.prod.begin-1)"},
		{"channel/source.go", "k.s.commit()\n", "records, _ := k.s.tx.Pending()\nk.e.cons.consumed = k.s.tx.NextSeq() - 1 + records\nstep(\"mutant\")" + andThen},
	}},
	{"a dedupe word stored after the commit", 2, "", []edit{
		{"channel/source.go", "return k.s.tx.NextSeq() - 1 // nothing else remembers it (L4)", "return max(k.e.cons.consumed, k.e.prod.begin-1)"},
		{"channel/source.go", "k.s.commit()\n", "k.s.commit()\nstep(\"mutant\")\nk.e.cons.consumed = k.s.tx.NextSeq() - 1\n"},
	}},
	{"room is given back when TCP took the bytes", 2, "", []edit{{
		"relay/link/stream.go", "st.used += bytes", "st.source.Release(st.sent)" + andThen,
	}}},
	{"a far side that lost its memory says so once", 111, "", []edit{{
		"relay/link/inbound.go", "return sink.Fresh(), nil // the origin may have died before it knew", "return false, nil",
	}}},
}

// TestMutantsAreFound makes each mistake and checks that the simulation notices.
func TestMutantsAreFound(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	binary, links := buildMutants(t)
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			test := "TestSimulation"
			cmd := exec.Command(binary, "-test.run", "^TestSimulation$", "-test.timeout", "20m")
			if m.test != "" {
				test = m.test
				cmd = exec.Command(links, "-test.run", "^"+m.test+"$", "-test.timeout", "10m")
			}
			cmd.Env = append(os.Environ(), mutantVariable+"="+m.name, fmt.Sprintf("%s=%d", simFrom, m.seed), "SKYBUS_SIM_SEEDS=500")
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), "--- FAIL: "+test) {
				t.Errorf("%s did not find it (%v):\n%s", test, err, out)
				return
			}
			if i := strings.Index(string(out), "seed "); i >= 0 {
				line, _, _ := strings.Cut(string(out)[i:], "\n")
				t.Log(line)
			}
		})
	}
}

// buildMutants builds the tests of this package, and those of link, from sources that
// hold every mutant.
func buildMutants(t *testing.T) (binary, links string) {
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
	binary, links = filepath.Join(dir, "mutants.test"), filepath.Join(dir, "links.test")
	for pkg, name := range map[string]string{".": binary, "./link": links} {
		out, err := exec.Command(tool, "test", "-c", "-tags", "skybus_steps", "-vet=off", "-overlay", overlay, "-o", name, pkg).CombinedOutput()
		if err != nil {
			t.Fatalf("build the mutants: %v\n%s", err, out)
		}
	}
	return binary, links
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
