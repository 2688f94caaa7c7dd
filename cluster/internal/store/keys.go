// SPDX-License-Identifier: Apache-2.0

package store

import (
	"slices"
	"strings"
)

// chunkMax is where a chunk is split in two: keys move when one is inserted, and chunks when
// one is split.
const chunkMax = 512

// keys has strings in order, in chunks of at most chunkMax. No chunk is empty.
type keys struct{ chunks [][]string }

// find returns the chunk that key is in, or belongs into, and its place there.
func (k *keys) find(key string) (chunk, at int, found bool) {
	chunk, _ = slices.BinarySearchFunc(k.chunks, key, func(c []string, key string) int {
		return strings.Compare(c[len(c)-1], key)
	})
	if chunk == len(k.chunks) {
		return chunk, 0, false
	}
	at, found = slices.BinarySearch(k.chunks[chunk], key)
	return chunk, at, found
}

// insert adds a key that is not there.
func (k *keys) insert(key string) {
	c, at, _ := k.find(key)
	if c == len(k.chunks) { // beyond the last one
		if c == 0 {
			k.chunks = append(k.chunks, []string{key})
			return
		}
		c--
		at = len(k.chunks[c])
	}
	chunk := slices.Insert(k.chunks[c], at, key)
	if len(chunk) > chunkMax {
		half := slices.Clone(chunk[chunkMax/2:])
		clear(chunk[chunkMax/2:])
		chunk = chunk[:chunkMax/2]
		k.chunks = slices.Insert(k.chunks, c+1, half)
	}
	k.chunks[c] = chunk
}

// remove takes a key out.
func (k *keys) remove(key string) {
	c, at, found := k.find(key)
	if !found {
		return
	}
	if k.chunks[c] = slices.Delete(k.chunks[c], at, at+1); len(k.chunks[c]) == 0 {
		k.chunks = slices.Delete(k.chunks, c, c+1)
	}
}

// from yields the keys from first on, in order.
func (k *keys) from(first string, yield func(string) bool) {
	c, at, _ := k.find(first)
	for ; c < len(k.chunks); c, at = c+1, 0 {
		for _, key := range k.chunks[c][at:] {
			if !yield(key) {
				return
			}
		}
	}
}
