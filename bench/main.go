// SPDX-License-Identifier: Apache-2.0

// Bench measures Skybus against its peers: it gets the programs it can have, runs ours and theirs in turn,
// prints tables and verdicts, and writes out/AREA.jsonl and out/AREA.md. See README.md.
//
//	go run . [-only ipc] [-rounds 5] [-duration 1s] [-quick] [-skybus PATH]
//
// It ends with 0 when everything of ours could be measured, 1 when something failed (with -strict also when
// a figure was missed), 2 when it could not begin.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/skybus-io/skybus/bench/internal/plan"
	"github.com/skybus-io/skybus/bench/internal/report"
	"github.com/skybus-io/skybus/bench/internal/run"
	"github.com/skybus-io/skybus/bench/internal/workshop"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code, err := bench(ctx, os.Args[1:], os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
	}
	stop()
	os.Exit(code)
}

const (
	allGood     = 0
	failed      = 1
	cannotBegin = 2
)

// options are the flags.
type options struct {
	only, cases        string
	skybus, out, doc   string
	pin                string
	rounds             int
	duration, patience time.Duration
	quick, strict      bool
	list               bool
	match              *regexp.Regexp
}

func parse(args []string, w io.Writer) (o options, err error) {
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(w)
	f.StringVar(&o.only, "only", "", "run these `areas` only, separated by commas")
	f.StringVar(&o.cases, "case", "", "run cases whose name matches this `regexp` only")
	f.StringVar(&o.skybus, "skybus", "", "`path` of the skybus binary (default: build it; none: only the peers)")
	f.StringVar(&o.out, "out", "out", "`directory` for what is built and written")
	f.StringVar(&o.doc, "doc", "", "also write all sections in the out directory to this Markdown `file`")
	f.IntVar(&o.rounds, "rounds", 5, "measure everything this many `times`, in turn")
	f.DurationVar(&o.duration, "duration", time.Second, "measure this long each time")
	f.DurationVar(&o.patience, "patience", 10*time.Minute,
		"wait so long in all for a calm machine, and repeat disturbed measurements; 0: take what comes")
	f.BoolVar(&o.quick, "quick", false, "one round of 100ms: says whether everything runs, not how fast")
	f.StringVar(&o.pin, "pin", "", "pin the two processes, ours and theirs, to these two `CPUs`, such as 0,1")
	f.BoolVar(&o.strict, "strict", false, "a missed figure is a failure")
	f.BoolVar(&o.list, "list", false, "list the cases and end")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	if o.quick {
		o.rounds, o.duration, o.patience = 1, 100*time.Millisecond, 0
	}
	if o.rounds < 1 || o.duration <= 0 || o.patience < 0 {
		return o, errors.New("-rounds and -duration must be positive, and -patience not negative")
	}
	o.match, err = regexp.Compile(o.cases)
	return o, err
}

// bench is main without the process around it.
func bench(ctx context.Context, args []string, w io.Writer) (int, error) {
	o, err := parse(args, w)
	if errors.Is(err, flag.ErrHelp) {
		return allGood, nil
	}
	if err != nil {
		return cannotBegin, err
	}
	areas, err := choose(o)
	if err != nil {
		return cannotBegin, err
	}
	if o.list {
		list(w, areas)
		return allGood, nil
	}
	root, err := moduleRoot()
	if err != nil {
		return cannotBegin, err
	}
	out, err := filepath.Abs(o.out)
	if err != nil {
		return cannotBegin, err
	}
	if err := os.MkdirAll(filepath.Join(out, "bin"), 0o755); err != nil {
		return cannotBegin, err
	}
	shop := &workshop.Shop{Root: root, Out: out, Skybus: o.skybus, Log: w}
	if _, err := shop.Get(ctx, "skybus"); err != nil && !errors.Is(err, workshop.ErrNotWanted) {
		return cannotBegin, fmt.Errorf("there is no skybus to measure (-skybus PATH names one, -skybus none goes without): %w", err)
	}
	code := allGood
	for _, a := range areas {
		c, err := measure(ctx, o, shop, a, w)
		if err != nil {
			return failed, err
		}
		code = max(code, c)
	}
	return code, document(o)
}

// moduleRoot is the working directory, if it is this module's.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil || !strings.Contains("\n"+string(text), "\nmodule github.com/skybus-io/skybus/bench\n") {
		return "", fmt.Errorf("%s is not the bench directory: run this there", dir)
	}
	return dir, nil
}

