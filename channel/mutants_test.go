// SPDX-License-Identifier: Apache-2.0

//go:build skybus_steps

package channel

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

// A mutant is a mistake that can be made in the code, and the test that finds it.
type mutant struct {
	name     string
	file     string // below the module's root
	old, new string // statements; the old ones stand in the file once
	test     string
}

// andThen ends statements that do not replace the old ones but precede them.
const andThen = "\n// and then\n"

// mutantVariable picks a mutant in a binary that holds all of them.
const mutantVariable = "SKYBUS_TEST_MUTANT"

var mutants = []mutant{
	{
		"the writer ends the episode", "shm/doorbell_unsafe.go",
		"*last = e\n\tb.Ring()", "*last = e\nb.sleeping.CompareAndSwap(e, 0)\nb.Ring()",
		"TestDoorbellExploredSoak",
	}, {
		"a writer that has rung once rings no more", "shm/doorbell_unsafe.go",
		"*last = e\n\tb.Ring()", "if *last == 0 {\nb.Ring()\n}\n*last = e",
		"TestDoorbellExploredOneWriter",
	}, {
		"waking without counting", "shm/doorbell_unsafe.go",
		"b.count.Add(1)", "",
		"TestDoorbellExploredSoak",
	}, {
		"the bell before the bit", "channel/inbox.go",
		"if w.Load()&bit == 0 {\n\t\tstep(\"inbox.setbit\")\n\t\tw.Or(bit)\n\t\tnews = true\n\t}\n\trang = p.bell.Notify(last)",
		"rang = p.bell.Notify(last)\nif w.Load()&bit == 0 {\nstep(\"inbox.setbit\")\nw.Or(bit)\nnews = true\n}",
		"TestDoorbellExploredSoak",
	}, {
		"the bit before the commit", "channel/sender.go",
		"if s.slow || s.e.quarantine.Load() != 0 || s.tx.Send(p) != nil {\n\t\treturn s.sendSlow(p, quick)\n\t}\n\ts.committed(1, uint64(len(p)))",
		"s.to.page.announce(s.slot, &s.rung)\nif s.tx.Send(p) != nil {\nreturn s.sendSlow(p, quick)\n}",
		"TestDoorbellExploredSoak",
	}, {
		"the bit is cleared after the look", "channel/drain.go",
		"d.clear(r.slot)\n\tif r.Ready() {\n\t\tr.empty = 0\n\t\treturn false\n\t}",
		"if r.Ready() {\nr.empty = 0\nreturn false\n}\nd.clear(r.slot)",
		"TestDoorbellExploredOneWriter",
	}, {
		"a lane that is not there is looked for once", "channel/drain.go",
		"r = d.open(slot) // its writer may have made it before it saw the bit gone", "",
		"TestGiveBackExplored",
	}, {
		"a retired lane is not looked at again", "channel/drain.go",
		"if again := d.open(r.slot); again != nil && again.Ready() {\n\t\t\td.activate(again)\n\t\t}", "",
		"TestGiveBackExplored",
	}, {
		"the look for a waiting producer before the release", "channel/receiver.go",
		"if r.rx != nil && r.rx.Release(rec, now) {\n\t\tr.freed()\n\t}",
		"if r.rx != nil {\nr.freed()\nr.rx.Release(rec, now)\n}",
		"TestRoomExplored",
	}, {
		"retiring in the wrong order", "channel/giveback.go",
		"step(\"channel.idle\")\n\t\tr.e.state.Store(laneIdle)\n\t\tstep(\"channel.next\")\n\t\tr.e.gen.Store(r.at.gen + 1)",
		"r.e.gen.Store(r.at.gen + 1)\nstep(\"channel.idle\")\nr.e.state.Store(laneIdle)",
		"TestKilledAtEveryStep/retire",
	}, {
		"MOVED before there is a generation to move to", "channel/sender.go",
		"var next segment", "s.tx.Move()" + andThen,
		"TestKilledAtEveryStep/grow",
	}, {
		"no new epoch after a death", "channel/change.go",
		"t.st.epoch.Add(1) // a lane may have come to an entry that the indexes have passed", "",
		"TestKilledAtEveryStep/slot-reuse",
	}, {
		"the entry behind the last is not tidied up", "channel/change.go",
		"if err := t.recoverUncounted(); err != nil {\n\t\treturn err\n\t}", "",
		"TestKilledAtEveryStep/first-send",
	}, {
		"a consumer falls two generations behind", "channel/receiver.go",
		"e.gen.Store(at.gen)", "",
		"TestKilledAtEveryStep/follow-lagging",
	}, {
		"a retired lane's file goes before the lane is idle", "channel/giveback.go",
		"retired = true", "_ = r.t.removeGeneration(r.e, r.at.gen)" + andThen,
		"TestKilledAtEveryStep/retire",
	}, {
		"a lane is live again before it has a file", "channel/giveback.go",
		"size := uint64(firstRing)", "s.e.state.Store(laneLive)" + andThen,
		"TestKilledAtEveryStep/reopen-retired",
	}, {
		"a new lane is live before it has a file", "channel/change.go",
		"seg, err := t.createGeneration(e, 1, max(size, spec.ring), *spec.begin)", "e.state.Store(laneLive)" + andThen,
		"TestKilledAtEveryStep/slot-reuse",
	}, {
		"a lane that went on is taken for one that is gone", "channel/lane.go",
		"if e.gen.Load() == gen && e.state.Load() == state {", "state, gen = e.state.Load(), e.gen.Load()" + andThen,
		"TestAttachWhileTheConsumerRetires",
	}, {
		"half a channel counts as one", "channel/admin.go",
		"delete(have, key)", "c.Half = false" + andThen,
		"TestKilledAtEveryStep/configure",
	}, {
		"a durable ring is overwritten before its release is on disk", "channel/sender.go",
		"s.tx.Hold(0) // nothing of it is on disk but that it is empty", "",
		"TestReleaseThatIsNotOnDiskIsNotBelieved",
	}, {
		"a generation that was left is not synced any more", "channel/disk.go",
		"d.files, d.next = append(d.files, d.next), nil", "d.files, d.next = []*diskFile{d.next}, nil",
		"TestPowerLoss/async",
	}, {
		"a Send returns before it is on disk", "channel/sender.go",
		"return s.disk.wait(due) // nobody else is kept from sending meanwhile", "s.disk.arm()\nreturn nil",
		"TestPowerLoss/sync",
	}, {
		"generations are taken up that were consumed", "channel/takeup.go",
		"closeAll(kept)\n\t\t\tkept = kept[:0]", "",
		"TestPowerLoss/async",
	}, {
		"a lane that is being taken up is removed with its files", "channel/change.go",
		"remove = t.removeLinks", "",
		"TestKilledAtEveryStep/take-up",
	}, {
		"a lane that was taken up is live before it is counted", "channel/takeup.go",
		"if i >= t.laneCount() { // before it is live: what is not counted is removed with its files\n\t\tstep(\"takeup.count\")\n\t\tt.st.lanes.Store(i + 1)\n\t}",
		"e.state.Store(laneLive)\nif i >= t.laneCount() {\nstep(\"takeup.count\")\nt.st.lanes.Store(i + 1)\n}",
		"TestKilledAtEveryStep/take-up",
	}, {
		"a link that leads nowhere stays", "channel/receiver.go",
		"t.dropLinks(e, at.gen)", "",
		"TestKilledAtEveryStep/durable-follow",
	},
}

