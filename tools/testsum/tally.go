// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// An event is one line of go test -json, as described by
// "go doc cmd/test2json".
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
}

// A tally counts the events of one step.
type tally struct {
	title   string
	w       io.Writer
	verbose bool

	packages map[string]*pkg // packages that have not ended
	passed   int
	ended    int      // packages that ran
	failed   []string // "package test", or "package" when no test of it failed
	skipped  []string // "package test: reason"
	err      error    // why go test failed
	took     time.Duration
}

// A pkg is what is known of a package whose tests are running.
type pkg struct {
	order  []string                    // tests in the order in which they started; "" is the package itself
	output map[string]*strings.Builder // of each of them that has not ended well
	open   map[string]bool             // tests that have not ended
	failed int
}

func newTally(title string, w io.Writer, verbose bool) *tally {
	return &tally{title: title, w: w, verbose: verbose, packages: map[string]*pkg{}}
}

func (t *tally) print(s string) {
	fmt.Fprint(t.w, s)
}

func (t *tally) add(ev event) {
	if ev.Action == "build-output" {
		t.print(ev.Output)
		return
	}
	if ev.Package == "" {
		return
	}
	p := t.packages[ev.Package]
	if p == nil {
		p = &pkg{output: map[string]*strings.Builder{}, open: map[string]bool{}}
		p.begin("")
		t.packages[ev.Package] = p
	}
	switch ev.Action {
	case "run":
		p.begin(ev.Test)
		p.open[ev.Test] = true
	case "output":
		p.begin(ev.Test)
		p.output[ev.Test].WriteString(ev.Output)
		if t.verbose {
			t.print(ev.Output)
		}
	case "pass", "fail", "skip":
		if ev.Test == "" {
			t.endPackage(ev, p)
		} else {
			t.endTest(ev, p)
		}
	}
}

func (t *tally) endTest(ev event, p *pkg) {
	delete(p.open, ev.Test)
	switch ev.Action {
	case "pass":
		t.passed++
		delete(p.output, ev.Test)
	case "skip":
		t.skipped = append(t.skipped, ev.Package+" "+ev.Test+skipReason(p.outputOf(ev.Test)))
		delete(p.output, ev.Test)
	case "fail":
		p.failed++
		t.failed = append(t.failed, ev.Package+" "+ev.Test)
	}
}

func (t *tally) endPackage(ev event, p *pkg) {
	delete(t.packages, ev.Package)
	if ev.Action == "skip" { // It has no test files.
		return
	}
	t.ended++
	if ev.Action == "fail" {
		if p.failed == 0 {
			t.failed = append(t.failed, ev.Package+p.unfinished())
		}
		t.printFailed(p)
		return
	}
	t.passed += p.benchmarks()
	if !t.verbose {
		t.print(verdict(p.outputOf("")))
	}
}

// printFailed writes what failed and unfinished tests have written, and last
// what the package has written.
func (t *tally) printFailed(p *pkg) {
	if t.verbose {
		return
	}
	for _, test := range p.order[1:] {
		t.print(p.outputOf(test))
		delete(p.output, test) // With -count it is in the order more than once.
	}
	t.print(p.outputOf(""))
}

// begin makes room for the output of test; a second time it does nothing.
func (p *pkg) begin(test string) {
	if p.output[test] == nil {
		p.order = append(p.order, test)
		p.output[test] = new(strings.Builder)
	}
}

func (p *pkg) outputOf(test string) string {
	if b := p.output[test]; b != nil {
		return b.String()
	}
	return ""
}

// benchmarks counts the benchmarks that ran: go test reports no end of those
// that went well. One with parts counts by its parts.
func (p *pkg) benchmarks() int {
	n := 0
	for name := range p.open {
		if strings.HasPrefix(name, "Benchmark") && !p.hasParts(name) {
			n++
		}
	}
	return n
}

func (p *pkg) hasParts(name string) bool {
	return slices.ContainsFunc(p.order, func(other string) bool { return strings.HasPrefix(other, name+"/") })
}

// unfinished names the tests that ran when the process of the package ended.
func (p *pkg) unfinished() string {
	if len(p.open) == 0 {
		return ""
	}
	return " (unfinished: " + strings.Join(slices.Sorted(maps.Keys(p.open)), ", ") + ")"
}

// verdict picks the line with the result out of the output of a package.
func verdict(output string) string {
	lines := strings.Split(strings.TrimSuffix(output, "\n"), "\n")
	return lines[len(lines)-1] + "\n"
}

// skipReason takes the reason out of the output of a skipped test: the last
// line that the test logged, which looks like "    file_test.go:12: reason".
func skipReason(output string) string {
	reason := ""
	for line := range strings.Lines(output) {
		if _, text, ok := strings.Cut(line, "_test.go:"); ok {
			_, reason, _ = strings.Cut(text, ": ")
		}
	}
	if reason = strings.TrimSpace(reason); reason == "" {
		return ""
	}
	return ": " + reason
}

// summarize writes the summary and reports whether every step succeeded.
func summarize(w io.Writer, tallies []*tally) bool {
	var passed, failed, skipped int
	ok := true
	fmt.Fprintln(w, "== summary")
	for _, t := range tallies {
		for _, s := range t.skipped {
			fmt.Fprintf(w, "skipped in %s: %s\n", t.title, s)
		}
	}
	for _, t := range tallies {
		if t.err != nil && len(t.failed) == 0 {
			t.failed = append(t.failed, t.err.Error())
		}
		for _, f := range t.failed {
			fmt.Fprintf(w, "FAILED in %s: %s\n", t.title, f)
		}
	}
	for _, t := range tallies {
		word := "ok"
		if t.err != nil || len(t.failed) > 0 {
			word, ok = "FAIL", false
		}
		fmt.Fprintf(w, "%-4s %-28s %3d packages %5d passed %3d failed %3d skipped %7.1f s\n",
			word, t.title, t.ended, t.passed, len(t.failed), len(t.skipped), t.took.Seconds())
		passed += t.passed
		failed += len(t.failed)
		skipped += len(t.skipped)
	}
	fmt.Fprintf(w, "total: %d passed, %d failed, %d skipped\n", passed, failed, skipped)
	return ok
}