// choose returns the areas and cases that the flags ask for.
func choose(o options) (chosen []plan.Area, err error) {
	all := plan.Areas()
	names := strings.FieldsFunc(o.only, func(r rune) bool { return r == ',' || r == ' ' })
	for _, n := range names {
		if !slices.ContainsFunc(all, func(a plan.Area) bool { return a.Name == n }) {
			return nil, fmt.Errorf("there is no area %q; -list shows what there is", n)
		}
	}
	for _, a := range all {
		if len(names) > 0 && !slices.Contains(names, a.Name) {
			continue
		}
		a.Cases = slices.DeleteFunc(a.Cases, func(c plan.Case) bool { return !o.match.MatchString(c.Key()) })
		if len(a.Cases) > 0 {
			chosen = append(chosen, a)
		}
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("no case matches %q", o.cases)
	}
	return chosen, nil
}

func list(w io.Writer, areas []plan.Area) {
	for _, a := range areas {
		fmt.Fprintf(w, "%s: %s\n", a.Name, a.Title)
		for _, c := range a.Cases {
			var impls []string
			for _, i := range c.Impls {
				impls = append(impls, i.Name)
			}
			fmt.Fprintf(w, "  %-20s %s\n  %20s %s\n", c.Key(), c.What, "", strings.Join(impls, ", "))
		}
	}
}

// measure runs one area, prints it and writes its files.
func measure(ctx context.Context, o options, shop *workshop.Shop, a plan.Area, w io.Writer) (int, error) {
	conditions := report.Conditions{Machine: report.Machine(), Load: report.Load(), Date: time.Now(),
		Rounds: o.rounds, Duration: o.duration, Pin: o.pin}
	fmt.Fprintf(w, "\n%s: %s, load average %s\n", a.Title, conditions.Machine, conditions.Load)
	conditions.Versions = prepare(ctx, shop, a)
	runner := &run.Runner{Get: shop.Get, Rounds: o.rounds, Duration: o.duration, Pin: o.pin, Patience: o.patience, Log: w}
	var measured []report.Measured
	code := allGood
	for _, c := range a.Cases {
		series, err := runner.Case(ctx, c)
		if err != nil {
			return failed, err
		}
		m := report.Measured{Case: c, Series: series}
		report.Case(w, m)
		measured = append(measured, m)
		if oursFailed(series) {
			code = failed
		}
	}
	conditions.Load += " before, " + report.Load() + " after"
	conditions.Calm = fmt.Sprintf("%d of %d measurements disturbed by other processes", runner.Disturbed, runner.Measured)
	fmt.Fprintf(w, "\nload average %s; %s\n", conditions.Load, conditions.Calm)
	verdicts := report.Judge(a.Figures, measured)
	report.Verdicts(w, verdicts)
	missed := func(v report.Verdict) bool { return v.Outcome == report.Miss }
	if o.strict && slices.ContainsFunc(verdicts, missed) {
		code = failed
	}
	return code, write(shop.Out, a, conditions, measured, verdicts)
}

// prepare gets all programs of an area before the first is measured, and returns their versions.
func prepare(ctx context.Context, shop *workshop.Shop, a plan.Area) (versions []string) {
	var seen []string
	for _, c := range a.Cases {
		for _, i := range c.Impls {
			if slices.Contains(seen, i.Program) {
				continue
			}
			seen = append(seen, i.Program)
			p, err := shop.Get(ctx, i.Program)
			if err != nil {
				versions = append(versions, i.Program+": left out: "+strings.Join(strings.Fields(err.Error()), " "))
				continue
			}
			versions = append(versions, i.Program+": "+p.Version)
		}
	}
	return versions
}

// oursFailed says whether something of this project could not be measured although it was there.
func oursFailed(series []run.Series) bool {
	return slices.ContainsFunc(series, func(s run.Series) bool {
		return s.Impl.Role != plan.Peer && s.Err != nil && !errors.Is(s.Err, workshop.ErrNotWanted)
	})
}

// write writes AREA.jsonl and AREA.md.
func write(dir string, a plan.Area, c report.Conditions, measured []report.Measured, verdicts []report.Verdict) error {
	err := create(filepath.Join(dir, a.Name+".jsonl"), func(w io.Writer) error {
		return report.WriteRecords(w, report.Records(a.Name, measured))
	})
	if err != nil {
		return err
	}
	return create(filepath.Join(dir, a.Name+".md"), func(w io.Writer) error {
		report.Section(w, a, c, measured, verdicts)
		return nil
	})
}

// document writes the page of all areas, if one was asked for.
func document(o options) error {
	if o.doc == "" {
		return nil
	}
	return create(o.doc, func(w io.Writer) error { return report.Document(w, o.out, plan.Areas()) })
}

// create writes a file and reports what closing it says.
func create(path string, fill func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(fill(f), f.Close())
}
