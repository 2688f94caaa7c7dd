// SPDX-License-Identifier: Apache-2.0

package result

import (
	"errors"
	"strings"
	"testing"
)

const good = `{"name":"x","size":64,"mode":"throughput","wait":"spin","msgs_per_s":1000,"bytes_per_s":64000,"p50_ns":0,"p99_ns":0,"p999_ns":0,"max_ns":0,"cpu":1.5}`

func TestParseTakesTheLineOfItsSize(t *testing.T) {
	out := "starting\n" + strings.Replace(good, `"size":64`, `"size":1024`, 1) + "\n\n" + good + "\n"
	l, err := Parse([]byte(out), 64, "throughput")
	if err != nil {
		t.Fatal(err)
	}
	if l.Size != 64 || l.MsgsPerSec != 1000 || l.CPU != 1.5 {
		t.Errorf("got %+v", l)
	}
}

func TestParseTakesALineWithoutNewline(t *testing.T) {
	if _, err := Parse([]byte(good), 64, "throughput"); err != nil {
		t.Error(err)
	}
}

func TestParseRefuses(t *testing.T) {
	for name, out := range map[string]string{
		"nothing":            "",
		"another mode":       strings.Replace(good, "throughput", "latency", 1),
		"no messages":        strings.Replace(good, `"msgs_per_s":1000`, `"msgs_per_s":0`, 1),
		"half a line":        good[:40],
		"a wrong field type": strings.Replace(good, `"size":64`, `"size":"64"`, 1),
	} {
		if l, err := Parse([]byte(out), 64, "throughput"); err == nil {
			t.Errorf("%s: accepted as %+v", name, l)
		}
	}
	_, err := Parse(nil, 64, "throughput")
	if !errors.Is(err, ErrNoResult) {
		t.Errorf("an empty output gives %v", err)
	}
}

func TestParseTakesMemoryWithoutARate(t *testing.T) {
	line := `{"name":"x","size":64,"mode":"memory","tls":"1.3","rss_anon_bytes":4096}`
	l, err := Parse([]byte(line), 64, "memory")
	if err != nil || l.Anon != 4096 || l.TLS != "1.3" {
		t.Errorf("got %+v, %v", l, err)
	}
	if l, err := Parse([]byte(strings.Replace(line, "4096", "0", 1)), 64, "memory"); err == nil {
		t.Errorf("no memory is accepted as %+v", l)
	}
}

func TestParseRefusesLatencyWithoutQuantiles(t *testing.T) {
	line := strings.Replace(good, "throughput", "latency", 1)
	if _, err := Parse([]byte(line), 64, "latency"); err == nil {
		t.Error("accepted a latency line whose p50 is 0")
	}
}
