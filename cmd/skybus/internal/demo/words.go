// SPDX-License-Identifier: Apache-2.0

package demo

import "encoding/binary"

// words are 64-bit numbers in a mapped file. One process writes them, with one
// store each, so that a process that is killed leaves each of them whole.
type words []byte

func (w words) get(i int) uint64 { return binary.LittleEndian.Uint64(w[8*i:]) }

func (w words) set(i int, v uint64) { binary.LittleEndian.PutUint64(w[8*i:], v) }

func (w words) add(i int, v uint64) { w.set(i, w.get(i)+v) }
