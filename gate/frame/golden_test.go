// SPDX-License-Identifier: Apache-2.0

package frame

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const page = "../../docs/format/gate.md"

func readPage(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// What the page gives as examples is what this package writes and reads: clients
// are written in other languages from it.
func TestPacketsAreThoseOfThePage(t *testing.T) {
	golden := examples(t, readPage(t))
	for _, s := range samples() {
		want, ok := golden[s.name]
		delete(golden, s.name)
		if !ok || !bytes.Equal(s.packet, want) {
			t.Errorf("%s is\n%x\nthe page has\n%x", s.name, s.packet, want)
		}
	}
	for name := range golden {
		t.Errorf("the page has %s, and the test does not", name)
	}
	key := sessionKey()
	if !CheckProof(key[:], AppendResume(nil, &Resume{Home: 0x101, ID: 0x1f, Epoch: 2, Received: 1000}, key[:])) {
		t.Error("the proof of the example is wrong")
	}
}

// examples reads the last block of the page: lines of hexadecimal digits below names.
func examples(t *testing.T, text string) map[string][]byte {
	t.Helper()
	blocks := strings.Split(text, "```")
	packets := map[string][]byte{}
	name := ""
	for line := range strings.Lines(blocks[len(blocks)-2]) {
		line = strings.TrimSpace(line)
		if label, ok := strings.CutSuffix(line, ":"); ok || line == "" {
			name = label
			continue
		}
		b, err := hex.DecodeString(strings.ReplaceAll(line, " ", ""))
		if err != nil {
			t.Fatalf("example %s: %v", name, err)
		}
		packets[name] = append(packets[name], b...)
	}
	return packets
}

// rows returns the rows of the first table below the heading, cell by cell.
func rows(t *testing.T, text, heading string) (table [][]string) {
	t.Helper()
	_, below, ok := strings.Cut(text, "\n"+heading+"\n")
	if !ok {
		t.Fatalf("the page has no heading %q", heading)
	}
	for line := range strings.Lines(below) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "|"):
			cells := strings.Split(strings.Trim(line, "|"), "|")
			for i := range cells {
				cells[i] = strings.TrimSpace(cells[i])
			}
			table = append(table, cells)
		case len(table) > 0:
			return table[2:]
		case strings.HasPrefix(line, "#"):
			t.Fatalf("there is no table below %q", heading)
		}
	}
	return table[2:]
}

// The table of kinds has the numbers, names, senders and sizes of the package.
func TestKindsAreThoseOfThePage(t *testing.T) {
	table := rows(t, readPage(t), "## With resume")
	if len(table) != int(kindEnd)-1 {
		t.Errorf("the page has %d kinds, want %d", len(table), kindEnd-1)
	}
	for i, row := range table {
		k := Kind(i + 1)
		bytes := strconv.Itoa(heads[k])
		switch {
		case k == KindRefused || k == KindKicked:
			bytes += fmt.Sprintf(" to %d", EndHead+MaxText)
		case hasUser(k):
			bytes += " and more"
		}
		want := fmt.Sprint([]string{strconv.Itoa(int(k)), k.String(), sender(k), bytes})
		if got := fmt.Sprint(row[:4]); got != want {
			t.Errorf("the page has %s, want %s", got, want)
		}
	}
}

func sender(k Kind) string {
	switch {
	case k.FromClient() && k.FromGate():
		return "both"
	case k.FromClient():
		return "client"
	}
	return "gate"
}

// The table of codes has the numbers, names and pieces of advice of the package.
func TestCodesAreThoseOfThePage(t *testing.T) {
	text := readPage(t)
	row := regexp.MustCompile(`(?m)^\| (\d+) \| ([a-z ]+) \| [^|]+ \| ([a-z ]+) \|$`)
	found := row.FindAllStringSubmatch(text, -1)
	if len(found) != int(codeEnd)-1 {
		t.Errorf("the page has %d codes, want %d", len(found), codeEnd-1)
	}
	for i, m := range found {
		c := Code(i + 1)
		if want := fmt.Sprint([]string{strconv.Itoa(int(c)), c.String(), c.Advice().String()}); fmt.Sprint(m[1:]) != want {
			t.Errorf("the page has %s, want %s", m[1:], want)
		}
	}
}