// TestMutantsAreFound makes mistakes and checks that the tests of crashes and
// interleavings notice every one of them.
func TestMutantsAreFound(t *testing.T) {
	binary := buildMutants(t)
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(binary, "-test.run", "^"+strings.ReplaceAll(m.test, "/", "$/^")+"$", "-test.timeout", "15m")
			cmd.Env = append(os.Environ(), mutantVariable+"="+m.name)
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), "--- FAIL: "+m.test) {
				t.Errorf("%s did not find it (%v):\n%s", m.test, err, out)
			}
		})
	}
}

// buildMutants builds the tests of this package from sources that hold every
// mutant, each behind a condition.
func buildMutants(t *testing.T) string {
	tool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("there is no go command to build the mutants with")
	}
	dir := testutil.Dir(t)
	replace := map[string]string{}
	root := filepath.Dir(must(os.Getwd())(t))
	texts := map[string]string{}
	for _, m := range mutants {
		if texts[m.file] == "" {
			texts[m.file] = string(must(os.ReadFile(filepath.Join(root, m.file)))(t))
		}
		texts[m.file] = m.apply(t, texts[m.file])
	}
	for _, pkg := range []string{"shm", "channel"} {
		texts[pkg+"/mutant.go"] = fmt.Sprintf("package %s\n\nimport \"os\"\n\nvar mutated = os.Getenv(%q)\n", pkg, mutantVariable)
	}
	for file, text := range texts {
		name := filepath.Join(dir, strings.ReplaceAll(file, "/", "-"))
		check(t, os.WriteFile(name, []byte(text), 0o600))
		replace[filepath.Join(root, file)] = name
	}
	overlay := filepath.Join(dir, "overlay.json")
	check(t, os.WriteFile(overlay, must(json.Marshal(map[string]any{"Replace": replace}))(t), 0o600))
	binary := filepath.Join(dir, "mutants.test")
	out, err := exec.Command(tool, "test", "-c", "-tags", "skybus_steps", "-vet=off", "-overlay", overlay, "-o", binary, ".").CombinedOutput()
	if err != nil {
		t.Fatalf("build the mutants: %v\n%s", err, out)
	}
	return binary
}

// apply puts the mistake beside what is right.
func (m mutant) apply(t *testing.T, text string) string {
	t.Helper()
	if n := strings.Count(text, m.old); n != 1 {
		t.Fatalf("%s has the statements of mutant %q %d times: %s", m.file, m.name, n, m.old)
	}
	form := "if mutated == %q {\n%s\n} else {\n%s\n}"
	if strings.HasSuffix(m.new, andThen) {
		form = "if mutated == %q {\n%s\n}\n%s"
	}
	return strings.Replace(text, m.old, fmt.Sprintf(form, m.name, m.new, m.old), 1)
}
