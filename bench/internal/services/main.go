// SPDX-License-Identifier: Apache-2.0

package services

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/skybus-io/skybus/bench/internal/result"
)

// Options say what is measured.
type Options struct {
	Runtime  string // its name
	Case     string
	Size     int    // services, senders or members, as the case has it
	Mode     string // goes into the result line: the case knows it already
	Duration time.Duration
}

// warmup is what comes before anything is counted.
func (o *Options) warmup() time.Duration { return o.Duration / 5 }

// patience is how long a case waits for something that should come at once.
func (o *Options) patience() time.Duration { return 2*o.Duration + 20*time.Second }

// cases are all cases, with the smallest size that makes sense.
var cases = map[string]struct {
	measure func(Runtime, *Options) (result.Line, error)
	least   int
}{
	"ask":              {measureAsk, 2},
	"fanin-goroutines": {measureFanIn(false), 1},
	"fanin-services":   {measureFanIn(true), 1},
	"broadcast":        {measureBroadcast, 1},
	"spawn":            {measureSpawn, 1},
	"flood":            {measureFlood, 3},
	"blocked":          {measureBlocked, 2},
}

// Cases returns the names of all cases, sorted.
func Cases() []string { return slices.Sorted(maps.Keys(cases)) }

// Measure measures one case of one runtime. Do it once a process: what is left of one measurement disturbs
// the next.
func Measure(r Runtime, o Options) (result.Line, error) {
	c, ok := cases[o.Case]
	switch {
	case !ok:
		return result.Line{}, fmt.Errorf("there is no case %q, only %s", o.Case, strings.Join(Cases(), ", "))
	case o.Size < c.least:
		return result.Line{}, fmt.Errorf("size %d: %s takes %d or more", o.Size, o.Case, c.least)
	case o.Duration <= 0:
		return result.Line{}, fmt.Errorf("duration %v: it must be positive", o.Duration)
	}
	line, err := c.measure(r, &o)
	if err != nil {
		return result.Line{}, fmt.Errorf("%s, %s: %w", o.Runtime, o.Case, err)
	}
	line.Name, line.Size, line.Mode = o.Runtime, o.Size, o.Mode
	return line, nil
}

// Main is a program that measures runtimes: PROGRAM RUNTIME CASE [flags]. It prints one result line to w.
func Main(args []string, w io.Writer, runtimes map[string]Runtime) error {
	usage := fmt.Sprintf("usage: %s %s [flags]", strings.Join(slices.Sorted(maps.Keys(runtimes)), "|"), strings.Join(Cases(), "|"))
	if len(args) < 2 || runtimes[args[0]] == nil {
		return fmt.Errorf("%s", usage)
	}
	o := Options{Runtime: args[0], Case: args[1]}
	f := flag.NewFlagSet(args[0], flag.ContinueOnError)
	f.IntVar(&o.Size, "size", 2, "services, senders or members, as the case has it")
	f.StringVar(&o.Mode, "mode", "throughput", "throughput or latency: what the result line says")
	f.DurationVar(&o.Duration, "duration", time.Second, "time measured")
	f.String("dir", "", "ignored: there are no files")
	f.String("pin", "", "ignored: there is one process")
	f.Bool("json", true, "print JSON")
	if err := f.Parse(args[2:]); err != nil {
		return err
	}
	line, err := Measure(runtimes[o.Runtime], o)
	if err != nil {
		return err
	}
	return json.NewEncoder(w).Encode(line)
}

// Run is main for such a program.
func Run(runtimes map[string]Runtime) {
	if err := Main(os.Args[1:], os.Stdout, runtimes); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
