// SPDX-License-Identifier: Apache-2.0

package ipcbench

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
)

// A Result is one measurement. In mode throughput the percentiles are 0: a
// message's way is not timed there, and would be the time it lies in a full lane.
type Result struct {
	Name        string  `json:"name"` // "skybus-" and the api
	Size        int     `json:"size"` // bytes
	Mode        string  `json:"mode"`
	Wait        string  `json:"wait"`
	PerSecond   float64 `json:"msgs_per_s"` // messages, or round trips
	BytesPerSec float64 `json:"bytes_per_s"`
	P50         int64   `json:"p50_ns"`
	P99         int64   `json:"p99_ns"`
	P999        int64   `json:"p999_ns"`
	Max         int64   `json:"max_ns"`
	CPU         float64 `json:"cpu"`        // processors kept busy by both processes, from their start to their end
	CPUFirst    float64 `json:"cpu_first"`  // of it by the one that sends or asks
	CPUSecond   float64 `json:"cpu_second"` // of it by the one that receives or answers
	Rate        int     `json:"rate,omitempty"`
}

// A Printer writes results as they come.
type Printer struct {
	w     io.Writer
	json  bool
	lines int
}

// NewPrinter returns a Printer that writes JSON, one object a line, or a table.
func NewPrinter(w io.Writer, json bool) *Printer { return &Printer{w: w, json: json} }

const (
	headFormat = "%-13s %8s  %-10s %-9s %13s %10s %9s %9s %9s %9s %5s %5s\n"
	lineFormat = "%-13s %8d  %-10s %-9s %13s %10s %9s %9s %9s %9s %5.2f %5.2f\n"
)

// Print writes one result.
func (p *Printer) Print(r Result) error {
	if p.json {
		return json.NewEncoder(p.w).Encode(r)
	}
	if p.lines++; p.lines == 1 {
		what, side := "messages/s", "send"
		if r.Mode == Latency {
			what, side = "round trips/s", "ask"
		}
		fmt.Fprintf(p.w, headFormat, "name", "bytes", "mode", "wait", what, "MB/s", "p50", "p99", "p99.9", "max", side, "recv")
	}
	_, err := fmt.Fprintf(p.w, lineFormat, r.Name, r.Size, r.Mode, r.Wait, grouped(uint64(r.PerSecond)),
		strconv.FormatFloat(r.BytesPerSec/1e6, 'f', 1, 64), delay(r.P50), delay(r.P99), delay(r.P999), delay(r.Max),
		r.CPUFirst, r.CPUSecond)
	return err
}

// delay writes a time shortly, and a dash where none was measured.
func delay(ns int64) string {
	switch us := float64(ns) / 1e3; {
	case ns == 0:
		return "-"
	case us >= 1e4:
		return strconv.FormatFloat(us/1e3, 'f', 2, 64) + "ms"
	default:
		return strconv.FormatFloat(us, 'f', 2, 64) + "us"
	}
}

// grouped writes 1234567 as 1,234,567.
func grouped(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
