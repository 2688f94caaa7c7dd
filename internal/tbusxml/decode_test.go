// SPDX-License-Identifier: Apache-2.0

package tbusxml

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/simplifiedchinese"
)

// recoded returns testdata/tbusmgr.xml in another encoding, declared as name.
func recoded(t testing.TB, name string, enc encoding.Encoding) []byte {
	t.Helper()
	text := bytes.Replace(readFile(t, "tbusmgr.xml"), []byte("UTF-8"), []byte(name), 1)
	data, err := enc.NewEncoder().Bytes(text)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestChineseEncodings(t *testing.T) {
	for name, enc := range map[string]encoding.Encoding{
		"GBK":     simplifiedchinese.GBK,
		"gbk":     simplifiedchinese.GBK,
		"GB2312":  simplifiedchinese.GBK,
		"GB18030": simplifiedchinese.GB18030,
		"utf8":    encoding.Nop,
		"Utf-8":   encoding.Nop,
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseGCIM("tbusmgr.xml", recoded(t, name, enc))
			if err != nil {
				t.Fatal(err)
			}
			if want := wantGCIM(); !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

func TestByteOrderMarkIsBelieved(t *testing.T) {
	for _, name := range []string{"UTF-8", "GBK", "Big5"} {
		data := append([]byte("\xef\xbb\xbf"), recoded(t, name, encoding.Nop)...)
		got, err := ParseGCIM("tbusmgr.xml", data)
		if err != nil || !reflect.DeepEqual(got, wantGCIM()) {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
}

func TestWesternEncodings(t *testing.T) {
	text := gcim(strings.Replace(channelLine("0.0.3.1", "0.0.4.1", "1", "1"), "<Address>", "<Desc>café</Desc><Address>", 1))
	data, err := charmap.ISO8859_1.NewEncoder().String(text)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ISO-8859-1", "US-ASCII"} {
		got, err := ParseGCIM("f", []byte("<?xml version='1.0' encoding='"+name+"'?>"+data))
		if err != nil || got.Channels[0].Desc != "café" {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
}

// TestLinesInGBK puts an error below Chinese text, and below bytes that are no
// character, of which the last in a line is the first half of one.
func TestLinesInGBK(t *testing.T) {
	for name, text := range map[string]string{
		"characters":          "\xcd\xf8\xb9\xd8\xd2\xbb",
		"half a character":    "\xcd\xf8\xb9",
		"half, then a digit":  "\xb9\n1\xb9",
		"not a character":     "\xff\xff\x80\xfe\xfe",
		"UTF-8 taken for GBK": "网关一",
		"carriage returns":    "\xcd\xf8\r",
	} {
		for _, charset := range []string{"GBK", "GB18030"} {
			head := "<?xml version='1.0' encoding='" + charset + "'?>\n<!-- " + text + "\n" + text + "\n-->\n"
			desc := "<Channels>\n<Desc>" + text + "\n" + text + "</Desc>\n<Priority>\n" + text + "\nx</Priority></Channels>\n"
			data := head + gcim(desc+text+"\n<Priority2/>\n<GCIMShmKey>1</GCIMShmKey>")
			want := 1 + strings.Count(data[:strings.LastIndex(data, "<GCIMShmKey>")], "\n")

			_, err := ParseGCIM("f", []byte(data))
			if err == nil {
				t.Fatalf("%s in %s: no error", name, charset)
			}
			errs := err.(interface{ Unwrap() []error }).Unwrap()
			last := errs[len(errs)-1].(*Error)
			if last.Line != want || last.Element != "GCIMShmKey" {
				t.Errorf("%s in %s: %v, want it in line %d", name, charset, last, want)
			}
		}
	}
}

func TestUndecodableDescription(t *testing.T) {
	file := "<?xml version='1.0' encoding='GBK'?>" + gcim(
		strings.Replace(channelLine("0.0.3.1", "0.0.4.1", "1", "1"), "<Address>", "<Desc>\xcd\xf8\xb9</Desc><Address>", 1))
	got, err := ParseGCIM("f", []byte(file))
	if err != nil {
		t.Fatal(err)
	}
	if got.Channels[0].Desc != "网\ufffd" || len(got.Warnings) != 1 ||
		got.Warnings[0].String() != "f:4: <Desc>: has bytes that are no character in the encoding of the file" {
		t.Errorf("got %+v", got)
	}
}
