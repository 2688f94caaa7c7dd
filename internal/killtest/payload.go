// SPDX-License-Identifier: Apache-2.0

package killtest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"sync"
)

// noise is what payloads are cut out of: the same bytes in every process.
var noise = sync.OnceValue(func() []byte {
	b := make([]byte, 1<<18)
	rng := rand.NewChaCha8([32]byte{1})
	_, _ = rng.Read(b)
	return b
})

// Payload returns the bytes of message n of a lane, from 0 to most of them: most
// messages are small, some of any size. They may not be written to. Two messages
// that follow each other, and those of two lanes, differ in nearly every byte.
func Payload(seed uint64, lane int, n uint64, most int) []byte {
	rng := rand.NewPCG(seed, uint64(lane)<<48^n)
	kind, size, at := rng.Uint64()%32, rng.Uint64(), rng.Uint64()
	switch {
	case kind == 0:
		size %= uint64(most) + 1
	case kind < 8:
		size %= uint64(min(most, 2048)) + 1
	default:
		size %= uint64(min(most, 128)) + 1
	}
	if kind == 1 && n%64 == 0 {
		size = uint64(most)
	}
	from := at % uint64(len(noise())-most)
	return noise()[from : from+size]
}

// CheckPayload reports how data differs from Payload's bytes.
func CheckPayload(data []byte, seed uint64, lane int, n uint64, most int) error {
	want := Payload(seed, lane, n, most)
	if bytes.Equal(data, want) {
		return nil
	}
	if len(data) != len(want) {
		return fmt.Errorf("lane %d: message %d has %d bytes, %d were sent", lane, n, len(data), len(want))
	}
	i := 0
	for data[i] == want[i] {
		i++
	}
	return fmt.Errorf("lane %d: message %d of %d bytes is torn from byte %d on", lane, n, len(data), i)
}
