// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

// A field is a row of a table of docs/format/domain.md, or what the code has.
type field struct{ at, width int }

// documented reads the table that is the first one under a heading.
func documented(t *testing.T, heading string) map[string]field {
	t.Helper()
	text := string(must(os.ReadFile("../docs/format/domain.md"))(t))
	_, section, ok := strings.Cut(text, "\n"+heading)
	if !ok {
		t.Fatalf("there is no heading %q", heading)
	}
	fields, begun := map[string]field{}, false
	for line := range strings.Lines(section) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		switch {
		case strings.HasPrefix(line, "#"), begun && len(cells) < 4:
			return fields
		case len(cells) < 4:
			continue
		}
		begun = true
		at, err := strconv.Atoi(strings.TrimSpace(cells[0]))
		if err != nil {
			continue // the head of the table, and the line below it
		}
		name := strings.TrimSpace(cells[2])
		if _, twice := fields[name]; twice {
			t.Errorf("%s: %s stands there twice", heading, name)
		}
		fields[name] = field{at, widthOf(t, strings.TrimSpace(cells[1]))}
	}
	return fields
}

func widthOf(t *testing.T, s string) int {
	t.Helper()
	switch s {
	case "u32":
		return 4
	case "u64", "i64":
		return 8
	case "capacity":
		return 0
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Errorf("width %q", s)
	}
	return n
}

// TestFormatPageHasTheCodesOffsets keeps docs/format/domain.md, which other
// languages are written from, and the code together.
func TestFormatPageHasTheCodesOffsets(t *testing.T) {
	for heading, code := range layout() {
		page := documented(t, heading)
		for name, want := range code {
			if got, ok := page[name]; !ok {
				t.Errorf("%s: %s is not there", heading, name)
			} else if got != want {
				t.Errorf("%s: %s is %d bytes at %d, the code has %d at %d", heading, name, got.width, got.at, want.width, want.at)
			}
		}
		for name := range page {
			if _, ok := code[name]; !ok {
				t.Errorf("%s: the code has no %s", heading, name)
			}
		}
	}
}

// TestFormatPageHasTheCodesSizes compares the numbers in headings and prose.
func TestFormatPageHasTheCodesSizes(t *testing.T) {
	for _, part := range []string{
		"### State, at " + strconv.Itoa(tableStateAt),
		"### Endpoint entry, " + strconv.Itoa(endpointSize) + " bytes",
		"### Lane entry, " + strconv.Itoa(laneSize) + " bytes",
		"## Inbox, " + strconv.Itoa(inboxSize) + " bytes",
		"endpoint entries from " + strconv.Itoa(tableHeaderSize),
		"0 free, 1 making, 2 live, 3 idle, 4 removing",
		"1 strict, 2 allow unknown",
		"1 configured, 2 src is the channel's first address",
	} {
		wantText(t, part)
	}
	for name, pair := range map[string][2]int{
		"free": {laneFree, 0}, "making": {laneMaking, 1}, "live": {laneLive, 2}, "idle": {laneIdle, 3}, "removing": {laneRemoving, 4},
		"strict": {tableStrict, 1}, "allow unknown": {tableAllowUnknown, 2}, "configured": {laneConfigured, 1}, "first": {laneFirst, 2},
		"known": {endpointKnown, 1},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s is %d in the code and %d on the page", name, pair[0], pair[1])
		}
	}
}

func wantText(t *testing.T, part string) {
	t.Helper()
	if !strings.Contains(string(must(os.ReadFile("../docs/format/domain.md"))(t)), part) {
		t.Errorf("docs/format/domain.md does not say %q", part)
	}
}
