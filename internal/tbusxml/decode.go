// SPDX-License-Identifier: Apache-2.0

package tbusxml

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/simplifiedchinese"
)

// newDecoder returns a decoder for a file in any of the encodings of the
// package comment, without its byte order mark if marked. None of them uses the
// byte of a line feed for anything else, and their decoders leave every line
// feed in place, also after a byte that is wrong: so lines counted in what the
// decoder reads are lines of the file.
func newDecoder(data []byte, marked bool) *xml.Decoder {
	dec := xml.NewDecoder(bytes.NewReader(data))
	declared := false
	dec.CharsetReader = func(charset string, in io.Reader) (io.Reader, error) {
		if declared {
			return nil, &charsetError{"encoding is declared twice"}
		}
		declared = true
		if marked {
			return in, nil // it is UTF-8, whatever the declaration says
		}
		return decoded(charset, in)
	}
	return dec
}

// isUTF16 recognises the one encoding that some editors save in and in which
// encoding/xml does not even find the declaration.
func isUTF16(data []byte) bool {
	for _, start := range []string{"\xff\xfe", "\xfe\xff", "<\x00", "\x00<"} {
		if bytes.HasPrefix(data, []byte(start)) {
			return true
		}
	}
	return false
}

// charsetError tells errors of the declared encoding from those of the XML.
type charsetError struct{ msg string }

func (e *charsetError) Error() string { return e.msg }

// decoded turns what in reads into UTF-8.
func decoded(charset string, in io.Reader) (io.Reader, error) {
	var enc encoding.Encoding
	switch strings.ToLower(charset) {
	case "utf8":
		return in, nil
	case "gbk", "gb2312", "gb_2312-80", "euc-cn", "cp936", "ms936", "windows-936":
		enc = simplifiedchinese.GBK
	case "gb18030":
		enc = simplifiedchinese.GB18030
	case "iso-8859-1", "iso8859-1", "latin1", "us-ascii", "ascii":
		enc = charmap.ISO8859_1
	default:
		return nil, &charsetError{fmt.Sprintf(
			"encoding %s is not supported, the file must be in UTF-8, GBK, GB2312, GB18030, ISO-8859-1 or US-ASCII", quote(charset))}
	}
	return enc.NewDecoder().Reader(in), nil
}

// invalidUTF8 is what encoding/xml says of bytes that are no character.
const invalidUTF8 = "invalid UTF-8"

// explain words an error of the decoder for the user, without its line.
func explain(err error) string {
	if ce, ok := errors.AsType[*charsetError](err); ok {
		return ce.msg
	}
	se, ok := errors.AsType[*xml.SyntaxError](err)
	if !ok {
		return "not XML: " + shorten(strings.TrimPrefix(err.Error(), "xml: "))
	}
	if se.Msg == invalidUTF8 {
		return `not UTF-8; if the file is in GBK, its first line must say encoding="GBK"`
	}
	return "not XML: " + shorten(se.Msg)
}
