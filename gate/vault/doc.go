// SPDX-License-Identifier: Apache-2.0

// Package vault is the memory of a gate that outlives its process: for each session of a home what
// may have to be sent to its client again, and for each sender what of its messages is done
// (docs/format/vault.md).
//
//	v, err := vault.Open(folder, home, vault.Config{}, access)
//	defer v.Close()
//	s, err := v.Begin(vault.Session{Key: key, Epoch: 1})
//
// One goroutine at a time, the owner, handles messages one after the other, each a list of items, each item a
// packet for some sessions:
//
//	if again && number <= v.Done(source) {
//		return // it is done
//	}
//	first := 0
//	if again {
//		first = v.Part(source, number)
//	}
//	for i := first; i < items; i++ {
//		o := vault.Origin{Source: source, Number: number, Item: uint32(i)}
//		ref, err := v.Put(o, packet)
//		for each session s of the item {
//			if !again || !s.Has(o) {
//				s.Add(ref)
//			}
//		}
//		v.SetPart(source, number, i+1)
//	}
//	v.SetDone(source, number)
//
// However the process ends, and as often as it does: who opens the vault next and gets the message
// again, flagged, gives each packet to each session once.
//
// Who calls what: the owner calls everything that has no other word in its comment; it is one goroutine, or whoever holds a
// mutex. Any goroutine may call
// the methods of a Slot that read its session's own words and texts. SetAccepted is for the goroutine that reads the
// session's connection: one at a time for each session.
//
// What lies in shared memory is not trusted when a vault is opened: each word tells whether it is whole, texts and
// packets have checksums. What is damaged is an error, or costs the one session that it belongs to, which
// is reported; no packet is ever returned that is not the one that was put.
//
// Floor 3.
package vault
