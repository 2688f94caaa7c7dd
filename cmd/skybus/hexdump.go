// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
)

// dumpLine is the number of bytes on one line of a dump.
const dumpLine = 16

// appendDump appends data to buf, 16 bytes a line: the position counted from at,
// the bytes in hexadecimal in pairs, and as ASCII.
func appendDump(buf, data []byte, at int64) []byte {
	for row := range slices.Chunk(data, dumpLine) {
		buf = fmt.Appendf(buf, "%08x: ", at)
		for i := range dumpLine {
			switch {
			case i < len(row):
				buf = hex.AppendEncode(buf, row[i:i+1])
			default:
				buf = append(buf, "  "...)
			}
			if i%2 == 1 {
				buf = append(buf, ' ')
			}
		}
		buf = append(buf, ' ')
		for _, c := range row {
			if c < ' ' || c > '~' {
				c = '.'
			}
			buf = append(buf, c)
		}
		buf = append(buf, '\n')
		at += dumpLine
	}
	return buf
}

var zeroLine [dumpLine]byte

// dumpSparse dumps all of r, with one "*" for each run of lines that are zero:
// the table's file has room for far more than is in it.
func dumpSparse(w io.Writer, r io.Reader) error {
	buf, block := []byte(nil), make([]byte, 64<<10)
	starred := false
	for at := int64(0); ; {
		n, err := io.ReadFull(r, block)
		buf = buf[:0]
		for row := range slices.Chunk(block[:n], dumpLine) {
			if zero := bytes.Equal(row, zeroLine[:]); !zero {
				buf = appendDump(buf, row, at)
				starred = false
			} else if !starred {
				buf = append(buf, "*\n"...)
				starred = true
			}
			at += int64(len(row))
		}
		if _, err := w.Write(buf); err != nil {
			return err
		}
		if err != nil { // the end, or worse
			return notEOF(err)
		}
	}
}

func notEOF(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF { //nolint:errorlint // io.ReadFull returns them bare
		return nil
	}
	return err
}
