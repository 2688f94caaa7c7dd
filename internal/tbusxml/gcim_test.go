// SPDX-License-Identifier: Apache-2.0

package tbusxml

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/skybus-io/skybus/addr"
)

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// ip makes an address of the default template.
func ip(a, b, c, d uint32) addr.Addr { return addr.Addr(a<<24 | b<<16 | c<<8 | d) }

// wantGCIM is the content of testdata/tbusmgr.xml.
func wantGCIM() *GCIM {
	return &GCIM{
		Template: addr.Default,
		Key:      16888,
		Channels: []Channel{
			{Priority: 8, A: ip(1, 1, 3, 1), B: ip(1, 1, 4, 1), SendSize: 20480000, RecvSize: 4194304,
				Desc: "网关一 到 游戏一", Line: 10},
			{A: ip(1, 1, 3, 2), B: ip(1, 1, 4, 1), SendSize: 65536, RecvSize: 65536, Line: 18},
			{A: ip(1, 1, 4, 1), B: ip(1, 1, 9, 1), SendSize: 1048577, RecvSize: 1048577,
				Desc: "game & <database> proxy", Line: 29},
		},
		Warnings: []Warning{
			{File: "tbusmgr.xml", Line: 20, Element: "Mask", Msg: "is not known in <Channels>, ignored", Count: 1},
		},
	}
}

func TestGCIMFile(t *testing.T) {
	got, err := ParseGCIM("tbusmgr.xml", readFile(t, "tbusmgr.xml"))
	if err != nil {
		t.Fatal(err)
	}
	if want := wantGCIM(); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if got, want := got.Warnings[0].String(), "tbusmgr.xml:20: <Mask>: is not known in <Channels>, ignored"; got != want {
		t.Errorf("warning %q, want %q", got, want)
	}
}

// gcim puts lines around what a test is about; its own lines start at line 4.
func gcim(lines string) string {
	return "<TbusGCIM>\n<AddrTemplet>8.8.8.8</AddrTemplet>\n<GCIMShmKey>1000</GCIMShmKey>\n" + lines + "\n</TbusGCIM>\n"
}

// channelLine is a channel in one line.
func channelLine(a, b, send, recv string) string {
	return "<Channels><Address>" + a + "</Address><Address>" + b + "</Address><SendSize>" + send +
		"</SendSize><RecvSize>" + recv + "</RecvSize></Channels>"
}

func TestGCIMBounds(t *testing.T) {
	for _, c := range []struct {
		name, file string
		want       GCIM
	}{
		{"no channels", gcim(""), GCIM{Key: 1000}},
		{"largest key", "<TbusGCIM><AddrTemplet>8.8.8.8</AddrTemplet><GCIMShmKey>0x7FFFFFFF</GCIMShmKey></TbusGCIM>",
			GCIM{Key: 1<<31 - 1}},
		{"leading zeros are decimal", "<TbusGCIM><AddrTemplet>8.8.8.8</AddrTemplet><GCIMShmKey>0010</GCIMShmKey></TbusGCIM>",
			GCIM{Key: 10}},
		{"the other spelling", gcim("<BusinessID>7</BusinessID>"), GCIM{Key: 1000}},
		{"smallest and largest lane", gcim(channelLine("0.0.3.1", "0.0.4.1", "1", "1073741824")),
			GCIM{Key: 1000, Channels: []Channel{
				{A: ip(0, 0, 3, 1), B: ip(0, 0, 4, 1), SendSize: 1, RecvSize: MaxLane, Line: 4}}}},
		{"template at the end", "<TbusGCIM>\n" + channelLine("3.1", "4.1", "2", "3") + channelLine("3.1", "5.1", "4", "5") +
			"<GCIMShmKey>1</GCIMShmKey><AddrTemplet>4.4</AddrTemplet></TbusGCIM>",
			GCIM{Template: addr.MustTemplate("4.4"), Key: 1, Channels: []Channel{
				{A: 0x31, B: 0x41, SendSize: 2, RecvSize: 3, Line: 2},
				{A: 0x31, B: 0x51, SendSize: 4, RecvSize: 5, Line: 2}}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ParseGCIM("f", []byte(c.file))
			if err != nil || !reflect.DeepEqual(*got, c.want) {
				t.Errorf("got  %+v, %v\nwant %+v", got, err, c.want)
			}
		})
	}
}

