// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"bytes"
	"encoding/hex"
	"os"
	"strings"
	"testing"
)

// The bytes of a frame of each kind stand in testdata/frames.txt, which nobody
// writes by a tool: daemons of two versions meet, and what one writes the other reads.
func TestFramesAreTheBytesThatTheyWere(t *testing.T) {
	golden := goldenFrames(t)
	for _, s := range samples() {
		want, ok := golden[s.name]
		delete(golden, s.name)
		if !ok || !bytes.Equal(s.frame, want) {
			t.Errorf("frame %s is\n%s\nwant\n%s", s.name, lines(s.frame), lines(want))
			continue
		}
		if got, err := s.parse(want[HeaderSize:]); err != nil || got != s.want {
			t.Errorf("frame %s is read as %+v, %v", s.name, got, err)
		}
	}
	for name := range golden {
		t.Errorf("there is no frame %s any more", name)
	}
}

// The payload of a lane's GAP record is the body of a GAP frame.
func TestGapRecordIsTheBodyOfAGapFrame(t *testing.T) {
	if got := GapRecord(&sampleGap); !bytes.Equal(got, goldenFrames(t)["gap"][HeaderSize:]) {
		t.Errorf("a record of %d bytes: %s", len(got), lines(got))
	}
}

// goldenFrames reads lines of hexadecimal digits below the names of frames.
func goldenFrames(t *testing.T) map[string][]byte {
	t.Helper()
	text, err := os.ReadFile("testdata/frames.txt")
	if err != nil {
		t.Fatal(err)
	}
	frames := map[string][]byte{}
	name := ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#':
		case strings.HasSuffix(line, ":"):
			name = strings.TrimSuffix(line, ":")
		default:
			b, err := hex.DecodeString(strings.ReplaceAll(line, " ", ""))
			if err != nil {
				t.Fatalf("frame %s: %v", name, err)
			}
			frames[name] = append(frames[name], b...)
		}
	}
	return frames
}

// lines writes b as the file has it.
func lines(b []byte) string {
	var s strings.Builder
	for len(b) > 0 {
		n := min(16, len(b))
		for i := range n {
			if i > 0 && i%4 == 0 {
				s.WriteByte(' ')
			}
			s.WriteString(hex.EncodeToString(b[i : i+1]))
		}
		s.WriteByte('\n')
		b = b[n:]
	}
	return s.String()
}
