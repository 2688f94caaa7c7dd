// SPDX-License-Identifier: Apache-2.0

package tbusxml

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestBadXML(t *testing.T) {
	for _, c := range []struct{ name, file, want string }{
		{"empty", "", "f:1: no element, want <TbusGCIM>"},
		{"only a comment", "<!-- x -->\n\n", "f:3: no element, want <TbusGCIM>"},
		{"text", "hello\n", "f:1: not XML: text outside of the outermost element"},
		{"text behind the root", gcim("") + "\nhello", "f:7: not XML: text outside of the outermost element"},
		{"second root", gcim("") + "<a/>", "f:6: <a>: stands after the end of <TbusGCIM>, a file has one outermost element"},
		{"wrong root", "\n\n<Tbus/>", "f:3: <Tbus>: is the outermost element, want <TbusGCIM>"},
		{"cut off", "<TbusGCIM>\n<Channels>\n<Addr", "f:3: <Channels>: not XML: unexpected EOF"},
		{"never closed", "<TbusGCIM>\n<Channels>\n", "f:3: <Channels>: not XML: unexpected EOF"},
		{"crossed", gcim("<Channels>\n</Desc>"), "f:5: <Channels>: not XML: element <Channels> closed by </Desc>"},
		{"unknown entity", gcim("\n&nbsp;"), "f:5: <TbusGCIM>: not XML: invalid character entity &nbsp;"},
		{"too deep", gcim("\n" + strings.Repeat("<a>", 20)), "f:5: <a>: more than 16 elements inside each other"},
		{"XML 1.1", `<?xml version="1.1"?>`, `f:1: not XML: unsupported version "1.1"; only version 1.0 is supported`},
		{"unknown encoding", "<?xml version='1.0' encoding='Big5'?><TbusGCIM/>",
			`f:1: encoding "Big5" is not supported, the file must be in UTF-8, GBK, GB2312, GB18030, ISO-8859-1 or US-ASCII`},
		{"encoding twice", "<?xml version='1.0' encoding='GBK'?>\n<?xml version='1.0' encoding='GBK'?><TbusGCIM/>",
			`f:2: encoding is declared twice`},
		{"not UTF-8", gcim("\n<!-- \xcd\xf8\xb9\xd8 -->\n\xcd\xf8"),
			`f:6: <TbusGCIM>: not UTF-8; if the file is in GBK, its first line must say encoding="GBK"`},
		{"UTF-16", "\xff\xfe<\x00?\x00", "f:1: the file is in UTF-16, save it as UTF-8 or GBK"},
		{"UTF-16 without mark", "\x00<\x00?", "f:1: the file is in UTF-16, save it as UTF-8 or GBK"},
		{"errors before it are kept", gcim(channelLine("0.0.3.1", "0.0.3.1", "1", "x") + "\n<"),
			"f:4: <RecvSize>: \"x\" is not a number of bytes\n" +
				"f:4: <Address>: is 0.0.3.1 again, a channel joins two different addresses\n" +
				"f:5: <TbusGCIM>: not XML: expected element name after <"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ParseGCIM("f", []byte(c.file))
			if err == nil || err.Error() != c.want {
				t.Errorf("got  %v\nwant %v", err, c.want)
			}
		})
	}
}

func TestTooLargeFile(t *testing.T) {
	_, err := ParseGCIM("f", make([]byte, MaxFile+1))
	if want := "f: 67108865 bytes are too many, a file has at most 67108864"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %v", err, want)
	}
}

func TestTooManyElementsInOneRecord(t *testing.T) {
	many := "<Channels>" + strings.Repeat("<Address>0.0.3.1</Address>", 10_000) + "</Channels>"
	_, err := ParseGCIM("f", []byte(gcim(many)))
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Error() != "f:4: <Channels>: has more than 256 elements inside" {
		t.Errorf("got %v", err)
	}
}

func TestWarnings(t *testing.T) {
	good := channelLine("0.0.3.1", "0.0.4.1", "1", "1")
	got, err := ParseGCIM("f", []byte(gcim(
		"<New><Deep/><Deep/></New>\nstray\n<New/>\n"+strings.Replace(good, "<Address>", "text<Mask/><Mask/><Address>", 1))))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"f:4: <New>: is not known in <TbusGCIM>, ignored (2 times)",
		"f:5: <TbusGCIM>: text between the elements, ignored",
		"f:7: <Mask>: is not known in <Channels>, ignored (2 times)",
		"f:7: <Channels>: text between the elements, ignored",
	}
	if text := fmt.Sprint(got.Warnings); text != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", text, want)
	}
}

func TestWarningsAreBounded(t *testing.T) {
	var b strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&b, "<E%d/>\n", i)
	}
	got, err := ParseGCIM("f", []byte(gcim(b.String())))
	if err != nil || len(got.Warnings) != maxWarnings+1 {
		t.Fatalf("%d warnings, %v", len(got.Warnings), err)
	}
	if last := got.Warnings[maxWarnings].String(); last != "f: more warnings, not listed (900 times)" {
		t.Errorf("the last one is %q", last)
	}
}

// TestErrorsAreBounded has the errors come in another order than their lines:
// the template, which lets the channels above it be read, stands at the end.
func TestErrorsAreBounded(t *testing.T) {
	channels := strings.Repeat(channelLine("0.0.3.1", "0.0.4.256", "1", "1")+"\n", 15)
	keys := strings.Repeat("<GCIMShmKey>0</GCIMShmKey>\n", 30)
	file := "<TbusGCIM>\n" + channels + keys + channels + "<AddrTemplet>8.8.8.8</AddrTemplet>\n</TbusGCIM>"
	_, err := ParseGCIM("f", []byte(file))
	if err == nil {
		t.Fatal("no error")
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != maxErrors+1 || lines[maxErrors] != "f: … and 40 more" {
		t.Fatalf("%d errors, the last one %q", len(lines), lines[len(lines)-1])
	}
	for i, text := range lines[:maxErrors] {
		if want := fmt.Sprintf("f:%d: ", i+2); !strings.HasPrefix(text, want) {
			t.Errorf("error %d is %q, want one that starts with %q", i, text, want)
		}
	}
}

func TestLongValuesAreShortenedInErrors(t *testing.T) {
	long := strings.Repeat("字", 100_000)
	for _, file := range []string{
		gcim(channelLine(long, "0.0.4.1", long, strings.Repeat("9", 100_000))),
		gcim("<" + long + "><" + strings.Repeat("<a>", 20)),
		"<" + long + "/>",
		"<?xml version='1.0' encoding='" + long + "'?>",
		"<?xml version='1.0' encoding='" + strings.Repeat("\x80", 1000) + "'?>",
		"<?xml version='" + long + "'?>",
		gcim("</" + long + ">"),
	} {
		_, err := ParseGCIM("f", []byte(file))
		if err == nil || len(err.Error()) > 2000 {
			t.Errorf("error of %d bytes for %.40q", len(fmt.Sprint(err)), file)
		}
	}
}

func TestCommentsInsideValuesAreCheap(t *testing.T) {
	desc := bytes.Repeat([]byte("ab<!---->"), 200_000)
	got, err := ParseGCIM("f", []byte(gcim(strings.Replace(channelLine("0.0.3.1", "0.0.4.1", "1", "1"),
		"<Address>", "<Desc>"+string(desc)+"</Desc><Address>", 1))))
	if err != nil || len(got.Channels[0].Desc) != 400_000 {
		t.Errorf("got %v", err)
	}
}
