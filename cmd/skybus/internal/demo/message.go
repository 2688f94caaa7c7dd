// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"encoding/binary"
	"hash/crc32"
)

// A message, little-endian:
//
//	+0  u32 checksum (CRC-32C) of all that follows
//	+4  u32 length of the message
//	+8  u64 number, from 1
//	+16 u64 when it was sent, ns since 1970
//	+24     bytes that follow from the number
const (
	lengthAt = 4
	numberAt = 8
	timeAt   = 16
	fillAt   = 24

	usualSize   = 512      // most messages are shorter
	largestSize = 16 << 10 // one in 64 may have up to this
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// mix scatters the bits of x (the finalizer of SplitMix64: Steele, Lea, Flood,
// "Fast Splittable Pseudorandom Number Generators", 2014).
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// sizeOf returns the length of message n.
func sizeOf(n uint64) int {
	r := mix(n)
	most := uint64(usualSize)
	if r&63 == 0 {
		most = largestSize
	}
	return fillAt + int(r>>32%(most-fillAt+1))
}

// compose writes message n into buf's memory, which has room for the largest.
func compose(buf []byte, n uint64, now int64) []byte {
	m := buf[:sizeOf(n)]
	binary.LittleEndian.PutUint32(m[lengthAt:], uint32(len(m)))
	binary.LittleEndian.PutUint64(m[numberAt:], n)
	binary.LittleEndian.PutUint64(m[timeAt:], uint64(now))
	fill(m[fillAt:], n)
	binary.LittleEndian.PutUint32(m, crc32.Checksum(m[lengthAt:], castagnoli))
	return m
}

// fill writes bytes that look random and are those of n.
func fill(b []byte, n uint64) {
	x := mix(n)
	for ; len(b) >= 8; b = b[8:] {
		x = x*0x5851f42d4c957f2d + 1
		binary.LittleEndian.PutUint64(b, x^x>>29)
	}
	for i := range b {
		b[i] = byte(x >> (8 * i))
	}
}

// read returns what message m says. whole is false if its bytes are not those
// that were sent.
func read(m []byte) (n uint64, sent int64, whole bool) {
	if len(m) < fillAt || binary.LittleEndian.Uint32(m) != crc32.Checksum(m[lengthAt:], castagnoli) {
		return 0, 0, false
	}
	n = binary.LittleEndian.Uint64(m[numberAt:])
	sent = int64(binary.LittleEndian.Uint64(m[timeAt:]))
	return n, sent, int(binary.LittleEndian.Uint32(m[lengthAt:])) == len(m)
}
