// SPDX-License-Identifier: Apache-2.0

package relaybench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/skybus-io/skybus/cmd/skybus/internal/ipcbench"
)

// A Result is one measurement of Run.
type Result struct {
	ipcbench.Result         // its CPU counts the daemons too
	CPUDaemons      float64 `json:"cpu_daemons"` // processors kept busy by both daemons, from their start to their end
	TLS             string  `json:"tls"`         // "off" or the protocol's version
}

// A Memory is one measurement of RunMemory. Sizes are in bytes.
type Memory struct {
	Name   string `json:"name"`
	Size   int    `json:"size"` // of a message
	Mode   string `json:"mode"` // "memory"
	TLS    string `json:"tls"`
	Lanes  int    `json:"lanes"`
	Queued uint64 `json:"queued_bytes"` // payload that waits at the origin, in all lanes
	Stored uint64 `json:"stored_bytes"` // of it also at the far side
	// Anon is RssAnon of the larger daemon when everything was in place, First
	// and Second that of each; Peak is the most that was seen of one meanwhile.
	Anon   uint64 `json:"rss_anon_bytes"`
	First  uint64 `json:"rss_anon_first"`
	Second uint64 `json:"rss_anon_second"`
	Peak   uint64 `json:"rss_anon_peak"`

	CPU float64 `json:"cpu"` // processors kept busy by all processes, each from its start to its end
}

// A Printer writes results as they come.
type Printer struct {
	w     io.Writer
	json  bool
	text  *ipcbench.Printer
	line  bytes.Buffer // what text has written
	lines int
}

// NewPrinter returns a Printer that writes JSON, one object a line, or a table:
// that of ipcbench with two columns more.
func NewPrinter(w io.Writer, json bool) *Printer {
	p := &Printer{w: w, json: json}
	p.text = ipcbench.NewPrinter(&p.line, false)
	return p
}

// Print writes one result.
func (p *Printer) Print(r Result) error {
	if p.json {
		return json.NewEncoder(p.w).Encode(r)
	}
	p.line.Reset()
	if err := p.text.Print(r.Result); err != nil {
		return err
	}
	more := []string{" skybusd   tls", fmt.Sprintf(" %7.2f %5s", r.CPUDaemons, r.TLS)}
	lines := strings.Split(strings.TrimSuffix(p.line.String(), "\n"), "\n")
	for i, line := range lines {
		// The heading comes only with the first result.
		if _, err := fmt.Fprintln(p.w, line+more[len(more)-len(lines)+i]); err != nil {
			return err
		}
	}
	return nil
}

// PrintMemory writes one measurement of memory.
func (p *Printer) PrintMemory(m Memory) error {
	if p.json {
		return json.NewEncoder(p.w).Encode(m)
	}
	if p.lines++; p.lines == 1 {
		fmt.Fprintf(p.w, "%-13s %8s %7s %12s %12s %10s %10s %10s %5s\n",
			"name", "bytes", "lanes", "queued", "stored", "anon a", "anon b", "peak", "tls")
	}
	_, err := fmt.Fprintf(p.w, "%-13s %8d %7d %12s %12s %10s %10s %10s %5s\n", m.Name, m.Size, m.Lanes,
		mebibytes(m.Queued), mebibytes(m.Stored), mebibytes(m.First), mebibytes(m.Second), mebibytes(m.Peak), m.TLS)
	return err
}

func mebibytes(n uint64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
