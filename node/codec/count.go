// SPDX-License-Identifier: Apache-2.0

package codec

// count adds up the lengths of all arrays and maps (RFC 8949, section 3). It
// reads heads one after the other and keeps no stack, so it takes bytes for
// well-formed that are not; ok tells whether they are heads at all. Of bytes
// that are well-formed the sums are at most their length.
func count(data []byte) (elements, pairs uint64, ok bool) {
	for i := 0; i < len(data); {
		major, info := data[i]>>5, data[i]&31
		i++
		n := uint64(info)
		switch {
		case info > 27:
			return elements, pairs, false // lengths that are not definite
		case info >= 24:
			width := 1 << (info - 24)
			if len(data)-i < width {
				return elements, pairs, false
			}
			n = 0
			for _, b := range data[i : i+width] {
				n = n<<8 | uint64(b)
			}
			i += width
		}
		switch major {
		case 2, 3: // strings
			if n > uint64(len(data)-i) {
				return elements, pairs, false
			}
			i += int(n)
		case 4:
			elements += min(n, uint64(len(data)))
		case 5:
			pairs += min(n, uint64(len(data)))
		}
	}
	return elements, pairs, true
}
