// SPDX-License-Identifier: Apache-2.0

// Package channel is one domain: its table of endpoints and lanes, the lanes
// themselves with their growth and their end, and the inbox of each address
// with its doorbell and ready set. It moves records; waiting, contexts and
// messages are the root package's.
//
//	Table     opens a domain, makes, removes and lists lanes      (change lock)
//	Sender    the producing end of a lane, grows it               (one per lane, own mutex)
//	Receiver  the consuming end, follows growth                   (owned by a Drain)
//	Drain     picks the next lane of an inbox that has something  (one goroutine at a time)
//
// A lane is one direction between two addresses. Whoever has bound its source
// may write to it and whoever has bound its destination may read from it; the
// bind locks are all the exclusion there is. docs/format/domain.md describes
// the files, with a crash table for each protocol.
package channel
