// SPDX-License-Identifier: Apache-2.0

package frame

import (
	"bytes"
	"fmt"
)

// splitVarint takes the shortest form alone. So a length has one form, and a
// byte that says "more follows" also says that the length is not below the next
// power of 128: no length that is too large is ever read to its end.
func splitVarint(b []byte, limit int) (packet []byte, n int, err error) {
	var length uint64
	for i, c := range b {
		if c == 0 && i > 0 {
			return nil, 0, malformed("length", fmt.Sprintf("the varint % x", b[:i+1]), "its shortest form")
		}
		length |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			return cut(b, i+1, length, limit)
		}
		// At i = 8 this is 1<<63, which no limit reaches.
		if least := length + 1<<(7*(i+1)); least > uint64(limit) {
			return nil, 0, tooLargeAtLeast(least, limit)
		}
	}
	return nil, 0, nil
}

func varintSize(n int) int {
	size := 1
	for v := uint64(max(n, 0)); v >= 0x80; v >>= 7 {
		size++
	}
	return size
}

func splitLine(b []byte, limit int) (packet []byte, n int, err error) {
	seen := b
	if len(b)-2 > limit { // a line of limit bytes has ended by then
		seen = b[:limit+2]
	}
	end := bytes.IndexByte(seen, '\n')
	if end < 0 {
		if over(seen, limit) {
			return nil, 0, tooLargeAtLeast(uint64(limit)+1, limit)
		}
		return nil, 0, nil
	}
	packet = b[:end:end]
	if end > 0 && b[end-1] == '\r' {
		packet = b[: end-1 : end-1]
	}
	if len(packet) > limit {
		return nil, 0, tooLargeAtLeast(uint64(limit)+1, limit)
	}
	return packet, end + 1, nil
}

// over reports whether a line that has not ended is above its limit: a \r behind
// the last byte that it may have does not count if \n follows.
func over(line []byte, limit int) bool {
	if len(line) == limit+1 {
		return line[limit] != '\r'
	}
	return len(line) > limit
}

func appendLine(dst, packet []byte) ([]byte, error) {
	if i := bytes.IndexByte(packet, '\n'); i >= 0 {
		return dst, malformed("line", fmt.Sprintf("\\n at offset %d", i), "none in the packet")
	}
	if n := len(packet); n > 0 && packet[n-1] == '\r' {
		return dst, malformed("line", "\\r as the last byte", "another one, for a reader cuts it")
	}
	return append(append(dst, packet...), '\n'), nil
}

func splitRaw(b []byte, limit int) (packet []byte, n int, err error) {
	if limit == 0 && len(b) > 0 {
		return nil, 0, tooLargeAtLeast(1, 0)
	}
	n = min(len(b), limit)
	return b[:n:n], n, nil
}
