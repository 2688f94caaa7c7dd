// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParseSteps(t *testing.T) {
	steps, err := parseSteps([]string{"once|bench|-run ^$  -bench ."})
	if err != nil {
		t.Fatal(err)
	}
	if s := steps[0]; s.title != "once" || s.dir != "bench" || strings.Join(s.args, ",") != "-run,^$,-bench,." {
		t.Errorf("parsed %+v", s)
	}
	for _, bad := range [][]string{nil, {"title only"}, {"title|dir"}} {
		if _, err := parseSteps(bad); err == nil {
			t.Errorf("parseSteps(%q) accepted it", bad)
		}
	}
}

// run starts the real go test on a module made of files, and returns the
// output and the verdict.
func run(t *testing.T, args string, files map[string]string) (string, bool) {
	t.Helper()
	dir := t.TempDir()
	files["go.mod"] = "module m\n\ngo 1.26\n"
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	ok := runAll(&out, dir, []step{{title: "all", dir: ".", args: strings.Fields(args)}}, false)
	return out.String(), ok
}

const (
	passing = `package p
import "testing"
func TestGood(t *testing.T) { t.Log("chatter"); t.Run("part", func(t *testing.T) {}) }
func TestLater(t *testing.T) { t.Skip("needs two hosts") }
func BenchmarkOne(b *testing.B) { for b.Loop() {} }
func BenchmarkTwo(b *testing.B) { b.Run("a", func(b *testing.B) { for b.Loop() {} }) }
`
	failing  = "package p\nimport \"testing\"\nfunc TestBad(t *testing.T) { t.Error(\"two is not three\") }\n"
	exiting  = "package p\nimport (\"os\"; \"testing\")\nfunc TestGone(t *testing.T) { os.Exit(3) }\n"
	unbuilt  = "package p\nfunc f() int {}\n"
	noFiles  = "package p\n"
	allTests = "-bench . -benchtime 1x ./..."
)

func TestSummary(t *testing.T) {
	tests := []struct {
		name  string
		files map[string]string
		ok    bool
		want  []string
		never []string
	}{
		{
			"everything passes", map[string]string{"a/a_test.go": passing, "b/b.go": noFiles}, true,
			[]string{"ok  \tm/a", "skipped in all: m/a TestLater: needs two hosts\n", "total: 4 passed, 0 failed, 1 skipped\n"},
			[]string{"chatter", "FAIL"},
		},
		{
			"a test fails", map[string]string{"a/a_test.go": passing, "b/b_test.go": failing}, false,
			[]string{"two is not three", "FAILED in all: m/b TestBad\n", "total: 4 passed, 1 failed, 1 skipped\n"},
			[]string{"chatter"},
		},
		{
			"a test process exits early", map[string]string{"a/a_test.go": exiting}, false,
			[]string{"FAILED in all: m/a (unfinished: TestGone)\n", "total: 0 passed, 1 failed, 0 skipped\n"}, nil,
		},
		{
			"a package does not build", map[string]string{"a/a.go": unbuilt, "a/a_test.go": passing}, false,
			[]string{"missing return", "total: 0 passed, 1 failed, 0 skipped\n"}, nil,
		},
		{
			"go test does not start a test", map[string]string{}, false,
			[]string{"FAILED in all: ", "total: 0 passed, 1 failed, 0 skipped\n"}, nil,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			args := allTests
			if len(test.files) == 0 {
				args = "./missing"
			}
			out, ok := run(t, args, test.files)
			if ok != test.ok {
				t.Errorf("verdict %v", ok)
			}
			for _, want := range test.want {
				if !strings.Contains(out, want) {
					t.Errorf("the output lacks %q", want)
				}
			}
			for _, never := range test.never {
				if strings.Contains(out, never) {
					t.Errorf("the output has %q", never)
				}
			}
			if t.Failed() {
				t.Log(out)
			}
		})
	}
}

func TestFailedStepDoesNotHideLaterOnes(t *testing.T) {
	var out bytes.Buffer
	bad := newTally("first", &out, false)
	bad.err = errors.New("go test: exit status 1")
	good := newTally("second", &out, false)
	good.passed = 7
	if summarize(&out, []*tally{bad, good}) {
		t.Error("a failed step was taken for a good one")
	}
	for _, want := range []string{"FAIL first", "ok   second", "total: 7 passed, 1 failed, 0 skipped"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the output lacks %q:\n%s", want, out.String())
		}
	}
}