func TestGCIMErrors(t *testing.T) {
	good := channelLine("0.0.3.1", "0.0.4.1", "10", "10")
	for _, c := range []struct{ name, file, want string }{
		{"size of letters", gcim(channelLine("0.0.3.1", "0.0.4.1", "abc", "10")),
			`f:4: <SendSize>: "abc" is not a number of bytes`},
		{"negative size", gcim(channelLine("0.0.3.1", "0.0.4.1", "10", "-1")),
			`f:4: <RecvSize>: "-1" is not a number of bytes`},
		{"size zero", gcim(channelLine("0.0.3.1", "0.0.4.1", "10", "0")),
			`f:4: <RecvSize>: 0 bytes is out of range, a lane has 1..1073741824`},
		{"size too large", gcim(channelLine("0.0.3.1", "0.0.4.1", "1073741825", "10")),
			`f:4: <SendSize>: 1073741825 bytes is out of range, a lane has 1..1073741824`},
		{"size beyond 64 bits", gcim(channelLine("0.0.3.1", "0.0.4.1", "99999999999999999999", "10")),
			`f:4: <SendSize>: 99999999999999999999 bytes is out of range, a lane has 1..1073741824`},
		{"sizes missing", gcim("<Channels><Address>0.0.3.1</Address>\n<Address>0.0.4.1</Address></Channels>"),
			"f:4: <SendSize>: is missing in this <Channels>\nf:4: <RecvSize>: is missing in this <Channels>"},
		{"size twice", gcim("<Channels><Address>0.0.3.1</Address><Address>0.0.4.1</Address>\n<SendSize>1</SendSize>\n<SendSize>1</SendSize><RecvSize>1</RecvSize></Channels>"),
			`f:6: <SendSize>: is given twice in this <Channels>, first in line 5`},
		{"priority too large", gcim("<Channels><Priority>256</Priority>" + good[len("<Channels>"):]),
			`f:4: <Priority>: "256" is not a priority, a number 0..255`},
		{"priority empty", gcim("<Channels><Priority/>" + good[len("<Channels>"):]),
			`f:4: <Priority>: "" is not a priority, a number 0..255`},
		{"element in a value", gcim("<Channels><Desc><b>x</b></Desc>" + good[len("<Channels>"):]),
			`f:4: <Desc>: has an element inside, want a value`},
		{"element in an address", gcim("<Channels>\n<Address>0.0.3.1</Address>\n<Address>0.0.4.1<b/></Address><SendSize>1</SendSize><RecvSize>1</RecvSize></Channels>"),
			`f:6: <Address>: has an element inside, want a value`},
		{"address outside the template", gcim(channelLine("0.0.300.1", "0.0.4.1", "10", "10")),
			`f:4: <Address>: address "0.0.300.1": segment 3 is 300, template 8.8.8.8 allows 0..255`},
		{"no address", gcim("<Channels><SendSize>1</SendSize><RecvSize>1</RecvSize></Channels>"),
			`f:4: <Address>: is missing in this <Channels>, which joins two`},
		{"one address", gcim("<Channels>\n<Address>0.0.3.1</Address><SendSize>1</SendSize><RecvSize>1</RecvSize></Channels>"),
			`f:5: <Address>: is the only one in this <Channels>, which joins two`},
		{"three addresses", gcim("<Channels>\n<Address>0.0.3.1</Address>\n<Address>0.0.3.2</Address>\n<Address>0.0.3.3</Address><SendSize>1</SendSize><RecvSize>1</RecvSize></Channels>"),
			`f:7: <Address>: is the third of 3 in this <Channels>, which joins two`},
		{"address none", gcim(channelLine("0.0.3.1", "0.0.0.0", "10", "10")),
			`f:4: <Address>: 0.0.0.0 is no address, nothing can be bound to it`},
		{"channel to itself", gcim("<Channels><Address>0.0.3.1</Address>\n<Address>0.0.3.1</Address><SendSize>1</SendSize><RecvSize>1</RecvSize></Channels>"),
			`f:5: <Address>: is 0.0.3.1 again, a channel joins two different addresses`},
		{"duplicate", gcim(good + "\n\n" + good),
			`f:6: <Channels>: 0.0.3.1 and 0.0.4.1 have a channel already, in line 4`},
		{"duplicate the other way round", gcim(good + "\n" + channelLine("0.0.4.1", "0.0.3.1", "5", "6")),
			`f:5: <Channels>: 0.0.4.1 and 0.0.3.1 have a channel already, in line 4`},
		{"duplicate above the template", "<TbusGCIM>\n" + good + "\n" + good + "\n<AddrTemplet>8.8.8.8</AddrTemplet><GCIMShmKey>1</GCIMShmKey>\n" + good + "</TbusGCIM>",
			"f:3: <Channels>: 0.0.3.1 and 0.0.4.1 have a channel already, in line 2\n" +
				"f:5: <Channels>: 0.0.3.1 and 0.0.4.1 have a channel already, in line 2"},
		{"no header", "\n<TbusGCIM>\n" + channelLine("x", "y", "z", "1") + "</TbusGCIM>",
			"f:2: <AddrTemplet>: is missing; it says how addresses are written, such as 8.8.8.8\n" +
				"f:2: <GCIMShmKey>: is missing; it names the shared memory\n" +
				`f:3: <SendSize>: "z" is not a number of bytes`},
		{"header twice", gcim("<GCIMShmKey>1000</GCIMShmKey>\n<AddrTemplet>8.8.8.8</AddrTemplet>"),
			"f:4: <GCIMShmKey>: is given twice, first in line 3\nf:5: <AddrTemplet>: is given twice, first in line 2"},
		{"wrong template", "<TbusGCIM><AddrTemplet>16.16.8</AddrTemplet>\n<GCIMShmKey>1</GCIMShmKey></TbusGCIM>",
			`f:1: <AddrTemplet>: template "16.16.8": segment 3 brings the sum to 40, an address has 32 bits`},
		{"key zero", "<TbusGCIM><AddrTemplet>8.8.8.8</AddrTemplet>\n<GCIMShmKey>0</GCIMShmKey></TbusGCIM>",
			`f:2: <GCIMShmKey>: "0" is not a key, a number 1..2147483647 or 0x1..0x7fffffff`},
		{"key of 32 bits", "<TbusGCIM><AddrTemplet>8.8.8.8</AddrTemplet>\n<GCIMShmKey>0x80000000</GCIMShmKey></TbusGCIM>",
			`f:2: <GCIMShmKey>: "0x80000000" is not a key, a number 1..2147483647 or 0x1..0x7fffffff`},
		{"key that is only 0x", "<TbusGCIM><AddrTemplet>8.8.8.8</AddrTemplet>\n<GCIMShmKey>0x</GCIMShmKey></TbusGCIM>",
			`f:2: <GCIMShmKey>: "0x" is not a key, a number 1..2147483647 or 0x1..0x7fffffff`},
		{"key with an element", "<TbusGCIM><AddrTemplet>8.8.8.8</AddrTemplet>\n<GCIMShmKey><a/>1</GCIMShmKey></TbusGCIM>",
			`f:2: <GCIMShmKey>: has an element inside, want a value`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ParseGCIM("f", []byte(c.file))
			if err == nil || err.Error() != c.want {
				t.Errorf("got  %v\nwant %v", err, c.want)
			}
			if got != nil {
				t.Errorf("got %+v with an error", got)
			}
		})
	}
}
