// SPDX-License-Identifier: Apache-2.0

package vault

// A sealed word has a value of 47 bits, and a seal by which it can be told whether the word is whole, and
// belongs where it stands: docs/format/vault.md.
//
// The factors are such that j<<(8*k) times each of them, for j from 1 to 255 and each byte k, is, mod 2^64, at
// least 2^48 away from 0 on both sides: so a byte that is damaged changes the seal. A test holds them to that.
const (
	valueBits = 47
	maxValue  = 1<<valueBits - 1

	valueFactor = 0xc4f5a58656eef511
	kindFactor  = 0x9dcec3ad077dec6d
	aFactor     = 0xc8d04605312f8089
	bFactor     = 0xcbedc0dcb63ac19b
)

// A kind says what a sealed word is; the numbers are part of the format.
type kind uint64

const (
	kindWritten   kind = 1
	kindLast      kind = 2
	kindID        kind = 3
	kindReady     kind = 4
	kindNumber    kind = 5
	kindPart      kind = 6
	kindState     kind = 7
	kindEpoch     kind = 8
	kindAccepted  kind = 9
	kindSent      kind = 10
	kindRef       kind = 11
	kindVersion   kind = 12
	kindCutNumber kind = 13
	kindCutItem   kind = 14
)

func saltOf(k kind, a, b uint64) uint64 { return uint64(k)*kindFactor + a*aFactor + b*bFactor }

// seal returns the word for a value, which is at most maxValue. It is never 0.
func seal(value, salt uint64) uint64 {
	return 1<<63 | (value*valueFactor+salt)>>48<<valueBits | value
}

// unseal returns the value of a word; false: it is damaged, or another word.
func unseal(word, salt uint64) (value uint64, ok bool) {
	value = word & maxValue
	return value, word == seal(value, salt)
}
