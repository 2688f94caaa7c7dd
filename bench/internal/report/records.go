// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/skybus-io/skybus/bench/internal/plan"
	"github.com/skybus-io/skybus/bench/internal/result"
	"github.com/skybus-io/skybus/bench/internal/run"
)

// cores is shown beside every metric.
var cores = plan.Metric{Unit: "cores", Of: func(l result.Line) float64 { return l.CPU }}

// Record is one line of AREA.jsonl: the median of one metric of one implementation.
type Record struct {
	Area   string  `json:"area"`
	Case   string  `json:"case"`
	Impl   string  `json:"impl"`
	Size   int     `json:"size"`
	Value  float64 `json:"value"`
	Unit   string  `json:"unit"`
	Better string  `json:"better"`
}

// Records returns the records of an area. What was left out has none.
func Records(area string, measured []Measured) (records []Record) {
	for _, m := range measured {
		for _, metric := range m.Case.Metrics {
			for _, s := range m.Series {
				if v := s.Values(metric); len(v) > 0 {
					records = append(records, Record{area, metric.Record(m.Case), s.Impl.Name, m.Case.Size,
						run.Median(v), metric.Unit, metric.Better()})
				}
			}
		}
	}
	return records
}

// WriteRecords writes one object a line.
func WriteRecords(w io.Writer, records []Record) error {
	e := json.NewEncoder(w)
	for _, r := range records {
		if err := e.Encode(r); err != nil {
			return err
		}
	}
	return nil
}

// Conditions are what a result depends on besides the code.
type Conditions struct {
	Machine  string
	Load     string // load averages before and after
	Calm     string // how many measurements others disturbed
	Date     time.Time
	Rounds   int
	Duration time.Duration
	Pin      string
	Versions []string // "name: version"
}

// Section writes an area as Markdown.
func Section(w io.Writer, area plan.Area, c Conditions, measured []Measured, verdicts []Verdict) {
	fmt.Fprintf(w, "## %s (%s)\n\n", area.Title, area.Name)
	fmt.Fprintf(w, "%s; %s; %d rounds of %s, medians; %s; load average %s; %s.\n\n",
		c.Date.Format(time.DateOnly), c.Machine, c.Rounds, c.Duration, pinning(c.Pin), c.Load, c.Calm)
	for _, v := range c.Versions {
		fmt.Fprintf(w, "- %s\n", v)
	}
	if len(verdicts) > 0 {
		fmt.Fprintf(w, "\n")
		judged(verdicts).markdown(w)
	}
	for _, m := range measured {
		for _, metric := range m.Case.Metrics {
			fmt.Fprintf(w, "\n### %s, %s\n\n%s. %s is better.\n\n",
				metric.Record(m.Case), m.Case.Amount(), sentence(m.Case.What), sentence(metric.Better()))
			rows(m, metric).markdown(w)
		}
	}
}

func pinning(cpus string) string {
	if cpus == "" {
		return "not pinned"
	}
	return "pinned to CPUs " + cpus
}

func sentence(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// Document joins the sections that are in dir, in the order of the areas, below one heading.
func Document(w io.Writer, dir string, areas []plan.Area) error {
	fmt.Fprintf(w, "# Measurements\n\nWritten by `make bench`; bench/README.md says what the cases are and what is fair about them.\n"+
		"A ratio is ours to the other's, from the same run; it is void when a peer beats the yardstick.\n")
	for _, a := range areas {
		text, err := os.ReadFile(filepath.Join(dir, a.Name+".md"))
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "\n%s", text)
	}
	return nil
}

// Machine describes this machine in a line.
func Machine() string {
	model, cpus := "unknown CPU", 0
	if f, err := os.Open("/proc/cpuinfo"); err == nil {
		defer f.Close()
		for lines := bufio.NewScanner(f); lines.Scan(); {
			key, value, _ := strings.Cut(lines.Text(), ":")
			switch strings.TrimSpace(key) {
			case "processor":
				cpus++
			case "model name":
				model = strings.TrimSpace(value)
			}
		}
	}
	return fmt.Sprintf("%d x %s, Linux %s", cpus, model, firstLine("/proc/sys/kernel/osrelease"))
}

// Load is the load average of the last minute.
func Load() string {
	load, _, _ := strings.Cut(firstLine("/proc/loadavg"), " ")
	return load
}

func firstLine(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return "unknown"
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return line
}
