// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestParse(t *testing.T) {
	long := strings.Repeat("长", MaxText)
	for _, c := range []struct {
		packet string
		want   Request
		err    string // part of it; "": none
	}{
		{`{"t":"join","room":"lobby","name":"Ann"}`, Request{T: Join, Room: "lobby", Name: "Ann", Limit: 50}, ""},
		{`{"t":"join","room":"大厅","name":"小明","have":7}`, Request{T: Join, Room: "大厅", Name: "小明", Have: 7, Limit: 50}, ""},
		{`{"t":"say","room":"a","c":"1","text":"` + long + `"}`, Request{T: Say, Room: "a", C: "1", Text: long, Limit: 50}, ""},
		{`{"t":"history","room":"a","before":51,"limit":100}`, Request{T: History, Room: "a", Before: 51, Limit: 100}, ""},
		{`{"t":"ping","x":1.5}`, Request{T: Ping, X: 1.5, Limit: 50}, ""},
		{`{"t":"rooms","later":true}`, Request{T: Rooms, Limit: 50}, ""},
		{``, Request{}, "not a JSON object"},
		{`[]`, Request{}, "not a JSON object"},
		{`{"t":"dance"}`, Request{T: "dance", Limit: 50}, `t is "dance"`},
		{`{"t":"join","room":"","name":"Ann"}`, Request{T: Join, Name: "Ann", Limit: 50}, "room's name of 0 characters"},
		{`{"t":"join","room":"a b","name":"Ann"}`, Request{T: Join, Room: "a b", Name: "Ann", Limit: 50}, `has ' '`},
		{`{"t":"nick","name":"a\u200bb"}`, Request{T: Nick, Name: "a\u200bb", Limit: 50}, "cannot be seen"},
		{`{"t":"nick","name":" a"}`, Request{T: Nick, Name: " a", Limit: 50}, "begins with a space"},
		{`{"t":"nick","name":"` + long + `"}`, Request{T: Nick, Name: long, Limit: 50}, "2000 characters"},
		{`{"t":"say","room":"a","text":"x"}`, Request{T: Say, Room: "a", Text: "x", Limit: 50}, "c has 0 bytes"},
		{`{"t":"say","room":"a","c":"1","text":""}`, Request{T: Say, Room: "a", C: "1", Limit: 50}, "text of 0 characters"},
		{`{"t":"rooms","limit":101}`, Request{T: Rooms, Limit: 101}, "limit is 101"},
		{`{"t":"rooms","limit":-1}`, Request{T: Rooms, Limit: -1}, "limit is -1"},
		{strings.Repeat(" ", MaxPacket+1), Request{}, "8193 bytes"},
	} {
		r, err := Parse([]byte(c.packet))
		if !reflect.DeepEqual(*r, c.want) {
			t.Errorf("%.60s: read %+v, want %+v", c.packet, *r, c.want)
		}
		switch {
		case c.err == "" && err != nil:
			t.Errorf("%.60s: %v", c.packet, err)
		case c.err != "" && (!errors.Is(err, ErrPacket) || !strings.Contains(err.Error(), c.err)):
			t.Errorf("%.60s: error %v, want an ErrPacket with %q", c.packet, err, c.err)
		}
	}
}

func TestEventsReturn(t *testing.T) {
	for _, e := range []Event{
		{T: Msg, Room: "a", Message: &Message{N: 3, At: 5, From: "0.0.1.1#1", Name: "<Ann>", C: "x", Text: "a\n\"b\""}, Again: true},
		{T: Saved, Room: "a", Saved: 9},
		{T: Joined, Room: "a", You: "0.0.1.1#1", Last: 2, Count: 1, Messages: []Message{{N: 1}, {N: 2}}},
		{T: Presence, Room: "a", Count: 2, In: []Member{{ID: "i", Name: "n", Away: true}}, Out: []string{"o"}},
	} {
		got, err := ParseEvent(e.Encode())
		if err != nil || !reflect.DeepEqual(*got, e) {
			t.Errorf("%s came back as %+v, %v, want %+v", e.Encode(), got, err, e)
		}
	}
	for _, bad := range []string{``, `7`, `{"t":"msg","room":"a"}`} {
		if _, err := ParseEvent([]byte(bad)); !errors.Is(err, ErrPacket) {
			t.Errorf("%q: %v, want an ErrPacket", bad, err)
		}
	}
}

// FuzzParse looks for packets that are taken although they break a rule that the rooms rely on.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		`{"t":"join","room":"lobby","name":"Ann","have":3}`, `{"t":"say","room":"a","c":"1","text":"hi"}`, `{"t":"nick","name":"\ud800"}`,
		`{"t":"members","room":"a","after":"Ann\u00000.0.1.1#1","limit":5}`, `{"t":"history","room":"a","before":18446744073709551615}`, `{"T":"ping","t":"rooms"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		r, err := Parse(packet)
		if err != nil {
			if !errors.Is(err, ErrPacket) {
				t.Errorf("error %v, want an ErrPacket", err)
			}
			return
		}
		for _, s := range []string{r.Room, r.Name, r.C, r.Text} {
			if !utf8.ValidString(s) || len(s) > MaxPacket {
				t.Errorf("took %q", s)
			}
		}
		if r.Limit < 1 || r.Limit > MaxPage {
			t.Errorf("took limit %d", r.Limit)
		}
		data, err := r.Encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse(data)
		if err != nil && len(data) <= MaxPacket || err == nil && !reflect.DeepEqual(r, again) {
			t.Errorf("%s returned as %+v, %v", data, again, err)
		}
	})
}
