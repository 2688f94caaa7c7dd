// SPDX-License-Identifier: Apache-2.0

package frame

import (
	"crypto/hmac"
	"crypto/sha256"
)

// ProofLabel stands before the bytes that a proof is made of: no other use of the
// key can be taken for one.
const ProofLabel = "skybus gate resume 1"

// Proof returns HMAC-SHA256 with key over ProofLabel and the bytes of a RESUME
// before its proof; bytes of packet from there on are ignored. A packet that is
// shorter has a proof that CheckProof never takes.
func Proof(key, packet []byte) (proof [ProofSize]byte) {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(ProofLabel))
	mac.Write(packet[:min(len(packet), atProof)])
	mac.Sum(proof[:0])
	return proof
}

// CheckProof reports whether the RESUME packet has the proof that key gives. How
// long it takes does not depend on where the bytes differ. A packet of another size has none,
// and no packet has one for a key that is not of KeySize bytes.
func CheckProof(key, packet []byte) bool {
	if len(packet) != ResumeSize || len(key) != KeySize {
		return false
	}
	want := Proof(key, packet)
	return hmac.Equal(want[:], packet[atProof:])
}
