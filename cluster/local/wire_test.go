// SPDX-License-Identifier: Apache-2.0

package local

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/skybus-io/skybus/cluster"
)

// TestFramesAreTheseBytes pins the format: other languages are written from its page.
func TestFramesAreTheseBytes(t *testing.T) {
	for _, test := range []struct {
		f    frame
		want string
	}{
		{frame{ID: 1, Op: opHello, Version: 1, Client: "c", Addr: 0x301}, "0e000000 a5 01 01 02 01 05 01 06 61 63 07 19 03 01"},
		{frame{ID: 2, Op: opRenew, Lease: 9}, "07000000 a3 01 02 02 03 0a 09"},
		{
			frame{ID: 3, Op: opCommit, If: []wireCompare{{Key: "k", Revision: 5}}, Do: []wireOp{{Key: "k", Value: []byte{1}, Lease: 2}}},
			"15000000 a4 01 03 02 05 11 81 83 61 6b 05 f4 12 81 84 61 6b 41 01 02 f4",
		},
		{frame{ID: 4, Op: opPoll, Revision: 7, KVs: []wireKV{{Key: "k", Modified: 7}}}, "10000000 a4 01 04 02 07 0e 07 13 81 85 61 6b f6 00 00 07"},
	} {
		got, err := appendFrame(nil, &test.f)
		want := strings.ReplaceAll(test.want, " ", "")
		if err != nil || hex.EncodeToString(got) != want {
			t.Errorf("%+v: %x, %v; want %s", test.f, got, err, want)
		}
	}
}

func TestFramesThatAreRefused(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":           "",
		"no map":            "01",
		"no op":             "a10101",
		"negative skip":     "a3010102070f20",
		"a tag":             "a2010102c101",
		"indefinite length": "bf01010201ff",
		"a key twice":       "a3010102010201",
		"more behind":       "a20101020100",
		"cut off":           "a201010218",
		"a huge list":       "a30101020513 9b00000000ffffffff",
		"too deep":          "a30101020512" + strings.Repeat("81", 50) + "00",
		"op too large":      "a2010102190100",
	} {
		body, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		if f, err := parseFrame(body); !errors.Is(err, ErrFrame) {
			t.Errorf("%s: %+v, %v", name, f, err)
		}
	}
	if f, err := parseFrame([]byte("\xa3\x01\x01\x02\x08\x18\x63\x61x")); err != nil || f.Op != opHealth {
		t.Errorf("an unknown field: %+v, %v", f, err)
	}
	for _, head := range []string{"\x00\x00\x00\x00", "\x01\x00\x10\x00", "\xff\xff\xff\xff"} {
		if n, err := readLength(strings.NewReader(head)); !errors.Is(err, ErrFrame) {
			t.Errorf("length %x: %d, %v", head, n, err)
		}
	}
	if _, err := readBody(strings.NewReader("abc"), 10); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a frame that is cut off: %v", err)
	}
	if _, err := appendFrame(nil, &frame{Op: opGet, Key: strings.Repeat("k", maxFrame)}); !errors.Is(err, ErrFrame) {
		t.Errorf("a frame that is too long: %v", err)
	}
}

func TestErrorsKeepTheirMeaning(t *testing.T) {
	for _, want := range []error{cluster.ErrCompare, cluster.ErrLeaseLost, cluster.ErrCompacted, cluster.ErrLimit} {
		var a frame
		a.fail(errors.Join(errors.New("because"), want))
		if err := a.failure(); !errors.Is(err, want) || !strings.Contains(err.Error(), "because") {
			t.Errorf("%v came as %v", want, err)
		}
	}
	var a frame
	a.fail(io.EOF)
	if err := a.failure(); err == nil || !strings.Contains(err.Error(), "EOF") {
		t.Errorf("got %v", err)
	}
}

// FuzzFrame reads any bytes: either it is an error, or a frame that is written and read the same. A
// request that is read is handled without harm.
func FuzzFrame(f *testing.F) {
	for _, fr := range []frame{
		{ID: 1, Op: opHello, Version: 1, Client: "c", Addr: 7}, {ID: 2, Op: opGrant, TTL: 1e9}, {ID: 3, Op: opGet, Key: "/", Prefix: true, Revision: 1 << 60, From: "x"},
		{ID: 4, Op: opCommit, If: []wireCompare{{Key: "a", Revision: 1, Prefix: true}}, Do: []wireOp{{Key: "b", Value: []byte("v"), Lease: 1}, {Key: "c", Delete: true}}},
		{ID: 5, Op: opPoll, Revision: 1, Skip: 3}, {ID: 6, Op: opRevoke, Lease: 9}, {ID: 7, Op: opLeave}, {ID: 8, Op: 99},
	} {
		buf, err := appendFrame(nil, &fr)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(buf[4:])
	}
	e := NewEngine(Limits{Keys: 100, LogEvents: 100})
	f.Cleanup(e.Close)
	c := e.store.Open("fuzz")
	f.Fuzz(func(t *testing.T, data []byte) {
		fr, err := parseFrame(data)
		if err != nil {
			return
		}
		buf, err := appendFrame(nil, fr)
		if err != nil {
			t.Skip("it says more in fewer bytes than this writer")
		}
		again, err := readBody(bytes.NewReader(buf[4:]), len(buf)-4)
		if err != nil || !reflect.DeepEqual(normal(again), normal(fr)) {
			t.Fatalf("%+v is read again as %+v, %v", fr, again, err)
		}
		if fr.Op == opPoll { // it waits
			return
		}
		if a := e.handle(t.Context(), c, fr); a.ID != fr.ID || a.Op != fr.Op {
			t.Fatalf("the answer to %+v is %+v", fr, a)
		}
		c.RevokeAll()
	})
}

// normal has no lists that are empty and not nil: they are not written.
func normal(f *frame) frame {
	n := *f
	if len(n.If) == 0 {
		n.If = nil
	}
	if len(n.Do) == 0 {
		n.Do = nil
	}
	if len(n.KVs) == 0 {
		n.KVs = nil
	}
	return n
}
