// SPDX-License-Identifier: Apache-2.0

package gateserver

import (
	"bytes"
	"encoding/binary"
	"net"
	"slices"
	"strings"
	"testing"
)

func TestItAnswersUntilTheLoadEnds(t *testing.T) {
	s := &Server{Mode: Echo}
	s.Accepted.Store(7)
	var out bytes.Buffer
	s.run(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 5}, strings.NewReader("stats\nmemory\n"), &out)
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 3 || lines[0] != "ready 127.0.0.1:5" {
		t.Fatalf("said %q", lines)
	}
	for _, l := range lines[1:] {
		if !strings.HasPrefix(l, "accepted=7 allocs=") || !strings.Contains(l, " stack=") {
			t.Errorf("answered %q", l)
		}
	}
}

func order(count, size uint32) []byte {
	return binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, count), size)
}

func TestOrdersAreNumberedOn(t *testing.T) {
	var o Orders
	first := o.Frames(order(2, 9))
	if len(first) != 2*(Head+9) || first[1] != 9 {
		t.Fatalf("two packets of 9 bytes are %x", first)
	}
	if got := o.Frames(order(1, 8)); !slices.Equal(got, []byte{0, 8, 3, 0, 0, 0, 0, 0, 0, 0}) {
		t.Errorf("the third packet is %x", got)
	}
}

func TestPacketsAreFoundHoweverTheyAreCut(t *testing.T) {
	stream := slices.Concat([]byte{0, 1, 'h', 0, 0, 0, 8}, order(3, 4), []byte{0, 2, 'a', 'b'})
	want := [][]byte{{0, 1, 'h'}, {0, 0}, append([]byte{0, 8}, order(3, 4)...), {0, 2, 'a', 'b'}}
	for size := 1; size <= len(stream); size++ {
		var h Half
		var got [][]byte
		for b := range slices.Chunk(stream, size) {
			h.Take(b, func(frame []byte) { got = append(got, bytes.Clone(frame)) })
		}
		if !slices.EqualFunc(got, want, bytes.Equal) {
			t.Errorf("%d bytes at a time: got %x", size, got)
		}
	}
}
