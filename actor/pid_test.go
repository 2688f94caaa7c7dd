// SPDX-License-Identifier: Apache-2.0

package actor

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/skybus-io/skybus/addr"
)

func TestPIDAsText(t *testing.T) {
	node := addr.MustParse("0.0.3.1")
	for _, c := range []struct {
		p    PID
		text string
	}{
		{PID{Handle: 1}, ":1"}, {PID{Handle: 0x1f}, ":1f"}, {PID{Handle: 0xffffffffffffffff}, ":ffffffffffffffff"},
		{PID{Node: node, Handle: 0x1f}, "0.0.3.1/1f"}, {PID{Node: node, Handle: 1 << 32}, "0.0.3.1/100000000"},
	} {
		if got := c.p.String(); got != c.text {
			t.Errorf("%q, want %q", got, c.text)
		}
		if p, err := ParsePID(c.text); p != c.p || err != nil {
			t.Errorf("%q: %v, %v", c.text, p, err)
		}
		data, err := json.Marshal(map[string]PID{"p": c.p, "nobody": {}})
		if err != nil {
			t.Fatal(err)
		}
		var back map[string]PID
		if err := json.Unmarshal(data, &back); err != nil || back["p"] != c.p || !back["nobody"].IsZero() {
			t.Errorf("%s: %v, %v", data, back, err)
		}
	}
	for _, text := range []string{"", ":", "1f", ":0", ":-1", ":1g", ": 1", ":1 ", "/1", "x/1", "0.0.3.1/", "0.0.3.1/0", "0.0.3.1:1", ":10000000000000000", "0.0.3.1/1/2"} {
		if p, err := ParsePID(text); err == nil {
			t.Errorf("%q is read as %v", text, p)
		}
	}
}

// The PID of a process as such travels, and is nothing that people name a service by.
func TestPIDOfAProcessAsText(t *testing.T) {
	at := PID{Node: addr.MustParse("0.0.3.1")}
	text, err := at.MarshalText()
	if err != nil || string(text) != "0.0.3.1/0" {
		t.Errorf("%q, %v", text, err)
	}
	var back PID
	if err := back.UnmarshalText(text); back != at || err != nil {
		t.Errorf("%q comes back as %v, %v", text, back, err)
	}
	for _, text := range []string{"/0", ":0", "0.0.0.0/0", "x/0", "0.0.3.1/00", "0.0.3.1//0", "0.0.3.1/0/0", "0.0.3.1/0 "} {
		if err := new(PID).UnmarshalText([]byte(text)); err == nil || !strings.Contains(err.Error(), strconv.Quote(text)) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// FuzzPIDText reads any text: what is taken is written again as the same PID.
func FuzzPIDText(f *testing.F) {
	for _, text := range []string{"", ":1f", "0.0.3.1/1f", "0.0.3.1/0", "/0", ":0", "0.0.0.0/0", "0.0.3.1/0/0"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var p, back PID
		if p.UnmarshalText([]byte(text)) != nil {
			return
		}
		again, err := p.MarshalText()
		if err == nil {
			err = back.UnmarshalText(again)
		}
		if back != p || err != nil {
			t.Errorf("%q is %v, and that is %v, %v", text, p, back, err)
		}
	})
}

func FuzzParsePID(f *testing.F) {
	for _, text := range []string{":1f", "0.0.3.1/1f", ":0", "", "/", "0.0.3.1/", ":FF", "/1", ":+1", ":0x1", ":00001"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParsePID(text)
		if err != nil {
			if !p.IsZero() {
				t.Errorf("%q: %v with error %v", text, p, err)
			}
			return
		}
		if p.Handle == 0 {
			t.Errorf("%q is read as nobody", text)
		}
		if back, err := ParsePID(p.String()); back != p || err != nil {
			t.Errorf("%q is %v, and that is %v, %v", text, p, back, err)
		}
	})
}
