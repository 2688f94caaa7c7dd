// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// A step is one go test command.
type step struct {
	title string
	dir   string
	args  []string
}

func main() {
	top := flag.String("C", ".", "`directory` that the directories of the steps are relative to")
	verbose := flag.Bool("v", false, "show the output of every test as it comes")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: testsum [-C dir] [-v] 'title|dir|go test arguments' ...")
		flag.PrintDefaults()
	}
	flag.Parse()
	steps, err := parseSteps(flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "testsum:", err)
		flag.Usage()
		os.Exit(2)
	}
	if !runAll(os.Stdout, *top, steps, *verbose) {
		os.Exit(1)
	}
}

func parseSteps(args []string) ([]step, error) {
	if len(args) == 0 {
		return nil, errors.New("no step given")
	}
	steps := make([]step, 0, len(args))
	for _, arg := range args {
		parts := strings.SplitN(arg, "|", 3)
		if len(parts) != 3 {
			return nil, fmt.Errorf("step %q is not of the form 'title|dir|arguments'", arg)
		}
		steps = append(steps, step{title: parts[0], dir: parts[1], args: strings.Fields(parts[2])})
	}
	return steps, nil
}

// runAll runs the steps, writes the summary, and reports whether all is well.
func runAll(w io.Writer, top string, steps []step, verbose bool) bool {
	tallies := make([]*tally, 0, len(steps))
	for _, s := range steps {
		fmt.Fprintf(w, "== %s: go test %s\n", s.title, strings.Join(s.args, " "))
		t := newTally(s.title, w, verbose)
		start := time.Now()
		t.err = s.run(top, t)
		t.took = time.Since(start)
		tallies = append(tallies, t)
	}
	return summarize(w, tallies)
}

// run starts go test and feeds its events to t. The error says why go test
// did not succeed.
func (s step) run(top string, t *tally) error {
	cmd := exec.Command("go", append([]string{"test", "-json"}, s.args...)...)
	cmd.Dir = filepath.Join(top, s.dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("run go test: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("run go test: %w", err)
	}
	feedErr := feed(out, t)
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("go test: %w", err)
	}
	return feedErr
}

// feed reads the output of go test -json. Lines that are no event are passed
// on as they are.
func feed(r io.Reader, t *tally) error {
	in := bufio.NewReader(r)
	for {
		line, err := in.ReadBytes('\n')
		if len(line) > 0 {
			var ev event
			if json.Unmarshal(line, &ev) == nil {
				t.add(ev)
			} else {
				t.print(string(line))
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the output of go test: %w", err)
		}
	}
}
