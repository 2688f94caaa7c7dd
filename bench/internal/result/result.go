// SPDX-License-Identifier: Apache-2.0

// Package result is the line that every measured program prints: one JSON object for one measurement.
//
//	{"name":"skybus","size":64,"mode":"throughput","wait":"spin","msgs_per_s":1.7e7,"bytes_per_s":1.1e9,
//	 "p50_ns":0,"p99_ns":0,"p999_ns":0,"max_ns":0,"cpu":1.98,"tls":"off"}
//
// In mode "throughput" the quantiles are zero; in mode "latency" they are round trips, and msgs_per_s is
// how many were made. In mode "memory" there is no rate, and rss_anon_bytes is what the largest of the measured
// processes keeps for itself. cpu is the number of cores kept busy. tls is "off" or the protocol's version, and
// empty where nothing goes over a network.
//
// Of services in one process, allocs_per_op is how often memory was allocated for one of the operations that
// msgs_per_s counts, bytes_each what a service takes that idles, and calm_p99_ns the p99 before something was put
// in the way of those that were timed. on_top_ns is what a call of a stub takes beyond one without it. They are zero
// elsewhere.
//
// Of a server with many clients, server_cpu_ns is its processor time for one operation, allocs_per_op its allocations;
// bytes_each is what heap and stacks keep for an idle client and rss_anon_each what its process does. Of one with
// clients that do not read, misjudged is how many clients it should have kicked and has not, grown_bytes and kernel_grown_bytes
// are by how much its memory and that of the kernel's sockets have grown; unserved is how many clients it has
// turned away that there was room for.
package result

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// Line is one measurement.
type Line struct {
	Name        string  `json:"name"`
	Size        int     `json:"size"`
	Mode        string  `json:"mode"`
	Wait        string  `json:"wait"`
	MsgsPerSec  float64 `json:"msgs_per_s"`
	BytesPerSec float64 `json:"bytes_per_s"`
	P50         float64 `json:"p50_ns"`
	P99         float64 `json:"p99_ns"`
	P999        float64 `json:"p999_ns"`
	Max         float64 `json:"max_ns"`
	CPU         float64 `json:"cpu"`
	TLS         string  `json:"tls"`
	Anon        float64 `json:"rss_anon_bytes"`
	Allocs      float64 `json:"allocs_per_op"`
	Each        float64 `json:"bytes_each"`
	CalmP99     float64 `json:"calm_p99_ns"`
	OnTop       float64 `json:"on_top_ns"`
	ServerCPU   float64 `json:"server_cpu_ns"`
	EachAnon    float64 `json:"rss_anon_each"`
	Misjudged   float64 `json:"misjudged"`
	Grown       float64 `json:"grown_bytes"`
	KernelGrown float64 `json:"kernel_grown_bytes"`
	Unserved    float64 `json:"unserved"`
}

// ErrNoResult means that a program ended well but printed no line for what was asked.
var ErrNoResult = errors.New("no result line")

// Parse finds the line for this size and mode in what a program printed. Other output is passed over.
func Parse(output []byte, size int, mode string) (Line, error) {
	for text := range bytes.Lines(output) {
		text = bytes.TrimSpace(text)
		if len(text) == 0 || text[0] != '{' {
			continue
		}
		var l Line
		if err := json.Unmarshal(text, &l); err != nil {
			return Line{}, fmt.Errorf("read result line: %w", err)
		}
		if l.Size != size || l.Mode != mode {
			continue
		}
		return l, l.check()
	}
	return Line{}, fmt.Errorf("size %d, mode %s: %w", size, mode, ErrNoResult)
}

// check refuses a line that says nothing, so that no ratio is ever made of it.
func (l Line) check() error {
	switch {
	case l.Mode == "memory":
		if l.Anon <= 0 {
			return fmt.Errorf("%s, %d bytes: no memory in the result", l.Name, l.Size)
		}
		return nil
	case l.MsgsPerSec <= 0:
		return fmt.Errorf("%s, %d bytes: no messages a second in the result", l.Name, l.Size)
	case l.Mode == "latency" && (l.P50 <= 0 || l.P99 < l.P50):
		return fmt.Errorf("%s, %d bytes: p50 %v and p99 %v in the result", l.Name, l.Size, l.P50, l.P99)
	}
	return nil
}