// The tables of offsets are those of the package: each field that the page has
// stands where its offset and width say, and no other byte is there.
func TestOffsetsAreThoseOfThePage(t *testing.T) {
	text := readPage(t)
	for heading, kind := range map[string]Kind{
		"### AUTH": KindAuth, "### RESUME": KindResume, "### DATA and LOOSE": KindData, "### PING": KindPing, "### BYE": KindBye, "### WELCOME": KindWelcome,
		"### RESUMED": KindResumed, "### PONG": KindPong, "### REFUSED and KICKED": KindKicked,
	} {
		end := 0
		for _, row := range rows(t, text, heading) {
			at, err := strconv.Atoi(row[0])
			if err != nil || at != end {
				t.Fatalf("%s: %s is at offset %s, want %d", heading, row[2], row[0], end)
			}
			if want, ok := offsets[kind][row[2]]; !ok || want != at {
				t.Errorf("%s: %s is at offset %d, want %d (%v)", heading, row[2], at, want, ok)
			}
			end += width(t, row[1])
		}
		if end != heads[kind] {
			t.Errorf("%s ends at %d, want %d", heading, end, heads[kind])
		}
	}
}

var offsets = map[Kind]map[string]int{
	KindAuth: {"kind": 0, "version": atVersion, "flags": atFlags, "user": AuthHead},
	KindResume: {
		"kind": 0, "version": atVersion, "flags": atFlags, "home": atHome, "id": atID, "epoch": atEpoch, "received": atReceived, "proof": atProof,
	},
	KindData: {"kind": 0, "user": DataHead},
	KindPing: {"kind": 0, "echo": atEcho},
	KindBye:  {"kind": 0},
	KindWelcome: {
		"kind": 0, "version": atVersion, "flags": atFlags, "home": atHome, "id": atID, "epoch": atEpoch, "key": atKey,
		"max packet": atMaxPacket, "seconds": atSeconds,
	},
	KindResumed: {"kind": 0, "version": atVersion, "flags": atFlags, "epoch": atResumedEpoch, "accepted": atAccepted},
	KindPong:    {"kind": 0, "echo": atEcho, "accepted": atPongAccepted},
	KindKicked:  {"kind": 0, "version": atVersion, "code": atCode, "text": EndHead},
}

// width is how many bytes a field has; none for one that goes to the end.
func width(t *testing.T, cell string) int {
	t.Helper()
	if bits, ok := strings.CutPrefix(cell, "u"); ok {
		n, err := strconv.Atoi(bits)
		if err != nil {
			t.Fatal(err)
		}
		return n / 8
	}
	if cell == "" {
		return 0
	}
	n, err := strconv.Atoi(cell)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// The limits, names and labels that the page's text has are those of the package.
func TestFactsOfThePage(t *testing.T) {
	text := readPage(t)
	for _, want := range []string{
		"(version " + strconv.Itoa(Version) + ")", "the " + strconv.Itoa(len(ProofLabel)) + " characters `" + ProofLabel + "`",
		fmt.Sprintf("the bytes 0 to %d of the packet", atProof-1), fmt.Sprintf("at most %d bytes, to the end", MaxText), "Codes from 1,024 on",
		"at most 4,080 here", "0x00 none, 0x11 tcp4, 0x12 udp4, 0x21 tcp6, 0x22 udp6, 0x31 unix, 0x32 unixgram", "1000 to 1003, 1007 to 1014 and 3000 to 4999",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not have %q", want)
		}
	}
	for _, f := range standards {
		if !strings.Contains(text, "| `"+f.String()+"`") {
			t.Errorf("the page does not have the framing %v", f)
		}
	}
	if CodeProgram != 1024 || MaxProxy-proxyHead != 4080 {
		t.Errorf("the page's numbers are not %d and %d", CodeProgram, MaxProxy-proxyHead)
	}
	families := map[byte]Network{}
	for _, m := range regexp.MustCompile(`0x([0-9a-f]{2}) (none|tcp4|udp4|tcp6|udp6|unix|unixgram)\b`).FindAllStringSubmatch(text, -1) {
		b, err := hex.DecodeString(m[1])
		if err != nil || proxyFamilies[b[0]].network.String() != m[2] {
			t.Errorf("the page has %s, the package %v", m[0], proxyFamilies[b[0]].network)
		}
		families[b[0]] = proxyFamilies[b[0]].network
	}
	if len(families) != len(proxyFamilies) {
		t.Errorf("the page has %d families, want %d", len(families), len(proxyFamilies))
	}
	for code := range uint16(6000) {
		want := code >= 1000 && code <= 1003 || code >= 1007 && code <= 1014 || code >= 3000 && code <= 4999
		if ValidClose(code) != want {
			t.Errorf("that the close code %d may be sent is %v, want %v", code, !want, want)
		}
	}
}
